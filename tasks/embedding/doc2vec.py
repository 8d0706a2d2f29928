"""gensim's Doc2Vec: training on a corpus file, reproducible inference, and storage.

A model is stored without pickle, as config JSON, vocabulary parquet and NumPy arrays. gensim
rebuilds it from these, so loading a model never runs code from a file.
"""

import time
from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gensim.models.callbacks import CallbackAny2Vec
from gensim.models.doc2vec import Doc2Vec, train_document_dbow, train_document_dm
from numpy.typing import NDArray

from tasks.core.contracts import UserError
from tasks.core.documents import tokens_of
from tasks.core.orchestration.progress import write_epoch_progress
from tasks.core.storage import store
from tasks.embedding.config import Doc2VecConfig, load_config

Vectors = NDArray[np.float32]
History = list[dict[str, float]]
MIN_ALPHA = 1e-4  # learning rate at the end of training and inference
DRIFT_WORDS = 1000  # words, the most frequent ones, whose movement between epochs is logged


class EpochLog(CallbackAny2Vec):  # type: ignore[misc]
    """Callback that records the learning rate and the drift of the word weights for each epoch.

    gensim computes no loss for Doc2Vec. `drift` is the mean cosine distance between the output
    weights of frequent words, from which document vectors are made, before and after the epoch; it
    falls towards 0 as training converges.
    """

    def __init__(self, config: Doc2VecConfig, progress_dir: Path | None = None) -> None:
        self.config, self.progress_dir = config, progress_dir
        self.rows = list[dict[str, float]]()

    def on_epoch_begin(self, model: Doc2Vec) -> None:
        """Remember the word weights."""
        self.weights_before = model.syn1neg[:DRIFT_WORDS].copy()

    def on_epoch_end(self, model: Doc2Vec) -> None:
        """Record the epoch; with a `progress_dir`, write the progress there."""
        round_epoch = len(self.rows) % self.config.epochs + 1
        decay = (MIN_ALPHA - self.config.alpha) * round_epoch / self.config.epochs
        drift = mean_cosine_distance(self.weights_before, model.syn1neg[:DRIFT_WORDS])
        row = {"epoch": len(self.rows) + 1, "learning_rate": self.config.alpha + decay}
        self.rows.append(row | {"drift": drift})
        if self.progress_dir:
            epochs = self.config.epochs * self.config.restarts
            write_epoch_progress(self.progress_dir, len(self.rows), epochs)


def mean_cosine_distance(before: Vectors, after: Vectors) -> float:
    """Mean of 1 - cosine between the rows of two arrays (n, size)."""
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosine = (before * after).sum(axis=1) / np.maximum(norms, 1e-12)
    return float(1 - cosine.mean())


def new_model(config: Doc2VecConfig, min_count: int) -> Doc2Vec:
    """An untrained gensim model with the settings of `config`."""
    return Doc2Vec(
        dm=int(config.architecture == "dm"),
        vector_size=config.vector_size,
        window=config.window,
        min_count=min_count,
        sample=config.sample,
        negative=config.negative,
        ns_exponent=config.noise_exponent,
        alpha=config.alpha,
        min_alpha=MIN_ALPHA,
        epochs=config.epochs,
        workers=config.workers,
        seed=config.seed,
    )


def train_doc2vec(
    corpus_file: Path, config: Doc2VecConfig, progress_dir: Path | None = None
) -> tuple[Doc2Vec, History]:
    """Train on a file with one document per line and spaces between tokens; tags are line numbers.

    Returns the model and a row per epoch (see `EpochLog`).

    Raises:
        UserError: no word occurs `config.min_count` times.
    """
    model, log = new_model(config, config.min_count), EpochLog(config, progress_dir)
    model.build_vocab(corpus_file=str(corpus_file))
    if not len(model.wv):
        raise UserError(
            f"No word occurs {config.min_count} times in the {model.corpus_count} training "
            "documents: add movies or lower --doc2vec.min-count."
        )
    for _ in range(config.restarts):
        model.train(
            corpus_file=str(corpus_file),
            total_examples=model.corpus_count,
            total_words=model.corpus_total_words,
            epochs=config.epochs,
            callbacks=[log],
        )
    return model, log.rows


