"""gensim's Doc2Vec: training, inference that is the same in every process, and how it is stored.

A model is stored without pickle, as config JSON, vocabulary parquet and NumPy arrays, and built
again by gensim from those, so that loading one never runs code that lies in the file.
"""

import time
from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gensim.models.callbacks import CallbackAny2Vec
from gensim.models.doc2vec import Doc2Vec, train_document_dbow, train_document_dm
from numpy.typing import NDArray

from tasks.core.contracts import UserError
from tasks.core.progress import write_epoch_progress
from tasks.core.storage import store
from tasks.embedding.config import Doc2VecConfig, load_config

Vectors = NDArray[np.float32]
History = list[dict[str, float]]
MIN_ALPHA = 1e-4  # learning rate at the end of training and inference
DRIFT_DOCUMENTS = 1000


class EpochLog(CallbackAny2Vec):  # type: ignore[misc]
    """What is logged of each pass: learning rate at its end, and how far documents have moved.

    gensim computes no loss for Doc2Vec. `drift` is the mean of 1 - cosine between the vectors of
    some documents before and after the pass: it falls towards 0 as training settles.
    """

    def __init__(self, config: Doc2VecConfig, work: Path | None = None) -> None:
        self.config, self.work, self.rows = config, work, list[dict[str, float]]()

    def on_epoch_begin(self, model: Doc2Vec) -> None:
        """Remember where the documents were."""
        self.before = model.dv.vectors[:DRIFT_DOCUMENTS].copy()

    def on_epoch_end(self, model: Doc2Vec) -> None:
        """Note the pass."""
        after = model.dv.vectors[:DRIFT_DOCUMENTS]
        norms = np.linalg.norm(self.before, axis=1) * np.linalg.norm(after, axis=1)
        cosine = (self.before * after).sum(axis=1) / np.maximum(norms, 1e-12)
        done = len(self.rows) % self.config.epochs + 1
        rate = self.config.alpha + (MIN_ALPHA - self.config.alpha) * done / self.config.epochs
        row = {"epoch": len(self.rows) + 1, "learning_rate": rate}
        self.rows.append(row | {"drift": float(1 - cosine.mean())})
        if self.work:
            write_epoch_progress(
                self.work, len(self.rows), self.config.epochs * self.config.restarts
            )


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
    corpus_file: Path, config: Doc2VecConfig, work: Path | None = None
) -> tuple[Doc2Vec, History]:
    """Train on a file of one document a line, tokens separated by spaces; tags are line numbers.

    With a folder `work`, each pass is noted there.

    Raises:
        UserError: no word occurs `min_count` times.
    """
    model, log = new_model(config, config.min_count), EpochLog(config, work)
    model.build_vocab(corpus_file=str(corpus_file))
    if not len(model.wv):
        raise UserError(
            f"No word occurs {config.min_count} times in the {model.corpus_count} training "
            "documents: give more movies, or lower --doc2vec.min_count."
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

    `Doc2Vec.infer_vector` seeds itself with Python's per-process string hash and with whatever
    the model drew before, so its results change from process to process; this is the same loop
    over gensim's own kernels with the randomness pinned.
    """
    rng = np.random.default_rng(seed)
    vector = (rng.random((1, config.vector_size), dtype=np.float32) - 0.5) / config.vector_size
    model.random.seed(seed)
    lock, work = np.ones(1, np.float32), np.zeros(model.layer1_size, np.float32)
    frozen = {"learn_words": False, "learn_hidden": False}
    target = {"doctag_vectors": vector, "doctags_lockf": lock}
    words = list(tokens)
    for alpha in np.linspace(config.alpha, MIN_ALPHA, config.infer_epochs):
        if config.architecture == "dbow":
            train_document_dbow(model, words, [0], alpha, work, **frozen, **target)
        else:
            neu1 = np.zeros(model.layer1_size, np.float32)
            train_document_dm(model, words, [0], alpha, work, neu1, **frozen, **target)
    inferred: Vectors = vector[0]
    return inferred


def infer_vectors(
    model: Doc2Vec, documents: Sequence[str], config: Doc2VecConfig, seed: int | None = None
) -> Vectors:
    """Vectors (n_documents, vector_size) of space-separated documents; safe in threads."""
    chosen = config.seed if seed is None else seed
    own = copy(model)  # shares the weights, which stay as they are, but not the random state
    own.random = np.random.RandomState(chosen)
    rows = [infer_vector(own, document.split(), config, chosen) for document in documents]
    return np.array(rows, np.float32).reshape(len(rows), config.vector_size)


def save_model(model: Doc2Vec, config: Doc2VecConfig, folder: Path) -> None:
    """Write what inference needs: config, vocabulary with counts, hidden and word weights."""
    words = model.wv.index_to_key
    counts = [int(model.wv.get_vecattr(word, "count")) for word in words]
    pq.write_table(pa.table({"word": words, "count": counts}), folder / "vocabulary.parquet")
    np.save(folder / "hidden.npy", model.syn1neg)
    if config.architecture == "dm":
        np.save(folder / "words.npy", model.wv.vectors)
    store.write_json(folder / "config.json", config.model_dump(mode="json"))


def load_model(folder: Path) -> tuple[Doc2Vec, Doc2VecConfig]:
    """The model of `save_model`, ready for inference."""
    config = load_config(folder)
    vocabulary = pq.read_table(folder / "vocabulary.parquet")
    words, counts = vocabulary["word"].to_pylist(), vocabulary["count"].to_pylist()
    model = new_model(config, min_count=1)
    model.build_vocab_from_freq(dict(zip(words, counts, strict=True)))
    position = {word: row for row, word in enumerate(words)}
    order = [position[word] for word in model.wv.index_to_key]
    model.syn1neg = np.load(folder / "hidden.npy", allow_pickle=False)[order]
    if config.architecture == "dm":
        model.wv.vectors = np.load(folder / "words.npy", allow_pickle=False)[order]
    return model, config


def train_in_folder(where: Path, config: Doc2VecConfig, work: Path) -> None:
    """Train on `corpus.txt` in a folder and leave the model there, with how training went.

    `training.json` holds seconds, `history.parquet` what `EpochLog` notes, and `vectors.npy` the
    documents' own vectors, where they are wanted. Passes are noted in the folder `work`.
    """
    start = time.perf_counter()
    model, history = train_doc2vec(where / "corpus.txt", config, work)
    seconds = time.perf_counter() - start
    save_model(model, config, where)
    pq.write_table(pa.Table.from_pylist(history), where / "history.parquet")
    words = model.corpus_total_words * config.epochs * config.restarts
    store.write_json(
        where / "training.json",
        {"doc2vec_seconds": seconds, "doc2vec_words_per_second": words / seconds},
    )
    if config.transductive:
        np.save(where / "vectors.npy", model.dv.vectors)


@lru_cache(maxsize=2)
def _loaded(folder: str) -> tuple[Doc2Vec, Doc2VecConfig]:
    return load_model(Path(folder))


def infer_in_folder(folder: str, documents: Sequence[str], seed: int | None = None) -> Vectors:
    """`infer_vectors` with a stored model, which a process loads once."""
    model, config = _loaded(folder)
    return infer_vectors(model, documents, config, seed)
