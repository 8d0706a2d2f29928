"""Which look-ups of a task in the store had a result."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_look_ups: ContextVar[list[bool] | None] = ContextVar("look_ups", default=None)


@contextmanager
def recorded_look_ups() -> Iterator[list[bool]]:
    """Yields a list that gets, for each look-up in this context, whether it had a result."""
    look_ups = list[bool]()
    token = _look_ups.set(look_ups)
    try:
        yield look_ups
    finally:
        _look_ups.reset(token)


def record_look_up(has_result: bool) -> None:
    """Record a look-up, if anybody records."""
    if (look_ups := _look_ups.get()) is not None:
        look_ups.append(has_result)
