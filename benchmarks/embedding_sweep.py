"""What each setting of documents, Doc2Vec and classifier is worth: one changed at a time.

    python -m benchmarks.embedding_sweep path/to/movies_22k.csv

Every variant is a nested MLflow run under `embedding-sweep` (in the artifacts root), and scored on
the validation split alone: the default preset was chosen here, so the test split must not speak.
The threshold is tuned on one half of the validation movies and scored on the other, both ways.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score, f1_score
from sklearn.preprocessing import normalize

from benchmarks.page import save_results
from flows.config import TrainConfig
from tasks.data.ingest import read_chunks
from tasks.data.labels import binarize, learnable_genres
from tasks.data.preprocess import TextConfig, to_documents
from tasks.data.sources import open_file
from tasks.data.splits import splits_of
from tasks.data.validation import IngestState
from tasks.embedding.config import Doc2VecConfig
from tasks.embedding.doc2vec import save_model, train_doc2vec
from tasks.embedding.inference import document_vectors
from tasks.embedding.pooling import WordWeights, read_vocabulary
from tasks.embedding.training import write_corpus
from tasks.genres.calibration import fit_calibration
from tasks.genres.linear import labelled_splits
from tasks.genres.metrics import (
    Labels,
    apply_thresholds,
    bootstrap_f1,
    bootstrap_interval,
    macro_f1,
    tune_thresholds,
)
from tasks.genres.network.training import predict_logits, to_examples, train_network
from tasks.genres.validation import stopping_rows
from tasks.genres.word_vectors import word_numbers
from tasks.registry.tracking.mlflow_client import connect, experiment_id
from tasks.registry.tracking.runs import flatten_settings

RESULTS = Path(__file__).with_name("embedding_sweep.json")
Vectors = NDArray[np.float32]
#: Settings changed against the preset `default`, one idea at a time.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    "inferred alone, no fine-tuning": {"doc2vec": {"features": "inferred"}},
    "inferred with 20 epochs, no fine-tuning": {
        "doc2vec": {"features": "inferred", "infer_epochs": 20}
    },
    "inferred beside pooled, no fine-tuning": {"doc2vec": {"features": "both"}},
    "words alone, no stems or pairs": {"text": {"pairs": False}},
    "150 dimensions": {"doc2vec": {"vector_size": 150}},
    "500 dimensions": {"doc2vec": {"vector_size": 500}},
    "half the epochs": {"doc2vec": {"epochs": 7}},
    "twice the epochs": {"doc2vec": {"epochs": 28, "max_words": 10**9}},
    "half the epochs at twice the rate": {"doc2vec": {"epochs": 7, "alpha": 0.15}},
    "learning rate 0.05, 20 epochs": {"doc2vec": {"epochs": 20, "alpha": 0.05, "max_words": 10**9}},
    "sample 1e-3": {"doc2vec": {"sample": 1e-3}},
    "sample 1e-5": {"doc2vec": {"sample": 1e-5}},
    "2 noise words": {"doc2vec": {"negative": 2}},
    "noise exponent 0.5": {"doc2vec": {"noise_exponent": 0.5}},
    "min_count 2": {"doc2vec": {"min_count": 2}},
    "PV-DM": {"doc2vec": {"architecture": "dm"}},
    "a network of 512": {"classifier": {"hidden": (512,)}},
    "the post's 512-256-128": {"classifier": {"hidden": (512, 256, 128)}},
    "genres weigh alike (power 0)": {"classifier": {"positive_weight": 0.0}},
    "rare genres weigh more (power 0.5)": {"classifier": {"positive_weight": 0.5}},
    "vectors of documents, no fine-tuning": {"classifier": {"fine_tune": False}},
    "word vectors at a third of the rate": {"classifier": {"word_learning_rate": 3e-4}},
    "word vectors at three times the rate": {"classifier": {"word_learning_rate": 3e-3}},
    "no words left out": {"classifier": {"word_dropout": 0.0}},
    "30% of the words left out": {"classifier": {"word_dropout": 0.3}},
    "80% of the words left out": {"classifier": {"word_dropout": 0.8}},
    "20 epochs without decay": {"classifier": {"epochs": 20, "decay": False}},
    "half the units dropped": {"classifier": {"dropout": 0.5}},
    "batches of 256": {"classifier": {"batch_size": 256}},
}
#: Made of vectors that variants have left, which no network fine-tunes.
COMBINED = ("whitened", "DM beside DBOW")


def movies_of(path: Path) -> pa.Table:
    """Every valid movie of a file."""
    chunks = read_chunks(open_file(path), 1000, IngestState("movies"))
    return pa.concat_tables([chunk.movies for chunk in chunks])


def documents_of(path: Path, config: TextConfig) -> pa.Table:
    """Every valid movie of a file as a document."""
    movies = movies_of(path)
    return to_documents(movies, splits_of(movies, config), config)


class Embedded(NamedTuple):
    """Vectors (n_documents, size), word weights of the model, and the seconds of both steps."""

    vectors: Vectors
    weights: WordWeights
    seconds: dict[str, float]


def embed(documents: pa.Table, config: Doc2VecConfig) -> Embedded:
    """Vectors of all documents by a model of the train split."""
    with tempfile.TemporaryDirectory() as name:
        folder, start = Path(name), time.perf_counter()
        write_corpus([documents], folder / "corpus.txt", ["train"])
        model, _ = train_doc2vec(folder / "corpus.txt", config)
        save_model(model, config, folder)
        trained = time.perf_counter()
        texts = documents["document"].to_pylist()
        parts = Parallel(n_jobs=2)(
            delayed(document_vectors)(name, texts[first : first + 1000])
            for first in range(0, len(texts), 1000)
        )
        rows = {word: row for row, word in enumerate(read_vocabulary(folder))}
        weights = WordWeights(rows, np.load(folder / "hidden.npy", allow_pickle=False))
    seconds = {"fit_seconds": trained - start, "infer_seconds": time.perf_counter() - trained}
    return Embedded(np.vstack(parts), weights, seconds)


def cross_tuned(labels: Labels, logits: Vectors) -> Labels:
    """Predictions of each half of the movies, calibrated and tuned on the other half."""
    first = np.arange(len(labels)) % 2 == 0
    y_pred = np.zeros_like(labels)
    for tune, judge in ((first, ~first), (~first, first)):
        probabilities = expit(fit_calibration(logits[tune], labels[tune]).apply(logits))
        thresholds = tune_thresholds(labels[tune], probabilities[tune])
        y_pred[judge] = apply_thresholds(probabilities[judge], thresholds)
    return y_pred


def judge(
    embedded: Embedded, documents: pa.Table, labels: Labels, config: TrainConfig
) -> dict[str, float]:
    """Validation scores of a network, with intervals, and its seconds."""
    split, start = np.array(documents["split"].to_pylist()), time.perf_counter()
    inputs: NDArray[Any] = embedded.vectors
    if config.fine_tunes_words:
        inputs = word_numbers(embedded.weights.row_by_word, documents["document"].to_pylist())
    train, validation = (
        to_examples(inputs[rows], labels[rows], torch.device("cpu"))
        for rows in ((split == name) & labels.any(axis=1) for name in ("train", "validation"))
    )
    directions = normalize(embedded.weights.hidden) if config.fine_tunes_words else None
    stopping = validation.take(stopping_rows(len(validation.labels), config.classifier))
    network, _ = train_network(train, stopping, config.classifier, directions)
    seconds = time.perf_counter() - start
    y_true = validation.labels.numpy().astype(np.uint8)
    logits = predict_logits(network, validation.inputs).numpy()
    y_pred = cross_tuned(y_true, logits)
    resampled = bootstrap_f1(y_true, y_pred)
    precision = average_precision_score(y_true, logits, average="micro")
    return {
        "val_f1_micro": float(f1_score(y_true, y_pred, average="micro")),
        "val_f1_macro": macro_f1(y_true, y_pred),
        "val_average_precision_micro": float(precision),
        **bootstrap_interval(resampled["micro"], "val_f1_micro"),
        **bootstrap_interval(resampled["macro"], "val_f1_macro"),
        "classifier_seconds": seconds,
    }


class Sweep:
    """One file, and the nested runs that are made of it."""

    def __init__(self, path: Path) -> None:
        self.path, self.client = path, connect()
        self.experiment = experiment_id(self.client)
        self.parent = self.client.create_run(self.experiment, run_name="embedding-sweep")
        self.embedded: dict[str, Embedded] = {}
        self.results: list[dict[str, Any]] = []

    def log(self, name: str, config: TrainConfig, metrics: Mapping[str, float]) -> None:
        """Keep a variant's figures, as a nested run too."""
        tags = {"mlflow.parentRunId": self.parent.info.run_id, "source": self.path.name}
        run = self.client.create_run(self.experiment, run_name=name, tags=tags)
        for key, value in flatten_settings(config.model_dump(mode="json")).items():
            self.client.log_param(run.info.run_id, key, value)
        for key, metric in metrics.items():
            self.client.log_metric(run.info.run_id, key, metric)
        self.client.set_terminated(run.info.run_id)
        self.results.append({"variant": name, **metrics})
        print(json.dumps(self.results[-1]), flush=True)

    def variant(self, name: str, changes: Mapping[str, Any]) -> None:
        """Train and judge one variant; equal settings share their vectors."""
        config = TrainConfig.model_validate(changes)
        documents, labels = self.labelled(config.text)
        key = config.text.model_dump_json() + config.doc2vec.model_dump_json()
        if key not in self.embedded:
            self.embedded[key] = embed(documents, config.doc2vec)
        embedded = self.embedded[key]
        self.log(name, config, judge(embedded, documents, labels, config) | embedded.seconds)

    def combined(self, name: str) -> None:
        """Judge vectors that are made of two variants', or of one's."""
        config = TrainConfig(classifier={"fine_tune": False})
        documents, labels = self.labelled(config.text)
        default, dm = self.embedded_as("default"), self.embedded_as("PV-DM")
        if name == "whitened":
            train = np.array(documents["split"].to_pylist()) == "train"
            pca = PCA(whiten=True).fit(default.vectors[train])
            combined = default._replace(vectors=pca.transform(default.vectors).astype(np.float32))
        else:
            combined = default._replace(
                vectors=np.hstack([default.vectors, dm.vectors]),
                seconds={key: value + dm.seconds[key] for key, value in default.seconds.items()},
            )
        self.log(name, config, judge(combined, documents, labels, config) | combined.seconds)

    def embedded_as(self, name: str) -> Embedded:
        """What a variant that was trained before made of the documents."""
        config = TrainConfig.model_validate(VARIANTS[name])
        return self.embedded[config.text.model_dump_json() + config.doc2vec.model_dump_json()]

    def labelled(self, text: TextConfig) -> tuple[pa.Table, Labels]:
        """Documents and their labels, the genres chosen on the train split."""
        documents = documents_of(self.path, text)
        genres, split = documents["genres"].to_pylist(), documents["split"].to_pylist()
        train = [row for row, name in zip(genres, split, strict=True) if name == "train"]
        labels = binarize(genres, learnable_genres(train, TrainConfig().label.min_support))
        texts = documents["document"].to_pylist()
        labelled_splits(texts, split, labels)  # refuses a file too small to judge on
        return documents, labels


