import pytest

from tasks.reports.model_card import DESCRIPTION_LENGTH, model_card
from tasks.reports.summary import Summary
from tests.unit.tasks.reports.test_summary import summary  # noqa: F401 - a fixture

GENRES = [
    {"genre": "Drama", "support": 90, "f1": 0.7},
    {"genre": "War", "support": 9, "f1": 0.2},
    {"genre": "Western", "support": 4, "f1": 0.1},
    {"genre": "Music", "support": 0, "f1": None},
]
SLICES = [
    {"slice": "language", "value": "en", "movies": 80, "f1_micro": 0.65},
    {"slice": "language", "value": "fr", "movies": 19, "f1_micro": 0.4},
    {"slice": "decade", "value": "other", "movies": 9, "f1_micro": 0.3},
]
SCORES = {
    "test_f1_micro": 0.612,
    "test_f1_micro_low": 0.6,
    "test_f1_micro_high": 0.625,
    "baseline_tfidf_f1_micro": 0.59,
    "rec_keyword_ndcg_at_10": 0.2,
    "rec_top20_share": 0.024,
}


@pytest.fixture
def card(summary: Summary) -> str:  # noqa: F811 - the fixture
    return model_card(summary.model_copy(update={"scores": SCORES}), GENRES, SLICES)


def test_scores_have_their_interval_and_the_baseline(card):
    assert "| F1 micro | 0.612 (0.600 to 0.625) | 0.590 |" in card
    assert "| Keyword nDCG@10 | 0.200 | – |" in card
    assert "Franchise recall" not in card


def test_data_protocol_bias_and_decision_are_told(card):
    assert card.startswith("# Version 4: movies.csv: 7 movies\n")
    assert "Rows read: 10. Kept: 7 (1 without genres)." in card
    assert "Original languages of the test movies: en (80), fr (19)." in card
    assert "no model was trained on the test movies" in card
    assert "20 most recommended movies take: 0.024" in card
    assert "Model version 4 was promoted to champion (no earlier champion)." in card


def test_weak_are_the_genres_and_groups_with_enough_movies(card):
    """Not the group of English movies, whose score is above that of all."""
    weak = card.split("## Where it is weak")[1].split("[The run")[0].split("\n- ")[1:]
    assert [line.strip() for line in weak] == [
        "genre War: F1 0.200",
        "genre Drama: F1 0.700",
        "language fr: F1 micro 0.400",
    ]


def test_a_card_fits_the_description_of_a_version(card):
    assert len(card) < DESCRIPTION_LENGTH / 2
