"""A real browser for tests that open a page, and what goes wrong in it."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAVIGATION_MS = 120_000  # to open a page; the default of 30 s was not enough on a busy machine
expect.set_options(timeout=30_000)  # pages come from servers that share two cores with all else
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no `chromium` on the PATH")


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


def listen(page: Page, home: str, known: Sequence[str] = (), silent: bool = False) -> list[str]:
    """What goes wrong in a page from now on: errors, dialogs, requests that fail or leave `home`.

    A page that is `silent` writes nothing at all to its console. What contains one of `known` is
    the fault of somebody else's page.
    """
    complaints = list[str]()

    def note(text: str) -> None:
        if not any(one in text for one in known):
            complaints.append(text)

    def heard(kind: str, text: str, where: str) -> None:
        if silent or kind == "error":
            note(f"{kind}: {text} {where}")

    def failed(url: str, reason: str) -> None:
        if "ERR_ABORTED" not in reason:  # the page takes back what is no longer wanted
            note(f"{url}: {reason}")

    def asked(url: str) -> None:
        if not url.startswith((home, "data:", "blob:")):
            note(f"elsewhere: {url}")

    page.on("console", lambda said: heard(said.type, said.text, said.location["url"]))
    page.on("pageerror", lambda error: note(str(error)))
    page.on("dialog", lambda dialog: note(f"dialog: {dialog.message}"))
    page.on("requestfailed", lambda request: failed(request.url, str(request.failure)))
    page.on("request", lambda request: asked(request.url))
    return complaints
