import numpy as np
import pyarrow as pa
import pytest

from tasks.core.contracts import UserError
from tasks.genres.baselines import (
    BaselineConfig,
    LabelledTexts,
    labelled_splits,
    prior_baseline,
    score_baseline,
    tfidf_baseline,
)
from tests.conftest import THEMES


def themed_movies(count: int) -> LabelledTexts:
    words = list(THEMES.values())
    texts = [" ".join(words[n % 3][n % 4 : n % 4 + 4]) for n in range(count)]
    return LabelledTexts(texts, np.eye(3, dtype=np.uint8)[np.arange(count) % 3])


def test_tfidf_baseline_learns_the_words_of_a_genre():
    result = tfidf_baseline(
        themed_movies(60), themed_movies(30), themed_movies(30), BaselineConfig()
    )
    assert result.scores["baseline_tfidf_f1_micro"] > 0.95
    assert set(result.scores) == {"baseline_tfidf_f1_micro", "baseline_tfidf_f1_macro"}
    assert (result.predictions == themed_movies(30).labels).mean() > 0.95


def test_tfidf_baseline_does_not_depend_on_the_global_random_state():
    rng = np.random.default_rng(1)
    words = np.array([f"word{number}" for number in range(60)])
    texts = [" ".join(rng.choice(words, 8)) for _ in range(600)]
    split = LabelledTexts(texts, (rng.random((600, 6)) < 0.3).astype(np.uint8))
    predictions = []
    for seed in range(3):
        np.random.seed(seed)
        predictions.append(tfidf_baseline(split, split, split, BaselineConfig()).predictions)
    assert all(np.array_equal(predictions[0], other) for other in predictions)


def test_tfidf_baseline_of_stop_words_is_refused():
    empty = LabelledTexts(["the", "of"], np.eye(3, dtype=np.uint8)[:2])
    with pytest.raises(UserError, match="no terms to train on"):
        tfidf_baseline(empty, empty, empty, BaselineConfig())


def test_prior_baseline_predicts_the_most_frequent_genre():
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 1]], np.uint8)
    split = LabelledTexts([""] * 4, labels)
    result = prior_baseline(split, split, split)
    assert result.scores["baseline_prior_f1_micro"] == pytest.approx(2 * (5 / 8) / (5 / 8 + 1))


def test_baseline_threshold_is_tuned_on_validation_only():
    labels = np.array([[1, 0], [0, 1]], np.uint8)
    result = score_baseline(
        "x",
        validation_labels=labels,
        validation_probabilities=np.array([[0.6, 0.1], [0.1, 0.6]], np.float32),
        test_labels=labels,
        test_probabilities=np.array([[0.5, 0.1], [0.1, 0.5]], np.float32),
    )
    assert result.scores["baseline_x_f1_micro"] == 0.0


def test_splits_contain_their_labelled_movies():
    names = ["train", "test", "validation", "train"]
    table = pa.table({"title": list("abcd"), "overview": list("wxyz"), "split": names})
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], np.uint8)
    splits = labelled_splits(table, labels)
    assert splits["train"].texts == ["w a"]
    assert splits["test"].texts == ["x b"]
    with pytest.raises(UserError, match="in the test split"):
        labelled_splits(table, labels * np.array([[1], [0], [1], [1]], np.uint8))


def test_keywords_are_added_to_the_texts_on_request():
    columns = {"overview": ["a"] * 3, "title": ["b"] * 3, "keywords": [["haunted house"], [], []]}
    table = pa.table(columns | {"split": ["train", "validation", "test"]})
    labels = np.ones((3, 1), np.uint8)
    assert labelled_splits(table, labels)["train"].texts == ["a b"]
    assert labelled_splits(table, labels, keywords=True)["train"].texts == ["a b haunted house"]
