import re

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.sample_lists import sample_lists
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import title_with_year
from tests.support.index_rows import TITLES, rows


def test_sample_lists_are_of_the_known_films_in_the_catalogue():
    table = sample_lists(Catalogue(rows(TITLES)), RankConfig())
    assert table["film"].to_pylist() == ["Toy Story", "Alien", "Amélie"]
    titles = table["movies like it"][0].as_py()
    assert len(titles) == 10
    assert all(re.fullmatch(r".+ \(\d{4}\)", title) for title in titles)


def test_the_lists_are_as_varied_as_those_of_users():
    catalogue = Catalogue(rows(["Alien", *(f"Film {number}" for number in range(60))]))
    config = RankConfig(diversity=0.9)
    (listed,) = sample_lists(catalogue, config)["movies like it"].to_pylist()
    hits = catalogue.rank(catalogue.features_of([0]), [0], len(listed), config)
    assert listed == [title_with_year(catalogue.movie(hit.row)) for hit in hits]
