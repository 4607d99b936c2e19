"""Which rows of a split are used."""

from hypothesis import given
from hypothesis import strategies as st

from quantbench.data.sampling import sample_indices


def test_head_takes_the_first_rows() -> None:
    assert sample_indices(10, 4, "head", seed=7) == (0, 1, 2, 3)


def test_all_rows_are_taken_when_no_number_or_a_larger_one_is_asked_for() -> None:
    assert sample_indices(3, None, "random", seed=0) == (0, 1, 2)
    assert sample_indices(3, 3, "random", seed=0) == (0, 1, 2)
    assert sample_indices(3, 99, "head", seed=0) == (0, 1, 2)


def test_a_random_sample_is_fixed_by_its_seed_for_all_time() -> None:
    assert sample_indices(100, 5, "random", seed=0) == EXPECTED_OF_SEED_0
    assert sample_indices(100, 5, "random", seed=1) != EXPECTED_OF_SEED_0


@given(st.integers(1, 200), st.data())
def test_a_random_sample_is_ascending_and_without_repeats(
    num_rows: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.integers(1, num_rows))
    drawn = sample_indices(num_rows, wanted, "random", data.draw(st.integers(0, 2**32)))
    assert len(set(drawn)) == wanted
    assert list(drawn) == sorted(drawn)
    assert drawn[0] >= 0
    assert drawn[-1] < num_rows


EXPECTED_OF_SEED_0 = (26, 30, 50, 61, 81)
