"""Linear model, labels -> genre scores of simple baselines on the classifier's splits."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from tasks.core.contracts import DocumentsRef, LabelsRef, LinearRef, ScoresRef
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.data.preprocess import TextConfig
from tasks.genres.calibration import fit_calibration
from tasks.genres.linear import (
    LabelledTexts,
    LinearModel,
    load_linear_model,
    read_labelled_splits,
)
from tasks.genres.metrics import (
    Labels,
    Probabilities,
    apply_thresholds,
    multilabel_scores,
    tune_thresholds,
)


class BaselineResult(NamedTuple):
    """Scores of a baseline and its predictions for the test movies, (n_test, n_genres)."""

    scores: dict[str, float]
    predictions: Labels


def score_baseline(
    name: str,
    *,
    validation_labels: Labels,
    validation_probabilities: Probabilities,
    test_labels: Labels,
    test_probabilities: Probabilities,
) -> BaselineResult:
    """Micro and macro F1 on test, with thresholds that are tuned on validation as ours are."""
    thresholds = tune_thresholds(validation_labels, validation_probabilities)
    prefix = f"baseline_{name}"
    scores = multilabel_scores(test_labels, test_probabilities, thresholds, prefix=prefix)
    reported = {key: scores[key] for key in (f"{prefix}_f1_micro", f"{prefix}_f1_macro")}
    return BaselineResult(reported, apply_thresholds(test_probabilities, thresholds))


def tfidf_baseline(
    model: LinearModel, validation: LabelledTexts, test: LabelledTexts
) -> BaselineResult:
    """The linear model alone, which has the tokens and the class weights of the classifier."""
    validation_logits, test_logits = (model.logits(movies.texts) for movies in (validation, test))
    calibration = fit_calibration(validation_logits, validation.labels)
    result = score_baseline(
        "tfidf",
        validation_labels=validation.labels,
        validation_probabilities=expit(calibration.apply(validation_logits)),
        test_labels=test.labels,
        test_probabilities=expit(calibration.apply(test_logits)),
    )
    return result._replace(scores=result.scores | {"baseline_tfidf_c": model.c})


def prior_baseline(
    train: LabelledTexts, validation: LabelledTexts, test: LabelledTexts
) -> BaselineResult:
    """Every movie gets the genre frequencies of the train split as probabilities."""
    frequencies = train.labels.mean(axis=0).astype(np.float32)
    return score_baseline(
        "prior",
        validation_labels=validation.labels,
        validation_probabilities=np.broadcast_to(frequencies, validation.labels.shape),
        test_labels=test.labels,
        test_probabilities=np.broadcast_to(frequencies, test.labels.shape),
    )


def _score(
    documents: DocumentsRef,
    labels: LabelsRef,
    linear: LinearRef,
    text: TextConfig,
    writer: store.EntryWriter,
) -> ScoresRef:
    splits = read_labelled_splits(documents, labels, text)
    train, validation, test = (splits[name] for name in ("train", "validation", "test"))
    tfidf = tfidf_baseline(load_linear_model(store.locate(linear)), validation, test)
    prior = prior_baseline(train, validation, test)
    store.write_json(writer.folder / "metrics.json", tfidf.scores | prior.scores)
    np.save(writer.folder / "tfidf.npy", tfidf.predictions)
    return writer.folder_ref(ScoresRef, len(test.texts))


@stage_task("baselines")
def baselines(
    documents: DocumentsRef, labels: LabelsRef, linear: LinearRef, text: TextConfig
) -> ScoresRef:
    """Scores of the TF-IDF and the prior baseline on the same splits."""
    return store.get_or_create(
        "baselines",
        [text, documents.digest, labels.digest, linear.digest],
        ScoresRef,
        lambda writer: _score(documents, labels, linear, text, writer),
    )
