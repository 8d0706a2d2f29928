"""The address of the page holds the question: links, and back and forward."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import needs_browser
from tests.support.demo_page import (
    SCREENS,
    choose,
    expect_list,
    listed_titles,
    open_filters,
    type_title,
)

pytestmark = [needs_browser]


@pytest.fixture(params=SCREENS)
def page(open_demo, request) -> Page:
    return open_demo(viewport=SCREENS[request.param])


def path(page: Page) -> str:
    return page.url.removeprefix(page.evaluate("location.origin"))


def parameters(page: Page) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(page.url).query)


def set_filters(page: Page) -> None:
    """Every kind of filter, so that some movies are left."""
    open_filters(page)
    page.get_by_role("group", name="With all of").get_by_label("War").check()
    page.get_by_label("From year").fill("1980")
    page.get_by_label("To year").fill("2050")
    page.get_by_label("Original language").select_option("en")
    page.get_by_label("How many").select_option("20")
    page.get_by_label("Diversity").press("End")


def test_a_copied_link_of_titles_and_filters_shows_the_same_list(page, open_demo):
    choose(page, "toy st")
    choose(page, "amel")
    expect_list(page, "Toy Story (1984) + Amélie (1981)")
    set_filters(page)
    with page.expect_response(lambda response: "diversity=1" in response.url):
        expect(page.locator("#active")).to_have_text("(5 set)")
    expect(page.locator("#movies")).not_to_have_attribute("aria-busy", "true")
    assert parameters(page) == [
        ("title", "Toy Story"),
        ("id", "6"),
        ("title", "Amélie"),
        ("id", "3"),
        ("genre", "War"),
        ("from_year", "1980"),
        ("to_year", "2050"),
        ("language", "en"),
        ("diversity", "1"),
        ("limit", "20"),
    ]
    copy = open_demo(path(page), viewport=page.viewport_size)
    expect(copy.locator("#status")).to_have_text(page.locator("#status").inner_text())
    assert listed_titles(copy) == listed_titles(page) != []
    expect(copy.get_by_role("button", name="Remove Amélie (1981)")).to_be_visible()
    expect(copy.locator("#active")).to_have_text("(5 set)")
    assert copy.url == page.url


def test_a_copied_link_of_a_story_shows_the_same_list(page, open_demo):
    page.get_by_label("A story", exact=True).check()
    page.get_by_label("A story in your own words").fill("a story of two & more")
    page.get_by_role("button", name="Find movies").click()
    expect_list(page, "“a story of two & more”")
    assert parameters(page) == [("text", "a story of two & more")]
    copy = open_demo(path(page), viewport=page.viewport_size)
    expect_list(copy, "“a story of two & more”")
    assert listed_titles(copy) == listed_titles(page)
    expect(copy.get_by_label("A story in your own words")).to_have_value("a story of two & more")


def test_back_and_forward_show_the_questions_before_and_after(page):
    start = page.url
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    open_filters(page)
    page.get_by_role("group", name="With all of").get_by_label("War").check()
    expect(page).to_have_url(re.compile("[?&]genre=War"))
    page.get_by_role("button", name="Remove Toy Story (1984)").click()
    expect(page.locator("#status")).to_have_text("Which film did you like?")
    page.go_back()
    expect_list(page, "Toy Story (1984)", count=9)
    page.go_back()
    expect_list(page, "Toy Story (1984)")
    expect(page.locator("#active")).to_be_empty()
    page.go_back()
    expect(page.locator("#status")).to_have_text("Which film did you like?")
    expect(page.locator("#chips")).to_be_hidden()
    assert page.url == start
    page.go_forward()
    expect_list(page, "Toy Story (1984)")
    expect(page.get_by_role("button", name="Remove Toy Story (1984)")).to_be_visible()


def test_a_link_with_a_title_alone_takes_the_best_known_movie_and_names_it(open_demo):
    page = open_demo("/?title=cinderella")
    expect_list(page, "Cinderella (2015)")
    assert parameters(page) == [("title", "Cinderella"), ("id", "5")]
    page.get_by_role("group", name="Other movies of that title").get_by_role("button").click()
    expect_list(page, "Cinderella (1950)")
    page.go_back()
    expect_list(page, "Cinderella (2015)")


def test_a_link_with_an_id_alone_shows_its_movie(open_demo):
    page = open_demo("/?id=6")
    expect_list(page, "Toy Story (1984)")
    assert parameters(page) == [("title", "Toy Story"), ("id", "6")]


def test_a_link_with_an_unknown_title_gets_suggestions(open_demo):
    page = open_demo("/?title=toy+stry")
    expect(page.get_by_role("alert")).to_have_text("No movie is called “toy stry”. Did you mean:")
    page.get_by_role("button", name="Toy Story (1984)").click()
    expect_list(page, "Toy Story (1984)")


@pytest.mark.parametrize("limit", ["5", "0", "51", "many"])
def test_a_link_with_another_length_is_followed_if_it_is_valid(open_demo, limit):
    page = open_demo(f"/?title=Toy+Story&id=6&limit={limit}")
    expect_list(page, "Toy Story (1984)", count=5 if limit == "5" else 10)


def test_a_link_of_markup_is_text(open_demo):
    page = open_demo("/?title=<img src=x onerror=alert(1)>&text=<b>story</b> story")
    expect_list(page, "“<b>story</b> story”")
    assert page.locator("#status b, img").count() == 0


def test_the_same_question_is_one_entry_of_the_history(page):
    type_title(page, "toy story")
    expect_list(page, "Toy Story (1984)")
    entries = page.evaluate("history.length")
    type_title(page, "toy story")
    expect(page.get_by_role("combobox", name="Titles you like")).to_have_value("")
    expect_list(page, "Toy Story (1984)")
    assert page.evaluate("history.length") == entries


def test_the_title_of_the_page_names_the_question(page):
    expect(page).to_have_title("Movies like …")
    choose(page, "toy st")
    expect(page).to_have_title("Movies like Toy Story (1984)")
