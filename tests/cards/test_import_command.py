"""`quantbench import` and `lint`: what a person sees, and what is on disk afterwards."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from published_cards import CATALOG, DATA, NAMES, collapsed, markdown, read

from quantbench import cli, registry, run_files
from quantbench.analysis.compare import summarize
from quantbench.run_dir import load_run

DISTILBERT, VIT = NAMES


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own; pictures are tested where they are made."""
    monkeypatch.chdir(tmp_path)
    names = registry.names
    monkeypatch.setattr(
        registry, "names", lambda group: tuple(name for name in names(group) if name != "plots")
    )
    return tmp_path


def card_file(text: str, name: str = "card.md") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    return name


class TestImport:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_card_becomes_a_run_that_is_read_as_any_other(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["import", str(DATA / f"{name}.card.txt")]) == 0
        run = Path("runs") / name
        assert "8 rows, 9 shapes" in capsys.readouterr().out
        assert (run / "card.md").read_text() == collapsed(name)
        assert (run / "published.md").read_text() == markdown(name)
        assert (run / "table.parquet").is_file()
        result = load_run(run, CATALOG)
        assert result == read(collapsed(name)).result
        assert len(summarize(result, CATALOG.tasks[result.config.task]).rows) == 8

    def test_the_published_form_can_be_imported_again(self) -> None:
        assert cli.main(["import", str(DATA / f"{VIT}.card.txt")]) == 0
        assert cli.main(["import", f"runs/{VIT}/published.md", "--out", "again"]) == 0
        assert load_run(Path("again"), CATALOG) == load_run(Path("runs", VIT), CATALOG)

    def test_the_card_is_written_again_from_the_folder(self) -> None:
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "run"]) == 0
        before = Path("run/README.md").read_text()
        Path("run/README.md").unlink()
        assert cli.main(["card", "run"]) == 0
        assert Path("run/README.md").read_text() == before

    @pytest.mark.parametrize(
        ("command", "told"),
        [
            (["trace", "run", "--row", "1"], "published without what they were made from"),
            (["save-model", "run", "--row", "1", "--to", "x"], "published without their files"),
            (["errors", "run", "--row", "1"], "published without the answers behind them"),
            (["explain", "run", "--row", "1"], "published without the models they are of"),
        ],
    )
    def test_what_needs_more_than_a_card_says_so(
        self, command: list[str], told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "run"]) == 0
        assert cli.main(command) in (1, 2)
        assert told in capsys.readouterr().err

    def test_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "run", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said == {"folder": "run", "rows": 8, "shapes": 9, "differs_at": None}

    def test_what_would_be_written_differently_is_told(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = markdown(VIT).replace("for 15 seconds", "for 15.0 seconds")
        assert cli.main(["import", card_file(text), "--out", "run"]) == 0
        line = text[: text.index("15.0")].count("\n") + 1
        assert f"written differently at line {line}, column 30" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("name", "folder"),
        [("theirs/README.md", "theirs"), ("a.b.card.txt", "a"), (".card", "card")],
    )
    def test_the_folder_is_named_like_the_card(self, name: str, folder: str) -> None:
        assert cli.main(["import", card_file(collapsed(VIT), name)]) == 0
        assert Path("runs", folder, "README.md").is_file()


class TestTheFolder:
    def test_the_same_card_may_be_imported_again(self) -> None:
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "run"]) == 0
        assert cli.main(["import", "card.md", "--out", "run"]) == 0

    def test_another_card_is_not_written_over_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "run"]) == 0
        other = card_file(collapsed(DISTILBERT), "other.md")
        assert cli.main(["import", other, "--out", "run"]) == 2
        assert "run already holds other results" in capsys.readouterr().err
        assert Path("run/card.md").read_text() == collapsed(VIT)

    @pytest.mark.parametrize("name", ["config.yaml", "notes.txt", "run.json"])
    def test_a_folder_with_something_else_is_left_alone(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("run").mkdir()
        Path("run", name).write_text("precious")
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "run"]) == 2
        assert "is not empty and holds no imported card" in capsys.readouterr().err
        assert [path.name for path in Path("run").iterdir()] == [name]

    def test_a_sweep_is_not_run_into_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "run"]) == 0
        config = Path(__file__).parents[2] / "examples"
        sweep = next(config.glob("*.yaml"))
        assert cli.main(["run", str(sweep), "--out", "run"]) == 2
        assert "is not empty and holds no run" in capsys.readouterr().err

    def test_a_file_in_its_place_is_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "card.md"]) == 2
        assert "card.md is a file: a run needs a folder" in capsys.readouterr().err

    def test_nothing_is_written_through_links(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "run"]) == 0
        Path("elsewhere").mkdir()
        Path("run/plots").symlink_to(Path("elsewhere").absolute())
        assert cli.main(["import", "card.md", "--out", "run"]) == 2
        assert "is a link" in capsys.readouterr().err
        assert list(Path("elsewhere").iterdir()) == []

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_folder_that_cannot_be_written_is_named(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("closed").mkdir(mode=0o500)
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "closed/run"]) == 2
        assert "closed/run cannot be written" in capsys.readouterr().err

    def test_a_damaged_card_in_it_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "run"]) == 0
        Path("run/card.md").write_text(collapsed(VIT)[:9000])
        assert cli.main(["card", "run"]) == 2
        assert "run/card.md, line 1, column " in capsys.readouterr().err


