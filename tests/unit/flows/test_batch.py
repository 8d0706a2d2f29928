import pytest

from flows.batch import find_rows
from tasks.core.contracts import UserError
from tasks.recommend.search import get_version
from tests.support.published_catalogue import demo_index  # noqa: F401 - a fixture


@pytest.fixture
def version(demo_index):  # noqa: F811
    return get_version(demo_index)


def test_the_year_of_a_row_selects_among_movies_of_its_title(version, tmp_path, capsys):
    file = tmp_path / "films.csv"
    file.write_text("title,year\nCinderella,2015\nCinderella, 1950\nAlien,\nAlien,x\nAlien,\n")
    movies = [version.catalogue.movie(row) for row in find_rows(version, file)]
    assert [(movie["title"], movie["year"]) for movie in movies[:2]] == [
        ("Cinderella", 2015),
        ("Cinderella", 1950),
    ]
    assert [movie["title"] for movie in movies[2:]] == ["Alien"]
    assert "films.csv row 4: year 'x' is not a number." in capsys.readouterr().err


def test_a_file_without_a_known_title_is_refused(version, tmp_path, capsys):
    file = tmp_path / "films.csv"
    file.write_text("title\nNo Such Film At All\n")
    with pytest.raises(UserError, match=r"films\.csv: none of its titles is in the index\."):
        find_rows(version, file)
    assert "films.csv row 1: " in capsys.readouterr().err
