import os

import psutil
import pytest

from tasks.core import compute
from tasks.core.compute import Compute, run_chunk, run_in_fresh_process, run_stage
from tasks.core.contracts import UserError
from tasks.core.storage import store


def add(first: int, second: int) -> tuple[int, int]:
    return first + second, os.getpid()


def fail() -> None:
    raise UserError("no such luck")


def root() -> str:
    return str(store.artifacts_root())


def test_work_elsewhere_sees_the_artifacts_root_of_here(monkeypatch, tmp_path):
    for name in ("one", "two"):
        monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(tmp_path / name))
        assert run_chunk(Compute("process"), 1, root) == str(tmp_path / name)


def test_work_alone_has_a_process_that_ends_with_it():
    _, pool = run_chunk(Compute("process"), 1, add, 1, 2)
    total, own = run_in_fresh_process(Compute("process", chunks=1), add, 1, 2)
    assert total == 3
    assert own not in (pool, os.getpid())
    psutil.wait_procs([psutil.Process(own)] if psutil.pid_exists(own) else [], timeout=30)
    assert not psutil.pid_exists(own)
    assert psutil.pid_exists(pool)


def test_work_alone_is_done_here_where_no_process_pays():
    assert run_in_fresh_process(Compute("thread"), add, 1, 2) == (3, os.getpid())


def test_a_stage_stays_on_this_machine_where_chunks_go_to_a_cluster():
    nowhere = Compute("dask", "tcp://127.0.0.1:1", chunks=1)
    assert run_stage(nowhere, add, 1, 2) == (3, os.getpid())


def test_a_thread_is_this_process():
    assert run_chunk(Compute("thread"), 1, add, 1, 2) == (3, os.getpid())


def test_auto_takes_processes_where_they_pay(monkeypatch):
    monkeypatch.setattr(compute, "cpu_count", lambda: 2)
    assert Compute("auto", chunks=2).where(pays_from=3) == "thread"
    assert Compute("auto", chunks=3).where(pays_from=3) == "process"
    assert Compute("thread", chunks=9).where(pays_from=3) == "thread"
    monkeypatch.setattr(compute, "cpu_count", lambda: 1)  # of this process, not of the machine
    assert Compute("auto", chunks=9).where(pays_from=3) == "thread"


@pytest.mark.parametrize("runner", ["process", "dask"])
def test_work_and_errors_come_back_from_elsewhere(runner):
    if runner == "dask":
        pytest.importorskip("distributed", reason="the dask extra is not installed")
    total, process = run_chunk(Compute(runner), 1, add, 1, 2)
    assert total == 3
    assert process != os.getpid()
    with pytest.raises(UserError, match="no such luck"):
        run_chunk(Compute(runner), 1, fail)


@pytest.mark.slow
@pytest.mark.integration
def test_a_cluster_with_an_address_does_the_work():
    distributed = pytest.importorskip("distributed", reason="the dask extra is not installed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", **options) as cluster:
        pids = {worker.pid for worker in cluster.workers.values()}
        compute = Compute("dask", cluster.scheduler_address)
        found = {run_chunk(compute, 1, add, number, 0)[1] for number in range(20)}
    assert found <= pids
    assert found


def test_an_address_where_no_scheduler_answers_is_an_error():
    pytest.importorskip("distributed", reason="the dask extra is not installed")
    with pytest.raises(UserError, match="No Dask scheduler answers at nowhere"):
        run_chunk(Compute("dask", "nowhere"), 1, add, 1, 2)
