"""Runs the pure function of a chunk or a stage: in this thread, in a worker process or on Dask."""

import atexit
import ctypes
import gc
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

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
#: From this number of chunks on, a stage runs in a process, which frees its memory at the end.
MIN_CHUNKS_FOR_STAGE_PROCESS = 10


@dataclass(frozen=True)
class Compute:
    """Where functions run. The Prefect task stays on a thread: cheap, and visible in its UI.

    `chunks` is the number of chunks of the source. The runner `auto` depends on it.
    """

    runner: Runner = "thread"
    dask_address: str | None = None
    chunks: int = 1

    def choose_runner(self, min_chunks: int) -> Runner:
        """The runner, where `auto` means processes if there are `min_chunks` chunks and 2 cores."""
        if self.runner != "auto":
            return self.runner
        return "process" if self.chunks >= min_chunks and cpu_count() > 1 else "thread"


def run_chunk(
    compute: Compute, min_chunks: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Result of `function(*args, **kwargs)`, computed where `compute` says.

    `function` is a module-level function. From `min_chunks` chunks on, starting a pool of processes
    takes less time than it saves. Workers use the artifacts root of this process.
    """
    runner = compute.choose_runner(min_chunks)
    if runner == "process":
        return _run_in_pool(_process_pool(), function, *args, **kwargs)
    if runner == "dask":
        return _run_on_dask(compute.dask_address, function, *args, **kwargs)
    return function(*args, **kwargs)


def run_stage(compute: Compute, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Result of the function of a whole stage, computed in a process if the source is large.

    It always runs on this machine, never on Dask: its arguments may be local paths.
    """
    local = _without_dask(compute)
    return run_chunk(local, MIN_CHUNKS_FOR_STAGE_PROCESS, function, *args, **kwargs)


def run_in_fresh_process(
    compute: Compute, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Like `run_stage`, but in a new process that ends afterwards.

    For functions that need much memory: a new process starts with none, and frees all of it.
    """
    if _without_dask(compute).choose_runner(MIN_CHUNKS_FOR_STAGE_PROCESS) != "process":
        return function(*args, **kwargs)
    executor = ProcessPoolExecutor(max_workers=1, **_end_with_this_process())
    try:
        return _run_in_pool(executor, function, *args, **kwargs)
    finally:
        executor.shutdown(wait=False)  # the process ends by itself; waiting takes seconds


def _without_dask(compute: Compute) -> Compute:
    return replace(compute, runner="auto") if compute.runner == "dask" else compute


def _process_pool() -> Any:
    return get_reusable_executor(max_workers=cpu_count(), timeout=60, **_end_with_this_process())


def _end_with_this_process() -> dict[str, Any]:
    """Options of a pool whose processes end when this process ends, even if it is killed."""
    return {"initializer": _start_worker, "initargs": (os.getpid(),)}


def _start_worker(parent: int) -> None:
    processes.end_with_parent(parent)
    _keep_freed_memory()
    atexit.register(gc.freeze)  # at exit, collecting all that was imported takes seconds


def _run_in_pool(pool: Any, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    future = pool.submit(_run_in_worker, store.root_setting(), function, *args, **kwargs)
    result: T = future.result()
    return result


def _run_on_dask(
    address: str | None, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    root = store.root_setting()
    future = _dask_client(address).submit(
        _run_in_worker, root, function, *args, pure=False, **kwargs
    )
    result: T = future.result()
    return result


def _run_in_worker(root: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Result of `function(*args, **kwargs)` in a worker that may have another artifacts root.

    On a machine with another disk, the folders of entry writers are created, and uploaded when the
    function has returned.
    """
    os.environ["RECOMMENDER_ARTIFACTS"] = root
    writers = [
        arg for arg in args if isinstance(arg, store.EntryWriter) and not arg.folder.exists()
    ]
    try:
        for writer in writers:
            writer.folder.mkdir(parents=True)
        result = function(*args, **kwargs)
        for writer in writers:
            store.upload_entry(writer)
        return result
    finally:
        _release_memory()


def _keep_freed_memory() -> None:
    """Let glibc reuse the memory of freed arrays, which it returns to the system by default.

    A training step allocates and frees arrays of some MB; to get their pages anew takes a third of
    its time.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_MMAP_THRESHOLD, 2**25)  # the largest that glibc allows


def _release_memory() -> None:
    """Return freed memory to the system: pool processes live on."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _dask_client(address: str | None) -> Any:
    with _dask_lock:
        return connect_to_dask(address)


@lru_cache(maxsize=1)
def connect_to_dask(address: str | None) -> Any:
    """Client of the cluster at the address, or of workers that this process starts and ends."""
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            "The runner 'dask' needs Dask: .venv/bin/pip install -c requirements.lock -e '.[dask]'."
        ) from None
    logging.getLogger("distributed").setLevel(logging.WARNING)
    client = _local_cluster(Client) if address is None else _remote_cluster(Client, address)
    atexit.register(client.close)
    return client


def _local_cluster(client_class: Any) -> Any:
    options = {"n_workers": cpu_count(), "threads_per_worker": 1, "dashboard_address": None}
    return client_class(host="127.0.0.1", set_as_default=False, **options)


def _remote_cluster(client_class: Any, address: str) -> Any:
    try:
        return client_class(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"No Dask scheduler answers at {address} ({error}).") from error
