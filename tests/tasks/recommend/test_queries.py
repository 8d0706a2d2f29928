import pytest
from tasks.recommend.queries import select_movie

from tasks.core.contracts import UserError

CANDIDATES = [
    {"id": 6006, "title": "Cinderella", "year": 2001},
    {"id": 6007, "title": "x", "year": None},
]


def test_the_only_movie_of_a_title_is_selected():
    assert select_movie("Cinderella", CANDIDATES[:1], None) == CANDIDATES[0]


def test_an_id_selects_among_movies_of_the_same_title():
    assert select_movie("Cinderella", CANDIDATES, 6007) == CANDIDATES[1]


@pytest.mark.parametrize("movie_id", [None, 1])
def test_an_ambiguous_title_lists_the_candidates(movie_id):
    with pytest.raises(UserError) as caught:
        select_movie("Cinderella", CANDIDATES, movie_id)
    assert str(caught.value) == (
        "Movies called 'Cinderella': Cinderella (2001), id 6006; x, id 6007. "
        "Choose with --year or --id."
    )
