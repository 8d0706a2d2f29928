import pytest

from benchmarks.closeness import LEAST, measured, section
from tasks.recommend.index import publish_version
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import load_version
from tests.support.index_rows import rows

SHARED, OTHER = (["space", "rescue", "orbit", "crew", word] for word in ("moon", "mars"))
UNLIKE = ["wedding", "bookshop", "london", "actress", "love"]
WORDS_ALONE = {"words": 1, "content": 0, "title": 0, "hidden": 0, "genre": 0}
WORDS_ALONE |= dict.fromkeys(("people", "keywords", "year", "quality"), 0)


def test_movies_are_counted_by_their_words_and_by_what_people_say_of_them(tmp_path):
    """Movies 0 and 28 share four of five keywords, and are the only series."""
    titles = [f"Movie {number}" for number in range(29)]
    keywords = [SHARED, *[UNLIKE] * 27, OTHER]
    collections = ["Space", *[None] * 27, "Space"]
    table = rows(titles, keywords=keywords, collection=collections)
    index = publish_version(str(tmp_path / "lancedb"), [table], "run-1")
    result = measured(load_version(index.uri, index.tag), RankConfig.model_validate(WORDS_ALONE))
    assert (result["movies"], result["judged"]) == (29, 29)
    assert result["words"]["very close"]["of_series"] == 2
    assert sum(row["movies"] for row in result["words"].values()) == 29 * 28
    assert result["of_all_pairs"] == pytest.approx((2 + 27 * 26) / (29 * 28))


def test_the_page_has_a_row_for_each_of_the_words():
    words = {name: {"movies": 4, "share_keyword": 2, "of_series": 1} for name in LEAST}
    text = section({"movies": 9, "judged": 4, "of_all_pairs": 0.07, "words": words})
    assert "| very close | 0.35 | 4 | 50% | 25% |" in text
    assert "| loosely related | – | 4 | 50% | 25% |" in text
