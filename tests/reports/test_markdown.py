"""Text from outside stays text."""

from __future__ import annotations

from quantbench.reports import markdown


def test_markup_in_text_is_escaped() -> None:
    assert markdown.text("a|b `c` <d> *e* [f] & _g_") == (
        r"a\|b \`c\` &lt;d&gt; \*e\* \[f\] &amp; \_g\_"
    )


def test_underscores_inside_words_stay() -> None:
    assert markdown.text("exact_match") == "exact_match"


def test_text_stays_on_its_line() -> None:
    assert markdown.text("a\n# b") == r"a \# b"


def test_a_code_span_holds_backticks() -> None:
    assert markdown.code("a`b") == "`` a`b ``"
    assert markdown.code("plain") == "`plain`"


def test_bars_are_escaped_inside_code_in_tables() -> None:
    assert markdown.literal(["a|b"], in_table=True) == r"`['a\|b']`"


def test_a_fence_outlasts_the_fences_inside() -> None:
    assert markdown.fence("```\nx\n```", "yaml").splitlines()[0] == "````yaml"


def test_cells_are_centred_and_padded() -> None:
    assert markdown.table(["a", "long"], [["1", "x"]]).splitlines() == [
        "|  a  | long |",
        "| :-: | :--: |",
        "|  1  |  x   |",
    ]


def test_the_alternative_text_of_a_picture_cannot_leave_its_attribute() -> None:
    assert 'alt="&quot;&gt;&lt;script&gt;"' in markdown.picture("p", '"><script>')
