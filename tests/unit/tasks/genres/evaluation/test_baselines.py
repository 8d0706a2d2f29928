import numpy as np
import pytest
from scipy.special import expit

from tasks.core.contracts import LinearRef
from tasks.core.storage import store
from tasks.data.preprocess import TextConfig
from tasks.genres.calibration import fit_calibration
from tasks.genres.evaluation.baselines import (
    baselines,
    prior_baseline,
    score_baseline,
    tfidf_baseline,
)
from tasks.genres.linear import (
    BaselineConfig,
    LabelledTexts,
    fit_linear_model,
    save_linear_model,
)
from tasks.genres.metrics import apply_thresholds, tune_thresholds
from tests.support.stored import stored_folder
from tests.unit.tasks.genres.test_linear import noisy_movies, stored_splits, themed_movies


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


def test_the_linear_model_is_calibrated_on_validation_movies():
    """Their labels are noisier than those of the training, so that its logits are too large."""
    train, validation, test = themed_movies(90), noisy_movies(300, 1), noisy_movies(300, 2)
    model = fit_linear_model(noisy_movies(300, 0), validation, BaselineConfig(), 0.2)
    model = model._replace(weight=3 * model.weight, bias=3 * model.bias + 1)
    calibration = fit_calibration(model.logits(validation.texts), validation.labels)
    probabilities = [
        expit(calibration.apply(model.logits(movies.texts))) for movies in (validation, test)
    ]
    thresholds = tune_thresholds(validation.labels, probabilities[0])
    result = tfidf_baseline(model, validation, test)
    assert np.array_equal(result.predictions, apply_thresholds(probabilities[1], thresholds))
    assert not np.array_equal(result.predictions, tfidf_baseline(model, train, test).predictions)


def test_the_stage_scores_both_baselines_on_test_movies():
    splits = {name: noisy_movies(200, n) for n, name in enumerate(("train", "validation", "test"))}
    model = fit_linear_model(splits["train"], splits["validation"], BaselineConfig(), 0.2)
    documents, labels = stored_splits(splits)
    linear = stored_folder(LinearRef, lambda folder: save_linear_model(model, folder))
    scores = baselines.fn(documents, labels, linear, TextConfig())
    tfidf = tfidf_baseline(model, splits["validation"], splits["test"])
    prior = prior_baseline(*splits.values())
    folder = store.locate(scores)
    assert scores.rows == 200
    assert store.read_json(folder / "metrics.json") == pytest.approx(tfidf.scores | prior.scores)
    assert np.array_equal(np.load(folder / "tfidf.npy"), tfidf.predictions)


def test_each_genre_has_its_own_frequency_as_probability():
    """One threshold would predict all genres, or none, if they had one frequency."""
    labels = np.array([[1, 0]] * 9 + [[0, 1]], np.uint8)
    split = LabelledTexts([""] * 10, labels)
    assert prior_baseline(split, split, split).predictions.tolist() == [[1, 0]] * 10


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
