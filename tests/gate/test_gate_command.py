"""`quantbench gate`: exit codes, files for CI, and what is refused."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from other_runs import again, write_run
from quantbench import cli
from quantbench.core.amounts import parse_limit, parse_percent
from quantbench.core.errors import UsageError
from quantbench.core.gate import Check, Gate
from quantbench.reports.gate import gate_markdown
from quantbench.reports.junit import gate_junit
from synthetic import sweep

Capture = pytest.CaptureFixture[str]
DOCS = Path(__file__).parents[2] / "docs" / "gate.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "sweep")


# --- Verdicts ---


@pytest.mark.parametrize(
    ("asked", "code", "outcome"),
    [
        (["--max-drop", "0.8", "--min-speedup", "1.5"], 0, "pass"),
        (["--row", "3", "--min-speedup", "9"], 1, "fail"),
        (["--row", "3", "--max-drop", "0.2"], 3, "undecided"),
        (["--row", "3", "--shape", "1x32", "--min-speedup", "3"], 0, "pass"),
    ],
)
def test_the_exit_code_is_the_verdict(
    asked: list[str], code: int, outcome: str, folder: Path, capsys: Capture
) -> None:
    assert cli.main(["gate", str(folder), *asked]) == code
    said = capsys.readouterr().out
    assert said.startswith(f"{outcome}: row 3 (")
    assert "value [interval]" in said
    assert cli.main(["gate", str(folder), *asked, "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert (found["outcome"], found["row"]) == (outcome, 3)
    assert len(found["checks"]) >= 1


def test_a_baseline_is_compared_by_the_same_row(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    new = write_run(tmp_path / "new", again())
    asked = ["--baseline", str(folder), "--max-slowdown", "6%"]
    assert cli.main(["gate", str(new), *asked]) == 0
    assert "takes at most 6 % longer than in sweep" in capsys.readouterr().out


# --- Files for CI ---


def written(folder: Path, tmp_path: Path, *asked: str) -> tuple[ElementTree.Element, str]:
    xml, markdown = tmp_path / "gate.xml", tmp_path / "gate.md"
    cli.main(["gate", str(folder), *asked, "--junit", str(xml), "--markdown", str(markdown)])
    return ElementTree.fromstring(xml.read_text()), markdown.read_text()  # noqa: S314 - our own


def test_junit_has_a_test_for_each_check(folder: Path, tmp_path: Path) -> None:
    asked = ("--row", "3", "--max-drop", "0.2", "--min-speedup", "9")
    root, _ = written(folder, tmp_path, *asked)
    assert root.tag == "testsuites"
    (suite,) = root
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "2", "failures": "1", "errors": "1", "skipped": "0"}
    cases = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert cases == {"max-drop": ["error"], "min-speedup": ["failure"]}
    (failure,) = suite.iter("failure")
    assert str(failure.get("message")).endswith("x32: all of its interval is below the limit")
    assert "at least 9 times as fast as PyTorch eager" in str(failure.text)


def test_what_passed_has_no_failure(folder: Path, tmp_path: Path) -> None:
    root, markdown = written(folder, tmp_path, "--max-drop", "1")
    assert [case.get("name") for case in root.iter("testcase")] == ["recommended-row", "max-drop"]
    assert not [*root.iter("failure"), *root.iter("error"), *root.iter("skipped")]
    assert markdown.startswith("## quantbench gate: pass\n")
    assert "exact_match drops by at most 1 points" in markdown


def test_names_from_outside_are_no_markup() -> None:
    odd = 'a"<script>&]]>|`**[x](y)`**\x00\x1b[31m\uffff\u202e🙂\nnext'
    check = Check(name="max-drop", condition=odd, outcome="fail", reason=odd)
    gate = Gate(
        run=odd, baseline=odd, row=1, trial_id=odd, parameters={odd: odd}, checks=(check,),
        warnings=(odd,),
    )  # fmt: skip
    root = ElementTree.fromstring(gate_junit(gate))  # noqa: S314 - our own
    (case,) = root.iter("testcase")
    assert [child.tag for child in case] == ["failure"]
    assert 'a"<script>&]]>' in str(case[0].get("message"))
    markdown = gate_markdown(gate)
    (row,) = (line for line in markdown.splitlines() if line.startswith("Row 1: "))
    assert row.startswith('Row 1: `` a"<script>')  # in a code span
    assert "<script>" not in markdown.replace(row, "")
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(table) == 3
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 5 for line in table)
    for text in (gate_junit(gate), markdown):
        assert not set(text) & {"\x00", "\x1b", "\u202e"}
        text.encode()


@pytest.mark.parametrize("place", ["nowhere/gate.xml", "folder", "link", "pipe"])
def test_a_file_that_cannot_be_written_is_told_before_any_is(
    place: str, folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    asked = ["--max-drop", "1", "--markdown", str(tmp_path / "gate.md")]
    assert cli.main(["gate", str(folder), *asked, "--junit", str(tmp_path / place)]) == 2
    said = capsys.readouterr().err
    assert f"--junit {tmp_path / place} cannot be written" in said
    assert "Name an ordinary file" in said
    assert sorted(tmp_path.iterdir()) == before


def test_a_disk_that_is_full_leaves_what_was_there(
    folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gate.md"
    path.write_text("of yesterday")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert cli.main(["gate", str(folder), "--max-drop", "1", "--markdown", str(path)]) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "Make room" in said
    assert [item.name for item in tmp_path.iterdir()] == ["gate.md"]
    assert path.read_text() == "of yesterday"


def test_two_options_cannot_name_one_file(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    path = str(tmp_path / "x")
    asked = ["--max-drop", "1", "--junit", path, "--markdown", path]
    assert cli.main(["gate", str(folder), *asked]) == 2
    assert "name one file" in capsys.readouterr().err


# --- What is refused ---


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], "no condition is given"),
        (["--row", "3"], "no condition is given"),
        (["--max-slowdown", "3%"], "--baseline and --max-slowdown belong together"),
        (["--max-drop", "1", "--baseline", "x"], "--baseline and --max-slowdown belong together"),
        (["--max-drop", "1", "--shape", "1x32"], "no condition is about speed"),
        (["--max-drop", "-0.5"], "--max-drop '-0.5' is no limit"),
        (["--max-drop", "nan"], "--max-drop 'nan' is no limit"),
        (["--min-speedup", "inf"], "--min-speedup 'inf' is no limit"),
        (["--min-speedup", "1.5x"], "--min-speedup '1.5x' is no limit"),
        (["--max-drop", "1", "--row", "99"], "--row '99' is no row of this run"),
        (["--max-drop", "1", "--row", ""], "--row '' is no row of this run"),
        (["--min-speedup", "1", "--shape", "2x2"], "its shapes: 1x32, 4x32"),
        (["--baseline", "{run}", "--max-slowdown", "3%"], "is given twice"),
        (["--baseline", "{run}", "--max-slowdown", "3"], "could be 3 % or 300 %"),
    ],
)
def test_what_cannot_be_asked_says_what_can(
    asked: list[str], message: str, folder: Path, capsys: Capture
) -> None:
    assert cli.main(["gate", str(folder), *(item.format(run=folder) for item in asked)]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("run.json", '{"schema_version": 99}', "has format version 99"),
        ("plan.json", "{", "plan.json is damaged"),
        ("arms/original.json", "[]", "original.json is damaged"),
    ],
)
def test_results_that_cannot_be_read_fail_and_leave_no_file(
    file: str, text: str, message: str, tmp_path: Path, capsys: Capture
) -> None:
    path = write_run(tmp_path / "run", sweep())
    (path / file).write_text(text)
    report = tmp_path / "gate.xml"
    assert cli.main(["gate", str(path), "--max-drop", "1", "--junit", str(report)]) == 1
    assert message in capsys.readouterr().err
    assert not report.exists()


@pytest.mark.parametrize(
    ("written", "percent"), [("3%", 3), ("3 %", 3), ("0.03", 3), ("250%", 250)]
)
def test_percent_and_shares_are_the_same(written: str, percent: float) -> None:
    assert parse_percent(written, "--max-slowdown") == pytest.approx(percent)


@pytest.mark.parametrize("written", ["", "%", "x", "-3%", "nan", "inf%", "1e-2", "3%%", "1"])
def test_what_is_no_share_is_refused(written: str) -> None:
    with pytest.raises(UsageError, match="--max-slowdown"):
        parse_percent(written, "--max-slowdown")


@pytest.mark.parametrize("written", ["", "-1", "+1", "NaN", "Infinity", "1e3", "1,5", "0x1", "٣"])
def test_what_is_no_limit_is_refused(written: str) -> None:
    with pytest.raises(UsageError, match="--max-drop"):
        parse_limit(written, "--max-drop")


# --- The documented workflow ---


def workflow() -> dict[str, object]:
    text = DOCS.read_text().split("```yaml\n")[1].split("```")[0]
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


def test_the_workflow_of_the_docs_pins_its_actions_and_its_commands_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = workflow()["jobs"]
    assert isinstance(jobs, dict)
    (job,) = jobs.values()
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert uses
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", item) for item in uses)
    lines = "\n".join(step.get("run", "") for step in job["steps"]).replace("\\\n", " ")
    commands = [shlex.split(line) for line in lines.splitlines()]
    (asked,) = [words[1:] for words in commands if words[:2] == ["quantbench", "gate"]]
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/sweep").symlink_to(folder)
    assert cli.main(asked) == 3  # no drop is shown to be as small, nor that of row 3 to be larger
    assert Path("gate.xml").exists()
    assert Path("gate.md").exists()
