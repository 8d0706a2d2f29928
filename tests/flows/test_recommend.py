import pytest

from flows.recommend import the_one
from tasks.contracts import UserError

FOUND = [
    {"id": 6006, "title": "Cinderella", "year": 2001},
    {"id": 6007, "title": "x", "year": None},
]


def test_the_only_movie_of_a_title_is_meant():
    assert the_one("Cinderella", FOUND[:1], None) == FOUND[0]


def test_an_id_tells_movies_of_the_same_title_and_year_apart():
    assert the_one("Cinderella", FOUND, 6007) == FOUND[1]


@pytest.mark.parametrize("movie_id", [None, 1])
def test_movies_that_cannot_be_told_apart_are_listed(movie_id):
    with pytest.raises(UserError) as caught:
        the_one("Cinderella", FOUND, movie_id)
    assert str(caught.value) == (
        "Movies called 'Cinderella': Cinderella (2001), id 6006; x, id 6007. "
        "Say which with --year or --id."
    )
