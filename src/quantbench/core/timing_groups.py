"""Which arms of a cell are timed together, so that all their processes fit in memory. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

# What a process holds beside the weights: libraries, activations, and work space.
_PROCESS_BYTES = 512 * 2**20
# A runtime packs weights into a form of its own while those of the file are still there.
_TIMES_WEIGHTS = 2
# Of the memory of a machine, this part is used where no budget is given.
_DEFAULT_PART = 0.8


@dataclass(frozen=True)
class ArmMemory:
    """An arm to be timed, what it is compared with, and the bytes that its process may take.

    `compared_with` is empty for the arms that are there for others.
    """

    id: str
    compared_with: tuple[str, ...]
    num_bytes: int


@dataclass(frozen=True)
class Grouped:
    """The arms of the next session, and those that no session has room for."""

    together: tuple[str, ...]
    too_large: tuple[str, ...]


def memory_budget_bytes(
    backend_args: Mapping[str, JsonValue], memory_bytes: int | None
) -> int | None:
    """What all processes that run at the same time may take together; None if nothing is known.

    Args:
        backend_args: those of the config; `memory_gib` is the budget.
        memory_bytes: of the machine, of which four fifths are used without a budget.
    """
    given = backend_args.get("memory_gib")
    if isinstance(given, int | float):
        return int(given * 2**30)
    return None if memory_bytes is None else int(memory_bytes * _DEFAULT_PART)


def arm_bytes(num_weight_bytes: int) -> int:
    """What the process of an arm may take, as long as nothing was measured.

    Args:
        num_weight_bytes: of its file, or of its parameters.
    """
    return _PROCESS_BYTES + _TIMES_WEIGHTS * num_weight_bytes


def next_group(arms: Sequence[ArmMemory], reference_id: str, budget_bytes: int | None) -> Grouped:
    """The first arms that fit the budget together with all that they are compared with.

    Args:
        arms: those that wait, in their order, and what they are compared with.
        reference_id: the arm that runs first and last in each round: part of every session.
        budget_bytes: for all processes of a session; None is no limit.

    Returns:
        `together` in the order of `arms`, with what they are compared with; empty if not even one
        fits. `too_large` has the arms that would not fit alone either.
    """
    num_bytes = {arm.id: arm.num_bytes for arm in arms}
    chosen: set[str] = set()
    too_large: list[str] = []
    for arm in arms:
        if not arm.compared_with:
            continue
        needed = {arm.id, *arm.compared_with, reference_id}
        if budget_bytes is not None and _sum(needed, num_bytes) > budget_bytes:
            too_large.append(arm.id)
        elif budget_bytes is None or _sum(chosen | needed, num_bytes) <= budget_bytes:
            chosen |= needed
    return Grouped(tuple(arm.id for arm in arms if arm.id in chosen), tuple(too_large))


def _sum(names: set[str], num_bytes: Mapping[str, int]) -> int:
    return sum(num_bytes[name] for name in names)
