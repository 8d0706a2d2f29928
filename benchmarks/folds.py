"""Genre scores on five disjoint sets of test movies.

    python -m benchmarks.folds FILE …

Movies are in a split by the position of their film in [0, 1): see `tasks/data/splits.py`. Each fold
moves all positions by a fifth. Everything is fitted anew with the preset `default`. Its settings
were chosen on training movies of the first fold, among which are test movies of the others: they
show how much a score depends on its movies; the first fold alone is held out from everything.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.preprocessing import normalize

from benchmarks.embedding_sweep import movies_of
from benchmarks.page import save_results
from flows.config import TrainConfig
from tasks.data.labels import binarize, learnable_genres
from tasks.data.preprocess import to_documents
from tasks.data.splits import film_positions, films_of, hash_overviews, movie_keys, split_at
from tasks.embedding.doc2vec import save_model, train_doc2vec
from tasks.embedding.pooling import WordWeights, load_weights
from tasks.embedding.training import write_corpus
from tasks.genres.calibration import fit_calibration
from tasks.genres.ensemble import ValidationMovies, combine
from tasks.genres.inference import Classifier, genre_probabilities
from tasks.genres.linear import LabelledTexts, fit_linear_model, labelled_splits
from tasks.genres.metrics import (
    Labels,
    Probabilities,
    apply_thresholds,
    bootstrap_f1,
    bootstrap_interval,
    macro_f1,
    micro_f1,
    tune_thresholds,
)
from tasks.genres.network.modules import fold_layers, trained_word_vectors
from tasks.genres.network.training import to_examples, train_network
from tasks.genres.validation import choosing_rows, stopping_rows
from tasks.genres.word_vectors import WordVectors, word_numbers

RESULTS = Path(__file__).with_name("folds.json")
FOLDS = 5
CONFIG = TrainConfig()
NO_VECTORS = np.zeros((0, 0), np.float32)  # a network that reads words needs none
Splits = Mapping[str, LabelledTexts]


class Predicted(NamedTuple):
    """Labels (n, n_genres) of the test movies of a fold, predictions by model, and films (n,)."""

    labels: Labels
    predictions: dict[str, Labels]
    films: NDArray[np.int32]


def train_word_weights(documents: pa.Table) -> WordWeights:
    """Doc2Vec's weights of the words of the train split."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus([documents], folder / "corpus.txt", ["train"])
        save_model(train_doc2vec(folder / "corpus.txt", CONFIG.doc2vec)[0], CONFIG.doc2vec, folder)
        stored = load_weights(name)
        return WordWeights(stored.row_by_word, np.array(stored.hidden))


def fit_network(weights: WordWeights, splits: Splits) -> Classifier:
    """The network, trained from Doc2Vec's word vectors."""
    train, validation = (
        to_examples(
            word_numbers(weights.row_by_word, splits[name].texts),
            splits[name].labels,
            torch.device("cpu"),
        )
        for name in ("train", "validation")
    )
    stopping = validation.take(stopping_rows(len(validation.labels), CONFIG.classifier))
    network, _ = train_network(train, stopping, CONFIG.classifier, normalize(weights.hidden))
    words = WordVectors(weights.row_by_word, trained_word_vectors(network))
    return Classifier(fold_layers(network), words=words)


def predict(
    validation: LabelledTexts, validation_logits: Probabilities, test_logits: Probabilities
) -> Labels:
    """Predictions for test movies of logits that are calibrated and tuned on validation movies."""
    calibration = fit_calibration(validation_logits, validation.labels)
    thresholds = tune_thresholds(validation.labels, expit(calibration.apply(validation_logits)))
    return apply_thresholds(expit(calibration.apply(test_logits)), thresholds)


def logits_of(classifier: Classifier, texts: list[str]) -> Probabilities:
    """Logits (n, n_genres) of a classifier's probabilities."""
    probabilities = genre_probabilities(classifier, texts, NO_VECTORS).astype(np.float64)
    logits: Probabilities = logit(probabilities.clip(1e-6, 1 - 1e-6))
    return logits


