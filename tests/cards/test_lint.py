"""What a card's numbers cannot support: each rule finds it, and nothing where there is nothing."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from published_cards import CATALOG, NAMES, collapsed, read

from quantbench.analysis.lint import RULES, Lint, lint
from quantbench.analysis.lint_accuracy import possible_counts, samples_needed
from quantbench.analysis.lint_facts import Finding
from quantbench.analysis.split_sizes import split_size
from quantbench.core.config import DatasetConfig
from quantbench.core.results import PublishedRow, PublishedTiming, SweepResult

DISTILBERT, VIT = NAMES


def card(name: str) -> SweepResult:
    return read(collapsed(name)).result


def linted(result: SweepResult, num_samples: int | None = None) -> Lint:
    return lint(result, CATALOG.tasks[result.config.task], num_samples)


def finding(rule: str, result: SweepResult, num_samples: int | None = None) -> Finding | None:
    found = linted(result, num_samples).findings
    return next((item for item in found if item.rule == rule), None)


def found(rule: str, result: SweepResult, num_samples: int | None = None) -> Finding:
    item = finding(rule, result, num_samples)
    assert item is not None
    return item


def with_config(result: SweepResult, **values: object) -> SweepResult:
    return result.model_copy(update={"config": result.config.model_copy(update=values)})


def with_metric(result: SweepResult, **values: tuple[float, float]) -> SweepResult:
    """The card with one metric changed: original and optimized by row, `row_3=(0.9, 0.8)`."""
    rows = []
    for row in result.published:
        before, after = values.get(f"row_{row.number}") or values["others"]
        name = next(iter(row.original))
        rows.append(
            row.model_copy(
                update={
                    "original": {**row.original, name: before},
                    "optimized": {**row.optimized, name: after},
                }
            )
        )
    return result.model_copy(update={"published": tuple(rows)})


def timed(timing: PublishedTiming, original: float, optimized: float) -> PublishedTiming:
    """As a careful card would have it: one time of the original, samples per measured second."""
    return timing.model_copy(
        update={
            "latency_mean_original_ms": original,
            "latency_mean_optimized_ms": optimized,
            "throughput_original_per_s": round(1000 * timing.batch_size / original, 2),
            "throughput_optimized_per_s": round(1000 * timing.batch_size / optimized, 2),
        }
    )


def careful(result: SweepResult) -> SweepResult:
    """A card of which nothing is to be said: static rows that differ, and times that fit."""
    rows: list[PublishedRow] = []
    for row in result.published:
        if row.parameters["quantization_approach"] == "dynamic":
            continue
        timings = tuple(
            timed(timing, 61.37 * timing.batch_size, 20.11 * timing.batch_size + row.number)
            for timing in row.timings
        )
        number = len(rows) + 1
        rows.append(row.model_copy(update={"timings": timings, "number": number}))
    swept = {**result.config.benchmarked, "quantization_approach": ("static",)}
    kept = result.model_copy(update={"published": tuple(rows)})
    return with_config(kept, benchmarked=swept)


class TestTheTwoPublishedCards:
    @pytest.mark.parametrize(
        ("name", "rules"),
        [
            (DISTILBERT, ["L2", "L5", "L7", "L8", "L9", "L10"]),
            (VIT, ["L1", "L3", "L5", "L6", "L7", "L8", "L9", "L10"]),
        ],
    )
    def test_all_that_is_wrong_with_them_is_found(self, name: str, rules: list[str]) -> None:
        assert [item.rule for item in linted(card(name)).findings] == rules

    @pytest.mark.parametrize("name", NAMES)
    def test_a_quote_stands_where_it_says(self, name: str) -> None:
        text = read(collapsed(name))
        for item in linted(text.result).findings:
            for quote in item.quotes:
                assert quote.where in text.offsets
                start = text.offsets[quote.where]
                number = quote.says.removeprefix("latency ").removeprefix("throughput ")
                for word in number.replace(",", "").split():
                    if word.replace(".", "").isdigit() and "All dataset" not in quote.says:
                        assert word in text.text[start : start + 400]

    def test_rules_are_numbered_in_their_order(self) -> None:
        numbers = [int(rule.__name__.split("_")[0].removeprefix("l")) for rule in RULES]
        assert numbers == list(range(1, len(RULES) + 1))
        assert all((rule.__doc__ or "").startswith(f"L{n}: ") for n, rule in enumerate(RULES, 1))

    def test_a_careful_card_has_no_findings(self) -> None:
        assert linted(careful(card(DISTILBERT))).findings == ()


class TestL1:
    """No number of right answers gives the accuracy."""

    @pytest.mark.parametrize(
        ("value", "n", "counts"),
        [
            ("0.980", 133, []),
            ("0.977", 133, [130]),
            ("0.985", 133, [131]),
            ("0.980", 100, [98]),
            ("0.667", 3, [2]),
            ("0.666", 3, []),
            ("0.000", 1, [0]),
            ("1.000", 1, [1]),
            ("1.001", 1, []),
            ("0.500", 2000, [999, 1000, 1001]),  # 0.4995 and 0.5005 may be rounded to it
        ],
    )
    def test_counts_are_those_that_are_printed_so(
        self, value: str, n: int, counts: list[int]
    ) -> None:
        assert list(possible_counts(Fraction(value), n, Fraction(1))) == counts

    @pytest.mark.parametrize("n", [1, 7, 133, 999])
    def test_every_count_is_possible_as_it_is_printed(self, n: int) -> None:
        for k in range(n + 1):
            assert k in possible_counts(Fraction(f"{k / n:.3f}"), n, Fraction(1))
            assert k in possible_counts(Fraction(f"{100 * k / n:.3f}"), n, Fraction(100))

    def test_the_validation_split_of_beans_cannot_give_it(self) -> None:
        item = found("L1", card(VIT))
        assert "133" in item.quotes[0].says
        assert "130 (0.977) and 131 (0.985)" in item.why
        assert "49 to 51, 98 to 102 samples" in item.why

    def test_the_number_that_the_user_gives_can(self) -> None:
        assert finding("L1", card(VIT), 100) is None

    def test_without_a_number_it_is_said_that_it_was_not_looked_at(self) -> None:
        result = card(VIT)
        dataset = result.config.dataset.model_copy(update={"path": "somewhere/else"})
        unknown = linted(with_config(result, dataset=dataset))
        assert {item.rule for item in unknown.findings}.isdisjoint({"L1", "L2", "L3"})
        (unchecked,) = unknown.unchecked
        assert unchecked.rules == ("L1", "L2", "L3")
        assert "give --samples N" in unchecked.reason

    def test_an_accuracy_of_more_than_all_is_impossible(self) -> None:
        item = found("L1", with_metric(card(VIT), others=(1.5, 1.5)))
        assert "8 rows" in item.what
        assert item.why.endswith("No number of samples gives 1.500, which is above the whole.")

    def test_a_metric_in_points_is_of_a_hundred(self) -> None:
        result = card(DISTILBERT)
        assert finding("L1", result) is None
        item = found("L1", with_metric(result, others=(82.3, 82.3), row_3=(82.3, 82.35)))
        assert item.what.startswith("1 row shows")

    def test_sizes_of_splits_are_found_by_any_name_of_the_dataset(self) -> None:
        def size(path: str, name: str | None = None) -> int | None:
            keys = {"data_keys": {"primary": "x"}, "ref_keys": ("y",)}
            return split_size(DatasetConfig.model_validate({"path": path, "name": name, **keys}))

        assert size("beans") == size("AI-Lab-Makerere/beans") == size("beans", "default") == 133
        assert size("glue", "sst2") == size("nyu-mll/glue", "sst2") == 872
        assert size("glue") is None
        assert size("squad", "plain_text") == 10_570


class TestL2:
    """Too few samples for a difference."""

    def test_a_small_drop_is_not_shown_by_a_thousand_samples(self) -> None:
        item = found("L2", card(DISTILBERT))
        assert item.quotes[0].says == "1000"
        assert [quote.where for quote in item.quotes[1:]] == [
            "non-time metrics, row 1",
            "non-time metrics, row 2",
        ]
        assert "at most 75 of 1,000 answers changed" in item.why

    def test_where_more_answers_must_have_changed_than_would_show_it_none_would(self) -> None:
        result = with_metric(card(VIT), row_1=(0.9, 0.88), others=(0.9, 0.9))
        item = found("L2", result, 100)  # 2 answers at least; 1.04 at most
        assert "at least 2 answers changed, and no number of changed answers would show it" in (
            item.why
        )
        assert "publish" not in item.change

    def test_the_same_drop_is_shown_by_enough(self) -> None:
        result = with_config(card(DISTILBERT), max_eval_samples=10_000)
        assert finding("L2", result) is None

    def test_samples_needed_are_those_of_the_book(self) -> None:
        """Fleiss, Levin and Paik's formula without correction: 0.6 against 0.7 needs 353."""
        assert samples_needed(0.6, 0.7) == pytest.approx(353, abs=1)

    def test_fewer_samples_never_show_more(self) -> None:
        rows = [
            len(finding.quotes) if (finding := _l2(n)) is not None else 0
            for n in (100, 1000, 5000, 20_000)
        ]
        assert all(before >= after for before, after in pairwise(rows))

    def test_a_metric_that_counts_no_answers_is_left_out_and_told(self) -> None:
        (unchecked,) = linted(card(DISTILBERT)).unchecked
        assert unchecked.reason.startswith("f1 does not count right answers")


