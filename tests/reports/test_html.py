"""The HTML report as a text: one file that loads nothing, in which text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from quantbench import registry
from quantbench.analysis.recommend import recommend
from quantbench.cards.read import read_card
from quantbench.core.errors import QuantbenchError
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Timing
from quantbench.reports import html
from quantbench.reports.flips import write_flips
from quantbench.reports.html.data import CELL_FIELDS, make_view
from quantbench.reports.html.kept_samples import read_kept_samples
from quantbench.reports.html.markup import data_island, el, escaped
from quantbench.reports.html.page import render_report
from quantbench.reports.html.prose import prose
from quantbench.reports.html.raw_times import Thinning, series, thinning
from quantbench.reports.html.row_tables import heat_class
from quantbench.reports.html.runtime import vega_runtime
from synthetic import IMAGE_CLASSIFICATION, config, report_inputs, sweep

SEED_SHAPES = {"batch_sizes": [1, 4, 8], "input_lengths": [32, 64, 128]}


class Elements(HTMLParser):
    """The elements of a page with their attributes, and what stands in scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in self.inside:
            self.inside[self.found[-1][0]].append(data)


@pytest.fixture(scope="module")
def page() -> str:
    result, summary, _ = report_inputs(sweep(config(**SEED_SHAPES)))
    return render_report(result, summary, {}, vega_runtime())


class TestOneFile:
    def test_of_eight_rows_in_nine_shapes_is_small(self, page: str) -> None:
        assert len(page.encode()) <= 2_500_000

    def test_loads_nothing(self, page: str) -> None:
        elements = Elements(page).found
        assert {tag for tag, _ in elements} & {"link", "iframe", "img", "object", "base"} == set()
        assert [found for _, found in elements if "src" in found] == []
        outward = [found["href"] for _, found in elements if "href" in found]
        assert all(address and address.startswith("#") for address in outward)
        assert "url(" not in "".join(Elements(page).inside["style"])

    def test_runs_exactly_the_scripts_that_stand_in_it(self, page: str) -> None:
        elements = Elements(page)
        policy = next(
            found["content"]
            for tag, found in elements.found
            if tag == "meta" and found.get("http-equiv") == "Content-Security-Policy"
        )
        assert policy is not None
        scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
        styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
        allowed = [
            f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
            for content in (*scripts, *styles)
        ]
        assert policy == (
            f"default-src 'none'; script-src {allowed[0]} {allowed[1]}; style-src {allowed[2]}; "
            "base-uri 'none'; form-action 'none'"
        )
        assert not [name for _, found in elements.found for name in found if name.startswith("on")]
        assert not [found for _, found in elements.found if "style" in found]

    @pytest.mark.parametrize("imported", [False, True])
    def test_has_every_place_that_it_links_to(self, imported: bool, page: str) -> None:
        if imported:
            card = Path(__file__).parents[1] / "data" / "vit-beans.card.txt"
            published = read_card(card.read_text(), card.name, registry.catalog())
            result, summary, _ = report_inputs(published.result, IMAGE_CLASSIFICATION)
            page = render_report(result, summary, {}, "")
        elements = Elements(page).found
        places = {f"#{found['id']}" for _, found in elements if "id" in found}
        links = {found["href"] for _, found in elements if "href" in found}
        assert len(links) > 6
        assert links <= places

    def test_names_the_licence_of_what_draws(self, page: str) -> None:
        assert "University of Washington Interactive Data Lab" in page
        assert "Redistributions in binary form must reproduce" in page

    def test_is_the_same_every_time(self, page: str) -> None:
        result, summary, _ = report_inputs(sweep(config(**SEED_SHAPES)))
        assert render_report(result, summary, {}, vega_runtime()) == page


class TestText:
    def test_is_escaped_wherever_it_is_put_in(self) -> None:
        made = el("a", "<b>", None, el("i", "&"), title='"x" <y>', hidden=True, id=None)
        assert made.text == ('<a title="&quot;x&quot; &lt;y&gt;" hidden>&lt;b&gt;<i>&amp;</i></a>')

    def test_has_no_control_characters(self) -> None:
        assert escaped("\x1b[31m\u202e") == "\\x1b[31m\\u202e"

    def test_in_a_data_island_cannot_end_it(self) -> None:
        value = {"a": "</script><script>alert(1)</script><!-- & \u2028"}
        island = data_island(json.dumps(value, ensure_ascii=False), "x").text
        inside = island.removeprefix('<script type="application/json" id="x">')
        inside = inside.removesuffix("</script>")
        assert set(inside) & set("<>&\u2028") == set()
        assert json.loads(inside) == value

    def test_of_a_card_is_html_without_any_of_its_own(self) -> None:
        made = prose(
            ["a <b>x</b> `<i>`", "<script>\nalert(1)\n</script>", "[x](http://h/) ![y](http://h/)"],
            "caption",
        ).text
        assert re.findall(r"<(\w+)", made) == ["p", "code", "p"]

    def test_of_a_card_keeps_folds_and_breaks(self) -> None:
        made = prose(
            ["<details>\n<summary>s</summary>\n\n|a|\n|-|\n|x<br>y|\n\n</details>"], "c"
        ).text
        tags = re.findall(r"<(\w+)", made)
        assert tags[:4] == ["details", "summary", "div", "table"]
        assert "br" in tags
        assert '<th scope="col">a</th>' in made
        assert "<caption><span>c</span></caption>" in made


