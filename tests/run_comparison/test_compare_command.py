"""`quantbench compare`: what is printed, as JSON too, and what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from other_runs import again, arm_of, on_processor, slower, write_run
from quantbench import cli, registry
from quantbench.analysis.run_comparison import compare_runs
from quantbench.commands.named_runs import read_runs
from quantbench.reports.run_comparison import print_comparison
from synthetic import config, sweep

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "before")


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Path:
    later = again()
    return write_run(
        tmp_path_factory.mktemp("runs") / "after", slower(later, [arm_of(later, 3)], 1.1)
    )


def test_the_table_has_both_values_and_what_became_of_them(
    before: Path, after: Path, capsys: Capture
) -> None:
    assert cli.main(["compare", str(before), str(after)]) == 4  # row 5 failed in both
    said = capsys.readouterr().out
    assert "before (A) and after (B)" in said
    assert "Speedups are over PyTorch eager, which is the same in both" in said
    line = next(line for line in said.splitlines() if line.startswith("│   3 "))
    assert "79.833" in line
    assert "0.91" in line
    assert "row 8: in both, refused: static per-channel needs" in said
    assert "row 7: in both, the arm's process was killed." in said


def test_rows_that_are_all_there_leave_with_0(tmp_path: Path, capsys: Capture) -> None:
    swept = {"operators_to_quantize": [["MatMul"]], "per_channel": [False, True]}
    result = sweep(config(benchmarked=swept))
    paths = [
        str(write_run(tmp_path / "a", result)),
        str(write_run(tmp_path / "b", again(result))),
    ]
    assert cli.main(["compare", *paths]) == 0
    assert "not paired" not in capsys.readouterr().out


def test_milliseconds_of_each_shape_are_side_by_side(
    before: Path, after: Path, capsys: Capture
) -> None:
    cli.main(["compare", str(before), str(after), "--shapes", "--row", "3"])
    said = capsys.readouterr().out
    assert "4x32" in said
    assert "ms (p50)" in said
    assert "│   4 │" not in said


def test_json_has_the_same_numbers(before: Path, after: Path, capsys: Capture) -> None:
    cli.main(["compare", str(before), str(after), "--json", "--row", "3"])
    found = json.loads(capsys.readouterr().out)
    (pair,) = found["pairs"]
    (row,) = pair["rows"]
    assert row["speed"]["change"]["value"] == pytest.approx(1 / 1.1, rel=1e-3)
    assert row["metrics"][0]["paired"]["drop"] == 0
    assert pair["yardstick"] == "PyTorch eager"


def test_another_machine_is_told_and_nothing_divided(
    before: Path, tmp_path: Path, capsys: Capture
) -> None:
    other = write_run(tmp_path / "server", on_processor(again(), model="A <b>CPU</b> [red]"))
    cli.main(["compare", str(before), str(other)])
    said = capsys.readouterr().out
    assert "processor: Imaginary CPU @ 2.50GHz → A <b>CPU</b> [red]" in said
    assert "not divided: they were measured on different machines (processor)" in said


def test_folders_of_one_name_go_by_as_much_of_their_paths_as_is_needed(
    before: Path, tmp_path: Path, capsys: Capture
) -> None:
    other = write_run(tmp_path / "before", again())
    cli.main(["compare", str(before), str(other), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["first"]["name"] == f"{before.parent.name}/before"
    assert found["pairs"][0]["other"]["name"] == f"{tmp_path.name}/before"


def test_names_move_no_cursor(before: Path, tmp_path: Path, capsys: Capture) -> None:
    other = write_run(tmp_path / "\x1b[31m[bold]x", again())
    cli.main(["compare", str(before), str(other)])
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\\x1b[31m[bold]x" in said


def test_a_run_that_is_empty_is_told_row_by_row(
    before: Path, tmp_path: Path, capsys: Capture
) -> None:
    empty = write_run(tmp_path / "empty", sweep().model_copy(update={"arms": ()}))
    assert cli.main(["compare", str(before), str(empty)]) == 4
    said = capsys.readouterr().out
    assert "in B, onnxruntime-float32-opset11-level99 has not been run." in said


def test_explanations_of_another_version_are_no_obstacle(
    before: Path, tmp_path: Path, capsys: Capture
) -> None:
    older = write_run(tmp_path / "older", again())
    (older / "explained").mkdir()
    (older / "explained" / "row-003.json").write_text('{"schema_version": 1}')
    assert cli.main(["compare", str(before), str(older), "--row", "3"]) == 0
    assert cli.main(["card", str(older)]) == 1
    assert "row-003.json has format version 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{before}"], 2, "compare needs two runs or more"),
        (["{before}", "{before}"], 2, "is given twice"),
        (["{before}", "{before}/arms"], 2, "holds no run"),
        (["{before}", "{after}", "--row", "99"], 2, "--row '99' is no row"),
        (["{before}", "{newer}"], 1, "has format version 99, this quantbench reads"),
        (["{before}", "{damaged}"], 1, "plan.json is damaged"),
    ],
)
def test_what_cannot_be_compared_says_why(
    arguments: list[str],
    code: int,
    message: str,
    before: Path,
    after: Path,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    newer, damaged = (write_run(tmp_path / name) for name in ("newer", "damaged"))
    facts = json.loads((newer / "run.json").read_text())
    (newer / "run.json").write_text(json.dumps(facts | {"schema_version": 99}))
    (damaged / "plan.json").write_text('{"rows": [')
    places = {"before": before, "after": after, "newer": newer, "damaged": damaged}
    assert cli.main(["compare", *(item.format(**places) for item in arguments)]) == code
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


def test_the_table_fits_80_columns(
    before: Path, after: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen()
    task = registry.task("question-answering").spec
    found = compare_runs(read_runs([before, after]), task)
    print_comparison(found, screen)
    table = [line for line in screen.getvalue().splitlines() if line[:1] in "┏┡│└├"]
    assert table
    assert max(map(len, table)) <= 80
    assert "… " not in screen.getvalue()
