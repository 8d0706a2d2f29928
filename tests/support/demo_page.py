"""The demo page in a real browser: its server, opened pages, and what tests do in them."""

import threading
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from app import main
from tests.conftest import free_port, wait_for
from tests.support.browser import listen

DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
SCREENS = {"1440": DESKTOP, "390": PHONE}


@pytest.fixture(scope="module")
def demo_address(demo_champion: None) -> Iterator[str]:
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
def open_demo(demo_address: str, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a path of the server; afterwards, no request may have failed or gone elsewhere."""
    opened_pages = list[tuple[Page, list[str]]]()

    def open_page(path: str = "/", **options: object) -> Page:
        page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
        opened_pages.append((page, listen(page, f"{demo_address}/", silent=True)))
        page.goto(f"{demo_address}{path}")
        if not path.startswith("/docs"):
            expect(page.locator("#genres input")).to_have_count(2)
        return page

    yield open_page
    for page, complaints in opened_pages:
        page.context.close()
        assert complaints == []


def options(page: Page) -> Locator:
    """The completions of the box for titles."""
    return page.get_by_role("listbox", name="Titles").get_by_role("option")


def choose(page: Page, typed: str) -> None:
    """Type into the box and take the first completion, with the keyboard alone."""
    box = page.get_by_role("combobox", name="Titles you like")
    box.press_sequentially(typed)
    expect(options(page).first).to_be_visible()
    box.press("ArrowDown")
    box.press("Enter")


def type_title(page: Page, typed: str) -> None:
    """Type a whole title and press Enter, without choosing a completion."""
    box = page.get_by_role("combobox", name="Titles you like")
    box.fill(typed)
    box.press("Enter")


def listed_titles(page: Page) -> list[str]:
    """Titles and years of the list, in its order."""
    return page.get_by_role("heading", level=2).all_inner_texts()


def expect_list(page: Page, question: str, count: int = 10) -> None:
    """Wait until the status says what the list is."""
    many = "1 movie" if count == 1 else f"{count} movies"
    expect(page.locator("#status")).to_have_text(f"{many} like {question}")


def open_filters(page: Page) -> None:
    """Unfold the filters, which a phone shows folded."""
    if page.locator("#filters").get_attribute("open") is None:
        page.locator("#filters > summary").click()