def section(results: list[dict[str, Any]]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    best = max(results, key=lambda result: result["val_f1_micro"])
    lines = [
        "## Settings: `python -m benchmarks.embedding_sweep FILE`",
        "",
        "Networks alone, without the linear model. Against the preset `default`, one thing changed",
        "at a time, on validation movies alone; `no fine-tuning` says that this changed as well.",
        "Training stops on one half of them; thresholds are tuned on each half and scored on the",
        "other. `in` says whether both F1 lie in the 95% interval of the best variant's,",
        f"`{best['variant']}`.",
        "",
        "| variant | F1 micro | macro | mean precision | in |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        inside = all(
            result[f"val_f1_{name}"] >= best[f"val_f1_{name}_low"] for name in ("micro", "macro")
        )
        figures = (
            f"{result['val_f1_micro']:.3f} | {result['val_f1_macro']:.3f} | "
            f"{result['val_average_precision_micro']:.3f} | {'yes' if inside else 'no'}"
        )
        lines.append(f"| {result['variant']} | {figures} |")
    return "\n".join(lines) + "\n"


def main(path: Path) -> None:
    """Run every variant, save the results."""
    sweep = Sweep(path)
    for name, changes in VARIANTS.items():
        sweep.variant(name, changes)
    for name in COMBINED:
        sweep.combined(name)
    sweep.client.set_terminated(sweep.parent.info.run_id)
    save_results(RESULTS, sweep.results)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
