from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tasks.core.contracts import UserError
from tasks.data.preprocess import TextConfig
from tasks.genres.baselines import (
    BaselineConfig,
    LabelledTexts,
    baseline_texts,
    fit_genre,
    fit_genres,
    fit_vectorizer,
    labelled_splits,
    prior_baseline,
    score_baseline,
    tfidf_baseline,
)
from tasks.genres.metrics import find_best_threshold
from tests.conftest import THEMES


def themed_movies(count: int) -> LabelledTexts:
    words = list(THEMES.values())
    texts = [" ".join(words[n % 3][n % 4 : n % 4 + 4]) for n in range(count)]
    return LabelledTexts(texts, np.eye(3, dtype=np.uint8)[np.arange(count) % 3])


def test_tfidf_baseline_learns_the_words_of_a_genre():
    result = tfidf_baseline(
        themed_movies(60), themed_movies(30), themed_movies(30), BaselineConfig(), 0.2
    )
    assert result.scores["baseline_tfidf_f1_micro"] > 0.95
    assert set(result.scores) == {
        *("baseline_tfidf_f1_micro", "baseline_tfidf_f1_macro"),
        "baseline_tfidf_c",
    }
    assert (result.predictions == themed_movies(30).labels).mean() > 0.95


def test_tfidf_baseline_does_not_depend_on_the_global_random_state():
    rng = np.random.default_rng(1)
    words = np.array([f"word{number}" for number in range(60)])
    texts = [" ".join(rng.choice(words, 8)) for _ in range(600)]
    split = LabelledTexts(texts, (rng.random((600, 6)) < 0.3).astype(np.uint8))
    predictions = []
    for seed in range(3):
        np.random.seed(seed)
        predictions.append(tfidf_baseline(split, split, split, BaselineConfig(), 0.2).predictions)
    assert all(np.array_equal(predictions[0], other) for other in predictions)


def test_tfidf_baseline_without_terms_is_refused():
    empty = LabelledTexts(["", " "], np.eye(3, dtype=np.uint8)[:2])
    with pytest.raises(UserError, match="no terms to train on"):
        tfidf_baseline(empty, empty, empty, BaselineConfig(), 0.2)


def noisy_movies(count: int, seed: int) -> LabelledTexts:
    """Movies of 30 random words, one of which names the genre of most."""
    rng = np.random.default_rng(seed)
    genres = rng.integers(3, size=count)
    texts = [
        " ".join([f"genre{genre}", *(f"word{n}" for n in rng.integers(500, size=30))])
        for genre in genres
    ]
    wrong = rng.random(count) < 0.3
    return LabelledTexts(texts, np.eye(3, dtype=np.uint8)[np.where(wrong, 0, genres)])


def test_c_is_chosen_on_validation_movies():
    train, validation = noisy_movies(300, 0), noisy_movies(300, 1)
    f1 = {
        c: find_best_threshold(validation.labels, validation_probabilities(train, validation, c)).f1
        for c in (0.01, 1.0, 100.0)
    }
    config = BaselineConfig(tfidf_c=tuple(f1))
    for test in (validation, noisy_movies(50, 2)):
        result = tfidf_baseline(train, validation, test, config, 0.0)
        assert result.scores["baseline_tfidf_c"] == max(f1, key=f1.__getitem__)


def validation_probabilities(train: LabelledTexts, others: LabelledTexts, c: float) -> Any:
    vectorizer = fit_vectorizer(train.texts, 2)
    predict = fit_genres(vectorizer.transform(train.texts), train.labels, c, 0.0)
    return predict(vectorizer.transform(others.texts))


def test_rare_genres_weigh_more_with_a_positive_power():
    train = noisy_movies(300, 0)
    features = fit_vectorizer(train.texts, 2).transform(train.texts)
    rare = (np.arange(300) % 10 == 0).astype(np.uint8)
    alike, weighted = (
        fit_genre(features, rare, 1.0, power).predict_proba(features)[:, 1].mean()
        for power in (0.0, 0.5)
    )
    assert weighted > 1.5 * alike


@pytest.mark.parametrize("label", [0, 1])
def test_a_genre_of_all_movies_or_of_none_is_constant(label):
    train = noisy_movies(30, 0)
    vectorizer = fit_vectorizer(train.texts, 2)
    labels = np.full((30, 1), label, np.uint8)
    predict = fit_genres(vectorizer.transform(train.texts), labels, 1.0, 0.2)
    assert predict(vectorizer.transform(["word1"])).tolist() == [[label]]


@pytest.mark.parametrize("values", [(), (1.0, 0.0), (-1.0,)])
def test_a_c_that_is_not_positive_is_refused(values):
    with pytest.raises(ValidationError):
        BaselineConfig(tfidf_c=values)


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
    names = ["train", "test", "validation", "train", "gate"]
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]], np.uint8)
    splits = labelled_splits(list("wxyzv"), names, labels)
    assert {name: split.texts for name, split in splits.items()} == {
        **{"train": ["w"], "validation": ["y"], "test": ["x"]},
    }
    with pytest.raises(UserError, match="in the test split"):
        labelled_splits(
            list("wxyzv"), names, labels * np.array([[1], [0], [1], [1], [1]], np.uint8)
        )


def test_the_texts_are_those_of_the_classifier_and_never_have_genres():
    movie = {"title": "Alien", "overview": "Ghosts", "genres": ["Horror"], "keywords": ["ship"]}
    table = pa.Table.from_pylist([movie | {"document": "tokens of the classifier"}])
    assert baseline_texts(table, TextConfig()) == ["tokens of the classifier"]
    leaky = TextConfig(recipe="blog", keywords=True)
    assert baseline_texts(table, leaky) == ["ghost alien ghost_alien ship"]
