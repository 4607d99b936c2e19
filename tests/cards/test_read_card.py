"""A published card is read back whole, or refused at the place that is not as it should be."""

from __future__ import annotations

from typing import get_args, get_origin

import pytest
from published_cards import NAMES, collapsed, markdown, read, tables

from quantbench.cards.parameters import OPTIONAL_TEXTS, PARAMETERS, PARTS, TEXTS
from quantbench.core.config import SweepConfig
from quantbench.core.errors import UsageError
from quantbench.core.results import PublishedRow
from quantbench.reports.card_parity import first_difference, render_parity

DISTILBERT, VIT = NAMES


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(text)
    return str(caught.value)


def changed(old: str, new: str, name: str = DISTILBERT, count: int = 1) -> str:
    """The card as Markdown with a part of it replaced, the first time that it occurs."""
    text = markdown(name)
    assert old in text
    return text.replace(old, new, count)


class TestLossless:
    @pytest.mark.parametrize("name", NAMES)
    def test_every_number_is_the_one_of_the_tables(self, name: str) -> None:
        result, data = read(collapsed(name)).result, tables(name)
        names = list(result.config.benchmarked)

        def of(row: PublishedRow, kind: str) -> list[dict[str, object]]:
            wanted = [row.parameters[parameter] for parameter in names]
            return [item for item in data[kind] if [item[n] for n in names] == wanted]

        assert len(result.published) == len(data["accuracy"])
        assert sum(len(row.timings) for row in result.published) == len(data["time"])
        for row in result.published:
            (item,) = of(row, "accuracy")
            assert (row.original, row.optimized) == (item["original"], item["optimized"])
            found = [
                {
                    **row.parameters,
                    "batch_size": timing.batch_size,
                    "input_length": timing.input_length,
                    "latency_mean_ms": {
                        "original": timing.latency_mean_original_ms,
                        "optimized": timing.latency_mean_optimized_ms,
                    },
                    "throughput_per_s": {
                        "original": timing.throughput_original_per_s,
                        "optimized": timing.throughput_optimized_per_s,
                    },
                }
                for timing in row.timings
            ]
            assert found == of(row, "time")

    @pytest.mark.parametrize("name", NAMES)
    def test_markdown_and_collapsed_text_hold_the_same(self, name: str) -> None:
        assert read(markdown(name)).result == read(collapsed(name)).result

    @pytest.mark.parametrize("name", NAMES)
    def test_other_line_ends_and_tabs_hold_the_same(self, name: str) -> None:
        text = markdown(name).replace("\n  *", "\n\t*").replace("\n", "\r\n")
        assert read(text).result == read(collapsed(name)).result

    @pytest.mark.parametrize("name", NAMES)
    def test_what_is_rendered_is_byte_for_byte_what_was_read(self, name: str) -> None:
        assert render_parity(read(collapsed(name)).result) == markdown(name)
        assert " ".join(markdown(name).split()) == " ".join(collapsed(name).split())

    @pytest.mark.parametrize("odd", ["a|b", "a`b", "``", "2022", "True", "None", "[1]", "<b>", "é"])
    def test_a_name_is_text_whatever_it_looks_like(self, odd: str) -> None:
        result = read(collapsed(DISTILBERT)).result
        config = result.config.model_copy(update={"model_name_or_path": odd})
        other = result.model_copy(update={"config": config})
        assert read(render_parity(other)).result.config.model_name_or_path == odd

    def test_another_order_is_read_and_told(self) -> None:
        text = changed("- exact_match\n- f1\ntags:\n- distilbert\n", "- exact_match\n- f1\n")
        text = text.replace("pipeline_tag", "tags:\n- distilbert\npipeline_tag", 1)
        result = read(text).result
        assert result == read(collapsed(DISTILBERT)).result
        assert first_difference(text, render_parity(result)) == text.index("tags:")

    def test_a_swept_parameter_may_be_none_at_all(self) -> None:
        """One row, without parameters."""
        result = read(collapsed(VIT)).result
        row = result.published[0].model_copy(update={"parameters": {}})
        config = result.config.model_copy(update={"benchmarked": {}})
        one = result.model_copy(update={"config": config, "published": (row,)})
        assert read(render_parity(one)).result.published == (row,)

    def test_rows_have_their_places(self) -> None:
        card = read(markdown(DISTILBERT))
        lines = card.text.splitlines()
        for name, says in (
            ("non-time metrics, row 5", "72.900"),
            ("batch size 1, input length 32, row 8", "48.54"),
            ("number of evaluation samples", "1000"),
        ):
            place = card.place(name)
            assert place is not None
            assert says in lines[place.line - 1]


