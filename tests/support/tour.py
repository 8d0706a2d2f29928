"""A newcomer's tour of the project: commands of the pages, seconds of each step, screenshots."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.conftest import ROOT
from tests.support.checkout import Checkout, Done, check
from tests.support.demo_page import SCREENS
from tests.support.documents import Step, steps_of

#: Pages whose commands the tour executes, each of them.
PAGES_OF_THE_TOUR = ("docs/compare-runs.md", "docs/schedule.md")
#: Milliseconds in which a page takes its new size and colours, and draws its graph.
SETTLING = 500


@dataclass
class Tour:
    """What a newcomer does and sees; its folder receives the table, screenshots and output."""

    folder: Path
    rows: list[tuple[str, float, str]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, sees: str) -> Iterator[None]:
        """Measure a step, with what the newcomer sees at its end."""
        begin = time.monotonic()
        yield
        self.rows.append((name, time.monotonic() - begin, sees))

    def keep_output(self, name: str, done: Done) -> None:
        """What a terminal shows."""
        (self.folder / f"{name}.txt").write_text(done.output, encoding="utf-8")

    def photograph(self, page: Page, name: str, seen: Locator) -> None:
        """A screenshot of a page of Prefect or MLflow, whose layout is made for desks."""
        self._take(page, f"{name}-1440-light", seen)

    def photograph_on_a_phone(self, page: Page, name: str) -> None:
        """A screenshot of a page of Prefect or MLflow as a phone shows it, whatever that is."""
        self._take(page, f"{name}-390-light", page.locator("body"))

    def photograph_own_page(self, page: Page, name: str, seen: Locator) -> None:
        """Screenshots of one of our pages, opened on a desk and on a phone, light and dark."""
        for screen, size in SCREENS.items():
            page.set_viewport_size(size)
            page.reload()
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                self._take(page, f"{name}-{screen}-{scheme}", seen)

    def _take(self, page: Page, name: str, seen: Locator) -> None:
        """A screenshot on which what has to be seen is visible."""
        expect(seen).to_be_visible()
        page.wait_for_timeout(SETTLING)
        page.screenshot(path=self.folder / f"{name}.png", animations="disabled")

    def write_table(self) -> str:
        """Write the seconds of each step as a table; its text."""
        lines = ["| step | seconds | what is seen |", "|---|---|---|"]
        lines += [f"| {name} | {seconds:.1f} | {sees} |" for name, seconds, sees in self.rows]
        text = "\n".join(lines) + "\n"
        (self.folder / "tour.md").write_text(text, encoding="utf-8")
        return text


class Reader:
    """A reader who carries out what pages say, in the order of each page."""

    def __init__(self, checkout: Checkout, pages: Sequence[str]) -> None:
        self.checkout = checkout
        self.steps = {page: _steps_of(page) for page in pages}

    def carry_out(self, page: str, command: str) -> Done:
        """Execute the next command of a page, which begins as named, and compare its output."""
        step = self.steps[page].pop(0)
        assert step.text.startswith(command), f"{page}: {step.text}"
        done = self.checkout.do(step)
        check(step, done)
        return done

    def remaining(self) -> list[str]:
        """Commands that have not been executed."""
        return [step.text for steps in self.steps.values() for step in steps]


def command_on(page: str, beginning: str) -> Step:
    """The first command of a page that begins so."""
    return next(step for step in _steps_of(page) if step.text.startswith(beginning))


def _steps_of(page: str) -> list[Step]:
    steps = steps_of((ROOT / page).read_text(encoding="utf-8"))
    return [step for step in steps if step.kind != "not run"]


def newcomer(
    folder: Path, prefect_home: Path, prefect_database: Path, environment: dict[str, str]
) -> Checkout:
    """A fresh checkout on a machine without a server, where each command is a program.

    Prefect's database has its tables if there is one to copy: to create them takes six seconds.
    """
    if prefect_database.exists():
        shutil.copy(prefect_database, prefect_home / "prefect.db")
    kept = {name: value for name, value in environment.items() if not name.startswith("PREFECT_")}
    at_home = {"PREFECT_HOME": str(prefect_home)}
    checkout = Checkout(folder, kept | at_home, as_processes=True)
    checkout.build()
    return checkout
