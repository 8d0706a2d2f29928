import os
import sys
from contextlib import closing

import numpy as np
import psutil
import pytest
from joblib.externals.loky import ProcessPoolExecutor

from tasks.core import compute
from tasks.core.compute import (
    Compute,
    connect_to_dask,
    run_chunk,
    run_in_fresh_process,
    run_stage,
)
from tasks.core.contracts import UserError
from tasks.core.storage import store


def add(first: int, second: int) -> tuple[int, int]:
    return first + second, os.getpid()


def fail() -> None:
    raise UserError("expected failure")


def resident_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


def kept_mb() -> float:
    """Memory that this process keeps of an array of 24 MB that it has freed."""
    before = resident_mb()
    np.ones(3 * 2**20)
    return resident_mb() - before


def root() -> str:
    return str(store.artifacts_root())


def test_a_worker_uses_the_artifacts_root_of_the_caller(monkeypatch, tmp_path):
    for name in ("one", "two"):
        monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(tmp_path / name))
        assert run_chunk(Compute("process"), 1, root) == str(tmp_path / name)


def test_a_fresh_process_ends_after_its_function():
    _, pool_pid = run_chunk(Compute("process"), 1, add, 1, 2)
    total, pid = run_in_fresh_process(Compute("process", chunks=1), add, 1, 2)
    assert total == 3
    assert pid not in (pool_pid, os.getpid())
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    assert not psutil.pid_exists(pid)
    assert psutil.pid_exists(pool_pid)


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_a_worker_keeps_the_memory_of_freed_arrays_until_its_function_returns():
    pool = ProcessPoolExecutor(max_workers=1, **compute._end_with_this_process())
    functions = (resident_mb, kept_mb, resident_mb)
    before, kept, after = (compute._run_in_pool(pool, function) for function in functions)
    pool.shutdown(wait=False)
    assert kept > 20
    assert after < before + 12


def test_no_fresh_process_is_started_for_the_thread_runner():
    assert run_in_fresh_process(Compute("thread"), add, 1, 2) == (3, os.getpid())


def test_a_stage_runs_locally_even_if_chunks_run_on_dask():
    unreachable = Compute("dask", "tcp://127.0.0.1:1", chunks=1)
    assert run_stage(unreachable, add, 1, 2) == (3, os.getpid())


def test_the_thread_runner_uses_this_process():
    assert run_chunk(Compute("thread"), 1, add, 1, 2) == (3, os.getpid())


def test_auto_uses_processes_from_the_minimum_number_of_chunks_on(monkeypatch):
    monkeypatch.setattr(compute, "cpu_count", lambda: 2)
    assert Compute("auto", chunks=2).choose_runner(min_chunks=3) == "thread"
    assert Compute("auto", chunks=3).choose_runner(min_chunks=3) == "process"
    assert Compute("thread", chunks=9).choose_runner(min_chunks=3) == "thread"
    monkeypatch.setattr(compute, "cpu_count", lambda: 1)  # cores that this process may use
    assert Compute("auto", chunks=9).choose_runner(min_chunks=3) == "thread"


@pytest.mark.parametrize("runner", ["process", "dask"])
def test_workers_return_results_and_errors(runner, request):
    if runner == "dask":
        request.getfixturevalue("dask")
    total, pid = run_chunk(Compute(runner), 1, add, 1, 2)
    assert total == 3
    assert pid != os.getpid()
    with pytest.raises(UserError, match="expected failure"):
        run_chunk(Compute(runner), 1, fail)


def test_chunks_run_on_the_cluster_at_the_address():
    distributed = pytest.importorskip("distributed", reason="the dask extra is not installed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", **options) as cluster:
        pids = {worker.pid for worker in cluster.workers.values()}
        address = cluster.scheduler_address
        with closing(connect_to_dask(address)):  # before the cluster ends, or it reconnects
            results = [run_chunk(Compute("dask", address), 1, add, n, 0) for n in range(20)]
        connect_to_dask.cache_clear()
    worker_pids = {pid for _, pid in results}
    assert worker_pids
    assert worker_pids <= pids


def test_an_unreachable_scheduler_is_a_user_error():
    pytest.importorskip("distributed", reason="the dask extra is not installed")
    with pytest.raises(UserError, match="No Dask scheduler answers at nowhere"):
        run_chunk(Compute("dask", "nowhere"), 1, add, 1, 2)