class TestRawTimes:
    def test_all_forwards_are_counted_and_all_rounds_are_in_their_order(self) -> None:
        timing = _timing()
        made = series(timing, Thinning(max_points=240, num_bins=48))
        assert made is not None
        assert sum(made.counts) == sum(len(block.samples_ns) for block in timing.blocks)
        assert (made.num_rounds, made.rounds_per_point, made.set_starts) == (12, 1, (0, 3, 6, 9))
        # The machine of the synthetic sweep gets slower from round to round.
        assert made.rounds_ms[-1] > 1.1 * made.rounds_ms[0]

    def test_where_there_is_too_much_a_point_stands_for_several_rounds(self) -> None:
        made = series(_timing(), Thinning(max_points=5, num_bins=12))
        assert made is not None
        assert (len(made.rounds_ms), made.rounds_per_point, made.num_rounds) == (4, 3, 12)
        assert made.rounds_ms[-1] > 1.1 * made.rounds_ms[0]
        assert len(made.counts) == 12

    def test_a_large_sweep_has_less_of_each(self) -> None:
        assert thinning(60) == Thinning(max_points=240, num_bins=48)
        assert thinning(18_000) == Thinning(max_points=10, num_bins=10)


class TestData:
    def test_each_row_has_its_numbers_and_the_places_of_its_times(self) -> None:
        result, summary, _ = report_inputs(sweep())
        view = make_view(result, summary, recommend(summary), ())
        third = next(model for model in view.models if model.row == 3)
        assert third.values == ("dynamic", "['MatMul']", "False")
        assert third.cells[0] is not None
        numbers = dict(zip(CELL_FIELDS, third.cells[0], strict=True))
        assert numbers["speedup"] == pytest.approx(3.2, rel=0.02)
        assert numbers["original"] == pytest.approx(43.9, rel=0.05)
        original, reference, own = (view.series[place or 0] for place in third.series[0])
        assert original.median_ms / own.median_ms == pytest.approx(3.2, rel=0.05)
        assert original.median_ms / reference.median_ms == pytest.approx(1.5, rel=0.05)
        assert view.recommended == "row 3"

    def test_rows_of_one_file_share_their_times(self) -> None:
        result, summary, _ = report_inputs(sweep())
        view = make_view(result, summary, recommend(summary), ())
        first, second = (next(m for m in view.models if m.row == n) for n in (1, 2))
        assert first.series == second.series
        assert (first.distinct, second.distinct) == (False, False)


class TestWhatErrorsKept:
    def test_is_shown_with_the_flips(self, tmp_path: Path) -> None:
        result, summary, _ = report_inputs(sweep())
        third = summary.rows[2]
        _keep(tmp_path, 3, third.trial_id)
        kept = read_kept_samples(result, tmp_path)
        assert kept == {3: {"q1": {"question": "who?"}}}
        assert "who?" in render_report(result, summary, kept, "")

    def test_of_another_grid_is_left_out(self, tmp_path: Path) -> None:
        _keep(tmp_path, 3, "another")
        assert read_kept_samples(sweep(), tmp_path) == {3: {}}

    def test_that_is_damaged_is_named_with_what_to_do(self, tmp_path: Path) -> None:
        (tmp_path / "errors").mkdir()
        (tmp_path / "errors" / "row-3.parquet").write_bytes(b"PAR1 nonsense")
        with pytest.raises(QuantbenchError, match=r"row-3\.parquet is damaged") as caught:
            read_kept_samples(sweep(), tmp_path)
        assert "--row 3" in str(caught.value)


def test_it_is_one_of_the_reports_of_a_run(tmp_path: Path) -> None:
    (path,) = html.REPORT.write(*report_inputs(sweep()), tmp_path)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("speedup", "expected"),
    [(1.0, "f0"), (1.3, "f1"), (3.2, "f4"), (50.0, "f8"), (0.87, "s1"), (0.2, "s4"), (0.99, "f0")],
)
def test_the_colour_of_a_speed_up_grows_with_its_distance_from_one(
    speedup: float, expected: str
) -> None:
    assert heat_class(speedup) == expected


def _timing() -> Timing:
    arm = next(found for found in sweep().arms if found.arm.id == ORIGINAL_ID)
    assert isinstance(arm.timings[0], Timing)
    return arm.timings[0]


def _keep(run_dir: Path, row: int, trial_id: str) -> None:
    line = {"trial_id": trial_id, "sample_id": "q1", "change": -1.0, "sample.question": "who?"}
    write_flips([line], run_dir / "errors" / f"row-{row}.parquet")
