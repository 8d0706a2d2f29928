"""The page in a real browser, operated with the keyboard."""

import pytest
from playwright.sync_api import Page, expect

from app import loader
from tasks.recommend.index import publish_version
from tests.support.browser import needs_browser
from tests.support.demo_page import (
    choose,
    expect_list,
    listed_titles,
    open_filters,
    options,
    type_title,
)
from tests.support.published_catalogue import MARKUP, champion_of, known_and_obscure_movie

pytestmark = [needs_browser]


@pytest.fixture
def page(open_demo) -> Page:
    return open_demo()


def background(page: Page) -> str:
    color: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return color


def test_a_title_is_completed_and_answered_by_keyboard(page):
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    assert len(listed_titles(page)) == 10
    expect(page.get_by_role("button", name="Remove Toy Story (1984)")).to_be_visible()


def test_the_first_screen_offers_well_known_films(page):
    examples = page.get_by_role("group", name="Well-known films")
    expect(examples.get_by_role("button")).to_have_count(8)
    best_known = examples.get_by_role("button").first
    title = best_known.inner_text()
    best_known.press("Enter")
    expect_list(page, title)
    expect(page.locator("#status")).to_be_focused()
    expect(examples).to_be_hidden()
    page.get_by_role("button", name=f"Remove {title}").press("Enter")
    expect(examples).to_be_visible()
    page.get_by_label("A story", exact=True).check()
    expect(examples).to_be_hidden()


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


@pytest.fixture
def two_movies_of_a_title(tmp_path, monkeypatch) -> None:
    """A catalogue with Gravity (1979) and the far better known Gravity (1980)."""
    index = publish_version(str(tmp_path / "lancedb"), [known_and_obscure_movie()], "run-1")
    monkeypatch.setattr(loader, "load_champion", lambda: champion_of(index))


@pytest.mark.usefixtures("two_movies_of_a_title")
def test_a_title_of_several_movies_takes_the_best_known_and_offers_the_others(page):
    type_title(page, "gravity")
    expect_list(page, "Gravity (1980)", count=2)
    others = page.get_by_role("group", name="Other movies of that title")
    expect(others).to_have_text("Did you mean:Gravity (1979)")
    others.get_by_role("button", name="Gravity (1979)").press("Enter")
    expect_list(page, "Gravity (1979)", count=2)
    expect(others).to_have_text("Did you mean:Gravity (1980)")
    expect(page.locator("#status")).to_be_focused()
    page.get_by_role("button", name="Remove Gravity (1979)").press("Enter")
    expect(others).to_be_hidden()


def test_of_several_movies_none_of_which_is_clearly_better_known_the_best_known_is_taken(page):
    type_title(page, "cinderella")
    expect_list(page, "Cinderella (2015)")
    expect(page.locator("#alternatives").get_by_role("button")).to_have_text("Cinderella (1950)")


def test_a_story_offers_no_other_movies(page):
    type_title(page, "cinderella")
    expect(page.locator("#alternatives")).to_be_visible()
    page.get_by_label("A story", exact=True).check()
    page.get_by_label("A story in your own words").fill("a story of two")
    page.get_by_role("button", name="Find movies").click()
    expect_list(page, "“a story of two”")
    expect(page.locator("#alternatives")).to_be_hidden()


def test_titles_are_mixed_and_taken_away_again(page):
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    choose(page, "amel")
    expect_list(page, "Toy Story (1984) + Amélie (1981)")
    page.get_by_role("button", name="Remove Toy Story (1984)").press("Enter")
    expect_list(page, "Amélie (1981)")


def test_filters_narrow_the_list_and_are_reset(page):
    choose(page, "toy st")
    open_filters(page)
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
    open_filters(page)
    page.get_by_label("From year").fill("19")
    page.get_by_label("From year").blur()
    expect(page.locator("#status")).to_have_text("Years lie between 1800 and 2200.")


def test_the_slider_asks_for_variety(page):
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    closest = listed_titles(page)
    open_filters(page)
    with page.expect_response(lambda response: "diversity=1" in response.url):
        page.get_by_label("Diversity").press("End")
    expect(page.locator("#movies")).not_to_have_attribute("aria-busy", "true")
    assert listed_titles(page) != closest


def test_an_unknown_title_gets_suggestions_to_choose_from(page):
    type_title(page, "toy stry")
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


def test_a_server_that_stopped_is_said(open_demo):
    page = open_demo()
    page.route("**/api/recommend*", lambda route: route.abort("aborted"))
    choose(page, "toy st")
    expect(page.locator("#status")).to_have_text("The server does not answer. Is it still running?")


def test_the_page_is_dark_where_the_system_is(open_demo):
    light, dark = open_demo(color_scheme="light"), open_demo(color_scheme="dark")
    assert background(light) == "rgb(250, 248, 244)"
    assert background(dark) == "rgb(23, 21, 19)"


def test_the_page_fits_a_narrow_screen(open_demo):
    page = open_demo(viewport={"width": 360, "height": 740})
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    open_filters(page)
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