class TestParameters:
    def test_no_part_is_called_like_a_parameter(self) -> None:
        """Collapsed text has no indentation: the names alone tell what is nested."""
        for parts in PARTS.values():
            assert not set(parts) & set(PARAMETERS)

    def test_names_are_known_to_be_text(self) -> None:
        found: dict[str, bool] = {}
        fields = {name: SweepConfig.model_fields[name] for name in PARAMETERS}
        dataset = SweepConfig.model_fields["dataset"].annotation
        fields |= {f"dataset.{name}": item for name, item in dataset.model_fields.items()}  # type: ignore[union-attr]
        for name, item in fields.items():
            kinds = () if get_origin(item.annotation) is tuple else get_args(item.annotation)
            if item.annotation is str or any(
                get_origin(kind) is not dict and get_args(kind)[:1] == (str,) for kind in kinds
            ):
                found[name] = item.is_required() or item.default is not None
        assert {name for name, needed in found.items() if needed} == TEXTS
        assert {name for name, needed in found.items() if not needed} == OPTIONAL_TEXTS


class TestNoCardOfThisFamily:
    @pytest.mark.parametrize("text", ["", " \n", "# A model", "{}", "---", "-", "\n\n* * *"])
    def test_another_text_is_refused_with_what_a_card_has(self, text: str) -> None:
        said = refusal(text)
        assert said.startswith("card.md, line ")
        assert "begin with `---`" in said or "the card ends here" in said

    def test_a_card_of_quantbench_itself_is_told_apart(self) -> None:
        said = refusal(changed("metrics:", "library_name: onnx\nmetrics:"))
        assert "line 5, column 1: `library_name`" in said
        assert "form that quantbench gives to its own results" in said
        assert "published.md" in said

    def test_another_model_card_is_refused(self) -> None:
        said = refusal("---\nlicense: apache-2.0\ntags:\n- bert\n---\n# BERT base\n")
        assert "line 2, column 1: `license` is no key of a published card" in said
        assert "Allowed: pipeline_tag, datasets, metrics, tags." in said


@pytest.mark.parametrize(
    ("old", "new", "place", "told"),
    [
        ("metrics:", "datasets:", "line 5, column 1", "`datasets` is there twice"),
        ("tags:\n- distilbert\n", "", "line 1, column 1", "the front matter has no `tags`"),
        ("tags:\n", "tags:\n- a\n", "line 8, column 1", "more than one tag"),
        ("datasets:\n- squad", "datasets:\n- other", "line 3, column 1", "is ['other'] here, but"),
        ("- f1\n", "", "line 5, column 1", "`metrics` is ['exact_match'] here"),
        ("`1000`", "`many`", "line 15, column 35", "'many' is neither a number of samples nor"),
        ("`1000`", "``1000`", "line 15, column 35", "has no end"),
        ("**Backend:**", "**backend:**", "line 13, column 1", "expected `**Backend:**`, found"),
        ("**per_channel**", "**per_chanel**", "line 25, column 1", "unknown parameter 'per_chane"),
        ("**opset**: `11`", "**opset**: `eleven`", "line 31, column 3", "framework_args.opset"),
        ("**opset**: `11`", "**opset**: `9`", "line 31, column 3", "framework_args.opset"),
        ("`question-answering`", "`chess`", "line 2, column 1", "`pipeline_tag` is"),
        ("* **framework**", "* **per_channel**: `True`\n* **framework**", "line 29", "there twice"),
        ("  `static`", "  `static`,  `static`", "line 36", "is in the list twice"),
        ("`dynamic`,  `static`", "`dynamic` `static`", "line 36", "expected a benchmarked para"),
        ("# Evaluation", "# Results", "line 40, column 1", "found '# Results ## Non-time"),
        ("## Time metrics", "# Time metrics", "line 55, column 1", "expected `## Time metrics`"),
        ("82.300", "82.3", "line 46", "non-time metrics, row 1: '82.3' is no number with th"),
        ("82.300", "nan", "line 46", "'nan' is no number with three decimals"),
        ("47.87", "0.00", "line 63", "a latency of 0.00 ms: nothing follows from it"),
        ("47.87", "-47.87", "line 63", "row 1: '-47.87' is no number with two decimals"),
        ("47.87", "4" * 20 + ".00", "line 63", "is no number with two decimals"),
        ("|       `dynamic` ", "|       `dynamite` ", "line 46", "'`dynamite`' is no value"),
        ("|       `dynamic` ", "|       dynamic ", "line 46", "'dynamic' is no value of"),
        ("for 15 seconds", "for ten seconds", "line 57, column 1", "expected `Time benchmarks"),
        ("for 15 seconds", "for 0 seconds", "line 44", "time_benchmark_args.duration"),
        ("batch size = 4", "batch size = 1", "line 98, column 1", "input length 32 is there twice"),
        ("batch size = 4", "batch size = 5", "column 1", "there is no table of batch size 5, inp"),
        ("batch size = 1,", "batch size = 0,", "line 44", "batch_sizes[0] = 0"),
        ("throughput (original, /s)", "samples (/s)", "line 61", "are not those of a published ca"),
        ("f1 (original)", "f2 (original)", "line 44", "these columns are not those of"),
        (":-:", "---", "line 44", "cells `:---:`"),
        (r"\|", "|", "line 46", "separates"),
    ],
)  # fmt: skip
def test_what_is_not_as_it_should_be_is_told_with_its_place(
    old: str, new: str, place: str, told: str
) -> None:
    said = refusal(changed(old, new))
    assert said.startswith("card.md, line ")
    assert place in said
    assert told in said


