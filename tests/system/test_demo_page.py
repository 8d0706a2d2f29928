"""The page in a real browser, operated with the keyboard."""

import threading
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from playwright.sync_api import Locator, Page, expect

from app import main
from tasks.recommend.index import publish_version
from tests.conftest import free_port, wait_for
from tests.support.browser import listen, needs_browser
from tests.support.published_catalogue import MARKUP, champion_of, known_and_obscure_movie

pytestmark = [needs_browser]


@pytest.fixture(scope="module")
def address(demo_champion) -> Iterator[str]:
    """The page on a free port."""
    port = free_port()
    config = uvicorn.Config(main.create_app(), host="127.0.0.1", port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(f"http://127.0.0.1:{port}/api/genres")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture
def opened(address, browser) -> Iterator[Callable[..., Page]]:
    """Opens the page; afterwards, no request may have failed or gone to another host."""
    opened_pages = list[tuple[Page, list[str]]]()

    def open_page(**options: object) -> Page:
        page = browser.new_context(**options).new_page()
        opened_pages.append((page, listen(page, f"{address}/", silent=True)))
        page.goto(address)
        expect(page.locator("#genres input")).to_have_count(2)
        return page

    yield open_page
    for page, complaints in opened_pages:
        page.context.close()
        assert complaints == []


@pytest.fixture
def page(opened) -> Page:
    return opened()


def options(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Titles").get_by_role("option")


def choose(page: Page, typed: str) -> None:
    """Type into the box and take the first completion, with the keyboard alone."""
    box = page.get_by_role("combobox", name="Titles you like")
    box.press_sequentially(typed)
    expect(options(page).first).to_be_visible()
    box.press("ArrowDown")
    box.press("Enter")


def cards(page: Page) -> list[str]:
    return page.get_by_role("heading", level=2).all_inner_texts()


def expect_list(page: Page, question: str, count: int = 10) -> None:
    """Wait until the status says what the list is."""
    many = "1 movie" if count == 1 else f"{count} movies"
    expect(page.locator("#status")).to_have_text(f"{many} like {question}")


def background(page: Page) -> str:
    color: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return color


def test_a_title_is_completed_and_answered_by_keyboard(page):
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    assert len(cards(page)) == 10
    expect(page.get_by_role("button", name="Remove Toy Story (1984)")).to_be_visible()


def test_the_box_tells_assistive_technology_what_is_active(page):
    box = page.get_by_role("combobox", name="Titles you like")
    box.press_sequentially("cinder")
    expect(options(page)).to_have_count(2)
    expect(box).to_have_attribute("aria-expanded", "true")
    box.press("ArrowUp")
    expect(box).to_have_attribute("aria-activedescendant", "option-1")
    expect(options(page).and_(page.get_by_role("option", selected=True))).to_have_text(
        "Cinderella1950"
    )
    box.press("Escape")
    expect(box).to_have_attribute("aria-expanded", "false")
    expect(box).to_have_value("cinder")


def test_a_list_says_why(page):
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    first = page.get_by_role("listitem").filter(has=page.get_by_role("heading")).first
    expect(first.get_by_text("Release year")).to_be_hidden()
    first.get_by_text("Why this one").focus()
    page.keyboard.press("Enter")
    expect(first.get_by_text("Release year")).to_be_visible()
    expect(first.get_by_text("Same genres")).to_be_visible()
    widths = first.locator(".track span").evaluate_all("bars => bars.map(b => b.offsetWidth)")
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0


def test_a_title_of_several_movies_takes_the_best_known_and_says_so(page, tmp_path, monkeypatch):
    index = publish_version(str(tmp_path / "lancedb"), [known_and_obscure_movie()], "run-1")
    monkeypatch.setattr(main, "load_champion", lambda: champion_of(index))
    box = page.get_by_role("combobox", name="Titles you like")
    box.fill("gravity")
    box.press("Enter")
    expect_list(page, "Gravity (1980)", count=2)
    expect(page.locator("#notes")).to_contain_text("Took Gravity (1980).")
    page.get_by_role("button", name="Remove Gravity (1980)").press("Enter")
    expect(page.locator("#notes")).to_be_empty()


def test_titles_are_mixed_and_taken_away_again(page):
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    choose(page, "amel")
    expect_list(page, "Toy Story (1984) + Amélie (1981)")
    page.get_by_role("button", name="Remove Toy Story (1984)").press("Enter")
    expect_list(page, "Amélie (1981)")


def test_filters_narrow_the_list_and_are_reset(page):
    choose(page, "toy st")
    page.locator("#filters > summary").click()
    page.get_by_role("group", name="With all of").get_by_label("War").check()
    expect(
        page.get_by_text("Horror", exact=True).and_(page.locator(".movie .genres"))
    ).to_have_count(0)
    page.get_by_label("From year").fill("2100")
    page.get_by_label("From year").blur()
    expect(page.locator("#status")).to_have_text("No movie passes the filters.")
    expect(page.locator("#active")).to_have_text("(2 set)")
    page.get_by_role("button", name="Reset filters").click()
    expect_list(page, "Toy Story (1984)")


def test_a_year_out_of_bounds_is_said(page):
    choose(page, "toy st")
    page.locator("#filters > summary").click()
    page.get_by_label("From year").fill("19")
    page.get_by_label("From year").blur()
    expect(page.locator("#status")).to_have_text("Years lie between 1800 and 2200.")


def test_the_slider_asks_for_variety(page):
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    closest = cards(page)
    page.locator("#filters > summary").click()
    with page.expect_response(lambda response: "diversity=1" in response.url):
        page.get_by_label("Diversity").press("End")
    expect(page.locator("#movies")).not_to_have_attribute("aria-busy", "true")
    assert cards(page) != closest


def test_an_unknown_title_gets_suggestions_to_choose_from(page):
    box = page.get_by_role("combobox", name="Titles you like")
    box.fill("toy stry")
    box.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("No movie is called “toy stry”. Did you mean:")
    page.get_by_role("button", name="Toy Story (1984)").press("Enter")
    expect_list(page, "Toy Story (1984)")
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_story_is_answered(page):
    page.get_by_label("A story", exact=True).check()
    page.get_by_label("A story in your own words").fill("a story of two")
    page.get_by_role("button", name="Find movies").click()
    expect_list(page, "“a story of two”")


def test_a_title_of_markup_is_text(page):
    choose(page, "img src")
    expect_list(page, f"{MARKUP} (1998)")
    assert page.locator("img").count() == 0


def test_a_server_that_stopped_is_said(opened):
    page = opened()
    page.route("**/api/recommend*", lambda route: route.abort("aborted"))
    choose(page, "toy st")
    expect(page.locator("#status")).to_have_text("The server does not answer. Is it still running?")


def test_the_page_is_dark_where_the_system_is(opened):
    light, dark = opened(color_scheme="light"), opened(color_scheme="dark")
    assert background(light) == "rgb(250, 248, 244)"
    assert background(dark) == "rgb(23, 21, 19)"


def test_the_page_fits_a_narrow_screen(opened):
    page = opened(viewport={"width": 360, "height": 740})
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    page.locator("#filters > summary").click()
    page.get_by_text("Why this one").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_every_control_has_a_name(page):
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, textarea, button')]"
        ".filter(c => !c.labels?.length && !c.ariaLabel && !c.textContent.trim())"
        ".map(c => c.outerHTML)"
    )
    assert unnamed == []
