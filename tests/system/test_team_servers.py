"""Shared servers: Prefect and MLflow on PostgreSQL, MLflow's files on an object store."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.refresh import refresh
from flows.train import train
from tasks.core.contracts import UserError
from tasks.registry.aliases import PREVIOUS, versions_by_alias
from tasks.registry.champion import load_champion, model_folders
from tasks.registry.model_registry import CHAMPION
from tasks.registry.release import promote, roll_back, version_rows
from tasks.registry.tracking.mlflow_client import connect
from tests.conftest import PREFECT, catalogue, free_port, running, wait_for, write_csv
from tests.support.champion_lists import titles_like
from tests.support.new_movies import NEW, asked_to_add
from tests.support.prefect_queues import send_queued
from tests.support.run_stages import call
from tests.support.trainings import settings

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("blank_figures")]


def postgres_programs() -> Path | None:
    """Folder of Debian's newest PostgreSQL, whose server is not on the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return folders[-1].parent if folders else Path(on_path).parent if on_path else None


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """A PostgreSQL cluster of its own on a free loopback port: its address without a database.

    PostgreSQL refuses to run as root: there it runs as the user that its package makes.
    """
    owner = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    folder, port = Path(tempfile.mkdtemp(prefix="postgres-")), free_port()
    if owner:
        shutil.chown(folder, **owner)
    data, options = folder / "data", {"check": True, "capture_output": True, "cwd": folder, **owner}
    login = ["--username", "team", "--auth", "trust"]
    subprocess.run([programs / "initdb", "--pgdata", data, *login], **options)
    server = [programs / "pg_ctl", "--pgdata", data, "--wait", "--log", folder / "log"]
    where = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder}"
    subprocess.run([*server, "--options", where, "start"], **options)
    try:
        address = ["--host", "127.0.0.1", "--port", str(port), "--username", "team"]
        for name in ("mlflow", "prefect"):
            subprocess.run([programs / "createdb", *address, name], **options)
        yield f"team@127.0.0.1:{port}"
    finally:
        subprocess.run([*server, "--mode", "immediate", "stop"], **options)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def databases() -> Iterator[str]:
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres(programs) as address:
        yield address


@pytest.fixture
def prefect_on_postgres(databases, tmp_path) -> Iterator[SyncPrefectClient]:
    """A client of a Prefect server on PostgreSQL, which is that of all flows."""
    port = str(free_port())
    api = f"http://127.0.0.1:{port}/api"
    environment = os.environ | {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{databases}/prefect",
    }
    command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", port]
    with running(command, environment), temporary_settings({PREFECT_API_URL: api}):
        wait_for(f"{api}/health")
        with get_client(sync_client=True) as client:
            yield client
        send_queued()


@contextmanager
def mlflow_server(database: str, object_store: dict[str, str]) -> Iterator[str]:
    """An MLflow server with its files on the object store: its address."""
    port = free_port()
    files = ["--artifacts-destination", "s3://movies/mlflow"]
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", *files]
    environment = os.environ | object_store | {"MLFLOW_BACKEND_STORE_URI": database}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # else a dozen processes
    with running([sys.executable, "-m", "mlflow", "server", *where], environment):
        wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"


def deploy_daily(client: SyncPrefectClient) -> UUID:
    """Id of a deployment with an active schedule."""
    flow = client.create_flow_from_name("train")
    daily = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 4 * * *", timezone="UTC"))
    return client.create_deployment(flow, "daily", schedules=[daily])


def test_a_team_s_registry(
    databases, prefect_on_postgres, object_store, artifacts, tmp_path, monkeypatch
):
    """Train three times, promote, roll back, refresh, retire, read; then MLflow goes away."""
    keep = {"trainings": 1}
    deployment = deploy_daily(prefect_on_postgres)
    with mlflow_server(f"postgresql://{databases}/mlflow", object_store) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        summaries = []
        for count in (120, 126, 132):
            source = write_csv(tmp_path / "movies.csv", catalogue(count))
            summaries.append(train(settings(source, gate={"tolerance": 1.0})))
        assert {one.outcome for one in summaries} == {"promoted"}
        assert versions_by_alias(connect()) == {CHAMPION: "3", PREVIOUS: "2"}
        promote(connect(), "1")
        assert load_champion().run_id == summaries[0].run.run_id
        roll_back(connect())
        assert load_champion().run_id == summaries[2].run.run_id
        file = write_csv(tmp_path / "new.csv", NEW, ["id", "title", "overview"])
        merged = refresh(asked_to_add(file, retention=keep))
        assert (merged.added, merged.updated) == (1, 1)
        assert len(titles_like("Ghost of the Ranch")) == 10
        assert [row["version"] for row in version_rows(connect())] == ["4", "3", "1"]
        retired = connect().get_run(summaries[1].run.run_id)
        files = {file.path for file in connect().list_artifacts(retired.info.run_id)}
        assert "report.html" in files
        assert not {"doc2vec", "classifier", "lexicon"} & files
        assert model_folders(load_champion()).doc2vec.is_relative_to(artifacts / "cache")
        assert not (tmp_path / "mlruns").exists()
        with monkeypatch.context() as patch:
            restored = shutil.copytree(artifacts, tmp_path / "restored", symlinks=True)
            patch.setenv("RECOMMENDER_ARTIFACTS", str(restored))
            assert len(titles_like("Ghost of the Ranch")) == 10
        with monkeypatch.context() as patch:
            patch.setenv("RECOMMENDER_ARTIFACTS", str(tmp_path / "other"))
            assert len(titles_like("Ghost of the Ranch")) == 10
            with pytest.raises(UserError, match="published from another artifacts root"):
                train(settings(source))
    runs = prefect_on_postgres.read_flow_runs()
    states = [run.state_name for run in runs if run.deployment_id != deployment]
    assert sorted(states) == ["Completed"] * 4 + ["Failed"]  # the last one: of another root
    scheduled = [run.state_name for run in runs if run.deployment_id == deployment]
    assert set(scheduled) == {"Scheduled"}  # by the server's scheduler
    assert {artifact.key for artifact in prefect_on_postgres.read_artifacts()} > {
        "training-summary",
        "promotion-gate",
        "failure",
    }
    ask = [sys.executable, "-m", "flows.recommend", "Horror Story 3"]
    answer = call(ask, dict(os.environ), timeout=60)  # MLflow's own client takes four minutes
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"MLflow does not answer at {address}")
    assert answer.stderr.count("\n") == 1
