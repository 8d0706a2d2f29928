"""Where the pure function of a chunk runs: in this thread, in a process pool, or on Dask."""

import atexit
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, Literal, ParamSpec, TypeVar

from joblib.externals.loky import get_reusable_executor

from tasks.contracts import UserError

P = ParamSpec("P")
T = TypeVar("T")
Runner = Literal["auto", "thread", "process", "dask"]
_dask_lock = Lock()


@dataclass(frozen=True)
class Compute:
    """Where work is done. Prefect's task stays on a thread, where it is cheap and visible."""

    runner: Runner = "thread"
    dask_address: str | None = None
    chunks: int = 1

    def where(self, pays_from: int) -> Runner:
        """`auto` decided: processes from `pays_from` chunks on, where there is a second core."""
        if self.runner != "auto":
            return self.runner
        pays = self.chunks >= pays_from and (os.cpu_count() or 1) > 1
        return "process" if pays else "thread"


def run(
    compute: Compute, pays_from: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """`function(*args)`, a module-level function, executed where `compute` says.

    `pays_from` is the number of chunks from which a pool of processes is worth its start.
    """
    runner = compute.where(pays_from)
    if runner == "process":
        pool = get_reusable_executor(max_workers=os.cpu_count(), timeout=60)
        found: T = pool.submit(function, *args, **kwargs).result()
        return found
    if runner == "dask":
        client = _dask(compute.dask_address)
        answer: T = client.submit(function, *args, pure=False, **kwargs).result()
        return answer
    return function(*args, **kwargs)


def _dask(address: str | None) -> Any:
    with _dask_lock:
        return _connected(address)


@lru_cache(maxsize=1)
def _connected(address: str | None) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise UserError("The runner 'dask' needs Dask: pip install -e '.[dask]'.") from None
    logging.getLogger("distributed").setLevel(logging.WARNING)
    if address is None:
        local = {"n_workers": os.cpu_count(), "threads_per_worker": 1, "dashboard_address": None}
        client = Client(host="127.0.0.1", set_as_default=False, **local)
    else:
        client = _client_at(Client, address)
    atexit.register(client.close)
    return client


def _client_at(client_class: Any, address: str) -> Any:
    try:
        return client_class(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"No Dask scheduler answers at {address} ({error}).") from error