class TestHostileNames:
    HOSTILE = "</script><script>alert(1)</script>|`x`\\|[a](javascript:0)" + "n" * 3000

    def test_a_name_is_text_in_the_card_and_on_the_terminal(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        result = read(collapsed(VIT)).result
        config = result.config.model_copy(update={"model_name_or_path": self.HOSTILE})
        from quantbench.reports.card_parity import render_parity

        text = render_parity(result.model_copy(update={"config": config}))
        assert cli.main(["import", card_file(text), "--out", "run"]) == 0
        assert capsys.readouterr().err == ""
        assert load_run(Path("run"), CATALOG).config.model_name_or_path == self.HOSTILE
        title = next(
            line for line in Path("run/README.md").read_text().splitlines() if line.startswith("# ")
        )
        assert "<script>" not in title
        assert cli.main(["lint", "run/published.md"]) == 1


@pytest.mark.parametrize("command", ["import", "lint"])
class TestNoCard:
    def refused(self, command: str, path: str, capsys: pytest.CaptureFixture[str]) -> str:
        assert cli.main([command, path]) == 2
        assert not Path("runs").exists()
        said = capsys.readouterr().err
        assert said.startswith("quantbench: ")
        return said

    def test_a_file_that_is_not_there(
        self, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = self.refused(command, "nowhere.md", capsys)
        assert "cannot read nowhere.md: No such file" in said

    def test_a_folder(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert "it is no ordinary file" in self.refused(command, ".", capsys)

    def test_a_pipe_is_not_waited_for(
        self, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        os.mkfifo("pipe")
        assert "it is no ordinary file" in self.refused(command, "pipe", capsys)

    def test_an_endless_device(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert "it is no ordinary file" in self.refused(command, "/dev/zero", capsys)

    def test_a_name_that_cannot_be_one(
        self, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "cannot read" in self.refused(command, "x" * 5000, capsys)
        assert "cannot read" in self.refused(command, "a\0b", capsys)

    def test_a_huge_file_is_not_read_whole(
        self, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Path("huge.md").open("wb") as file:
            file.truncate(run_files.MAX_CARD_BYTES * 1000)
        said = self.refused(command, "huge.md", capsys)
        assert "it has more than 20,000,000 bytes" in said
        assert "Give the text of a published card" in said

    def test_bytes_that_are_no_text(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        Path("card.md").write_bytes(b"---\npipeline_tag: \xff\n---\n")
        said = self.refused(command, "card.md", capsys)
        assert "card.md, line 2: it is not a text in UTF-8" in said
        assert "Give the text of a published card" in said

    def test_the_card_that_quantbench_writes(
        self, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "run"]) == 0
        capsys.readouterr()
        said = self.refused(command, "run/README.md", capsys)
        assert "form that quantbench gives to its own results" in said


class TestLint:
    @pytest.mark.parametrize("name", NAMES)
    def test_findings_have_their_place_and_the_exit_code_says_that_there_are_some(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = card_file(markdown(name))
        assert cli.main(["lint", path, "--json"]) == 1
        said = json.loads(capsys.readouterr().out)
        lines = markdown(name).splitlines()
        for finding in said["findings"]:
            for quote in finding["quotes"]:
                assert lines[quote["line"] - 1].strip()
        assert cli.main(["lint", path]) == 1
        out = capsys.readouterr().out
        assert "says: line " in out
        assert out.rstrip().endswith(f"card.md: {len(said['findings'])} findings")

    def test_collapsed_text_has_no_lines_to_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["lint", card_file(collapsed(VIT))]) == 1
        assert "says: non-time metrics, row 1:" in capsys.readouterr().out

    @pytest.mark.parametrize("command", ["lint", "import"])
    @pytest.mark.parametrize("name", [b"card\xff.md", "card\x9b\u202e.md".encode()])
    def test_names_that_are_no_text_are_escaped(
        self, name: bytes, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = card_file(collapsed(VIT), os.fsdecode(name))
        for options in ([], ["--json"]):
            assert cli.main([command, path, *options]) == (1 if command == "lint" else 0)
            said = capsys.readouterr().out
            assert not set(said) & {"\udcff", "\x9b", "\u202e"}
            assert {"\\udcff", "\\u202e"} & set(re.findall(r"\\u[0-9a-f]{4}", said))

    def test_the_number_of_samples_may_be_given(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["lint", card_file(collapsed(VIT)), "--samples", "100"]) == 1
        assert "L1:" not in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("number", "told"),
        [
            ("0", "at least 1"),
            ("7", "says that it eval"),
            ("0", "or leave it out"),
            ("7", "Leave --"),
        ],
    )
    def test_a_number_that_cannot_be_is_refused(
        self, number: str, told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["lint", card_file(collapsed(DISTILBERT)), "--samples", number]) == 2
        assert told in capsys.readouterr().err


class TestOtherCommands:
    """Imported runs are compared, and gated on, as far as means go."""

    def test_two_imported_cards_of_one_task_are_compared(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        faster = markdown(VIT).replace("63.00", "31.50", 1)
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "old"]) == 0
        assert cli.main(["import", card_file(faster, "new.md"), "--out", "new"]) == 0
        capsys.readouterr()
        assert cli.main(["compare", "old", "new"]) == 0
        out, err = capsys.readouterr()
        assert "old" in out
        assert err == ""
        assert cli.main(["compare", "old", "new", "--shapes", "--json"]) == 0
        json.loads(capsys.readouterr().out, parse_constant=pytest.fail)

    def test_a_gate_on_means_is_undecided(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["import", card_file(collapsed(VIT)), "--out", "run"]) == 0
        assert cli.main(["gate", "run", "--row", "1", "--min-speedup", "1.5"]) == 3
        assert "a published card gives means only" in capsys.readouterr().out
