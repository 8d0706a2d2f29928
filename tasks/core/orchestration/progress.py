"""Progress of long stages: a bar in the terminal and a progress artifact in Prefect."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from tasks.core.logs import logger
from tasks.core.orchestration.look_ups import record_look_up
from tasks.core.orchestration.stage_task import CACHED

R = TypeVar("R", bound=Ref)
T = TypeVar("T")
SECONDS_BETWEEN_UPDATES = 2.0
EPOCHS = "epochs"
_shown: dict[str, "ProgressRate"] = {}  # of the bars that are shown, by name
EPOCHS_FILE = "passes"  # file in a checkpoint directory: epochs done and total number of epochs


def console_handlers() -> list[PrefectConsoleHandler]:
    """The handlers that print Prefect's log lines on the terminal; there are none before a run."""
    loggers = (logging.getLogger("prefect"), logging.getLogger())
    handlers = (handler for logger in loggers for handler in logger.handlers)
    return [handler for handler in handlers if isinstance(handler, PrefectConsoleHandler)]


@contextmanager
def route_logs_to(console: Console) -> Iterator[None]:
    """Print Prefect's log lines through `console`, so that they scroll above its progress bar."""
    handlers = console_handlers()
    original_consoles = [handler.console for handler in handlers]
    for handler in handlers:
        handler.console = console
    try:
        yield
    finally:
        for handler, original in zip(handlers, original_consoles, strict=True):
            handler.console = original


def describe_stages(names: Iterable[str]) -> str:
    """These stages, and those that have a bar now, with their progress in brackets."""
    bars = dict(_shown)
    described = {name: f"{name} ({bar.describe()})" for name, bar in bars.items() if bar.done}
    return ", ".join(described.get(name, name) for name in dict.fromkeys([*names, *bars]))


class ProgressRate:
    """Items done since the start, as a rate and as text with the remaining time."""

    def __init__(self, total: int | None, unit: str = "rows") -> None:
        self.total, self.done, self.start, self.unit = total, 0, time.monotonic(), unit

    @property
    def rate(self) -> float:
        """Items per second since the start."""
        return self.done / max(time.monotonic() - self.start, 1e-9)

    @property
    def percent(self) -> float:
        """Share done, in percent; 0 while the total is unknown."""
        return 100 * self.done / self.total if self.total else 0.0

    def describe(self) -> str:
        """Text such as `12000 of 45000 rows, 9000 rows/s, 4 s left`."""
        if not self.total or not self.done:
            return f"{self.done} {self.unit}, {self.rate_text}"
        seconds_left = (self.total - self.done) / self.rate
        return (
            f"{self.done} of {self.total} {self.unit}, {self.rate_text}, {seconds_left:.0f} s left"
        )

    def summary(self) -> str:
        """Text about the finished work, such as `12000 rows in 2 s`.

        Of epochs that are fewer than planned: `stopped early after 5 of 8 epochs, in 9 s`.
        """
        seconds = f"in {time.monotonic() - self.start:.0f} s"
        if self.unit == EPOCHS and self.total and self.done < self.total:
            return f"stopped early after {self.done} of {self.total} {self.unit}, {seconds}"
        return f"{self.done} {self.unit} {seconds}"

    @property
    def rate_text(self) -> str:
        """The rate as text, such as `9000 rows/s`."""
        rounded = f"{self.rate:.0f}" if self.rate >= 10 else f"{self.rate:.2g}"
        return f"{rounded} {self.unit}/s"


