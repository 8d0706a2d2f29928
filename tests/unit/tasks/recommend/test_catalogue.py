import weakref

import numpy as np
import pyarrow as pa
import pytest

from tasks.core.contracts import UserError
from tasks.recommend import catalogue as catalogue_module
from tasks.recommend.catalogue import Catalogue, Filters
from tasks.recommend.scoring import FEATURES, Array, RankConfig, similarity_features
from tests.support.index_rows import TITLES, rows

CONFIG = RankConfig()


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(rows(TITLES))


def scores_by_row(catalogue: Catalogue, query_rows: list[int], limit: int = 99) -> dict[int, float]:
    hits = catalogue.rank(catalogue.features_of(query_rows), query_rows, limit, CONFIG)
    return {hit.row: hit.score for hit in hits}


def test_a_catalogue_that_nobody_uses_is_freed_at_once():
    """Version after version is loaded by a demo that runs for weeks."""
    catalogue = Catalogue(rows(TITLES))
    assert catalogue.movie(0) is catalogue.movie(0)
    remaining = weakref.ref(catalogue)
    del catalogue
    assert remaining() is None


def test_lists_are_sorted_by_score_and_leave_out_the_query(catalogue):
    scores = scores_by_row(catalogue, [0], limit=5)
    assert len(scores) == 5
    assert 0 not in scores
    assert list(scores.values()) == sorted(scores.values(), reverse=True)


def test_titles_are_found_by_their_first_letters():
    catalogue = Catalogue(rows(["The Up", "Up", "Soup", "Úpside Down"]))
    assert catalogue.rows_starting_with("up") == [1, 3]
    assert catalogue.rows_starting_with("x") == []


def test_duplicates_are_listed_once():
    """Every movie has a duplicate with another id in the second half of the table."""
    table = rows(TITLES)
    ids = pa.array([f"{movie_id}00" for movie_id in table["id"].to_pylist()])
    catalogue = Catalogue(pa.concat_tables([table, table.set_column(1, "id", ids)]))
    scores = scores_by_row(catalogue, [0], limit=50)
    assert len(scores) == len(TITLES) - 1
    assert {row % len(TITLES) for row in scores} == set(range(1, len(TITLES)))


def test_score_for_several_queries_is_their_mean(catalogue):
    first, second = scores_by_row(catalogue, [0]), scores_by_row(catalogue, [1])
    for row, score in scores_by_row(catalogue, [0, 1], limit=3).items():
        assert score == pytest.approx((first[row] + second[row]) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ({"genre": ["horror"]}, lambda movie: "Horror" in movie["genres"]),
        ({"not_genre": ["Horror"]}, lambda movie: "Horror" not in movie["genres"]),
        ({"from_year": 1985, "to_year": 1990}, lambda movie: 1985 <= movie["year"] <= 1990),
        ({"language": "fr"}, lambda movie: movie["language"] == "fr"),
        ({"genre": ["War"], "language": "en"}, lambda movie: "War" in movie["genres"]),
    ],
)
def test_only_movies_that_pass_the_filters_are_listed(catalogue, filters, passes):
    allowed = catalogue.filter_mask(Filters.model_validate(filters, by_name=True))
    hits = catalogue.rank(catalogue.features_of([0]), [0], 99, CONFIG, allowed=allowed)
    assert hits
    assert all(passes(catalogue.movie(hit.row)) for hit in hits)
    assert len(hits) == np.sum(allowed) - int(allowed[0])


def filtered_rows(catalogue: Catalogue, **filters: object) -> list[int]:
    mask = catalogue.filter_mask(Filters.model_validate(filters, by_name=True))
    assert mask is not None
    return np.flatnonzero(mask).tolist()


def test_bounds_of_the_year_are_included_and_unknown_years_are_outside():
    catalogue = Catalogue(rows(TITLES[:4], year=[1990, 1991, None, 1992]))
    assert filtered_rows(catalogue, from_year=1991) == [1, 3]
    assert filtered_rows(catalogue, to_year=1991) == [0, 1]
    assert filtered_rows(catalogue, from_year=1991, to_year=1991) == [1]
    assert filtered_rows(catalogue, from_year=0) == [0, 1, 3]
    assert filtered_rows(catalogue, to_year=0) == []


