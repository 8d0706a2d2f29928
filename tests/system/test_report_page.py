"""Reports of a training and of a refresh in a real browser, wide and narrow, light and dark."""

from collections.abc import Callable, Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page, expect

from flows.refresh import refresh
from tests.conftest import write_csv
from tests.support.browser import listen, needs_browser
from tests.support.new_movies import NEW, asked_to_add
from tests.support.trained_root import TrainedRoot, artifacts_in

pytestmark = [needs_browser]

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
KINDS = ("training", "refresh")
VIEWS = list(product((WIDE, NARROW), ("light", "dark")))
#: Whether each box can be scrolled sideways, whether its hint is shown, and its tab index.
SCROLL_BOXES = """() => [...document.querySelectorAll(".scroll")]
    .filter(box => box.checkVisibility())
    .map(box => [
        box.scrollWidth > box.clientWidth + 1,
        !box.previousElementSibling.hidden,
        box.tabIndex === 0,
    ])"""
#: Left and right edge, top and height of each figure, by the grid that it is in.
FIGURES = """() => [...document.querySelectorAll(".figures")].map(grid => ({
    left: grid.getBoundingClientRect().left,
    right: grid.getBoundingClientRect().right,
    figures: [...grid.children].map(figure => {
        const { left, right, top, height } = figure.getBoundingClientRect();
        return { left, right, top, height };
    }),
}))"""
#: Width of each image on the screen, as a share of its full size.
IMAGE_SCALES = "() => [...document.images].map(image => image.width / image.getAttribute('width'))"


class Reports(NamedTuple):
    """Files of the reports of a training and of a refresh."""

    training: Path
    refresh: Path


@pytest.fixture(scope="module")
def reports(module_root: TrainedRoot, tmp_path_factory) -> Reports:
    """The report of the shared training, and that of a refresh after it."""
    root = module_root.copy(tmp_path_factory.mktemp("refreshed"))
    file = write_csv(root.artifacts.parent / "new.csv", NEW, ["id", "title", "overview"])
    with artifacts_in(root.artifacts):
        refreshed = refresh(asked_to_add(file))
    return Reports(Path(module_root.summary.report), Path(refreshed.report))


@pytest.fixture
def opened(reports, browser) -> Iterator[Callable[..., Page]]:
    """Opens a report offline; afterwards, nothing may have been requested or have failed."""
    opened_pages = list[tuple[Page, list[str]]]()

    def open_page(kind: str = "training", viewport: Any = WIDE, **options: Any) -> Page:
        page = browser.new_context(viewport=viewport, offline=True, **options).new_page()
        address = getattr(reports, kind).resolve().as_uri()
        opened_pages.append((page, listen(page, address)))
        page.goto(address)
        if kind == "training":
            expect(page.locator("#map[data-drawn]")).to_be_attached()
        return page

    yield open_page
    for page, complaints in opened_pages:
        page.context.close()
        assert complaints == []


def legend(page: Page) -> list[str]:
    return page.locator("#map .legendtext").all_text_contents()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("viewport", "scheme"), VIEWS)
