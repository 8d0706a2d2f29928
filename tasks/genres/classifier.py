"""Documents and labels -> trained network, and the genre probabilities of every document.

Modules and training loop are in the package `network`. Only the training function imports them:
loading torch takes seconds, and a fully cached run never needs it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger
from scipy.special import expit
from sklearn.preprocessing import normalize

from tasks.core.compute import Compute, run_in_fresh_process, run_stage
from tasks.core.contracts import (
    ClassifierRef,
    Doc2VecRef,
    DocumentsRef,
    LabelsRef,
    ProbabilitiesRef,
    VectorsRef,
)
from tasks.core.orchestration.progress import watch_epochs
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.embedding.pooling import WordWeights, load_weights
from tasks.genres.calibration import Calibration, fit_calibration
from tasks.genres.config import ClassifierConfig
from tasks.genres.inference import (
    Classifier,
    genre_probabilities,
    load_classifier,
    save_classifier,
)
from tasks.genres.metrics import Probabilities, tune_thresholds
from tasks.genres.validation import choosing_rows, stopping_rows
from tasks.genres.word_vectors import WordVectors, word_numbers

if TYPE_CHECKING:
    import torch

    from tasks.genres.network.checkpoints import Epoch
    from tasks.genres.network.modules import GenreNetwork
    from tasks.genres.network.training import Examples

NetworkInputs = VectorsRef | Doc2VecRef


def _read_inputs(
    documents: DocumentsRef, inputs: NetworkInputs, rows: NDArray[np.bool_]
) -> NDArray[np.generic]:
    """Word numbers of the documents in the mask `rows`, or their vectors."""
    if isinstance(inputs, VectorsRef):
        return store.select_vectors(inputs, rows)
    texts = store.read(documents, ["document"])["document"].filter(pa.array(rows))
    return word_numbers(load_weights(str(store.locate(inputs))).row_by_word, texts.to_pylist())


def _load_examples(
    documents: DocumentsRef, inputs: NetworkInputs, labels: LabelsRef, device: "torch.device"
) -> "tuple[Examples, Examples]":
    """Labelled movies of the train and of the validation split."""
    from tasks.genres.network.training import require_examples, to_examples

    indicator, _ = store.read_labels(labels)
    split = np.array(store.read(documents, ["split"])["split"].to_pylist())
    train, validation = (
        to_examples(_read_inputs(documents, inputs, rows), indicator[rows], device)
        for rows in ((split == name) & indicator.any(axis=1) for name in ("train", "validation"))
    )
    require_examples(train, validation)
    return train, validation


def _to_classifier(
    network: "GenreNetwork",
    choosing: "Examples",
    doc2vec: WordWeights | None,
    config: ClassifierConfig,
) -> tuple[Classifier, Probabilities]:
    """The network calibrated on the movies to choose on, and its thresholds (n_genres,).

    Its words are those of the Doc2Vec model that it started from.
    """
    from tasks.genres.network.modules import fold_layers, trained_word_vectors
    from tasks.genres.network.training import predict_logits

    labels = choosing.labels.cpu().numpy().astype(np.uint8)
    logits = predict_logits(network, choosing.inputs).cpu().numpy()
    calibration = fit_calibration(logits, labels) if config.calibrate else Calibration(1.0, 0.0)
    thresholds = tune_thresholds(
        labels=labels,
        probabilities=expit(calibration.apply(logits)),
        fixed=config.threshold,
        calibrated=config.calibrate,
    )
    words = WordVectors(doc2vec.row_by_word, trained_word_vectors(network)) if doc2vec else None
    return Classifier(fold_layers(network), *calibration, words=words), thresholds


def _save_training_record(
    history: "list[Epoch]", documents: int, device: "torch.device", folder: Path
) -> None:
    """Write `history.parquet`, a row per epoch, and `training.json`: device, speed and memory."""
    from tasks.genres.network.training import peak_memory_mb

    epochs = pa.Table.from_pylist([epoch._asdict() for epoch in history])
    pq.write_table(epochs.drop_columns("seconds"), folder / "history.parquet")
    seconds = sum(epoch.seconds for epoch in history)
    record = {
        "device": device.type,
        "train_seconds": seconds,
        "train_samples_per_second": documents * len(history) / seconds,
        "train_peak_memory_mb": peak_memory_mb(device),
    }
    store.write_json(folder / "training.json", record)


def _fit(
    documents: DocumentsRef,
    inputs: NetworkInputs,
    labels: LabelsRef,
    config: ClassifierConfig,
    writer: store.EntryWriter,
) -> ClassifierRef:
    from tasks.genres.network.training import pick_device, train_network

    device = pick_device(config.device)
    train, validation = _load_examples(documents, inputs, labels, device=device)
    n_validation = len(validation.labels)
    weights = None
    if isinstance(inputs, Doc2VecRef):
        weights = load_weights(str(store.locate(inputs)))
    network, history = train_network(
        train,
        validation.take(stopping_rows(n_validation, config)),
        config=config,
        word_vectors=normalize(weights.hidden) if weights else None,
        checkpoint=writer.checkpoint_dir / "network.pt",
    )
    choosing = validation.take(choosing_rows(n_validation, config))
    classifier, thresholds = _to_classifier(network, choosing, weights, config)
    _, classes = store.read_labels(labels)
    by_genre = dict(zip(classes, map(float, thresholds), strict=True))
    save_classifier(classifier, by_genre, writer.folder)
    _save_training_record(history, documents=len(train.labels), device=device, folder=writer.folder)
    return writer.folder_ref(ClassifierRef, len(train.labels), measured="training.json")


@stage_task("fit-network")
def fit_network(
    documents: DocumentsRef,
    inputs: NetworkInputs,
    labels: LabelsRef,
    config: ClassifierConfig,
    compute: Compute,
) -> ClassifierRef:
    """Train on labelled movies of the train split, tune thresholds on the validation split.

    `inputs` are the document vectors that the network reads, or the Doc2Vec model whose word
    vectors it starts from and trains.

    Raises:
        UserError: the device is not available, or a split has too few labelled movies.
    """

    def fit(writer: store.EntryWriter) -> ClassifierRef:
        with watch_epochs("fit-network", writer.checkpoint_dir):
            return run_in_fresh_process(compute, _fit, documents, inputs, labels, config, writer)

    settings = config.model_dump(exclude={"linear"})
    key = [settings, documents.digest, inputs.digest, labels.digest]
    classifier = store.get_or_create("network", key, ClassifierRef, fit)
    _log_training(classifier)
    return classifier


def _log_training(classifier: ClassifierRef) -> None:
    folder = store.locate(classifier)
    history = pq.read_table(folder / "history.parquet").to_pylist()
    training = store.read_json(folder / "training.json")
    get_run_logger().info(
        "%d movies, %d epochs on %s in %.1f s (%.0f samples/s), validation F1 %.3f",
        classifier.rows,
        len(history),
        training["device"],
        training["train_seconds"],
        training["train_samples_per_second"],
        max(epoch["val_f1_micro"] for epoch in history),
    )


def _predict(
    classifier: ClassifierRef,
    vectors: VectorsRef,
    documents: DocumentsRef,
    writer: store.EntryWriter,
) -> ProbabilitiesRef:
    loaded = load_classifier(store.locate(classifier)).classifier
    chunks = zip(store.chunks(documents, ["document"]), store.chunks(vectors), strict=True)
    parts = [
        genre_probabilities(loaded, texts["document"].to_pylist(), store.matrix(embeddings))
        for texts, embeddings in chunks
    ]
    np.save(writer.folder / "probabilities.npy", np.concatenate(parts))
    return writer.file_ref(ProbabilitiesRef, "probabilities.npy", vectors.rows)


@stage_task("predict-genres")
def predict_genres(
    classifier: ClassifierRef, vectors: VectorsRef, documents: DocumentsRef, compute: Compute
) -> ProbabilitiesRef:
    """Genre probabilities (n_documents, n_genres) of all documents."""
    return store.get_or_create(
        "probabilities",
        [classifier.digest, vectors.digest, documents.digest],
        ProbabilitiesRef,
        lambda writer: run_stage(compute, _predict, classifier, vectors, documents, writer),
    )