def test_every_genre_of_a_filter_is_required_and_each_excluded_one_excludes():
    genres = [["War"], ["War", "Horror"], ["Horror"], [], ["War", "Horror", "Drama"]]
    catalogue = Catalogue(rows(TITLES[:5], genres=genres))
    assert filtered_rows(catalogue, genre=["War", "HORROR"]) == [1, 4]
    assert filtered_rows(catalogue, not_genre=["War", "Drama"]) == [2, 3]
    assert filtered_rows(catalogue, genre=["War"], not_genre=["drama"]) == [0, 1]


def test_a_movie_of_unknown_language_passes_no_language_filter():
    catalogue = Catalogue(rows(TITLES[:3], language=["en", None, "fr"]))
    assert filtered_rows(catalogue, language="en") == [0]


def test_no_filters_give_no_mask(catalogue):
    assert catalogue.filter_mask(Filters()) is None


@pytest.mark.parametrize("genre", ["Nonsense", "' OR 1=1 --", "%"])
def test_an_unknown_genre_is_an_error_that_lists_the_genres(catalogue, genre):
    with pytest.raises(UserError, match="There are: Horror, War"):
        catalogue.filter_mask(Filters(genre=[genre]))


def test_words_outside_the_catalogue_are_no_features_of_a_text(catalogue):
    vector, genres = np.ones((1, 6), np.float32), np.ones((1, 2), np.float32)
    features = catalogue.text_features(vector, vector, genres, {"story": 0.6, "unknown": 0.8})
    assert features.words.data.tolist() == pytest.approx([0.6])
    assert features.words.indices.tolist() == [catalogue.words.index("story")]
    assert features.votes.tolist() == [0]
    assert features.genres is features.affinities is genres
    assert np.isnan(features.years).all()


def test_a_text_has_neither_title_nor_people_nor_keywords():
    people, keywords = [["Jane"], ["Joe", "Jane"]], [["ship"], ["war"]]
    catalogue = Catalogue(rows(TITLES[:2], with_keywords=True, people=people, keywords=keywords))
    vector, genres = np.ones((1, 6), np.float32), np.ones((1, 2), np.float32)
    text = catalogue.text_features(vector, vector, genres, {"story": 1.0})
    for name in ("titles", "people", "keywords"):
        assert getattr(text, name).shape == (1, getattr(catalogue.features, name).shape[1])
        assert getattr(text, name).nnz == 0
    similarities = similarity_features(text, catalogue.items)
    assert similarities["people"].tolist() == similarities["keywords"].tolist() == [[0, 0]]


def test_movies_of_the_same_people_and_keywords_are_similar():
    people, keywords = [["Jane"], ["Joe", "Jane"], ["Bob"]], [["ship"], ["war"], ["ship"]]
    catalogue = Catalogue(rows(TITLES[:3], with_keywords=True, people=people, keywords=keywords))
    similarities = similarity_features(catalogue.features_of([0]), catalogue.items)
    assert similarities["people"][0].tolist() == pytest.approx([1, 0.5**0.5, 0])
    assert similarities["keywords"][0].tolist() == pytest.approx([1, 0, 1])


ONLY_CONTENT = RankConfig(**dict.fromkeys(FEATURES, 0.0) | {"content": 1.0})
ONLY_VOTES = RankConfig(**dict.fromkeys(FEATURES, 0.0) | {"votes": 1.0})


def ann_scores(
    catalogue: Catalogue, nearest_rows: list[int], config: RankConfig
) -> dict[int, float]:
    """Scores of the movies recommended for the first one, by row."""
    queries = catalogue.features_of([0])
    hits = catalogue.rank(queries, [0], 99, config, nearest_rows=nearest_rows)
    return {hit.row: hit.score for hit in hits}


