"""Where the pure function of a chunk or a stage runs: in this thread, in a process, or on Dask."""

import atexit
import ctypes
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock
from typing import Any, Literal, ParamSpec, TypeVar

import pyarrow as pa
from joblib import cpu_count
from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor

from tasks.core import processes
from tasks.core.contracts import UserError
from tasks.core.storage import store

P = ParamSpec("P")
T = TypeVar("T")
Runner = Literal["auto", "thread", "process", "dask"]
_dask_lock = Lock()

#: Chunks from which the work of a whole stage gets a process, whose memory goes back after it.
MIN_CHUNKS_FOR_STAGE_PROCESS = 10


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
        pays = self.chunks >= pays_from and cpu_count() > 1
        return "process" if pays else "thread"


def run_chunk(
    compute: Compute, pays_from: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """`function(*args)`, a module-level function, executed where `compute` says.

    `pays_from` is the number of chunks from which a pool of processes is worth its start. Elsewhere
    the artifacts root is the one of here.
    """
    runner = compute.where(pays_from)
    if runner == "process":
        found: T = (
            _pool().submit(_elsewhere, store.root_setting(), function, *args, **kwargs).result()
        )
        return found
    if runner == "dask":
        client = _dask(compute.dask_address)
        given = (store.root_setting(), function, *args)
        answer: T = client.submit(_elsewhere, *given, pure=False, **kwargs).result()
        return answer
    return function(*args, **kwargs)


def run_stage(compute: Compute, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The work of a whole stage: in the pool where the source is large.

    It stays on this machine whatever runs the chunks: it may be given paths.
    """
    return run_chunk(_here(compute), MIN_CHUNKS_FOR_STAGE_PROCESS, function, *args, **kwargs)


def run_in_fresh_process(
    compute: Compute, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """As `run_stage`, but in a process that ends with it: work that needs much memory meets none
    in use, and leaves none."""
    if _here(compute).where(MIN_CHUNKS_FOR_STAGE_PROCESS) != "process":
        return function(*args, **kwargs)
    own = ProcessPoolExecutor(max_workers=1, **_tied())
    try:
        return _submitted(own, function, *args, **kwargs)
    finally:
        own.shutdown(wait=False)  # the process ends by itself; waiting for that takes seconds


def _here(compute: Compute) -> Compute:
    return replace(compute, runner="auto") if compute.runner == "dask" else compute


def _submitted(pool: Any, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    given = (store.root_setting(), function, *args)
    found: T = pool.submit(_elsewhere, *given, **kwargs).result()
    return found


def _pool() -> Any:
    return get_reusable_executor(max_workers=cpu_count(), timeout=60, **_tied())


def _tied() -> dict[str, Any]:
    """Options of a pool whose processes end when this one does, with -9 too."""
    return {"initializer": processes.end_with_parent, "initargs": (os.getpid(),)}


def _elsewhere(root: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`function(*args)` in a process that may have been started under another artifacts root, and
    perhaps on a machine with another disk: then what it writes is copied up from there."""
    os.environ["RECOMMENDER_ARTIFACTS"] = root
    slots = [arg for arg in args if isinstance(arg, store.EntryWriter) and not arg.folder.exists()]
    try:
        for writer in slots:
            writer.folder.mkdir(parents=True)
        found = function(*args, **kwargs)
        for writer in slots:
            store.upload_entry(writer)
        return found
    finally:
        _give_back()


def _give_back() -> None:
    """Return freed memory to the system: a pool's process lives on, and glibc keeps what it had."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


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
        local = {"n_workers": cpu_count(), "threads_per_worker": 1, "dashboard_address": None}
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
