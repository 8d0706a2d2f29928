"""Futures as arguments of tasks."""

from typing import TypeVar, cast

from prefect.futures import PrefectFuture

R = TypeVar("R")


def as_input(future: PrefectFuture[R]) -> R:
    """The future, typed as the value that Prefect passes to a task in its place."""
    return cast(R, future)