def infer_vector(
    model: Doc2Vec, tokens: Sequence[str], config: Doc2VecConfig, seed: int
) -> Vectors:
    """Vector (vector_size,) of an unseen document: equal tokens and seed give equal vectors.

    `Doc2Vec.infer_vector` depends on Python's per-process string hash and on the random numbers
    drawn before. This function runs the same loop over gensim's kernels with a fixed seed.
    """
    rng = np.random.default_rng(seed)
    uniform: Vectors = rng.random((1, config.vector_size), dtype=np.float32)
    vector = (uniform - np.float32(0.5)) / np.float32(config.vector_size)
    model.random.seed(seed)
    words, update_vector = list(tokens), _inference_step(model, config, vector)
    for alpha in np.linspace(config.alpha, MIN_ALPHA, config.infer_epochs):
        update_vector(words, alpha)
    document_vector: Vectors = vector[0]
    return document_vector


def _inference_step(
    model: Doc2Vec, config: Doc2VecConfig, vector: Vectors
) -> Callable[[list[str], float], Any]:
    """A function of words and learning rate that updates `vector` in place, and no word weights."""
    settings = {
        "learn_words": False,
        "learn_hidden": False,
        "doctag_vectors": vector,
        "doctags_lockf": np.ones(1, np.float32),
        "work": np.zeros(model.layer1_size, np.float32),
    }
    if config.architecture == "dbow":
        return lambda words, alpha: train_document_dbow(model, words, [0], alpha, **settings)
    settings["neu1"] = np.zeros(model.layer1_size, np.float32)
    return lambda words, alpha: train_document_dm(model, words, [0], alpha, **settings)


def infer_vectors(
    model: Doc2Vec, documents: Sequence[str], config: Doc2VecConfig, seed: int | None = None
) -> Vectors:
    """Vectors (n_documents, vector_size) of documents; thread-safe."""
    seed = config.seed if seed is None else seed
    seeded_model = copy(model)  # shares the weights, which do not change, but no random state
    seeded_model.random = np.random.RandomState(seed)
    rows = [infer_vector(seeded_model, tokens_of(document), config, seed) for document in documents]
    return np.array(rows, np.float32).reshape(len(rows), config.vector_size)


def save_model(model: Doc2Vec, config: Doc2VecConfig, folder: Path) -> None:
    """Write what inference needs: config, vocabulary with counts, output and word weights."""
    words = model.wv.index_to_key
    counts = [int(model.wv.get_vecattr(word, "count")) for word in words]
    pq.write_table(pa.table({"word": words, "count": counts}), folder / "vocabulary.parquet")
    np.save(folder / "hidden.npy", model.syn1neg)
    if config.architecture == "dm":
        np.save(folder / "words.npy", model.wv.vectors)
    store.write_json(folder / "config.json", config.model_dump(mode="json"))


def load_model(folder: Path) -> tuple[Doc2Vec, Doc2VecConfig]:
    """Model and config that `save_model` wrote; the model can infer, but not train on."""
    config = load_config(folder)
    vocabulary = pq.read_table(folder / "vocabulary.parquet")
    words, counts = vocabulary["word"].to_pylist(), vocabulary["count"].to_pylist()
    model = new_model(config, min_count=1)
    model.build_vocab_from_freq(dict(zip(words, counts, strict=True)))
    stored_row = {word: row for row, word in enumerate(words)}
    order = [stored_row[word] for word in model.wv.index_to_key]
    model.syn1neg = np.load(folder / "hidden.npy", allow_pickle=False)[order]
    if config.architecture == "dm":
        model.wv.vectors = np.load(folder / "words.npy", allow_pickle=False)[order]
    return model, config


def train_in_folder(folder: Path, config: Doc2VecConfig, progress_dir: Path) -> None:
    """Train on `corpus.txt` in `folder` and write the model and its training record there.

    `training.json` holds seconds and words per second, `history.parquet` the rows of `EpochLog`
    and, for a transductive model, `vectors.npy` the vectors that training gave the documents.
    """
    start = time.perf_counter()
    model, history = train_doc2vec(folder / "corpus.txt", config, progress_dir)
    seconds = time.perf_counter() - start
    save_model(model, config, folder)
    pq.write_table(pa.Table.from_pylist(history), folder / "history.parquet")
    words = model.corpus_total_words * config.epochs * config.restarts
    store.write_json(
        folder / "training.json",
        {"doc2vec_seconds": seconds, "doc2vec_words_per_second": words / seconds},
    )
    if config.transductive:
        np.save(folder / "vectors.npy", model.dv.vectors)


@lru_cache(maxsize=2)
def _load_cached(folder: str) -> tuple[Doc2Vec, Doc2VecConfig]:
    return load_model(Path(folder))


def infer_in_folder(folder: str, documents: Sequence[str], seed: int | None = None) -> Vectors:
    """`infer_vectors` with the model stored in `folder`, which a process loads once."""
    model, config = _load_cached(folder)
    return infer_vectors(model, documents, config, seed)