def test_a_metric_that_the_task_does_not_have_is_refused_with_those_that_it_has() -> None:
    text = markdown(DISTILBERT).replace("exact_match", "exact_natch")
    said = refusal(text)
    assert "unknown metric" in said
    assert "did you mean 'exact_match'?" in said


def test_a_task_that_is_not_installed_is_refused() -> None:
    said = refusal(markdown(DISTILBERT).replace("question-answering", "chess"))
    assert "unknown task" in said


def test_a_row_that_is_there_twice_is_refused() -> None:
    lines = markdown(DISTILBERT).splitlines(keepends=True)
    said = refusal("".join([*lines[:46], lines[45], *lines[46:]]))
    assert "line 47, column 1: non-time metrics, row 2: the same parameters as in a row" in said


def test_a_row_that_is_missing_in_one_table_is_missed() -> None:
    lines = markdown(DISTILBERT).splitlines(keepends=True)
    assert "has 7 rows, the benchmarked parameters make 8" in refusal(
        "".join([*lines[:45], *lines[46:]])
    )
    said = refusal("".join([*lines[:62], *lines[63:]]))
    assert "the table of batch size 1, input length 32 has 7 of 8 rows" in said


class TestCutOff:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_card_that_is_cut_anywhere_is_refused(self, name: str) -> None:
        """But for cuts after the table of a whole batch size, which leave a smaller card."""
        text = collapsed(name)
        cells = text.index("Below,"), text.index("batch size = 4"), text.index("batch size = 8")
        whole = {text.rindex("|", 0, place) + 1 for place in cells[1:]} | {text.rindex("|") + 1}
        for end in range(0, len(text), 97):
            if not any(text[at:end].strip() == "" and at <= end for at in whole):
                assert "card.md, line 1, column " in refusal(text[:end])
        for at in whole:
            assert len(read(text[:at]).result.published) == 8

    def test_a_cut_in_a_row_says_so(self) -> None:
        text = collapsed(VIT)
        end = text.index("0.980 |") + 7
        assert "row 1: the card ends after 5 of 6 cells" in refusal(text[:end])


@pytest.mark.parametrize("odd", ["\x1b[31m", "\0", "\u202e", "\x85", "\u2028"])
def test_characters_that_nobody_sees_are_refused(odd: str) -> None:
    said = refusal(changed("distilbert-base", f"distilbert{odd}-base"))
    assert "line 18, column 38: the character" in said


@pytest.mark.parametrize(
    "value",
    ["[" * 3000, "-" * 3000 + "1", "{1: 2}", "1e999", "b'x'", "'" + "x" * 5000, "9" * 3900,
     "0x" + "f" * 3900, "{'a': " * 500, "('a',)", "lambda: 0", "'\\ud800'", "[nan]", "1if 1else 2"],
)  # fmt: skip
def test_a_value_that_is_no_data_is_text_and_refused_where_it_is_none(value: str) -> None:
    said = refusal(changed("`['Add', 'MatMul']`", f"`{value}`"))
    assert said.startswith("card.md, line ")
    assert len(said) < 3000