def test_axe_finds_nothing_serious(opened, kind, viewport, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(kind, viewport, color_scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    violations = axe.run(page).response["violations"]
    assert [one["id"] for one in violations if one["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("viewport", [WIDE, NARROW])
def test_the_page_itself_does_not_scroll_sideways(opened, kind, viewport):
    page = opened(kind, viewport)
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("viewport", [WIDE, NARROW])
def test_the_verdict_is_on_the_first_screen(opened, kind, viewport):
    headline = opened(kind, viewport).locator("#headline")
    expect(headline).to_contain_text("is the champion")
    box = headline.bounding_box()
    assert box
    assert box["y"] + box["height"] < viewport["height"] / 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("viewport", [WIDE, NARROW])
def test_a_box_that_scrolls_says_so_and_can_be_reached_by_keyboard(opened, kind, viewport):
    boxes = opened(kind, viewport).evaluate(SCROLL_BOXES)
    assert [hint for scrolls, hint, _ in boxes] == [scrolls for scrolls, *_ in boxes]
    assert [reached for scrolls, _, reached in boxes] == [scrolls for scrolls, *_ in boxes]


def test_a_narrow_table_is_scrolled_by_keyboard(opened):
    page = opened(viewport=NARROW)
    expect(page.get_by_text("Scroll sideways to see the intervals and baselines.")).to_be_visible()
    scores = page.get_by_role("group", name="Scores", exact=True)
    scores.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")


def test_figures_fill_their_row_on_a_wide_screen(opened):
    grids = [grid for grid in opened().evaluate(FIGURES) if grid["figures"]]
    for grid in grids:
        rows: dict[float, list[dict[str, float]]] = {}
        for figure in grid["figures"]:
            rows.setdefault(round(figure["top"]), []).append(figure)
        for row in rows.values():
            assert row[0]["left"] == pytest.approx(grid["left"], abs=1)
            assert row[-1]["right"] == pytest.approx(grid["right"], abs=1)
            assert all(after["left"] - one["right"] < 20 for one, after in pairwise(row))
            assert len({round(figure["height"]) for figure in row}) == 1
    assert any(len({figure["top"] for figure in g["figures"]}) < len(g["figures"]) for g in grids)


def test_figures_are_one_per_row_and_large_enough_on_a_narrow_screen(opened):
    page = opened(viewport=NARROW)
    for grid in page.evaluate(FIGURES):
        tops = [figure["top"] for figure in grid["figures"]]
        assert len(set(tops)) == len(tops)
    assert min(page.evaluate(IMAGE_SCALES)) > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_says_in_numbers_what_it_shows(opened, kind):
    texts = opened(kind).locator("img").evaluate_all("all => all.map(image => image.alt)")
    assert [text for text in texts if not any(map(str.isdigit, text))] == []


def test_lists_of_new_movies_are_open(opened):
    page = opened("refresh")
    lists = page.locator(".lists > li").filter(has_text="Ghost of the Ranch")
    expect(lists.get_by_role("listitem")).to_have_count(10)
    expect(lists.get_by_role("listitem").first).to_be_visible()


def test_the_map_shows_all_genres_or_one_on_demand(opened):
    page = opened()
    select = page.get_by_label("Coloured genres")
    assert "other" in legend(page)
    select.select_option("all")
    expect(page.locator("#map")).to_have_attribute("data-drawn", "all")
    genres = select.locator("option").all_text_contents()[2:]
    assert sorted(legend(page)) == sorted(genres)
    assert {"Horror", "Western", "Music"} <= set(genres)
    select.focus()
    page.keyboard.type("Horror")
    expect(page.locator("#map")).to_have_attribute("data-drawn", "genre:Horror")
    assert legend(page) == ["Horror", "other"]


@pytest.mark.parametrize(
    ("scheme", "paper"), [("light", "rgb(250, 248, 244)"), ("dark", "rgb(23, 21, 19)")]
)
def test_the_page_follows_the_colours_of_the_system_and_figures_stay_on_white(
    opened, scheme, paper
):
    page = opened(color_scheme=scheme)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
    for plate in page.locator(".plate").all():
        expect(plate).to_have_css("background-color", "rgb(255, 255, 255)")


@pytest.mark.parametrize(("motion", "behavior"), [("reduce", "auto"), ("no-preference", "smooth")])
def test_nothing_moves_by_itself_if_the_reader_does_not_want_it(opened, motion, behavior):
    page = opened("refresh", reduced_motion=motion)
    style = page.evaluate("getComputedStyle(document.documentElement).scrollBehavior")
    assert style == behavior


def test_the_first_link_shows_that_it_has_the_focus(opened):
    page = opened("refresh")
    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="Recommendations")
    expect(link).to_be_focused()
    expect(link).to_have_css("outline-style", "solid")


def test_a_touch_screen_scrolls_past_the_map(opened):
    page = opened(viewport=NARROW, has_touch=True, is_mobile=True)
    assert page.evaluate("map._fullLayout.dragmode") is False
    assert page.evaluate("map._context.scrollZoom") is False


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_smaller_than_5_mb(reports, kind):
    assert getattr(reports, kind).stat().st_size < 5_000_000
