"""`/docs` describes the API, and works without internet under the page's own policy."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from app import loader
from tests.support.browser import needs_browser
from tests.support.demo_page import SCREENS, choose, expect_list
from tests.support.published_catalogue import champion_of
from tests.system.test_demo_access import grave_findings, look  # noqa: F401 - fixture

pytestmark = [needs_browser]


def unfold(page: Page, endpoint: str) -> None:
    page.get_by_role("button", name=f"GET {endpoint}").first.click()


def test_the_page_links_to_the_description_of_the_api(open_demo):
    page = open_demo()
    page.get_by_role("link", name="API").click()
    expect(page.get_by_role("heading", name="Movie recommender")).to_be_visible()
    page.get_by_role("link", name="Movies like").click()
    expect(page.get_by_role("combobox", name="Titles you like")).to_be_visible()


def test_parameters_and_answers_are_described(open_demo):
    page = open_demo("/docs")
    unfold(page, "/api/recommend")
    expect(page.get_by_text("A plot description, instead of titles")).to_be_visible()
    expect(page.get_by_text("Nothing can answer these parameters")).to_be_visible()
    expect(page.get_by_text("Recommended movies, and the question as it was")).to_be_visible()


def test_a_request_can_be_tried(open_demo):
    page = open_demo("/docs")
    unfold(page, "/api/genres")
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table")).to_contain_text("War")


def test_the_description_has_no_grave_finding(open_demo, look):  # noqa: F811
    page = open_demo("/docs", **look)
    unfold(page, "/api/recommend")
    expect(page.get_by_text("Nothing can answer these parameters")).to_be_visible()
    assert grave_findings(page) == []


@pytest.mark.parametrize("screen", SCREENS)
def test_the_page_names_the_version_that_answers_and_its_date(
    open_demo, demo_index, monkeypatch, screen
):
    registered = datetime(2026, 11, 27, 12, tzinfo=UTC)
    champion = champion_of(demo_index).model_copy(update={"version": "7", "registered": registered})
    monkeypatch.setattr(loader, "load_champion", lambda: champion)
    page = open_demo(viewport=SCREENS[screen], timezone_id="UTC")
    shown = f"registered on November 27, 2026, {demo_index.rows} movies"
    expect(page.locator("#version")).to_have_text(f"Model version 7, {shown}")
    newer = champion.model_copy(update={"version": "8"})
    monkeypatch.setattr(loader, "load_champion", lambda: newer)
    choose(page, "toy st")
    expect_list(page, "Toy Story (1984)")
    expect(page.locator("#version")).to_have_text(f"Model version 8, {shown}")