def test_only_the_embeddings_of_nearest_movies_are_compared(catalogue, monkeypatch):
    """Besides them that of the best movie by all other features; the others have a cosine of 0."""
    monkeypatch.setattr(catalogue_module, "NEAREST", 1)
    most_voted = len(TITLES) - 1
    config = ONLY_CONTENT.model_copy(update={"votes": 1.0})
    exact = scores_by(catalogue, ONLY_CONTENT)
    assert all(abs(score) > 1e-3 for score in exact.values())
    votes = scores_by(catalogue, ONLY_VOTES)
    compared = {3, 7, most_voted}
    for row, score in ann_scores(catalogue, [3, 7], config).items():
        cosine = exact[row] if row in compared else 0
        assert score == pytest.approx((cosine + votes[row]) / 2, abs=1e-6)


def scores_by(catalogue: Catalogue, config: RankConfig) -> dict[int, float]:
    hits = catalogue.rank(catalogue.features_of([0]), [0], 99, config)
    return {hit.row: hit.score for hit in hits}


def test_all_nearest_movies_give_the_exact_scores(catalogue):
    every_row = list(range(len(TITLES)))
    assert ann_scores(catalogue, every_row, CONFIG) == pytest.approx(scores_by(catalogue, CONFIG))


FILMS = [f"Film {number}" for number in range(200)]


def test_a_filter_that_few_movies_pass_still_fills_the_list():
    """The list has all five, although two hundred better ones are left out."""
    catalogue = Catalogue(rows(FILMS))
    allowed = np.zeros(len(FILMS), bool)
    worst = [hit.row for hit in catalogue.rank(catalogue.features_of([0]), [0], 199, CONFIG)][-5:]
    allowed[worst] = True
    hits = catalogue.rank(catalogue.features_of([0]), [0], 10, CONFIG, allowed=allowed)
    assert [hit.row for hit in hits] == worst


def test_a_hit_has_its_score_and_the_features_of_all_movies(catalogue):
    (hit,) = catalogue.rank(catalogue.features_of([0, 1]), [0, 1], 1, ONLY_VOTES)
    assert hit.row == len(TITLES) - 1
    assert hit.score == pytest.approx(catalogue.features.votes[hit.row])
    assert hit.features["votes"].tolist() == [pytest.approx(catalogue.features.votes.tolist())]


@pytest.mark.parametrize("extra", [0, 50])
def test_query_movies_do_not_shorten_the_list(catalogue, monkeypatch, extra):
    monkeypatch.setattr(catalogue_module, "EXTRA_CANDIDATES", extra)
    scores = np.arange(len(TITLES), 0, -1).astype(np.float32)
    assert catalogue.top_rows(scores, [0, 1], limit=3, diversity=0.0) == [2, 3, 4]


def test_a_diverse_list_is_selected_from_four_times_as_many_movies(monkeypatch):
    """For two places eight candidates, plus one for the query movie, which is left out."""
    calls = []

    def select_second(scores: Array, content: Array, limit: int, diversity: float) -> list[int]:
        calls.append((scores.tolist(), len(content), limit, diversity))
        return [1]

    monkeypatch.setattr(catalogue_module, "EXTRA_CANDIDATES", 0)
    monkeypatch.setattr(catalogue_module, "mmr_rerank", select_second)
    scores = np.arange(len(FILMS), 0, -1).astype(np.float32)
    assert Catalogue(rows(FILMS)).top_rows(scores, [0], limit=2, diversity=0.5) == [2]
    assert calls == [([199, 198, 197, 196, 195, 194, 193, 192], 8, 2, 0.5)]


def test_the_diversity_of_the_settings_is_used(catalogue):
    diverse = CONFIG.model_copy(update={"diversity": 1.0})
    plain, spread = (
        [hit.row for hit in catalogue.rank(catalogue.features_of([0]), [0], 9, config)]
        for config in (CONFIG, diverse)
    )
    assert plain[0] == spread[0]
    assert plain != spread
