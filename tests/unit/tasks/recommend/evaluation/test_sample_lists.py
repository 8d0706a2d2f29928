import re

from tasks.recommend.catalogue import Catalogue
from tasks.recommend.evaluation.sample_lists import sample_lists
from tasks.recommend.scoring import RankConfig
from tests.support.index_rows import TITLES, rows


def test_sample_lists_are_of_the_known_films_in_the_catalogue():
    table = sample_lists(Catalogue(rows(TITLES)), RankConfig())
    assert table["film"].to_pylist() == ["Toy Story", "Alien", "Amélie"]
    titles = table["movies like it"][0].as_py()
    assert len(titles) == 10
    assert all(re.fullmatch(r".+ \(\d{4}\)", title) for title in titles)
