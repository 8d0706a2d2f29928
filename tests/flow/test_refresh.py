"""Flows that use a trained version: new movies without training, and the lists of all movies."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.batch import BatchConfig, batch, export_path
from flows.refresh import refresh
from flows.train import train
from tasks.core.contracts import UserError
from tasks.core.storage import store
from tasks.recommend.search import get_version, open_version
from tasks.registry.champion import Champion, load_champion
from tasks.registry.tracking.mlflow_client import connect
from tests.conftest import ROOT, catalogue, write_csv
from tests.support.champion_lists import titles_like
from tests.support.definitions.run_names import run_names
from tests.support.definitions.snapshots import require_reviewed
from tests.support.new_movies import NEW, asked_to_add
from tests.support.trainings import settings

pytestmark = pytest.mark.usefixtures("prefect_server", "blank_figures")


@pytest.fixture(scope="module")
def root(tmp_path_factory, prefect_server) -> Path:
    """Artifacts of one small training."""
    folder = tmp_path_factory.mktemp("refreshed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_ARTIFACTS", str(folder / "artifacts"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)  # what an earlier test's MLflow left
        train(settings(write_csv(folder / "movies.csv", catalogue(120))))
    return folder / "artifacts"


@pytest.fixture
def before(root, monkeypatch) -> Champion:
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(root))
    return load_champion()


def test_the_lists_of_every_movie_are_those_of_recommend(before, tmp_path):
    output = tmp_path / "lists.parquet"
    assert batch(BatchConfig(output=str(output))) == str(output)
    table = pq.read_table(output).to_pylist()
    assert len(table) == 120 * 10
    mine = [row for row in table if row["title"] == "Western Story 1"]
    assert [row["rank"] for row in mine] == list(range(1, 11))
    assert [row["like_title"] for row in mine] == titles_like("Western Story 1")


def test_a_second_batch_reuses_the_first(before, tmp_path):
    batch(BatchConfig(output=str(tmp_path / "first.parquet")))
    records = {
        path: path.stat().st_ino for path in (store.cache_root() / "batch").rglob("*.parquet")
    }
    batch(BatchConfig(output=str(tmp_path / "second.parquet")))
    again = {path: path.stat().st_ino for path in (store.cache_root() / "batch").rglob("*.parquet")}
    assert again == records
    first, second = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("first", "second"))
    assert first.equals(second)


def test_lists_are_exported_by_id_beside_the_parquet_file(before, tmp_path):
    output = tmp_path / "lists.parquet"
    batch(BatchConfig(output=str(output), limit=3, export="json"))
    exported = json.loads((tmp_path / "lists.json").read_text(encoding="utf-8"))
    table = pq.read_table(output).to_pylist()
    assert len(exported) == 120
    assert exported["1001"] == [row["like_id"] for row in table if row["id"] == 1001]


def test_an_export_without_imdb_ids_fails_before_the_lists_are_written(before, tmp_path):
    output = tmp_path / "lists.parquet"
    with pytest.raises(UserError, match="No movie of the index has an IMDb id"):
        batch(BatchConfig(output=str(output), export="csv", export_ids="imdb"))
    assert list(tmp_path.glob("lists.*")) == []


def test_an_export_does_not_replace_the_parquet_file():
    with pytest.raises(UserError, match=r"let --output end in \.parquet"):
        export_path(BatchConfig(output="lists.csv", export="csv"))
    assert export_path(BatchConfig(output="lists.csv", export="json")) == Path("lists.json")
    assert export_path(BatchConfig()) is None


def test_a_file_of_titles_is_ranked_and_unknown_ones_are_named(before, tmp_path, capsys):
    file = write_csv(tmp_path / "t.csv", [{"title": "Music Story 2"}, {"title": "Zz"}], ["title"])
    batch(BatchConfig(file=str(file), limit=3, output=str(tmp_path / "l.parquet")))
    table = pq.read_table(tmp_path / "l.parquet")
    assert table["title"].to_pylist() == ["Music Story 2"] * 3
    assert "t.csv row 2: No movie is called 'Zz'" in capsys.readouterr().err


def test_new_movies_are_added_and_known_ones_updated(before, tmp_path):
    file = write_csv(tmp_path / "new.csv", NEW, ["id", "title", "overview"])
    refreshed = refresh(asked_to_add(file))
    assert (refreshed.added, refreshed.updated, refreshed.index.rows) == (1, 1, 121)
    after = load_champion()
    assert after.index.tag == refreshed.index.tag != before.index.tag
    assert after.run_id == before.run_id
    assert len(get_version(before.index).catalogue) == 120
    table = open_version(refreshed.index.uri, refreshed.index.tag)
    assert [row["title"] for row in table.search().where("id = 1000").to_list()] == [
        "Horror Story Zero"
    ]
    assert all("Horror" in title for title in titles_like("Ghost of the Ranch")[:3])
    client = connect()
    version = client.get_model_version_by_alias("movie-recommender", "champion")
    metrics = client.get_run(version.run_id).data.metrics
    assert (metrics["refresh_added"], metrics["source_quarantined_bad_id"]) == (1, 1)
    require_reviewed(ROOT / "tests/flow/definitions/refresh.yaml", run_names(version.run_id))


def test_refreshing_again_changes_nothing_more(before, tmp_path):
    file = write_csv(tmp_path / "new.csv", NEW, ["id", "title", "overview"])
    refresh(asked_to_add(file))
    refreshed = refresh(asked_to_add(file))
    assert (refreshed.added, refreshed.updated, refreshed.index.rows) == (0, 2, 121)


def test_a_refresh_that_fails_leaves_the_champion(before, tmp_path):
    file = write_csv(tmp_path / "new.csv", NEW, ["id", "title", "overview"])
    with pytest.raises(UserError, match="that the new movies belong to with --into: movies"):
        refresh(asked_to_add(file, into="nowhere"))
    assert load_champion() == before
