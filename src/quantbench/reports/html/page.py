"""The report: one page with everything in it, from plain data to HTML text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from quantbench.analysis.recommend import Recommendation, recommend
from quantbench.analysis.to_explain import worst_row
from quantbench.core.printable import printable, shortened
from quantbench.core.results import SweepResult
from quantbench.core.summary import SweepSummary
from quantbench.reports import card_details, card_reproduce
from quantbench.reports.card_summary import told
from quantbench.reports.card_why import why_worst
from quantbench.reports.html.charts import charts
from quantbench.reports.html.controls import filters, plot_choices, row_choices
from quantbench.reports.html.data import View, as_json, make_view
from quantbench.reports.html.flipped import KeptSamples, flipped_rows
from quantbench.reports.html.markup import Child, Html, data_island, el
from quantbench.reports.html.missing import what_is_missing
from quantbench.reports.html.prose import prose
from quantbench.reports.html.row_tables import accuracy_table, heat_table, rows_table
from quantbench.reports.html.runtime import file_text
from quantbench.reports.wording import model_title

# What each row did is a long cell per row: beyond this a page of it is read by nobody.
_MOST_ROWS_IN_WORDS = 100
_LONGEST_TITLE = 120


def render_report(
    result: SweepResult, summary: SweepSummary, kept: KeptSamples, runtime: str
) -> str:
    """Render the report.

    Args:
        result: a measured sweep, finished or not, or an imported card.
        summary: what is derived from it.
        kept: inputs of samples, as far as they are known.
        runtime: the script that draws.
    """
    advice = recommend(summary)
    worst = worst_row(summary)
    first = (*((advice.row,) if advice.row else ()), *((worst[0].number,) if worst else ()))
    flips = flipped_rows(result, summary, first, kept)
    view = make_view(result, summary, advice, flips)
    name = shortened(printable(model_title(result.config.model_name_or_path)), _LONGEST_TITLE)
    title = f"{name}, quantized for CPU"
    body = [
        el("a", "Skip to the rows", href="#rows", class_="skip"),
        _header(result, summary, advice, title),
        el("main", *_sections(result, summary, advice, view)),
        _footer(),
        data_island(as_json(view), "data"),
        data_island(charts(summary.original_name), "charts"),
    ]
    return _page(title, body, [runtime, "".join(map(file_text, ("parts.js", "report.js")))])


def _page(title: str, body: Sequence[Child], scripts: Sequence[str]) -> str:
    """The document: nothing but the scripts and the style that stand in it may run or be loaded."""
    style = file_text("report.css")
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_digest, scripts))}; "
        f"style-src {_digest(style)}; base-uri 'none'; form-action 'none'"
    )
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", title),
        Html(f"<style>{style}</style>"),
    )
    drawn = [Html(f"<script>{script}</script>") for script in scripts]
    page = el("html", head, el("body", *body, *drawn), lang="en")
    return f"<!doctype html>\n{page.text}\n"


def _digest(content: str) -> str:
    """A source of a content security policy: the element with exactly this content."""
    found = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{found}'"


def _header(result: SweepResult, summary: SweepSummary, advice: Recommendation, title: str) -> Html:
    missing = what_is_missing(result, summary)
    box = el(
        "div",
        el("p", el("strong", "What is missing")),
        el("ul", *(el("li", sentence) for sentence in missing)),
        class_="missing",
    )
    links = [
        el("li", el("a", text, href=f"#{name}"))
        for name, text in _CONTENTS
        if summary.measured or name not in _ONLY_MEASURED
    ]
    return el(
        "header",
        el("h1", title),
        prose(told(result, summary, advice), "What each step gave"),
        box if missing else None,
        el("nav", el("ul", *links), aria_label="Contents"),
        el(
            "noscript",
            el("p", "Without scripts there are no plots and no filters; all tables are here."),
        ),
    )


_CONTENTS = (
    ("rows", "Rows"),
    ("shapes", "Speed-up by shape"),
    ("accuracy", "Accuracy"),
    ("one-row", "One row"),
    ("size", "Size and memory"),
    ("why", "Why the worst row is worst"),
    ("problems", "Failed or without effect"),
    ("machine", "Machine"),
    ("method", "Method"),
    ("reproduce", "Reproduce"),
)
# An imported card knows nothing of these.
_ONLY_MEASURED = ("why", "problems", "machine", "method")


def _sections(
    result: SweepResult, summary: SweepSummary, advice: Recommendation, view: View
) -> list[Html]:
    return [
        _rows(summary, advice),
        _section(
            "shapes",
            el(
                "p",
                "Batch size × input length. Blue is faster than ",
                summary.original_name,
                ", brown slower; ? marks what is not resolved to the precision asked for.",
            ),
            heat_table(summary),
        ),
        _section(
            "accuracy",
            _plot("accuracy", "The table below has the same numbers."),
            accuracy_table(summary),
        ),
        _one_row(summary),
        _section(
            "size",
            el(
                "div",
                _plot("file-mb", ""),
                _plot("memory-mb", ""),
                class_="pair",
            ),
            _data_table("size-data"),
        ),
        *_words(result, summary),
    ]


def _rows(summary: SweepSummary, advice: Recommendation) -> Html:
    note = (
        "Bars are 95 % intervals, the dashed green line is the margin of the recommendation, the "
        "dotted line joins the models that no other is better than in both. A click, or a link in "
        "the table below, opens a row. The table has the same numbers."
    )
    return _section(
        "rows",
        filters(summary),
        plot_choices(summary),
        _plot("pareto", note),
        rows_table(summary, advice.row),
        el("p", el("button", "Show more rows", type="button", id="more"), class_="script"),
    )


def _one_row(summary: SweepSummary) -> Html:
    live = el("h3", "No row is chosen", id="row-title", tabindex=-1)
    return _section(
        "one-row",
        row_choices(summary),
        live,
        el("div", id="row-facts"),
        el("h3", "Times of single forwards"),
        el("div", *(_plot(f"distribution-{n}", "") for n in range(3)), class_="triple"),
        el("h3", "Rounds in their order"),
        _plot(
            "rounds",
            "Each point is the median of a round of blocks over the model's own median. All models "
            "take turns in every round: where the machine drifts, the lines move together, and "
            "their ratio holds. Grey lines are starts of fresh processes.",
        ),
        _data_table("times-data"),
        el("h3", "Samples that changed"),
        el("div", id="row-flips"),
    )


def _words(result: SweepResult, summary: SweepSummary) -> list[Html]:
    """The sections that a card has too, in its words."""
    if not summary.measured:
        reproduce = card_reproduce.reproduce(result.config, imported=True)
        return [_section("reproduce", prose([reproduce], "How to reproduce"))]
    why = why_worst(result, summary)
    did = "What each row did to its nodes is in the card and with `quantbench inspect`."
    if len(summary.distinct_rows) <= _MOST_ROWS_IN_WORDS:
        did = card_details.what_rows_did(summary)
    cost = ["## Cost of this sweep", card_reproduce.cost(result, summary)] if result.spent else []
    return [
        _section("why", prose(why[1:], "The worst row") if why else el("p", _NOT_EXPLAINED)),
        _section(
            "problems",
            prose([card_details.idle_rows(summary)], "Failed or without effect", level=3),
            el("h3", "What each row did"),
            prose([did], "What each row did", level=3),
        ),
        _section(
            "machine",
            prose(
                [
                    card_reproduce.environment(result, summary),
                    "## Noise floor",
                    card_details.noise_floor(summary),
                    *cost,
                ],
                "Machine",
                level=3,
            ),
        ),
        _section("method", prose([card_details.method(summary), _THINNED], "Method", level=3)),
        _section(
            "reproduce",
            prose([card_reproduce.reproduce(result.config, imported=False)], "How to reproduce"),
        ),
    ]


_NOT_EXPLAINED = (
    "The worst row was not explained: quantbench explain RUN --row R, then quantbench report RUN."
)
_THINNED = (
    "* **Raw times in this page** are thinned: histograms instead of single times, and the median "
    "of so many rounds for each point as it takes to keep the page small. All nanoseconds are in "
    "`arms/` of the run's folder."
)


def _section(name: str, *content: Child) -> Html:
    title = dict(_CONTENTS)[name]
    return el(
        "section", el("h2", title, id=f"{name}-title"), *content, id=name,
        aria_labelledby=f"{name}-title",
    )  # fmt: skip


def _plot(name: str, note: str) -> Html:
    """The place of a plot; its caption is filled in, or added to, by the script."""
    return el(
        "figure",
        el("div", id=f"plot-{name}", class_="plot"),
        el("figcaption", el("span", id=f"about-{name}"), " " if note else None, note),
        class_="script",
    )


def _data_table(name: str) -> Html:
    """A folded place for the numbers of plots as a table."""
    return el(
        "details",
        el("summary", "The numbers of these plots as a table"),
        el("div", id=name),
        class_="script",
    )


def _footer() -> Html:
    return el(
        "footer",
        el("p", "Made by quantbench from the results of this run. Nothing here is loaded from "
           "elsewhere. Plots are drawn by Vega, whose licence is in the page's source."),
    )  # fmt: skip