def predictions_of(documents: pa.Table, splits: Splits) -> dict[str, Labels]:
    """What the ensemble and its two members predict for the test movies."""
    rows = choosing_rows(len(splits["validation"].texts), CONFIG.classifier)
    texts = splits["validation"].texts
    choosing = LabelledTexts([texts[row] for row in rows], splits["validation"].labels[rows])
    network = fit_network(train_word_weights(documents), splits)
    linear = fit_linear_model(
        splits["train"],
        splits["validation"],
        CONFIG.baseline,
        CONFIG.classifier.positive_weight,
    )
    movies = ValidationMovies(NO_VECTORS, choosing.texts, choosing.labels)
    models = {
        "ours": combine(network, linear, movies, calibrate=True)[0],
        "network": network,
    }
    logits = {
        name: [logits_of(model, movies.texts) for movies in (choosing, splits["test"])]
        for name, model in models.items()
    }
    validation = splits["validation"]
    logits["tfidf"] = [linear.logits(movies.texts) for movies in (validation, splits["test"])]
    return {
        name: predict(validation if name == "tfidf" else choosing, *values)
        for name, values in logits.items()
    }


def run_fold(movies: pa.Table, fold: int) -> Predicted:
    """Fit everything on the train split of a fold, and predict its test movies."""
    films = films_of(movie_keys(movies))
    positions = film_positions(films, hash_overviews(movies["overview"].to_pylist()))
    moved = (positions + fold / FOLDS) % 1
    splits = [split_at(position, CONFIG.text) for position in moved.tolist()]
    documents, genres = to_documents(movies, splits, CONFIG.text), movies["genres"].to_pylist()
    train = [row for row, split in zip(genres, splits, strict=True) if split == "train"]
    labels = binarize(genres, learnable_genres(train, CONFIG.label.min_support))
    by_split = labelled_splits(documents["document"].to_pylist(), splits, labels)
    is_test = (np.array(splits) == "test") & labels.any(axis=1)
    return Predicted(by_split["test"].labels, predictions_of(documents, by_split), films[is_test])


def scores_of(folds: list[Predicted]) -> dict[str, Any]:
    """Scores of each fold, and the margins over both members with intervals over all movies."""
    scores: dict[str, Any] = {}
    for name in folds[0].predictions:
        for average, f1 in (("micro", micro_f1), ("macro", macro_f1)):
            scores[f"{name}_f1_{average}"] = [
                f1(fold.labels, fold.predictions[name]) for fold in folds
            ]
    for name in ("network", "tfidf"):
        for average in ("micro", "macro"):
            resampled = [
                resampled_margin(fold, name, average, seed) for seed, fold in enumerate(folds)
            ]
            margins = np.mean(resampled, axis=0)
            scores |= bootstrap_interval(margins, f"margin_over_{name}_{average}")
    return scores


def resampled_margin(fold: Predicted, name: str, average: str, seed: int) -> NDArray[np.float64]:
    """Bootstrap samples of the margin over a member on the test movies of a fold."""
    ours, other = (
        bootstrap_f1(fold.labels, fold.predictions[model], fold.films, seed)[average]
        for model in ("ours", name)
    )
    margin: NDArray[np.float64] = ours - other
    return margin


def measure(path: Path) -> dict[str, Any]:
    """Scores of a file in all folds."""
    movies, start = movies_of(path), time.perf_counter()
    folds = [run_fold(movies, fold) for fold in range(FOLDS)]
    seconds = time.perf_counter() - start
    return {"file": path.name, "movies": len(movies), "seconds": seconds, **scores_of(folds)}


def section(results: list[dict[str, Any]]) -> str:
    """The figures as a section of `benchmarks/README.md`."""
    lines = [
        "## Five sets of test movies: `python -m benchmarks.folds FILE …`",
        "",
        "Mean ± standard deviation over five disjoint sets of test movies, each a tenth of a file;",
        "for each of them all models are fitted anew. A margin is ours minus that of a member: its",
        "mean over the sets, with its paired 95% interval over movies, for these fitted models.",
        "Settings were chosen on training movies of the first set, among which are test movies of",
        "the others: held out from everything are the scores under Quality alone.",
        "",
        "| file (movies) | genres by | F1 micro | F1 macro |",
        "|---|---|---|---|",
    ]
    for result in results:
        name = f"{result['file']} ({result['movies']:,})"
        for model in ("ours", "network", "tfidf"):
            cells = [_spread(result[f"{model}_f1_{average}"]) for average in ("micro", "macro")]
            lines.append(f"| {name} | {model} | {' | '.join(cells)} |")
        for model in ("network", "tfidf"):
            cells = [_margin(result, model, average) for average in ("micro", "macro")]
            lines.append(f"| {name} | margin over {model} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def _margin(result: Mapping[str, Any], model: str, average: str) -> str:
    ours, other = (np.mean(result[f"{name}_f1_{average}"]) for name in ("ours", model))
    low, high = (result[f"margin_over_{model}_{average}_{end}"] for end in ("low", "high"))
    return f"{ours - other:+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    save_results(RESULTS, [measure(Path(name)) for name in sys.argv[1:]])
