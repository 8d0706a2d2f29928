import numpy as np
import pyarrow as pa
import pytest

from tasks.core.contracts import UserError
from tasks.genres.baselines import (
    BaselineConfig,
    Split,
    prior_baseline,
    splits_of,
    tfidf_baseline,
    tuned_baseline,
)
from tests.conftest import THEMES


def themed(count: int) -> Split:
    words = list(THEMES.values())
    texts = [" ".join(words[n % 3][n % 4 : n % 4 + 4]) for n in range(count)]
    return Split(texts, np.eye(3, dtype=np.uint8)[np.arange(count) % 3])


def test_the_tfidf_baseline_learns_words_of_a_genre():
    found = tfidf_baseline(themed(60), themed(30), themed(30), BaselineConfig())
    assert found.scores["baseline_tfidf_f1_micro"] > 0.95
    assert set(found.scores) == {"baseline_tfidf_f1_micro", "baseline_tfidf_f1_macro"}
    assert (found.guess == themed(30).labels).mean() > 0.95


def test_equal_fits_give_equal_guesses():
    """Whatever was drawn before: without a seed, these guesses differ."""
    draw = np.random.default_rng(1)
    words = np.array([f"word{number}" for number in range(60)])
    texts = [" ".join(draw.choice(words, 8)) for _ in range(600)]
    split = Split(texts, (draw.random((600, 6)) < 0.3).astype(np.uint8))
    guesses = []
    for seed in range(3):
        np.random.seed(seed)
        guesses.append(tfidf_baseline(split, split, split, BaselineConfig()).guess)
    assert all(np.array_equal(guess, guesses[0]) for guess in guesses)


def test_a_baseline_without_words_is_refused():
    empty = Split(["the", "of"], np.eye(3, dtype=np.uint8)[:2])
    with pytest.raises(UserError, match="finds no words"):
        tfidf_baseline(empty, empty, empty, BaselineConfig())


def test_the_prior_baseline_gives_everyone_the_most_frequent_genre():
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 1]], np.uint8)
    split = Split([""] * 4, labels)
    found = prior_baseline(split, split, split)
    assert found.scores["baseline_prior_f1_micro"] == pytest.approx(2 * (5 / 8) / (5 / 8 + 1))


def test_a_baseline_is_tuned_on_validation_and_not_on_test():
    tuning = np.array([[1, 0], [0, 1]], np.uint8)
    on_tuning = np.array([[0.6, 0.1], [0.1, 0.6]], np.float32)
    on_test = np.array([[0.5, 0.1], [0.1, 0.5]], np.float32)
    found = tuned_baseline("x", tuning, on_tuning, tuning, on_test)
    assert found.scores["baseline_x_f1_micro"] == 0.0


def test_splits_keep_labelled_movies_apart():
    names = ["train", "test", "validation", "train"]
    table = pa.table({"title": list("abcd"), "overview": list("wxyz"), "split": names})
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], np.uint8)
    found = splits_of(table, labels)
    assert found["train"].texts == ["w a"]
    assert found["test"].texts == ["x b"]
    with pytest.raises(UserError, match="in the test split"):
        splits_of(table, labels * np.array([[1], [0], [1], [1]], np.uint8))


def test_the_baseline_reads_keywords_where_the_model_does():
    columns = {"overview": ["a"] * 3, "title": ["b"] * 3, "keywords": [["haunted house"], [], []]}
    table = pa.table(columns | {"split": ["train", "validation", "test"]})
    labels = np.ones((3, 1), np.uint8)
    assert splits_of(table, labels)["train"].texts == ["a b"]
    assert splits_of(table, labels, keywords=True)["train"].texts == ["a b haunted house"]
