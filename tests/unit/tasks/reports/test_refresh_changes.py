from pathlib import Path

import pyarrow as pa
import pytest

from tasks.core.contracts import IndexRef
from tasks.recommend.index import publish_version
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import get_version
from tasks.recommend.text_model import GenrePrediction
from tasks.reports.refresh_changes import changed_columns, find_changes, genre_notes, lists_of
from tests.support.index_rows import rows

MOVIES = rows(["Alien", "Up", "Coco"])
MOVIE = MOVIES.to_pylist()[0]


class WarModel:
    """A model that predicts the genre War for every movie."""

    def predict_genres(self, titles, overviews, keywords):
        return [GenrePrediction(["War"], {"War": 1.0})] * len(titles)


@pytest.fixture
def index(tmp_path: Path) -> IndexRef:
    """A version with the first two of the movies."""
    return publish_version(str(tmp_path / "lancedb"), [MOVIES.slice(0, 2)], "run-1")


def test_movies_are_added_or_updated_by_source_and_id(index):
    added, updated = find_changes(index, MOVIES.slice(1))
    assert [movie["title"] for movie in added] == ["Coco"]
    assert [row["changed"] for row in updated] == [[]]


def test_the_same_id_in_another_source_is_a_new_movie(index):
    other = MOVIES.set_column(
        MOVIES.column_names.index("source"), "source", pa.array(["films"] * MOVIES.num_rows)
    )
    assert len(find_changes(index, other).added) == MOVIES.num_rows


def test_an_updated_movie_has_the_names_of_its_changed_columns():
    after = MOVIE | {"title": "Aliens", "vote_count": -1}
    row = changed_columns(MOVIE, after)
    assert row["changed"] == ["title", "vote count"]
    assert row["title"].startswith("Aliens")
    assert row["title before"].startswith("Alien ")


def test_a_movie_that_keeps_its_title_has_no_title_before():
    assert changed_columns(MOVIE, MOVIE | {"overview": "x"})["title before"] is None


def test_genres_are_predicted_only_where_there_are_none():
    movies = [MOVIE | {"genres": ["Drama"]}, MOVIE | {"genres": []}]
    assert genre_notes(movies, WarModel()) == ["Genres: Drama", "Genres (predicted): War"]
    assert genre_notes([], WarModel()) == []


def test_a_new_movie_has_its_list_without_itself(index):
    (new,) = lists_of([MOVIE], get_version(index), RankConfig(), WarModel())
    assert new.movie.startswith("Alien")
    assert [title.split(" (")[0] for title in new.columns[""]] == ["Up"]
