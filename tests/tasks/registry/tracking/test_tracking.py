import pyarrow as pa
import pytest

from tasks.core.contracts import DocumentsRef, IndexRef, RunRef, UserError, VectorsRef
from tasks.core.storage import store
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import load_champion
from tasks.registry.model_registry import CHAMPION, MODEL, _from_mlflow, tracking_uri
from tasks.registry.tracking.metrics import log_steps
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.results import write_embeddings
from tasks.registry.tracking.runs import (
    FLOW_RUN_TAG,
    close_dead_runs,
    fail_run,
    flatten_settings,
    open_run,
    own_process,
)


def test_nested_settings_become_dotted_params():
    assert flatten_settings({"a": 1, "b": {"c": None, "d": {"e": [1]}}}) == {
        "a": "1",
        "b.c": "None",
        "b.d.e": "[1]",
    }


def test_the_configured_tracking_server_is_respected(artifacts, monkeypatch):
    assert tracking_uri() == f"sqlite:///{artifacts}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri() == "http://127.0.0.1:5000"


@pytest.mark.slow
def test_registry_and_runs(artifacts):
    """One database, since making one takes seconds."""
    client = connect()
    experiment = experiment_id(client)
    assert experiment_id(client) == experiment
    location = client.get_experiment(experiment).artifact_location
    assert location == (artifacts / "mlruns").as_uri()

    run = client.create_run(experiment, tags={FLOW_RUN_TAG: "f-1"}).info.run_id
    other = client.create_run(experiment, tags={FLOW_RUN_TAG: "f-2"}).info.run_id
    fail_run("f-1")
    assert client.get_run(run).info.status == "FAILED"
    assert client.get_run(other).info.status == "RUNNING"

    ref = RunRef(run_id=other, experiment_id=experiment, tracking_uri=tracking_uri())
    rows = [{"member": m, "epoch": n, "val_loss": m + 1 / n} for m in (0, 1) for n in (1, 2)]
    log_steps(client, ref, pa.Table.from_pylist(rows), {"val_loss": "blog_val_loss"})
    for name, values in (
        ("blog_val_loss", [(1, 1.0), (2, 0.5)]),
        ("network_2/blog_val_loss", [(1, 2.0), (2, 1.5)]),
    ):
        steps = client.get_metric_history(other, name)
        assert [(step.step, step.value) for step in steps] == values

    for _ in range(2):
        with pytest.raises(UserError, match="Nothing has been trained yet"):
            load_champion()
        assert _from_mlflow(tracking_uri()) is None
        if not client.search_registered_models():
            client.create_registered_model(MODEL)
    rank = RankConfig(votes=0.5)
    tags = {"index_uri": "s3://u", "index_tag": "run-9", "run_id": other}
    tags["rank"] = rank.model_dump_json()
    for _ in range(2):
        made = client.create_model_version(MODEL, "file:///nowhere", other, tags)
    client.set_registered_model_alias(MODEL, CHAMPION, made.version)
    found = load_champion()
    assert (found.index, found.rank) == (IndexRef(uri="s3://u", tag="run-9"), rank)
    assert found.run_id == other
    assert _from_mlflow(tracking_uri()) == (str(made.version), tags)


def test_embeddings_are_written_beside_their_movies(tmp_path):
    def part(kind: type, name: str, table: pa.Table) -> store.Ref:
        return store.get_or_create(
            name, [1], kind, lambda writer: writer.table_ref(kind, "p.parquet", table)
        )

    vectors = store.vectors_table(pa.chunked_array([[1, 2]]), store.np.eye(2, dtype="float32"))
    movies = pa.table(
        {"source": ["m", "m"], "id": [1, 2], "title": ["a", "b"], "genres": [["x"], []]}
    )
    documents = store.join([part(DocumentsRef, "d", movies)] * 2)
    embeddings = store.join([part(VectorsRef, "v", vectors)] * 2)
    write_embeddings(documents, embeddings, tmp_path / "e.parquet")
    found = store.pq.read_table(tmp_path / "e.parquet")
    assert found.column_names == ["source", "id", "title", "genres", "embedding"]
    assert found["id"].to_pylist() == [1, 2, 1, 2]
    assert found["embedding"][1].as_py() == [0, 1]


def test_runs_of_dead_processes_are_closed(artifacts):
    client = connect()
    experiment = experiment_id(client)
    living = client.create_run(experiment, tags=own_process())
    dead = own_process() | {"process": "1 0.00"}
    killed = client.create_run(experiment, tags=dead)
    elsewhere = client.create_run(experiment, tags=dead | {"host": "another"})
    close_dead_runs(client, experiment)
    states = [client.get_run(run.info.run_id).info.status for run in (living, killed, elsewhere)]
    assert states == ["RUNNING", "KILLED", "RUNNING"]


def test_a_run_that_is_killed_as_it_opens_is_known_for_a_dead_one(artifacts, monkeypatch):
    client = connect()
    experiment = experiment_id(client)
    dead = {"process": "1 another-boot:1"}
    monkeypatch.setattr("tasks.registry.tracking.runs.own_process", lambda: own_process() | dead)
    monkeypatch.setattr("mlflow.MlflowClient.log_batch", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_run.fn({}, {})
    close_dead_runs(client, experiment)
    assert [run.info.status for run in client.search_runs([experiment])] == ["KILLED"]


def test_a_run_is_closed_as_it_ended(artifacts):
    client = connect()
    run = client.create_run(experiment_id(client), tags={FLOW_RUN_TAG: "cut-off"})
    fail_run("cut-off", "KILLED")
    assert client.get_run(run.info.run_id).info.status == "KILLED"
