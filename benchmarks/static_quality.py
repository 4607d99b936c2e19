"""The best static configuration of two question-answering models beside those of 2022.

Subjects: the bundled model `questions`, and MiniLM with pretrained weights, fine-tuned on the same
kind of data. For each, sweeps of static configurations are evaluated on `choice.jsonl`, and the one
whose drop in exact match has the lowest upper end is chosen. The best of many looks better than it
is on the samples that it was chosen by; so the chosen one, the static rows of the published grids
(int8 activations, minmax ranges, the mask as it is, the MatMuls of two activations quantized too)
and dynamic MatMul are then evaluated on `validation.jsonl`, of which no row was calibrated on or
chosen by: that is checked by content. Goal: there the upper end of the chosen one's drop in exact
match is 0.5 points at most.

    python scripts/minilm_questions.py
    python benchmarks/static_quality.py [--only bundled|minilm] [--quick]

Writes `benchmarks/results/static_quality.md` (a quick run: below its runs), or what `--out` names.
Times are not looked at: sessions are as short as they can be. Ends with an error if a row that is
reported has no numbers, or if the goal is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from quality_sweeps import CANDIDATES, COMMON, DYNAMIC, QUICK, QUICK_CANDIDATES, SEEDS, only
from quantbench.core.results import Environment
from quantbench.core.summary import MetricSummary, RowSummary
from quantbench.data.bundled import bundled_directory
from quantbench.data.sources import BUNDLED_SPLITS
from quantbench.reports import markdown
from swept import Swept, run, words

RESULT = Path(__file__).parent / "results" / "static_quality.md"
BUNDLED = "bundled:questions"
METRIC = "exact_match"
LEAST_SAMPLES = 5_000
GOAL_POINTS = 0.5


@dataclass(frozen=True)
class Subject:
    """A model, as a config names it, and the rows that it is calibrated on."""

    name: str
    model: str
    train: Path


@dataclass(frozen=True)
class Found:
    """What was found for a subject: all candidates, the chosen one, and what is reported."""

    subject: Subject
    candidates: tuple[Swept, ...]
    chosen: tuple[Swept, RowSummary]
    reported: tuple[Swept, ...]


def main() -> None:
    """Choose for each subject, report on other samples, and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=["bundled", "minilm"])
    parser.add_argument("--minilm", type=Path, default=Path("runs/minilm-questions"))
    parser.add_argument("--runs", type=Path, default=Path("runs/static-quality"))
    parser.add_argument("--quick", action="store_true", help="few samples, and few candidates")
    parser.add_argument("--out", type=Path, help="the Markdown file to write")
    asked = parser.parse_args()
    runs = asked.runs / "quick" if asked.quick else asked.runs
    out: Path = asked.out or (runs / RESULT.name if asked.quick else RESULT)
    data = {name: asked.minilm / f"{name}.jsonl" for name in ("train", "choice", "validation")}
    bundled = bundled_directory(BUNDLED, "model_name_or_path") / "data"
    files = data | {f"bundled {name}": bundled / f"{name}.jsonl" for name in BUNDLED_SPLITS}
    rows = {name: rows_of(path) for name, path in files.items()}
    check_rows(rows, least=0 if asked.quick else LEAST_SAMPLES)
    subjects = (
        Subject("bundled", BUNDLED, bundled / "train.jsonl"),
        Subject("minilm", str((asked.minilm / "model").resolve()), data["train"]),
    )
    found = [
        choose_and_report(subject, data, runs, quick=asked.quick)
        for subject in subjects
        if asked.only in (None, subject.name)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(written(found, quick=asked.quick), encoding="utf-8")
    print(out.read_text(encoding="utf-8"))
    missed = [problem for item in found for problem in problems(item, quick=asked.quick)]
    if missed:
        sys.exit("\n".join(missed))


Question = tuple[str, str]


def rows_of(path: Path) -> list[Question]:
    """Context and question of each row of a file of JSON lines.

    Raises:
        SystemExit: there is no such file.
    """
    if not path.is_file():
        sys.exit(f"{path} is missing: run python scripts/minilm_questions.py first")
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [(row["context"], row["question"]) for row in rows]


def check_rows(files: Mapping[str, Sequence[Question]], least: int) -> None:
    """Hold the data to what is said of it.

    Args:
        files: the rows of each file.
        least: rows that `validation` must have.

    Raises:
        SystemExit: two files have a row in common, or there are too few to report on.
    """
    for (one, rows), (other, others) in combinations(files.items(), 2):
        common = set(rows) & set(others)
        if common:
            sys.exit(f"{len(common)} rows are in {one} and in {other}")
    if len(files["validation"]) < least:
        sys.exit(f"validation has {len(files['validation'])} rows, fewer than {least}")


def config(
    subject: Subject, evaluated: Path, sweep: Mapping[str, Any], *, quick: bool
) -> dict[str, Any]:
    """The config of a sweep of a subject on a file of rows."""
    files = {"train": str(subject.train.resolve()), "validation": str(evaluated.resolve())}
    dataset = {
        "path": "json",
        "data_files": files,
        "eval_split": "validation",
        "data_keys": {"question": "question", "context": "context"},
        "ref_keys": ["answers"],
        "calibration_split": "train",
        "cluster_key": "context",  # two questions are asked about most of them
    }
    given = {"model_name_or_path": subject.model, "dataset": dataset}
    return COMMON | given | dict(sweep) | (QUICK if quick else {})


def choose_and_report(
    subject: Subject, data: Mapping[str, Path], runs: Path, *, quick: bool
) -> Found:
    """Run all sweeps of a subject."""

    def swept(name: str, split: str, sweep: Mapping[str, Any]) -> Swept:
        folder = runs / f"{subject.name}-{split}-{name}"
        return run(name, config(subject, data[split], sweep, quick=quick), folder)

    names = QUICK_CANDIDATES if quick else tuple(CANDIDATES)
    candidates = tuple(swept(name, "choice", CANDIDATES[name]) for name in names)
    best = lowest_upper_end(candidates)
    found, row = best
    chosen = only(CANDIDATES[found.name], row.parameters)
    sweeps = {"seeds": SEEDS, "chosen": chosen, "dynamic": DYNAMIC}
    reported = tuple(swept(name, "validation", sweep) for name, sweep in sweeps.items())
    return Found(subject, candidates, best, reported)


def distinct(swept: Swept) -> list[RowSummary]:
    """The rows with a file of their own, those without numbers among them."""
    return [row for row in swept.summary.rows if row.shares_with is None]


def metric(row: RowSummary, name: str = METRIC) -> MetricSummary | None:
    """A metric of a row; None where it was not evaluated."""
    metrics = () if row.arm is None else row.arm.metrics
    return next((item for item in metrics if item.name == name), None)


def lowest_upper_end(candidates: Sequence[Swept]) -> tuple[Swept, RowSummary]:
    """The row whose drop is the smallest for certain; of equal ones by F1, then the first.

    Raises:
        SystemExit: no row was evaluated.
    """
    rows = [
        (swept, row, exact, overlap)
        for swept in candidates
        for row in distinct(swept)
        if (exact := metric(row)) is not None and (overlap := metric(row, "f1")) is not None
    ]
    if not rows:
        sys.exit(f"no row of {', '.join(item.name for item in candidates)} was evaluated")
    swept, row, *_ = min(rows, key=lambda item: (_end(item[2]), _end(item[3])))
    return swept, row


def _end(found: MetricSummary) -> float:
    return math.inf if found.high is None else found.high


def _high(row: RowSummary) -> float | None:
    found = metric(row)
    return None if found is None else found.high


def problems(found: Found, *, quick: bool) -> list[str]:
    """What a run of a subject fails by."""
    lines = [
        f"{found.subject.name}, {swept.name}, row {row.number}: {row.status} {why_not(row)}".strip()
        for swept in found.reported
        for row in distinct(swept)
        if metric(row) is None
    ]
    high = _high(distinct(_named(found, "chosen"))[0])
    if not quick and high is not None and high > GOAL_POINTS:
        lines.append(
            f"{found.subject.name}: the chosen row may lose {high:.2f} points, more than "
            f"{GOAL_POINTS}: the goal is missed"
        )
    return lines


def why_not(row: RowSummary) -> str:
    """Why a row has no numbers."""
    failures = () if row.arm is None else row.arm.failures
    return "; ".join([row.refused or "", *(f"{item.stage}: {item.error}" for item in failures)])


def _named(found: Found, name: str) -> Swept:
    return next(item for item in found.reported if item.name == name)


def written(found: Sequence[Found], *, quick: bool) -> str:
    """The result as Markdown."""
    environment = found[0].candidates[0].environment
    title = "# The best static configuration beside those of 2022"
    blocks = [title, conditions(environment, quick)]
    for item in found:
        swept, row = item.chosen
        high = _high(distinct(_named(item, "chosen"))[0])
        verdict = "–" if high is None else "met" if high <= GOAL_POINTS else "missed"
        end = "unknown" if high is None else f"{high:.2f}"
        blocks += [
            f"## {item.subject.name}",
            f"Chosen of {sum(len(distinct(each)) for each in item.candidates)}: {swept.name}, row "
            f"{row.number} ({words(row)}). On the validation samples its drop in exact match is at "
            f"most **{end}** points (goal {GOAL_POINTS}: {verdict}).",
            table(item.reported),
            "### What was chosen from",
            table(item.candidates),
        ]
    return "\n\n".join(blocks) + "\n"


def conditions(environment: Environment | None, quick: bool) -> str:
    """How it was measured, and what the columns mean."""
    assert environment is not None
    kind = " **A quick run: too few samples for conclusions.**" if quick else ""
    return (
        f"By `python benchmarks/static_quality.py`, on {environment.cpu.model}.{kind} Drops are in "
        "points against PyTorch, positive is worse, with their paired 95 % intervals; samples of "
        "one context are drawn together. The chosen row has the lowest upper end of all on the "
        "samples of the second table; the first table is of other samples, which decided nothing. "
        "What all rows of a sweep have in common is in the script."
    )


def table(sweeps: Sequence[Swept]) -> str:
    """Every distinct row of some sweeps."""
    head = ["sweep", "row", "what", "samples", "EM before", "EM", "drop [95 %]", "worse / better"]
    lines = [
        [swept.name, str(row.number), words(row), *_numbers(row)]
        for swept in sweeps
        for row in distinct(swept)
    ]
    return markdown.table([*head, "drop of F1 [95 %]"], lines)


def _numbers(row: RowSummary) -> list[str]:
    exact, overlap = metric(row), metric(row, "f1")
    if exact is None or overlap is None:
        return ["–", "–", "–", markdown.text(f"{row.status}: {why_not(row)}"), "–", "–"]
    return [
        f"{exact.num_samples:,}",
        f"{exact.original:.2f}",
        f"{exact.optimized:.2f}",
        _drop(exact),
        f"{exact.worse} / {exact.better}",
        _drop(overlap),
    ]


def _drop(found: MetricSummary) -> str:
    bounds = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{found.drop:.2f}{bounds}"


if __name__ == "__main__":
    main()
