"""Network, linear model, validation movies -> the classifier: the mean of both, calibrated.

Both make different errors: the network reads vectors in which related words are near each other,
the linear model every single term. Their calibrated logits are averaged.
"""

import shutil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prefect import get_run_logger
from scipy.special import expit
from sklearn.metrics import log_loss

from tasks.core.contracts import ClassifierRef, DocumentsRef, LabelsRef, LinearRef, VectorsRef
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.genres.calibration import fit_beta_calibration, fit_calibration
from tasks.genres.config import ClassifierConfig
from tasks.genres.inference import (
    BetaCalibration,
    Classifier,
    genre_probabilities,
    load_classifier,
    network_logits,
    save_classifier,
)
from tasks.genres.linear import LinearModel, load_linear_model
from tasks.genres.metrics import Labels, tune_thresholds
from tasks.genres.validation import choosing_rows

Array = NDArray[np.float32]
#: Validation movies that count as much as the assumption that both models are equally good.
PRIOR_MOVIES = 200
SHARES = np.linspace(0, 1, 21)


class ValidationMovies(NamedTuple):
    """Vectors (n, size), documents (n) and labels (n, n_genres) of validation movies."""

    vectors: Array
    texts: list[str]
    labels: Labels


def linear_share(network: Array, linear: Array, labels: Labels) -> float:
    """Share of the linear model in the mean of calibrated logits, each (n, n_genres).

    It is that of the lowest log loss, nearer to one half the fewer movies there are.
    """
    losses = [
        log_loss(
            labels.ravel(), expit((1 - share) * network + share * linear).ravel(), labels=[0, 1]
        )
        for share in SHARES
    ]
    best, n = float(SHARES[np.argmin(losses)]), len(labels)
    return (n * best + PRIOR_MOVIES * 0.5) / (n + PRIOR_MOVIES)


def combine(
    network: Classifier, linear: LinearModel, validation: ValidationMovies, calibrate: bool
) -> tuple[Classifier, float]:
    """The classifier that averages both, and the share of the linear model in the mean.

    The mean is calibrated where asked for.
    """
    labels = validation.labels
    logits = (
        network_logits(network, validation.texts, validation.vectors),
        linear.logits(validation.texts),
    )
    network_calibration, linear_calibration = (fit_calibration(values, labels) for values in logits)
    calibrated = (network_calibration.apply(logits[0]), linear_calibration.apply(logits[1]))
    share = linear_share(*calibrated, labels=labels)
    mean = (1 - share) * calibrated[0] + share * calibrated[1]
    classifier = network._replace(
        scale=(1 - share) * network_calibration.scale,
        shift=(1 - share) * network_calibration.shift + share * linear_calibration.shift,
        linear=linear,
        linear_scale=share * linear_calibration.scale,
        calibration=fit_beta_calibration(mean, labels) if calibrate else BetaCalibration(),
    )
    return classifier, share


def _fit(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    network: ClassifierRef,
    linear: LinearRef,
    config: ClassifierConfig,
    writer: store.EntryWriter,
) -> ClassifierRef:
    folder, indicator = store.locate(network), store.read_labels(labels)[0]
    movies = store.read(documents, ["document", "split"])
    is_validation = np.array(movies["split"].to_pylist()) == "validation"
    rows = np.flatnonzero(is_validation & indicator.any(axis=1))
    chosen = rows[choosing_rows(len(rows), config)]
    validation = ValidationMovies(
        vectors=store.select_vectors(vectors, np.isin(np.arange(len(indicator)), chosen)),
        texts=movies["document"].take(chosen).to_pylist(),
        labels=indicator[chosen],
    )
    loaded, model = load_classifier(folder), load_linear_model(store.locate(linear))
    classifier, share = combine(loaded.classifier, model, validation, config.calibrate)
    thresholds = tune_thresholds(
        labels=validation.labels,
        probabilities=genre_probabilities(classifier, validation.texts, validation.vectors),
        fixed=config.threshold,
        calibrated=config.calibrate,
    )
    by_genre = dict(zip(loaded.classes, map(float, thresholds), strict=True))
    shutil.copy(folder / "history.parquet", writer.folder)
    training = store.read_json(folder / "training.json") | {"member_linear_share": share}
    store.write_json(writer.folder / "training.json", training)
    save_classifier(classifier, by_genre, writer.folder)
    return writer.folder_ref(ClassifierRef, network.rows, measured="training.json")


@stage_task("fit-ensemble")
def fit_ensemble(
    documents: DocumentsRef,
    vectors: VectorsRef,
    labels: LabelsRef,
    network: ClassifierRef,
    linear: LinearRef,
    config: ClassifierConfig,
) -> ClassifierRef:
    """Weigh network and linear model, calibrate their mean and tune thresholds on validation."""
    inputs = (documents, vectors, labels, network, linear)
    key = [config, *(ref.digest for ref in inputs)]
    classifier = store.get_or_create(
        "ensemble",
        key,
        ClassifierRef,
        lambda writer: _fit(documents, vectors, labels, network, linear, config, writer),
    )
    stored = store.read_json(store.locate(classifier) / "config.json")
    get_run_logger().info(
        "logits: %.2f times the network's, %.2f times the linear model's",
        stored["scale"],
        stored["linear_scale"],
    )
    return classifier
