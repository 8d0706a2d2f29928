"""How far long work has come: a bar in the terminal and a progress artifact in Prefect."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture, as_completed
from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from tasks.core.contracts import Ref
from tasks.core.files import atomic_write

R = TypeVar("R", bound=Ref)
T = TypeVar("T")
SECONDS_BETWEEN_UPDATES = 2.0
logger = logging.getLogger("prefect.movie_recommender")
EPOCHS_FILE = "passes"  # file in a training's work folder: how many are done, and of how many


@contextmanager
def route_logs_to(console: Console) -> Iterator[None]:
    """Let Prefect's log lines go through `console`, so that they scroll above its live bar."""
    handlers = [
        handler
        for handler in logging.getLogger("prefect").handlers
        if isinstance(handler, PrefectConsoleHandler)
    ]
    before = [handler.console for handler in handlers]
    for handler in handlers:
        handler.console = console
    try:
        yield
    finally:
        for handler, original in zip(handlers, before, strict=True):
            handler.console = original


class ProgressRate:
    """What is done since the start, as text: rows/s and the time that is left."""

    def __init__(self, total: int | None, unit: str = "rows") -> None:
        self.total, self.done, self.start, self.unit = total, 0, time.monotonic(), unit

    @property
    def rate(self) -> float:
        """Rows a second so far."""
        return self.done / max(time.monotonic() - self.start, 1e-9)

    @property
    def percent(self) -> float:
        """Share done, in percent; 0 while the total is not known."""
        return 100 * self.done / self.total if self.total else 0.0

    def describe(self) -> str:
        """For example `12000 of 45000 rows, 9000 rows/s, 4 s left`."""
        if not self.total or not self.done:
            return f"{self.done} {self.unit}, {self.pace}"
        left = (self.total - self.done) / self.rate
        return f"{self.done} of {self.total} {self.unit}, {self.pace}, {left:.0f} s left"

    @property
    def pace(self) -> str:
        """The rate as text, for example `9000 rows/s`."""
        return f"{self.rate:.{0 if self.rate >= 10 else 1}f} {self.unit}/s"


class BestEffort:
    """Calls something that only shows: work is never lost because its progress cannot be shown.

    After the first failure, which is logged, nothing is called any more: a server that is away may
    take a minute to fail.
    """

    def __init__(self, name: str) -> None:
        self.name, self.failed = name, False

    def __call__(self, show: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
        """What `show` returns; None where it fails or failed before."""
        if self.failed:
            return None
        try:
            return show(*args, **kwargs)
        except Exception as error:
            self.failed = True
            logger.warning("The progress of %s is shown no further (%r).", self.name, error)
            return None


def _artifact(name: str) -> UUID | None:
    """A progress artifact, where there is a flow run to show it in."""
    if FlowRunContext.get() is None:
        return None
    made = create_progress_artifact(0.0, key=f"progress-{name}", description="waiting")
    return made if isinstance(made, UUID) else None


@contextmanager
def progress_bar(
    name: str, total: int | None = None, unit: str = "rows"
) -> Iterator[Callable[..., None]]:
    """A bar (on a terminal) and an artifact (in a flow run) that the yielded function advances.

    It takes how many more are done and, where that becomes known late, the total. Neither the bar
    nor the artifact ever raises.
    """
    on_bar, on_artifact = BestEffort(f"{name} (bar)"), BestEffort(f"{name} (artifact)")
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
    )
    bar = Progress(
        *columns,
        TextColumn("{task.fields[pace]}"),
        console=console,
        disable=not console.is_terminal,
    )
    pace, shown = ProgressRate(total, unit), time.monotonic()
    artifact = on_artifact(_artifact, name)
    row = bar.add_task(name, total=total, pace="")

    def advance(more: int, total: int | None = pace.total) -> None:
        nonlocal shown
        pace.done, pace.total = pace.done + more, total
        on_bar(bar.update, row, completed=pace.done, total=total, pace=pace.describe())
        if artifact and time.monotonic() - shown > SECONDS_BETWEEN_UPDATES:
            shown = time.monotonic()
            on_artifact(update_progress_artifact, artifact, pace.percent, pace.describe())

    with route_logs_to(console):
        on_bar(bar.start)
        try:
            yield advance
        finally:
            on_bar(bar.stop)
    if artifact:
        on_artifact(update_progress_artifact, artifact, 100.0, pace.describe())


def write_epoch_progress(work: Path, done: int, total: int) -> None:
    """Say in a training's work folder how many passes are done, to whoever is `following` it.

    Where that cannot be written, training goes on without.
    """
    try:
        with atomic_write(work / EPOCHS_FILE) as new:
            new.write_text(f"{done} {total}")
    except OSError as error:
        logger.debug("%s cannot be written: %s", work / EPOCHS_FILE, error)


@contextmanager
def watch_epochs(name: str, work: Path) -> Iterator[None]:
    """A bar and an artifact of a training that notes its passes, maybe in another process."""
    ended, seen = Event(), 0
    with progress_bar(name, unit="passes") as advance:

        def look() -> None:
            nonlocal seen
            with suppress(
                OSError, ValueError
            ):  # not there yet, or damaged: the next pass writes it
                done, total = map(int, (work / EPOCHS_FILE).read_text().split())
                advance(done - seen, total)
                seen = done

        def look_again_and_again() -> None:
            while not ended.wait(SECONDS_BETWEEN_UPDATES):
                look()

        watcher = Thread(target=copy_context().run, args=[look_again_and_again])
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            look()


def gather(name: str, futures: Sequence[PrefectFuture[R]], total: int) -> list[R]:
    """Results of mapped chunks in their order, while their progress is shown.

    Raises:
        Exception: what the first chunk that failed raised.
    """
    with progress_bar(name, total) as advance:
        for future in as_completed(list(futures)):
            advance(future.result().rows)
    return [future.result() for future in futures]