def _l2(n: int) -> Finding | None:
    return finding("L2", with_config(card(DISTILBERT), max_eval_samples=n))


class TestL3:
    """No drop, on few samples."""

    def test_rows_that_are_quantized_and_show_no_drop(self) -> None:
        item = found("L3", card(VIT))
        assert item.what.startswith("4 rows show no drop")  # the others quantize nothing
        assert "2.8 points" in item.why

    def test_enough_samples_show_it(self) -> None:
        assert finding("L3", card(VIT), 381) is None
        assert finding("L3", card(VIT), 380) is not None

    def test_rows_in_which_nothing_is_quantized_have_none(self) -> None:
        small = with_config(card(DISTILBERT), max_eval_samples=100)
        assert finding("L3", small) is None


def test_l4_the_original_has_one_accuracy() -> None:
    result = card(VIT)
    assert finding("L4", result) is None
    item = found("L4", with_metric(result, others=(0.98, 0.98), row_5=(0.97, 0.98)))
    assert [quote.where[-5:] for quote in item.quotes] == ["row 1", "row 5"]


class TestL5:
    """Rows of one file."""

    def test_dynamic_rows_with_other_exclusions_or_adds(self) -> None:
        item = found("L5", card(DISTILBERT))
        assert "rows 1, 2; rows 3, 4" in item.what
        assert "operators_to_quantize Add (dynamic quantization has no integer form" in item.why
        assert "node_exclusion gather, gelu, layernorm, residual, softmax (none of" in item.why
        assert "up to 1.31 times" in item.change

    def test_rows_whose_accuracies_differ_are_not_claimed_to_be_one_file(self) -> None:
        """Then what wrote the card did more than is known here."""
        result = card(DISTILBERT)
        values = {f"row_{row.number}": _first(row) for row in result.published}
        other = with_metric(result, **{**values, "row_1": (82.3, 80.7)})
        assert "rows 3, 4 are one file" in found("L5", other).what


