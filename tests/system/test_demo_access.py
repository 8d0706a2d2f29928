"""The page for everyone: axe-core, contrast, keyboard, motion; on a desk and on a phone."""

from itertools import product

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.browser import needs_browser
from tests.support.demo_page import (
    DESKTOP,
    PHONE,
    SCREENS,
    choose,
    expect_list,
    open_filters,
    options,
)

pytestmark = [needs_browser]
LOOKS = [*product(SCREENS, ("light", "dark"))]


@pytest.fixture(params=LOOKS, ids=lambda look: "-".join(look))
def look(request) -> dict[str, object]:
    """How a page is opened: each screen, light and dark."""
    screen, scheme = request.param
    return {"viewport": SCREENS[screen], "color_scheme": scheme}


def grave_findings(page: Page) -> list[str]:
    """What axe-core calls serious or critical."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def test_a_list_of_titles_has_no_grave_finding(open_demo, look):
    page = open_demo("/?title=Cinderella&genre=War", **look)
    expect_list(page, "Cinderella (2015)")
    open_filters(page)
    page.get_by_text("Why this one").first.click()
    assert grave_findings(page) == []


def test_open_completions_have_no_grave_finding(open_demo, look):
    page = open_demo(**look)
    box = page.get_by_role("combobox", name="Titles you like")
    box.press_sequentially("cinder")
    expect(options(page).first).to_be_visible()
    box.press("ArrowDown")
    expect(options(page).first).to_have_attribute("aria-selected", "true")
    assert grave_findings(page) == []


def test_a_story_and_an_error_have_no_grave_finding(open_demo, look):
    page = open_demo("/?text=story&from_year=19", **look)
    expect(page.locator("#status")).to_have_text("Years lie between 1800 and 2200.")
    assert grave_findings(page) == []


def test_an_unknown_title_has_no_grave_finding(open_demo, look):
    page = open_demo("/?title=toy+stry", **look)
    expect(page.get_by_role("alert")).to_contain_text("Did you mean")
    assert grave_findings(page) == []


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_is_wider_than_the_screen(open_demo, screen):
    page = open_demo("/?title=Cinderella", viewport=SCREENS[screen])
    expect_list(page, "Cinderella (2015)")
    open_filters(page)
    page.get_by_text("Why this one").first.click()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == SCREENS[screen]["width"]


def test_filters_are_folded_on_a_phone_alone(open_demo):
    expect(open_demo(viewport=PHONE).get_by_label("From year")).to_be_hidden()
    expect(open_demo(viewport=DESKTOP).get_by_label("From year")).to_be_visible()


def test_folded_filters_say_how_many_are_set(open_demo):
    page = open_demo("/?title=Cinderella&genre=War&to_year=2050", viewport=PHONE)
    expect(page.get_by_label("From year")).to_be_hidden()
    expect(page.locator("#active")).to_have_text("(2 set)")


@pytest.mark.parametrize("screen", SCREENS)
def test_the_keyboard_reaches_everything_of_the_first_movie(open_demo, screen):
    page = open_demo(viewport=SCREENS[screen])
    choose(page, "cinder")
    expect_list(page, "Cinderella (2015)")
    page.locator("#status").focus()
    focused = list[str]()
    for _ in range(3):
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.textContent"))
    assert focused == ["Cinderella (1950)", "Why this one", "Add to my titles"]


def test_what_has_the_focus_is_outlined(open_demo):
    page = open_demo()
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_nothing_moves_for_those_who_do_not_want_it(open_demo):
    page = open_demo(reduced_motion="reduce")
    moving = page.evaluate(
        "[...document.querySelectorAll('*')]"
        ".filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length"
    )
    assert moving == 0
