import pytest

from tasks.core.contracts import UserError
from tasks.recommend.query import select_movie

CINDERELLAS = [
    {"id": 6006, "title": "Cinderella", "year": 2001},
    {"id": 6007, "title": "x", "year": None},
]


def test_the_only_movie_of_a_title_is_meant():
    assert select_movie("Cinderella", CINDERELLAS[:1], None) == CINDERELLAS[0]


def test_an_id_tells_movies_of_the_same_title_and_year_apart():
    assert select_movie("Cinderella", CINDERELLAS, 6007) == CINDERELLAS[1]


@pytest.mark.parametrize("movie_id", [None, 1])
def test_movies_that_cannot_be_told_apart_are_listed(movie_id):
    with pytest.raises(UserError) as caught:
        select_movie("Cinderella", CINDERELLAS, movie_id)
    assert str(caught.value) == (
        "Movies called 'Cinderella': Cinderella (2001), id 6006; x, id 6007. "
        "Select one with --year or --id."
    )