def _first(row: PublishedRow) -> tuple[float, float]:
    return next(iter(row.original.values())), next(iter(row.optimized.values()))


class TestL6:
    """Input lengths of inputs that have none."""

    def test_images(self) -> None:
        item = found("L6", card(VIT))
        assert item.what.startswith("6 of 9 time tables are repeats")
        assert "up to 1.44 times" in item.change

    def test_texts_have_a_length(self) -> None:
        assert finding("L6", card(DISTILBERT)) is None


class TestL7:
    """One original, several times."""

    def test_the_worst_table_is_quoted(self) -> None:
        item = found("L7", card(DISTILBERT))
        assert item.what.endswith("in 9 of 9 tables")
        assert [quote.says[:16] for quote in item.quotes] == [
            "latency 34.11 ms",
            "latency 48.54 ms",
        ]
        assert "1.61 to 2.29" in item.change

    def test_what_repeats_differ_by_is_no_finding(self) -> None:
        result = careful(card(DISTILBERT))
        row, *others = result.published
        slower = tuple(
            timed(timing, 1.09 * timing.latency_mean_original_ms, timing.latency_mean_optimized_ms)
            for timing in row.timings
        )
        published = (row.model_copy(update={"timings": slower}), *others)
        assert finding("L7", result.model_copy(update={"published": published})) is None


class TestL8:
    """Faster without quantization."""

    def test_rows_that_quantize_nothing_are_faster_too(self) -> None:
        item = found("L8", card(DISTILBERT))
        assert "nothing is quantized in rows 3, 4" in item.what
        assert "43.83 / 17.16 is 2.55 times" in item.why
        assert "is 2.40 times as fast as row 3, not 6.74 times" in item.change

    def test_without_such_rows_nothing_is_known_of_it(self) -> None:
        assert finding("L8", careful(card(DISTILBERT))) is None


class TestL9:
    """Divided by the nominal duration."""

    @pytest.mark.parametrize("name", NAMES)
    def test_all_are_a_whole_number_divided_by_it(self, name: str) -> None:
        assert "all 144 throughputs are a whole number divided by 15" in found("L9", card(name)).why

    def test_one_that_is_none_acquits(self) -> None:
        result = card(VIT)
        row, *others = result.published
        first, *rest = row.timings
        other = first.model_copy(update={"throughput_original_per_s": 5.02})
        rows = (row.model_copy(update={"timings": (other, *rest)}), *others)
        assert finding("L9", result.model_copy(update={"published": rows})) is None

    def test_a_long_duration_tells_nothing_and_that_is_said(self) -> None:
        args = card(VIT).config.time_benchmark_args.model_copy(update={"duration": 100.0})
        told = linted(with_config(card(VIT), time_benchmark_args=args))
        assert "L9" not in [item.rule for item in told.findings]
        assert [item.rules for item in told.unchecked] == [("L9",)]

    def test_no_forward_at_all_is_no_throughput(self) -> None:
        result = card(VIT)
        rows = tuple(
            row.model_copy(
                update={
                    "timings": tuple(
                        timing.model_copy(update={"throughput_original_per_s": 0.0})
                        for timing in row.timings
                    )
                }
            )
            for row in result.published
        )
        rules = [
            item.rule for item in linted(result.model_copy(update={"published": rows})).findings
        ]
        assert not {"L9", "L10"} & set(rules)


class TestL10:
    """Forwards, not samples."""

    def test_throughput_times_latency_is_one_forward(self) -> None:
        assert (
            "1.01 at batch size 8: were it samples, it would be 8"
            in found("L10", card(DISTILBERT)).why
        )

    def test_samples_per_second_are_right(self) -> None:
        assert finding("L10", careful(card(DISTILBERT))) is None
