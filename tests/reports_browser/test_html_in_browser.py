"""The report as people use it: in a browser, by mouse, by keyboard, on a phone and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, Page
from sweeps import ATTACKS, BAD, hostile, large, write_report

VISIBLE = "[...document.querySelectorAll('#rows-table tbody tr:not([hidden])')]"
MARKS = "document.querySelectorAll('#plot-{} svg {}').length"


def numbers(page: Page, table: str = "rows-table") -> list[int]:
    """The rows that a table shows, in its order."""
    lines = f"[...document.querySelectorAll('#{table} tbody tr:not([hidden])')]"
    found: list[int] = page.evaluate(f"{lines}.map((line) => Number(line.dataset.row))")
    return found


def choose(page: Page, control: str, value: str) -> None:
    """Set a control as a person would: its events are told."""
    page.evaluate(
        f"(() => {{ const control = document.getElementById('{control}'); "
        f"control.value = {value!r}; for (const kind of ['input', 'change']) "
        "control.dispatchEvent(new Event(kind, { bubbles: true })); })()"
    )
    page.wait_until_drawn()


def show_all(page: Page) -> None:
    """Take all filters away."""
    page.evaluate("document.querySelector('#filters [type=reset]').click()")
    page.wait_for(f"{VISIBLE}.length === 8")


class TestItOpens:
    def test_from_a_file_without_a_request_and_without_a_complaint(
        self, still: Page, seed_report: Path
    ) -> None:
        assert still.requests() == [seed_report.as_uri()]
        assert still.complaints() == []

    def test_with_every_plot_drawn(self, still: Page) -> None:
        # The original, the reference and 4 distinct rows with both numbers, less the one that
        # has no speed-up in some shape but has one in others.
        points = still.evaluate(MARKS.format("pareto", ".mark-symbol path"))
        assert points == still.evaluate("document.querySelectorAll('#plot-pareto path[aria-label]')"
                                       ".length")  # fmt: skip
        assert points == 5
        assert still.evaluate(MARKS.format("accuracy", ".mark-symbol path")) == 3
        for place in ("distribution-0", "distribution-1", "distribution-2"):
            assert still.evaluate(MARKS.format(place, ".mark-rect path")) > 10
        # 12 rounds of three models, and the two starts of process sets after the first.
        assert still.evaluate(MARKS.format("rounds", ".mark-symbol path")) == 36
        assert still.evaluate(MARKS.format("rounds", ".mark-line path")) == 3
        assert still.evaluate(MARKS.format("file-mb", ".mark-rect path")) == 4
        assert still.evaluate(MARKS.format("memory-mb", ".mark-rect path")) == 5

    def test_a_plot_is_as_wide_as_its_place(self, still: Page) -> None:
        wide = still.evaluate(
            "[...document.querySelectorAll('.plot')].every((plot) => { const svg = "
            "plot.querySelector('svg'); return !svg || (svg.clientWidth > plot.clientWidth * 0.9"
            " && svg.clientWidth <= plot.clientWidth + 1); })"
        )
        assert wide

    def test_a_point_tells_its_numbers_under_the_mouse(self, page: Page) -> None:
        place = page.evaluate(
            "(() => { const mark = document.querySelector('#plot-pareto [aria-label^=\"row 3\"]'); "
            "mark.scrollIntoView({ block: 'center' }); const box = mark.getBoundingClientRect(); "
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        page.move_mouse(*place)
        page.wait_for("!document.querySelector('.tip').hidden")
        told = page.evaluate("document.querySelector('.tip').textContent")
        assert told.startswith("row 3\nquantization_approach: dynamic")
        assert "speed-up: 3.2" in told


class TestRows:
    def test_a_parameter_filters_all_tables_and_plots(self, page: Page) -> None:
        before = page.evaluate(MARKS.format("pareto", ".mark-symbol path"))
        choose(page, "parameter-0", "dynamic")
        for table in ("rows-table", "heat", "accuracy-table"):
            assert numbers(page, table) == [1, 2, 3, 4]
        assert page.evaluate("document.getElementById('count').textContent") == "4 of 8 rows"
        assert page.evaluate(MARKS.format("pareto", ".mark-symbol path")) == before - 1
        show_all(page)

    def test_limits_leave_what_is_inside_them(self, page: Page) -> None:
        choose(page, "largest-drop", "0.2")
        choose(page, "least-speedup", "2")
        assert numbers(page) == [3]
        show_all(page)

    def test_a_column_sorts_all_tables_and_says_so(self, page: Page) -> None:
        button = "document.querySelector('#rows-table [data-sort=\"speedup\"]')"
        for order, direction in (([4, 3], "descending"), ([1, 2], "ascending")):
            page.evaluate(f"{button}.click()")
            assert numbers(page)[:2] == order
            assert numbers(page, "heat") == numbers(page)
            assert page.evaluate(f"{button}.closest('th').getAttribute('aria-sort')") == direction
        assert numbers(page)[-3:] == [5, 6, 8]  # without a number, whichever the direction

    def test_a_shape_moves_the_points(self, page: Page) -> None:
        transform = "document.querySelector('#plot-pareto [aria-label^=\"row 3\"]')"
        transform += ".getAttribute('transform')"
        before = page.evaluate(transform)
        choose(page, "pick-shape", "8")
        page.wait_for(f"{transform} !== '{before}'")
        assert "batch size 8, input length 128" in page.evaluate(
            "document.getElementById('about-pareto').textContent"
        )


class TestOneRow:
    def test_a_link_opens_its_row_and_moves_the_focus_there(
        self, browser: Browser, seed_report: Path
    ) -> None:
        page = Page(browser)
        page.open(f"{seed_report.as_uri()}#row-4")
        page.wait_for("document.activeElement.id === 'row-title'")
        assert page.evaluate("document.activeElement.textContent").startswith("Row 4")
        current = "document.querySelector('#rows-table [aria-current]').dataset.row"
        assert page.evaluate(current) == "4"
        seen = page.evaluate("document.getElementById('row-title').getBoundingClientRect().top")
        assert 0 <= seen < 900
        assert "9 got worse and 4 better" in page.evaluate(
            "document.getElementById('row-flips').textContent"
        )
        page.evaluate("location.hash = '#row-99'")
        page.wait_for("document.getElementById('count').textContent.includes('no row 99')")
        page.close()

    def test_it_can_be_chosen_stepped_through_and_clicked(self, page: Page) -> None:
        title = "document.getElementById('row-title').textContent"
        choose(page, "pick-row", "3")
        page.wait_for(f"{title}.startsWith('Row 3')")
        page.evaluate("document.getElementById('next-row').click()")
        page.wait_for(f"{title}.startsWith('Row 4')")
        page.evaluate("document.querySelector('#heat tr[data-row=\"7\"] a').click()")
        page.wait_for(f"{title}.startsWith('Row 7')")
        lost = page.evaluate("document.getElementById('row-facts').textContent")
        assert "the arm's process was killed" in lost

    def test_what_is_drawn_is_there_as_a_table(self, still: Page) -> None:
        cells = "document.querySelectorAll('#times-data tbody tr').length"
        assert still.evaluate(cells) > 36


class TestEveryone:
    def test_every_control_has_a_name(self, still: Page) -> None:
        roles = {"button", "combobox", "link", "spinbutton", "textbox", "DisclosureTriangle"}
        controls = [node for node in still.accessible() if node["role"]["value"] in roles]
        assert len(controls) > 40
        assert [node for node in controls if not node.get("name", {}).get("value")] == []
        assert {node["role"]["value"] for node in still.accessible()} >= {
            "main", "navigation", "banner", "contentinfo", "heading", "table", "columnheader",
            "rowheader", "caption", "status", "figure",
        }  # fmt: skip

    def test_every_control_is_reached_by_tab_and_shows_the_focus(self, page: Page) -> None:
        wanted = page.evaluate(
            "(() => { const all = [...document.querySelectorAll("
            "'a[href], button, select, input, summary, [tabindex=\"0\"]')]"
            ".filter((item) => item.checkVisibility() && !item.disabled); "
            "all.forEach((item, place) => { item.dataset.stop = place; }); "
            "document.body.focus(); return all.length; })()"
        )
        reached: list[str] = []
        hidden: list[str] = []
        for _ in range(wanted + 20):
            page.press("Tab", 9)
            stop, outline = page.evaluate(
                "(() => { const at = document.activeElement; "
                "return [at.dataset.stop ?? '', getComputedStyle(at).outlineStyle]; })()"
            )
            if stop in reached:
                break
            reached += [stop] if stop else []
            hidden += [stop] if stop and outline == "none" else []
        assert len(reached) == wanted
        assert hidden == []

    def test_a_row_is_opened_with_the_enter_key(self, page: Page) -> None:
        page.evaluate("document.querySelector('#rows-table tr[data-row=\"4\"] a').focus()")
        page.press("Enter", 13)
        page.wait_for("document.activeElement.id === 'row-title'")
        assert page.evaluate("location.hash") == "#row-4"

    def test_every_table_says_what_it_is_and_what_its_heads_belong_to(self, still: Page) -> None:
        without = still.evaluate(
            "[...document.querySelectorAll('table')].filter((table) => !table.caption?.textContent"
            " || [...table.querySelectorAll('th')].some((head) => !head.scope)).length"
        )
        assert without == 0

    def test_every_plot_is_described(self, still: Page) -> None:
        described = still.evaluate(
            "[...document.querySelectorAll('.plot')].every((plot) => (plot.querySelector("
            "'[role=graphics-document]')?.getAttribute('aria-label') ?? '').length > 10)"
        )
        assert described

    @pytest.mark.parametrize("width", [390, 1280])
    def test_nothing_sticks_out_at_any_width(
        self, width: int, browser: Browser, seed_report: Path
    ) -> None:
        page = Page(browser, width=width)
        page.open(seed_report.as_uri())
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        page.close()

    def test_dark_and_paper_have_colours_of_their_own(self, page: Page) -> None:
        colours: set[tuple[str, str]] = set()
        for scheme, media in (("light", ""), ("dark", ""), ("dark", "print")):
            page.prefer(scheme, media)
            colours.add(
                tuple(
                    page.evaluate(
                        "[getComputedStyle(document.body).backgroundColor, getComputedStyle("
                        "document.querySelector('#plot-pareto .mark-symbol path')).fill]"
                    )
                )
            )
        assert len(colours) == 3
        assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 1280
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )
        page.prefer("light")


@pytest.fixture(scope="module")
def attacked(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    made = hostile()
    attack = " ".join(ATTACKS)
    kept = {
        row.number: {f"{n}{attack}": {attack: attack} for n in range(1200)} for row in made[1].rows
    }
    path = write_report(tmp_path_factory.mktemp("hostile") / "report.html", made, kept)
    page = Page(browser)
    page.open(f"{path.as_uri()}#row-3")
    yield page
    page.close()


class TestFromOutside:
    def test_no_script_runs_and_nothing_becomes_an_element(self, attacked: Page) -> None:
        assert attacked.evaluate("typeof window.hacked") == "undefined"
        assert attacked.complaints() == []
        assert attacked.dialogs() == []
        assert len(attacked.requests()) == 1
        assert (
            attacked.evaluate("document.querySelectorAll('img, b, body svg[onload]').length") == 0
        )
        assert attacked.evaluate("document.scripts.length") == 4
        outward = "[...document.links].filter((a) => !a.getAttribute('href').startsWith('#'))"
        assert attacked.evaluate(f"{outward}.length") == 0

    def test_they_are_shown_as_what_they_are(self, attacked: Page) -> None:
        for place in ("row-flips", "rows-table", "row-facts", "machine", "problems"):
            shown = attacked.evaluate(f"document.getElementById('{place}').textContent")
            assert "<script>window.hacked = 1</script>" in shown, place

    def test_a_long_name_does_not_widen_the_page(self, attacked: Page) -> None:
        assert attacked.evaluate("document.scrollingElement.scrollWidth") <= 1280


@pytest.mark.parametrize("name", BAD)
def test_a_run_that_lacks_things_shows_what_there_is_and_says_what_is_missing(
    name: str, browser: Browser, tmp_path: Path
) -> None:
    make, said = BAD[name]
    page = Page(browser)
    page.open(write_report(tmp_path / "report.html", make()).as_uri())
    assert page.complaints() == []
    assert said in page.evaluate("document.querySelector('.missing').textContent")
    assert page.evaluate("document.querySelectorAll('#rows-table tbody tr').length") >= 1
    page.close()


@pytest.mark.parametrize(
    ("num_rows", "most_bytes"),
    [(300, 2_500_000), pytest.param(2000, 8_000_000, marks=pytest.mark.slow)],
)
def test_thousands_of_rows_stay_usable(
    num_rows: int, most_bytes: int, browser: Browser, tmp_path: Path
) -> None:
    path = write_report(tmp_path / "report.html", large(num_rows))
    assert path.stat().st_size <= most_bytes
    page = Page(browser)
    page.open(f"{path.as_uri()}#row-{num_rows - 13}")
    assert page.complaints() == []
    page.wait_for(f"document.activeElement.textContent.startsWith('Row {num_rows - 13}')")
    assert len(numbers(page)) == 100
    page.evaluate("document.getElementById('more').click()")
    page.wait_for(f"{VISIBLE}.length === 200")
    choose(page, "parameter-3", "entropy")
    choose(page, "least-speedup", "4")
    found = numbers(page)
    assert 0 < len(found) <= 100
    assert page.evaluate(f"{VISIBLE}.every((line) => line.textContent.includes('entropy'))")
    page.close()
