"""The arms of a cell are timed in groups that fit the memory budget, each with a reference."""

from quantbench.core.timing_groups import ArmMemory, arm_bytes, memory_budget_bytes, next_group

GIB = 2**30
BASE = ("original", "fp32", "twin")


def arms(*rows: tuple[str, int], base: int = 1) -> list[ArmMemory]:
    return [
        *(ArmMemory(name, (), base) for name in BASE),
        *(ArmMemory(name, BASE, num_bytes) for name, num_bytes in rows),
    ]


def test_without_a_budget_all_are_timed_together() -> None:
    found = next_group(arms(("a", 5), ("b", 5)), "fp32", None)
    assert found.together == (*BASE, "a", "b")
    assert found.too_large == ()


def test_a_group_has_the_first_arms_that_fit_and_all_that_they_are_compared_with() -> None:
    found = next_group(arms(("a", 2), ("b", 2), ("c", 2)), "fp32", 3 + 4)
    assert found.together == (*BASE, "a", "b")


def test_a_smaller_arm_fills_the_place_that_a_larger_one_does_not_fit_in() -> None:
    found = next_group(arms(("a", 2), ("b", 4), ("c", 1)), "fp32", 3 + 4)
    assert found.together == (*BASE, "a", "c")


def test_an_arm_that_does_not_even_fit_alone_is_named() -> None:
    found = next_group(arms(("a", 2), ("b", 5)), "fp32", 3 + 4)
    assert (found.together, found.too_large) == ((*BASE, "a"), ("b",))


def test_a_budget_for_no_arm_at_all_gives_no_group() -> None:
    found = next_group(arms(("a", 2), ("b", 5)), "fp32", 1)
    assert (found.together, found.too_large) == ((), ("a", "b"))


def test_the_reference_of_the_rounds_is_part_of_every_group() -> None:
    waiting = [ArmMemory("anchor", (), 1), ArmMemory("own", (), 1), ArmMemory("a", ("own",), 1)]
    assert next_group(waiting, "anchor", 3).together == ("anchor", "own", "a")
    assert next_group(waiting, "anchor", 2).too_large == ("a",)


def test_what_no_arm_that_waits_is_compared_with_is_left_out() -> None:
    waiting = [*arms(("a", 1)), ArmMemory("timed before", (), 1)]
    assert next_group(waiting, "fp32", None).together == (*BASE, "a")


def test_the_budget_is_what_was_given_or_four_fifths_of_the_memory() -> None:
    assert memory_budget_bytes({"memory_gib": 1.5}, 10 * GIB) == 1.5 * GIB
    assert memory_budget_bytes({}, 10 * GIB) == 8 * GIB
    assert memory_budget_bytes({"memory_gib": None}, 10 * GIB) == 8 * GIB
    assert memory_budget_bytes({}, None) is None


def test_an_arm_that_was_never_timed_may_take_its_weights_twice_and_half_a_gibibyte() -> None:
    assert arm_bytes(GIB) == 2.5 * GIB
