"""One run on two sources that share ids: their movies are kept apart, also by a refresh of one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flows.refresh import refresh
from flows.train import train
from tasks.core.contracts import IndexRef, UserError
from tasks.recommend.search import open_version, read_movies
from tasks.registry.champion import load_champion
from tasks.registry.refresh import KEPT_COLUMNS
from tasks.reports.summary import Summary
from tests.conftest import blank_figures, write_csv
from tests.support.new_movies import asked_to_add
from tests.support.rich_catalogue import FIRST_ID, KEPT, ROWS, second_source, write_rich_source
from tests.support.trained_root import artifacts_in, rich_settings

pytestmark = pytest.mark.usefixtures("prefect_server", "blank_figures")
FILMS = 60


@pytest.fixture(scope="module")
def trained(tmp_path_factory, prefect_server) -> Iterator[tuple[Path, Summary]]:
    """A run on a CSV file and a Parquet file, and its artifacts root."""
    folder = tmp_path_factory.mktemp("two")
    movies, films = write_rich_source(folder), folder / "films.parquet"
    pq.write_table(pa.Table.from_pylist(second_source(FILMS)), films)
    with artifacts_in(folder / "artifacts"), blank_figures():
        config = rich_settings(movies).model_copy(update={"source": [str(movies), str(films)]})
        yield folder / "artifacts", train(config)


@pytest.fixture
def summary(trained, copied_root: Callable[[Path], Path]) -> Summary:
    """The outcome of the run, in a copy of its root."""
    copied_root(trained[0])
    return trained[1]


def movies_of(index: IndexRef, movie_id: int) -> dict[str, str]:
    """Titles of the movies with an id, by source."""
    rows = open_version(index.uri, index.tag).search().where(f"id = '{movie_id}'").to_list()
    titles = {row["source"]: row["title"] for row in rows}
    assert len(titles) == len(rows)
    return titles


def facts_of(index: IndexRef, movie_id: int) -> dict[str, dict[str, object]]:
    """Genres, year, people and votes of the movies with an id, by source."""
    movies = read_movies(index, ["source", "id", *KEPT_COLUMNS])
    same_id = movies.filter(pc.field("id") == str(movie_id)).to_pylist()
    return {movie.pop("source"): movie for movie in same_id}


def test_movies_of_both_sources_with_the_same_id_are_in_the_index(summary):
    assert (summary.ingested.rows, summary.index.rows) == (ROWS + FILMS, KEPT + FILMS)
    index = load_champion().index
    assert movies_of(index, FIRST_ID + 1) == {"movies": "Western Story 1", "films": "Film 1"}


@pytest.mark.parametrize(
    ("into", "titles"),
    [
        ("films", {"movies": "Western Story 1", "films": "New"}),
        ("movies", {"movies": "New", "films": "Film 1"}),
    ],
)
def test_a_refresh_of_one_source_leaves_the_movies_of_the_other(summary, into, titles, tmp_path):
    row = {"id": str(FIRST_ID + 1), "title": "New", "overview": "A sheriff and a saloon."}
    file = write_csv(tmp_path / "new.csv", [row], ["id", "title", "overview"])
    with pytest.raises(UserError, match="belong to with --into: films, movies"):
        refresh(asked_to_add(file))
    before = facts_of(load_champion().index, FIRST_ID + 1)
    refreshed = refresh(asked_to_add(file, into=into))
    assert (refreshed.added, refreshed.updated) == (0, 1)
    assert refreshed.index.rows == KEPT + FILMS
    index = load_champion().index
    assert movies_of(index, FIRST_ID + 1) == titles
    assert facts_of(index, FIRST_ID + 1) == before  # what the file leaves empty is kept
    assert before["movies"] != before["films"]
