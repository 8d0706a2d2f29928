"""Flows that use a trained version: new movies without training, and the lists of all movies."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows import refresh as refresh_module
from flows.batch import BatchConfig, batch, export_path
from flows.refresh import refresh
from tasks.core.contracts import IndexRef, UserError
from tasks.core.storage import store
from tasks.recommend.index import IndexConfig
from tasks.recommend.query import RecommendationRequest, query_from_movies, recommend
from tasks.recommend.search import get_version, open_version
from tasks.registry.champion import Champion, load_champion, model_folders
from tasks.registry.refresh import KEPT_COLUMNS, merge
from tasks.registry.release import versions
from tasks.registry.tracking.metric_groups import without_groups
from tasks.registry.tracking.mlflow_client import connect
from tests.conftest import ROOT, write_csv
from tests.support.champion_lists import titles_like
from tests.support.definitions.run_names import run_names
from tests.support.definitions.snapshots import require_reviewed
from tests.support.new_movies import NEW, asked_to_add
from tests.support.rich_catalogue import FIRST_ID, KEPT, RICH_COLUMNS, rich_movie
from tests.support.trained_root import artifacts_in

pytestmark = pytest.mark.usefixtures("prefect_server", "blank_figures")


@pytest.fixture
def before(module_root, monkeypatch) -> Champion:
    """The champion of the shared training, for tests that only read its root."""
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(module_root.artifacts))
    return load_champion()


@pytest.fixture
def champion(trained_root) -> Champion:
    """The champion of a root that the test may change."""
    return load_champion()


@pytest.fixture
def new_movies(tmp_path) -> Path:
    return write_csv(tmp_path / "new.csv", NEW, ["id", "title", "overview"])


def row_of(index: IndexRef, movie_id: int) -> dict[str, Any]:
    """The index row of a movie."""
    table = open_version(index.uri, index.tag)
    (row,) = table.search().where(f"id = '{movie_id}'").to_list()
    return row


def test_the_lists_of_every_movie_are_those_of_recommend(before, tmp_path):
    output = tmp_path / "lists.parquet"
    assert batch(BatchConfig(output=str(output))) == str(output)
    table = pq.read_table(output).to_pylist()
    assert len(table) == KEPT * 10
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
    assert len(exported) == KEPT
    assert exported["1001"] == [int(row["like_id"]) for row in table if row["id"] == "1001"]


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


def test_new_movies_are_added_and_known_ones_updated(champion, new_movies):
    refreshed = refresh(asked_to_add(new_movies))
    assert (refreshed.added, refreshed.updated, refreshed.index.rows) == (1, 1, KEPT + 1)
    after = load_champion()
    assert after.index.tag == refreshed.index.tag != champion.index.tag
    assert after.run_id == champion.run_id
    assert len(get_version(champion.index).catalogue) == KEPT
    assert row_of(refreshed.index, 1000)["title"] == "Horror Story Zero"
    assert all("Horror" in title for title in titles_like("Ghost of the Ranch")[:3])
    client = connect()
    version = client.get_model_version_by_alias("movie-recommender", "champion")
    metrics = without_groups(client.get_run(version.run_id).data.metrics)
    assert (metrics["refresh_added"], metrics["source_quarantined_bad_id"]) == (1, 1)
    require_reviewed(ROOT / "tests/flow/definitions/refresh.yaml", run_names(version.run_id))


def test_a_known_movie_keeps_what_the_file_does_not_have(champion, new_movies):
    """The file has id, title and overview."""
    before = row_of(champion.index, 1000)
    after = row_of(refresh(asked_to_add(new_movies)).index, 1000)
    assert {name: after[name] for name in KEPT_COLUMNS} == {
        name: before[name] for name in KEPT_COLUMNS
    }
    assert before["genres"]
    assert before["people"]
    assert before["year"]
    assert (before["title"], after["title"]) == ("Horror Story 0", "Horror Story Zero")
    assert np.allclose(after["genre_vector"], before["genre_vector"], atol=1e-5)


def test_movies_with_text_ids_are_found_by_them(champion, tmp_path):
    file = write_csv(
        tmp_path / "new.csv", [NEW[0] | {"id": "tt'9001"}], ["id", "title", "overview"]
    )
    refreshed = refresh(asked_to_add(file))
    version = get_version(refreshed.index)
    request = RecommendationRequest(id="tt'9001", limit=1)
    query = query_from_movies(request, version)
    assert (refreshed.added, query.name) == (1, NEW[0]["title"])
    assert recommend(query, request, version, champion.rank)[0]["id"].isdecimal()


def test_genres_are_predicted_where_none_are_given(champion, new_movies):
    index = refresh(asked_to_add(new_movies)).index
    new, horror = row_of(index, 9001), row_of(index, FIRST_ID + 18)
    assert new["genres"] == []
    assert horror["genres"] == ["Horror"]
    assert np.argmax(new["genre_vector"]) == np.argmax(horror["genre_vector"])
    assert np.linalg.norm(new["genre_vector"]) == pytest.approx(1, abs=1e-5)


def test_a_movie_that_training_had_keeps_its_row_in_a_refresh(champion, tmp_path):
    """Texts, vectors, genres and people take the same way in training and in a refresh."""
    before = row_of(champion.index, FIRST_ID + 18)
    file = write_csv(tmp_path / "same.csv", [rich_movie(18)], RICH_COLUMNS)
    after = row_of(refresh(asked_to_add(file)).index, FIRST_ID + 18)
    assert (before.pop("refreshed"), after.pop("refreshed")) == (False, True)
    assert after == {name: pytest.approx(value, abs=1e-5) for name, value in before.items()}


def description(version: str) -> str:
    return str(connect().get_model_version("movie-recommender", version).description)


def test_a_refreshed_version_is_described_by_what_was_added_and_the_card_of_its_models(
    champion, new_movies
):
    card = description(champion.version)
    assert card.startswith("# Version")
    for counts in ("1 movies added, 1 changed", "0 movies added, 2 changed"):
        before = load_champion().version
        refresh(asked_to_add(new_movies))
        line, _, models = description(load_champion().version).partition("\n\n")
        assert line == f"A refresh of version {before}: {counts}. Its models have this card:"
        assert models == card


def test_a_refresh_keeps_the_index_settings_of_its_champion(champion, new_movies, monkeypatch):
    merged_with = list[IndexConfig]()

    def record(*arguments: Any) -> Any:
        merged_with.append(arguments[-1])
        return merge(*arguments)

    other = IndexConfig(ann_rows=400, min_recall=0.9)
    monkeypatch.setattr(refresh_module, "merge", record)
    published = champion.model_copy(update={"index_config": other.model_dump_json()})
    monkeypatch.setattr(refresh_module, "load_champion", lambda: published)
    refresh(asked_to_add(new_movies))
    assert merged_with == [other]


def test_refreshing_again_changes_nothing_more(champion, new_movies):
    refresh(asked_to_add(new_movies))
    refreshed = refresh(asked_to_add(new_movies))
    assert (refreshed.added, refreshed.updated, refreshed.index.rows) == (0, 2, KEPT + 1)


def test_a_refresh_that_is_retired_leaves_the_models_of_the_others(champion, new_movies):
    """The first version of a training and its last two stay."""
    for _ in range(3):
        refresh(asked_to_add(new_movies, retention={"trainings": 1}))
    assert [version.version for version in versions(connect())] == [4, 3, 1]
    assert all(folder.is_dir() for folder in model_folders(load_champion()).model_dump().values())


def test_a_refresh_that_fails_leaves_the_champion(champion, new_movies):
    with pytest.raises(UserError, match="that the new movies belong to with --into: movies"):
        refresh(asked_to_add(new_movies, into="nowhere"))
    assert load_champion() == champion


@pytest.fixture(scope="module")
def reported(shared_training, prefect_server, tmp_path_factory) -> Iterator[str]:
    """The report of a refresh that adds a movie, changes one, and repeats one as it is."""
    folder = tmp_path_factory.mktemp("reported")
    rows = [
        {**rich_movie(18), "id": "1018"},
        *({**dict.fromkeys(RICH_COLUMNS), **row} for row in NEW),
    ]
    file = write_csv(folder / "new.csv", rows, RICH_COLUMNS)
    with artifacts_in(shared_training.copy(folder).artifacts):
        yield Path(refresh(asked_to_add(file)).report).read_text(encoding="utf-8")


def test_the_report_of_a_refresh_says_which_version_answers_and_whose_models(reported):
    assert "<h1>new.csv: 1 movie added, 2 updated</h1>" in reported
    assert "Version 2 is the champion: 1 movie added, 2 updated." in reported
    assert f"{KEPT + 1} movies now; version 1 had {KEPT}." in reported
    assert "Those of version 1, trained on movies by train-default-movies" in reported
    assert "movie-recommender refresh " in reported


def test_the_report_of_a_refresh_lists_movies_for_the_new_ones(reported):
    card = reported[reported.index("<h3>Ghost of the Ranch</h3>") :].split("</li>\n</ul>")[0]
    assert "Genres (predicted): Drama, Horror" in card
    titles = re.findall(r"<li>(.*?)</li>", card)
    assert len(titles) == 10
    assert all("Horror" in title for title in titles[:3])


def test_the_report_of_a_refresh_says_what_changed_and_what_was_quarantined(reported):
    assert (
        "<dd>1 movie changed, 1 as before. The table of updated movies says what.</dd>" in reported
    )
    renamed = "<td>1000</td><td>Horror Story Zero (1950)</td><td>Horror Story 0 (1950)</td>"
    unchanged = "<td>1018</td><td>Horror Story 18 (1968)</td><td>–</td><td>–</td>"
    assert reported.index(renamed) < reported.index(unchanged)
    assert "1 row quarantined: bad id (1)." in reported
    assert "<td>bad_id</td>" in reported
