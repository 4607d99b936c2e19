"""`show` prints a run's rows or one row, `list` says which runs there are."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from shown_run import run_sweep

from fake_backend import FakeBackend
from quantbench import cli, run_dir

RUN = "runs/sweep"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert cli.main(list(arguments)) == code
    found = capsys.readouterr()
    return found.out if code == 0 else found.err


def data(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(said(capsys, *arguments, "--json"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the run that may be spoilt."""
    return Path(shutil.copytree(RUN, tmp_path / "copy"))


class TestRows:
    def test_a_run_is_shown_as_run_showed_it_at_the_end(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = said(capsys, "show", RUN)
        assert text.startswith("m, question-answering, 20")
        assert ": finished\n" in text
        assert "sweep: 6 rows" in text
        assert "Recommended:" in text
        assert f"Card: {RUN}/README.md" in text
        assert max(len(line) for line in text.splitlines() if line[:1] in "┏┡│└") <= 80

    def test_rows_are_filtered_and_ordered(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = said(capsys, "show", RUN, "--filter", "quantization_approach=static",
                    "--sort", "row:desc")  # fmt: skip
        assert "sweep: 3 of 6 rows" in text
        places = [text.index(f"│   {row} │") for row in (6, 5, 4)]
        assert places == sorted(places)
        assert "│   3 │" not in text

    def test_columns_are_chosen_also_those_of_one_shape(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = said(capsys, "show", RUN, "--columns", "row,operators_to_quantize,speedup@4x32")
        head = next(line for line in text.splitlines() if line.startswith("┃"))
        assert [item.strip() for item in head.strip("┃").split("┃")] == [
            "row", "parameter.operators_to_quantize", "speedup@4x32",
        ]  # fmt: skip
        assert "Add, MatMul" in text

    def test_json_has_the_same_rows_with_all_of_their_columns(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = data(capsys, "show", RUN, "--sort", "row:desc")
        assert [row["row"] for row in found["rows"]] == [6, 5, 4, 3, 2, 1]
        assert found["run"]["state"] == "finished"
        assert found["recommendation"]["metric"] == "exact_match"
        assert "exact_match.drop_points" in found["rows"][0]
        few = data(capsys, "show", RUN, "--columns", "row,status")
        assert set(few["rows"][0]) == {"row", "status"}

    def test_no_row_may_be_left(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "sweep: 0 of 6 rows" in said(capsys, "show", RUN, "--filter", "row>6")
        assert data(capsys, "show", RUN, "--filter", "row>6")["rows"] == []

    def test_an_unknown_column_lists_those_that_there_are(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = said(capsys, "show", RUN, "--sort", "speeedup", code=2)
        assert "overall_speedup" in text
        assert "exact_match.drop_points" in text
        assert "Did you mean speedup?" in text


class TestOneRow:
    def test_everything_about_a_row_is_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = said(capsys, "show", RUN, "--row", "5")
        for part in (
            "Row 5", "quantization_approach: static", "Accuracy", "exact_match", "Times; speedup",
            "1 × 32", "4 × 32", "Files", "sha256", "graph_digest", "Commands",
            f"quantbench save-model {RUN} --row 5 --to FOLDER",
            f"quantbench run {RUN}/pinned.yaml --out NEW_FOLDER --fresh",
        ):  # fmt: skip
            assert part in text, part
        wide = [line for line in text.splitlines() if len(line) > 80]
        assert all("quantbench" in line or "  " in line[:2] for line in wide)

    def test_the_same_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = data(capsys, "show", RUN, "--row", "5")
        assert found["row"]["number"] == 5
        assert found["scheme"]["approach"] == "static"
        assert len(found["row"]["arm"]["cells"]) == 2
        assert {file["of"] for file in found["files"]} >= {"the row"}

    def test_a_row_is_found_by_its_trial_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        trial = data(capsys, "show", RUN, "--row", "5")["row"]["trial_id"]
        assert data(capsys, "show", RUN, "--row", trial[:9])["row"]["number"] == 5

    def test_the_row_that_was_explained_says_what_was_found(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        explained = [
            row for row in map(str, range(1, 7))
            if data(capsys, "show", RUN, "--row", row)["explanation"] is not None
        ]  # fmt: skip
        assert len(explained) == 1
        assert "Explanation" in said(capsys, "show", RUN, "--row", explained[0])

    def test_a_row_that_is_not_there_lists_those_that_are(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "is no row of this run. Its rows" in said(capsys, "show", RUN, "--row", "9", code=2)

    def test_one_row_has_no_order(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = said(capsys, "show", RUN, "--row", "1", "--sort", "row", code=2)
        assert "goes without" in text


class TestRunsThatAreNotWhole:
    def test_an_unfinished_run_says_so(
        self, copy: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for file in (copy / "arms").glob("onnxruntime-static-*.json"):
            file.unlink()
        text = said(capsys, "show", str(copy))
        assert ": unfinished\n" in text
        assert "not run yet" in text
        assert "has not been run" in said(capsys, "show", str(copy), "--row", "5")

    def test_a_run_of_which_nothing_was_done_is_shown(
        self, copy: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.rmtree(copy / "arms")
        shutil.rmtree(copy / "explained")
        assert ": unfinished\n" in said(capsys, "show", str(copy))
        for row in ("1", "6"):
            assert f"Row {row}: failed" in said(capsys, "show", str(copy), "--row", row)
        assert data(capsys, "show", str(copy), "--row", "1")["files"] == []

    def test_a_run_under_way_says_so(self, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with run_dir.locked(copy):
            assert ": running\n" in said(capsys, "show", str(copy))

    def test_rows_that_all_failed_are_shown_with_their_reasons(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert run_sweep(tmp_path, FakeBackend("export"), "runs/bad") != 0
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()
        text = said(capsys, "show", "runs/bad")
        assert ": failed\n" in text
        assert "broken on purpose" in text
        assert "export: broken on purpose." in said(capsys, "show", "runs/bad", "--row", "2")

    @pytest.mark.parametrize("options", [[], ["--row", "1"]])
    def test_a_damaged_run_is_refused_by_the_file(
        self, options: list[str], copy: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = copy / "arms" / "original.json"
        file.write_text(file.read_text()[:-200])
        assert f"{file} is damaged" in said(capsys, "show", str(copy), *options, code=1)

    def test_a_run_of_a_newer_format_is_refused(
        self, copy: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = copy / "run.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": 99}))
        assert "has format version 99" in said(capsys, "show", str(copy), code=1)

    def test_a_folder_without_a_run_is_wrong_usage(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "holds no run" in said(capsys, "show", str(tmp_path), code=2)

    def test_names_with_markup_and_control_characters_are_harmless(
        self, copy: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        odd = "[red]x\x1b[31m🙂<b>*" + "y" * 300
        config = copy / "config.yaml"
        config.write_text(
            config.read_text().replace(
                "name_or_path: m\n", f"name_or_path: {json.dumps(odd, ensure_ascii=False)}\n"
            )
        )
        for text in (said(capsys, "show", str(copy)), said(capsys, "list", str(copy))):
            assert "\x1b" not in text
            assert "[red]x" in text.replace("\n", "")
        row = said(capsys, "show", str(copy), "--row", "1")
        assert "[red]x\\x1b[31m🙂<b>*yyy" in row


class TestList:
    def test_runs_of_the_store_and_below_a_folder_are_listed_once(
        self, copy: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert [run["name"] for run in data(capsys, "list")] == ["sweep"]
        found = data(capsys, "list", str(copy.parent))
        assert [run["name"] for run in found] == ["copy", "sweep"]
        assert {run["state"] for run in found} == {"finished"}
        assert {run["num_rows"] for run in found} == {6}

    def test_the_list_fits_80_columns(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = said(capsys, "list")
        assert "finished" in text
        assert max(map(len, text.splitlines())) <= 80

    def test_a_damaged_run_is_listed_as_such(
        self, copy: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (copy / "plan.json").write_text("{")
        (first, _) = data(capsys, "list", str(copy))
        assert first["state"] == "damaged"
        assert "plan.json is damaged" in first["problem"]
        assert "damaged:" in said(capsys, "list", str(copy))

    def test_without_any_run_it_says_so(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "none"))
        assert said(capsys, "list", str(tmp_path)) == "There is no run.\n"
        assert data(capsys, "list", str(tmp_path)) == []


def test_looking_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def state() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in Path(RUN).rglob("*")}

    before = state()
    for arguments in (["show", RUN], ["show", RUN, "--row", "1"], ["list"],
                      ["export", RUN, "--table", "rows"]):  # fmt: skip
        said(capsys, *arguments)
    assert state() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_run_that_may_not_be_written_is_shown(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "summary.jsonl").unlink()
    copy.chmod(0o500)
    try:
        assert ": finished\n" in said(capsys, "show", str(copy))
        assert "cannot write" in said(capsys, "card", str(copy), code=1)
    finally:
        copy.chmod(0o700)
