"""How quiet the machine was is derived from what each block says of its processors."""

from __future__ import annotations

import pytest

from quantbench.analysis.quiet import load, not_quiet
from quantbench.core.plan import Cell
from quantbench.core.results import Block

CELL = Cell(batch_size=1, input_length=32)


def block(others: float = 0.0, stolen: float = 0.0, **changes: object) -> Block:
    """0.3 s on two processors, of which the arm uses 50 of 60 ticks where others let it."""
    taken = round(60 * others)
    data: dict[str, object] = {
        "round": 0,
        "position": 0,
        "samples_ns": [10**7] * 30,
        "processor_ticks": 60,
        "busy_ticks": 40 + taken,
        "own_ticks": 40.0,
        "steal_ticks": round(60 * stolen),
        "involuntary_switches": 3,
        "frequency_mhz": 2500.0,
    }
    return Block.model_validate(data | changes)


def rounds(blocks: list[Block]) -> list[Block]:
    """Each in a round of its own."""
    return [found.model_copy(update={"round": number}) for number, found in enumerate(blocks)]


def test_blocks_of_one_round_are_judged_together() -> None:
    """Five ticks are too few for one block, and enough for the ten of a round."""
    short = block(processor_ticks=5, busy_ticks=4, own_ticks=3.0)
    found = load(CELL, [short] * 10)
    assert found is not None
    assert found.disturbed_rounds == 1.0


def test_rounds_of_two_sessions_are_not_judged_together() -> None:
    """Each session was disturbed in half of its rounds, in which the other was not."""
    busy, idle = block(others=0.18), block()
    first, second = rounds([busy, idle] * 5), rounds([idle, busy] * 5)
    found = load(CELL, first, second)
    assert found is not None
    assert found.disturbed_rounds == 0.5


def test_an_idle_machine_is_quiet() -> None:
    found = load(CELL, [block()] * 10)
    assert found is not None
    assert (found.others, found.stolen, found.disturbed_rounds) == (0.0, 0.0, 0.0)
    assert found.switches_per_forward == pytest.approx(0.1)
    assert found.quiet is True
    assert not_quiet([found]) is None


def test_others_that_take_more_than_a_twentieth_of_the_time_are_named_with_the_cell() -> None:
    found = load(CELL, [block(others=0.1)] * 10)
    assert found is not None
    assert found.others == pytest.approx(0.1)
    assert found.quiet is False
    warning = not_quiet([found])
    assert warning is not None
    assert "batch size 1, input length 32: others took 10% of the processors' time" in warning
    assert "at most 5% of the processors' time" in warning


def test_time_that_the_hypervisor_gave_away_counts_as_that_of_others() -> None:
    found = load(CELL, [block(others=0.034, stolen=0.034)] * 10)
    assert found is not None
    assert found.quiet is False


def test_some_rounds_that_were_disturbed_much_are_enough() -> None:
    found = load(CELL, rounds([block(others=0.3)] * 3 + [block()] * 17))
    assert found is not None
    assert found.others == pytest.approx(0.045)
    assert found.disturbed_rounds == pytest.approx(0.15)
    assert found.quiet is False


def test_a_round_that_is_too_short_for_the_ticks_is_not_called_disturbed() -> None:
    short = block(processor_ticks=4, busy_ticks=4, own_ticks=3.4)
    found = load(CELL, rounds([short, *[block()] * 20]))
    assert found is not None
    assert found.disturbed_rounds == 0.0
    assert found.quiet is True


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("thermal_throttles", "throttled for heat 2 times"),
        ("quota_throttles", "stopped by the container's quota 2 times"),
    ],
)
def test_a_machine_that_throttles_is_not_quiet(name: str, words: str) -> None:
    found = load(CELL, [block(**{name: 1}), block(**{name: 0}), block(**{name: 1})])
    assert found is not None
    assert found.quiet is False
    assert words in (not_quiet([found]) or "")


def test_rounding_of_ticks_does_not_make_others_negative() -> None:
    found = load(CELL, [block(busy_ticks=39)] * 3)
    assert found is not None
    assert found.others == 0.0


def test_blocks_of_a_version_that_did_not_ask_say_nothing() -> None:
    bare = Block(round=0, position=0, samples_ns=(1, 2), steal_ticks=5)
    found = load(CELL, [bare])
    assert found is not None
    assert found.model_dump(exclude={"cell"}) == dict.fromkeys(
        type(found).model_fields.keys() - {"cell"}
    )
    assert not_quiet([found]) is None
    assert load(CELL, []) is None


def test_the_range_of_frequencies_is_kept() -> None:
    found = load(CELL, [block(frequency_mhz=mhz) for mhz in (3100.0, 1200.0, 2000.0)])
    assert found is not None
    assert (found.lowest_mhz, found.highest_mhz) == (1200.0, 3100.0)
