"""What all times of a sweep suffer from is said where a person looks first."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from quantbench.analysis.compare import summarize
from quantbench.core.forecast import Forecast
from quantbench.core.plan import make_plan
from quantbench.core.results import Block, CpuInfo, SweepResult
from quantbench.reports.card import render_card
from quantbench.reports.plan import print_plan_table
from quantbench.reports.tables import rows_as_json
from quantbench.reports.terminal import print_result
from synthetic import (
    QUESTION_ANSWERING,
    config,
    environment,
    report_inputs,
    sweep,
    with_blocks,
)


def loaded(_: Block) -> dict[str, object]:
    """Others took 12 of the 60 ticks that the processors had."""
    return {"own_ticks": 46}


def two_states(block: Block) -> dict[str, object]:
    """Of every three rounds one is half as slow again."""
    times = (3 * time // 2 if block.round % 3 == 0 else time for time in block.samples_ns)
    return {"samples_ns": tuple(times)}


def crowded() -> SweepResult:
    machine = environment().model_copy(update={"num_threads": 8})
    return sweep().model_copy(update={"environment": machine})


def card(result: SweepResult) -> str:
    return render_card(*report_inputs(result))


def terminal(result: SweepResult) -> str:
    stream = io.StringIO()
    print_result(summarize(result, QUESTION_ANSWERING), Path("runs/name"), stream)
    return stream.getvalue()


WARNED = {
    "not quiet": (
        with_blocks(sweep(), loaded),
        "the machine was not quiet while times were measured (batch size 1, input length 32: "
        "others took 20% of the processors' time, 100% of the rounds were disturbed)",
    ),
    "two states": (
        with_blocks(sweep(), two_states, batch_size=4),
        "times have two states, a fast and a slow one (batch size 4, input length 32: ",
    ),
    "crowded": (crowded(), "8 threads on the 2 cores that may be used"),
}


@pytest.mark.parametrize("name", WARNED)
def test_a_warning_is_above_the_advice_in_terminal_and_card(name: str) -> None:
    result, words = WARNED[name]
    lines = terminal(result).splitlines()
    warned = [place for place, line in enumerate(lines) if words in line]
    advice = [place for place, line in enumerate(lines) if line.startswith("Recommended: ")]
    assert len(warned) == 1
    assert lines[warned[0]].startswith("Warning: ")
    assert warned < advice
    written = card(result)
    assert f"> **Warning**: {words}".replace("'", "&#x27;") in written.replace("'", "&#x27;")
    assert written.index(words[:20]) < written.index("**Recommended")


@pytest.mark.parametrize("name", WARNED)
def test_a_warning_is_in_every_row_of_the_table(name: str) -> None:
    result, words = WARNED[name]
    rows = rows_as_json(summarize(result, QUESTION_ANSWERING))
    assert all(words in str(row["warnings"]) for row in rows)


def test_a_sweep_on_a_quiet_machine_has_no_warning() -> None:
    assert "Warning" not in terminal(sweep())
    assert "**Warning**" not in card(sweep())
    assert {row["warnings"] for row in rows_as_json(summarize(sweep(), QUESTION_ANSWERING))} == {
        None
    }


def test_the_environment_has_what_disturbed_each_shape() -> None:
    section = card(with_blocks(sweep(), loaded)).split("# Environment")[1]
    lines = [line for line in section.splitlines() if line.startswith("| batch size")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells == [
        ["batch size 1, input length 32", "20.0%", "0.0%", "100.0%", "0.25", "–", "–, –", "**no**"],
        ["batch size 4, input length 32", "0.0%", "0.0%", "0.0%", "0.25", "–", "–, –", "yes"],
    ]


def test_the_states_of_a_time_are_in_its_line() -> None:
    lines = card(with_blocks(sweep(), two_states, batch_size=4)).splitlines()
    (line,) = [item for item in lines if item.startswith("| ONNX Runtime") and "**2**" in item]
    assert "ms (67%), " in line
    assert "ms (33%)" in line


def plan_of(cpu: CpuInfo, **changes: object) -> str:
    asked, stream = config(**changes), io.StringIO()
    plan = make_plan(asked, QUESTION_ANSWERING)
    found = Forecast(
        steps=(), is_known=True, seconds=1.0, naive_seconds=1.0, peak_rss_bytes=None, disk_bytes=0
    )
    print_plan_table(plan, asked, found, cpu, stream)
    return stream.getvalue()


def test_the_plan_warns_of_more_threads_than_cores() -> None:
    cpu = environment().cpu
    assert "  8 threads on the 2 cores that may be used" in plan_of(cpu, num_threads=8)
    assert "may be used" not in plan_of(cpu, num_threads=2)
    assert "may be used" not in plan_of(cpu)


def test_the_table_has_what_disturbed_each_cell() -> None:
    rows = rows_as_json(summarize(with_blocks(sweep(), loaded), QUESTION_ANSWERING))
    found = {(row["batch_size"], row["quiet"]) for row in rows if row["batch_size"]}
    assert found == {(1, False), (4, True)}
    assert {row["others_share"] for row in rows if row["batch_size"] == 1} == {0.2}
