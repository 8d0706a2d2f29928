"""How far long work has come: a bar in the terminal and a progress artifact in Prefect."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture, as_completed
from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from tasks.contracts import Ref

R = TypeVar("R", bound=Ref)
SECONDS_BETWEEN_UPDATES = 2.0


@contextmanager
def logs_above(console: Console) -> Iterator[None]:
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


class Pace:
    """Rows done since the start, as text: rows/s and the time that is left."""

    def __init__(self, total: int | None) -> None:
        self.total, self.done, self.start = total, 0, time.monotonic()

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
            return f"{self.done} rows, {self.rate:.0f} rows/s"
        left = (self.total - self.done) / self.rate
        return f"{self.done} of {self.total} rows, {self.rate:.0f} rows/s, {left:.0f} s left"


def _artifact(name: str, total: int | None) -> UUID | None:
    """A progress artifact, where there is a flow run to show it in and a total to measure by."""
    if total is None or FlowRunContext.get() is None:
        return None
    made = create_progress_artifact(0.0, key=f"progress-{name}", description="waiting")
    return made if isinstance(made, UUID) else None


@contextmanager
def progress(name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar (on a terminal) and an artifact (in a flow run) that the yielded function advances."""
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
    pace, shown = Pace(total), time.monotonic()
    artifact = _artifact(name, total)
    row = bar.add_task(name, total=total, pace="")

    def advance(rows: int) -> None:
        nonlocal shown
        pace.done += rows
        bar.update(row, completed=pace.done, pace=pace.describe())
        if artifact and time.monotonic() - shown > SECONDS_BETWEEN_UPDATES:
            shown = time.monotonic()
            update_progress_artifact(artifact, pace.percent, pace.describe())

    with logs_above(console), bar:
        yield advance
    if artifact:
        update_progress_artifact(artifact, pace.percent, pace.describe())


def gather(name: str, futures: Sequence[PrefectFuture[R]], total: int) -> list[R]:
    """Results of mapped chunks in their order, while their progress is shown.

    Raises:
        Exception: what the first chunk that failed raised.
    """
    with progress(name, total) as advance:
        for future in as_completed(list(futures)):
            advance(future.result().rows)
    return [future.result() for future in futures]
