"""Futures as arguments of tasks."""

from typing import TypeVar, cast

from prefect.futures import PrefectFuture
from prefect.utilities.annotations import quote

R = TypeVar("R")


def as_input(future: PrefectFuture[R]) -> R:
    """The future, typed as the value that Prefect passes to a task in its place."""
    return cast(R, future)


def without_edge(value: R) -> R:
    """A value of which Prefect draws no arrow.

    Prefect finds the task that a value comes from by its address. Equal small values of another
    result have the same address.
    """
    return cast(R, quote(value))
