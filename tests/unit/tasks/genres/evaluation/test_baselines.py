import numpy as np
import pytest

from tasks.genres.evaluation.baselines import prior_baseline, score_baseline, tfidf_baseline
from tasks.genres.linear import BaselineConfig, LabelledTexts, fit_linear_model
from tests.unit.tasks.genres.test_linear import themed_movies


def test_the_linear_model_is_scored_alone():
    train, other = themed_movies(60), themed_movies(30)
    model = fit_linear_model(train, other, BaselineConfig(), 0.2)
    result = tfidf_baseline(model, other, other)
    assert result.scores["baseline_tfidf_f1_micro"] > 0.95
    assert set(result.scores) == {
        *("baseline_tfidf_f1_micro", "baseline_tfidf_f1_macro"),
        "baseline_tfidf_c",
    }
    assert result.scores["baseline_tfidf_c"] == model.c
    assert (result.predictions == other.labels).mean() > 0.95


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
        test_probabilities=np.array([[0.4, 0.1], [0.1, 0.4]], np.float32),
    )
    assert result.scores["baseline_x_f1_micro"] == 0.0
