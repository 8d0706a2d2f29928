import pytest

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.scoring import RankConfig
from tasks.registry.batch import lists_table
from tests.support.index_rows import rows

FILMS = [f"Film {number}" for number in range(60)]
LIMIT = 5


@pytest.mark.parametrize("diversity", [0.0, 0.9])
def test_the_lists_of_many_movies_are_those_of_each(diversity):
    catalogue, config = Catalogue(rows(FILMS)), RankConfig(diversity=diversity)
    table = lists_table(catalogue, [3, 7], config, LIMIT).to_pylist()
    for row in (3, 7):
        hits = catalogue.rank(catalogue.features_of([row]), [row], LIMIT, config)
        listed = [movie for movie in table if movie["id"] == catalogue.movie(row)["id"]]
        assert [movie["like_title"] for movie in listed] == [
            catalogue.movie(hit.row)["title"] for hit in hits
        ]
        assert [movie["rank"] for movie in listed] == [1, 2, 3, 4, 5]


def test_more_diversity_gives_other_lists():
    catalogue = Catalogue(rows(FILMS))
    plain, diverse = (
        lists_table(catalogue, [3], RankConfig(diversity=diversity), LIMIT)["like_id"].to_pylist()
        for diversity in (0.0, 0.9)
    )
    assert plain != diverse