class BestEffort:
    """Calls display functions whose errors must not stop the work that they report on.

    The first error is logged. After it nothing is called any more: each call to an unreachable
    server may take a minute to fail.
    """

    def __init__(self, name: str) -> None:
        self.name, self.failed = name, False

    def __call__(self, display: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
        """Result of `display(*args, **kwargs)`; None if it fails or an earlier call failed."""
        if self.failed:
            return None
        try:
            return display(*args, **kwargs)
        except Exception as error:
            self.failed = True
            logger.warning("Progress of %s is no longer updated (%r).", self.name, error)
            return None


class ProgressDisplay:
    """A bar (on a terminal) and an artifact (in a flow run) of one stage; neither ever raises."""

    def __init__(self, name: str, total: int | None, unit: str) -> None:
        self.console = Console(stderr=True)
        self.on_bar = BestEffort(f"{name} (bar)")
        self.on_artifact = BestEffort(f"{name} (artifact)")
        self.bar = _new_bar(self.console)
        self.bar_row = self.bar.add_task(name, total=total, rate="")
        self.progress, self.last_update = ProgressRate(total, unit), time.monotonic()
        self.artifact_id = self.on_artifact(_create_artifact, name)

    def advance(self, count: int, total: int | None) -> None:
        """Add `count` done items; update the artifact at most every 2 seconds."""
        progress = self.progress
        progress.done, progress.total = progress.done + count, total
        self.on_bar(
            self.bar.update,
            self.bar_row,
            completed=progress.done,
            total=total,
            rate=progress.describe(),
        )
        if time.monotonic() - self.last_update > SECONDS_BETWEEN_UPDATES:
            self.last_update = time.monotonic()
            self.update_artifact(progress.percent, progress.describe())

    def update_artifact(self, percent: float, text: str) -> None:
        """Show `percent` and `text` in Prefect."""
        if self.artifact_id:
            self.on_artifact(update_progress_artifact, self.artifact_id, percent, text)


def _new_bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        console=console,
        disable=not console.is_terminal,
    )


def _create_artifact(name: str) -> UUID | None:
    """Create a progress artifact; None outside a flow run."""
    if FlowRunContext.get() is None:
        return None
    artifact_id = create_progress_artifact(0.0, key=f"progress-{name}", description="waiting")
    return artifact_id if isinstance(artifact_id, UUID) else None


@contextmanager
def progress_bar(
    name: str, total: int | None = None, unit: str = "rows"
) -> Iterator[Callable[..., None]]:
    """Show progress by a bar (on a terminal) and an artifact (in a flow run).

    Yields a function that takes the number of items done since its last call and, if it becomes
    known late, the total. Errors of the bar and the artifact are logged, never raised.
    """
    display = ProgressDisplay(name, total, unit)

    def advance(count: int, total: int | None = total) -> None:
        display.advance(count, total)

    _shown[name] = display.progress
    with route_logs_to(display.console):
        display.on_bar(display.bar.start)
        try:
            yield advance
        finally:
            display.on_bar(display.bar.stop)
            _shown.pop(name, None)
    display.update_artifact(100.0, display.progress.summary())


def write_epoch_progress(checkpoint_dir: Path, done: int, total: int) -> None:
    """Write the number of finished epochs into a checkpoint directory, for `watch_epochs`.

    If the file cannot be written, training continues.
    """
    file = checkpoint_dir / EPOCHS_FILE
    try:
        with atomic_write(file) as new:
            new.write_text(f"{done} {total}")
    except OSError as error:
        logger.debug("%s cannot be written: %s", file, error)


@contextmanager
def watch_epochs(name: str, checkpoint_dir: Path) -> Iterator[None]:
    """Show the epochs that a training, maybe in another process, writes into a directory."""
    ended, epochs_shown = Event(), 0
    with progress_bar(name, unit=EPOCHS) as advance:

        def show_new_epochs() -> None:
            nonlocal epochs_shown
            with suppress(OSError, ValueError):  # missing or damaged: the next epoch writes it
                done, total = _read_epoch_progress(checkpoint_dir)
                advance(done - epochs_shown, total)
                epochs_shown = done

        def poll() -> None:
            while not ended.wait(SECONDS_BETWEEN_UPDATES):
                show_new_epochs()

        watcher = Thread(target=copy_context().run, args=[poll])
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            show_new_epochs()


def _read_epoch_progress(checkpoint_dir: Path) -> tuple[int, int]:
    done, total = (checkpoint_dir / EPOCHS_FILE).read_text().split()
    return int(done), int(total)


def gather(name: str, futures: Sequence[PrefectFuture[R]], total: int) -> list[R]:
    """Results of mapped chunks in the order of `futures`; shows progress while they run.

    `total` is the number of rows in all chunks. The task that gathers them is cached if all are.

    Raises:
        Exception: the error of the first chunk that failed.
    """
    with progress_bar(name, total) as advance:
        for future in as_completed(list(futures)):
            advance(future.result().rows)
    for future in futures:
        record_look_up(future.state.name == CACHED)
    return [future.result() for future in futures]
