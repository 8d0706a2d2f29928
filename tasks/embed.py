"""Documents -> Doc2Vec -> vectors: train on one split, infer every vector with the same function.

The model is stored without pickle, as config JSON, vocabulary parquet and NumPy arrays, and built
again by gensim from those, so that loading one never runs code that lies in the file.
"""

import math
from collections.abc import Iterable, Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gensim.models.doc2vec import Doc2Vec, train_document_dbow, train_document_dm
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field

from tasks import store
from tasks.compute import Compute, run
from tasks.contracts import Doc2VecRef, DocumentsRef, UserError, VectorsRef

VERSION = 2
SELF_RETRIEVAL_SAMPLE = 200
PROCESSES_PAY_FROM = 3  # chunks to infer; a pool takes seconds to start
WORDS_A_WORKER = 100_000  # words of a corpus from which another training thread has work
MAX_EPOCHS = 100  # what small corpora are scaled to at most
Vectors = NDArray[np.float32]


class Doc2VecConfig(BaseModel):
    """Doc2Vec (Le & Mikolov, 2014) as gensim trains it."""

    architecture: Literal["dbow", "dm"] = Field("dbow", description="PV-DBOW or PV-DM")
    vector_size: int = Field(300, ge=2, le=2000, description="Dimensions of a vector")
    window: int = Field(5, ge=1, description="Context words on each side (dm)")
    min_count: int = Field(2, ge=1, description="Occurrences that a word needs to be learnt")
    sample: float = Field(1e-4, ge=0, description="Share above which frequent words are thinned")
    negative: int = Field(5, ge=1, description="Noise words drawn for each word")
    alpha: float = Field(0.05, gt=0, le=1, description="Learning rate at the start")
    epochs: int = Field(20, ge=1, description="Passes over the documents")
    min_words: int = Field(
        1_000_000, ge=0, description="Words to train on at least: a small corpus gets more epochs"
    )
    restarts: int = Field(1, ge=1, description="Times that training starts over at full rate")
    infer_epochs: int = Field(20, ge=1, description="Passes when a vector is inferred")
    transductive: bool = Field(
        False, description="Train on held-out documents too and use the trained vectors: leaks"
    )
    workers: int = Field(default=2, ge=1, description="Training threads; 1 is deterministic")
    seed: int = Field(42, ge=0, description="Seed of training and inference")


def new_model(config: Doc2VecConfig, min_count: int) -> Doc2Vec:
    """An untrained gensim model with the settings of `config`."""
    return Doc2Vec(
        dm=int(config.architecture == "dm"),
        vector_size=config.vector_size,
        window=config.window,
        min_count=min_count,
        sample=config.sample,
        negative=config.negative,
        alpha=config.alpha,
        min_alpha=1e-4,
        epochs=config.epochs,
        workers=config.workers,
        seed=config.seed,
    )


def scaled(config: Doc2VecConfig, corpus_words: int) -> Doc2VecConfig:
    """`config` made fit for the size of the corpus.

    As many epochs, to train and to infer, as `min_words` asks for, and no more threads than there
    is work for: gensim hands out jobs of ten thousand words.
    """
    factor = max(1.0, config.min_words / max(1, corpus_words * config.epochs))
    epochs = min(MAX_EPOCHS, math.ceil(config.epochs * factor))
    infer_epochs = min(MAX_EPOCHS, math.ceil(config.infer_epochs * factor))
    return config.model_copy(
        update={
            "epochs": max(config.epochs, epochs),
            "infer_epochs": max(config.infer_epochs, infer_epochs),
            "workers": max(1, min(config.workers, corpus_words // WORDS_A_WORKER)),
        }
    )


def train_doc2vec(corpus_file: Path, config: Doc2VecConfig) -> Doc2Vec:
    """Train on a file of one document a line, tokens separated by spaces; tags are line numbers.

    Raises:
        UserError: no word occurs `min_count` times.
    """
    model = new_model(config, config.min_count)
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
        )
    return model


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
    for alpha in np.linspace(config.alpha, 1e-4, config.infer_epochs):
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


def load_config(folder: Path) -> Doc2VecConfig:
    """The config that a stored model was trained with."""
    return Doc2VecConfig.model_validate(store.read_json(folder / "config.json"))


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


def write_corpus(documents: Iterable[pa.Table], path: Path, splits: Sequence[str]) -> int:
    """Write the documents of some splits, one a line, as gensim's `corpus_file`; their words."""
    words = 0
    with path.open("w", encoding="utf-8") as file:
        for table in documents:
            pairs = zip(table["document"].to_pylist(), table["split"].to_pylist(), strict=True)
            lines = [f"{document}\n" for document, split in pairs if split in splits]
            file.writelines(lines)
            words += sum(len(line.split()) for line in lines)
    return words


@lru_cache(maxsize=2)
def _loaded(folder: str) -> tuple[Doc2Vec, Doc2VecConfig]:
    return load_model(Path(folder))


def infer_in_folder(folder: str, documents: Sequence[str], seed: int | None = None) -> Vectors:
    """`infer_vectors` with a stored model, which a process loads once."""
    model, config = _loaded(folder)
    return infer_vectors(model, documents, config, seed)


def write_trained(documents: DocumentsRef, vectors: Vectors, folder: Path) -> None:
    """Write the model's own document vectors, a file a chunk, named as the chunk is."""
    folder.mkdir()
    first = 0
    for path, table in zip(documents.paths, store.chunks(documents, ["id"]), strict=True):
        rows = vectors[first : first + table.num_rows]
        pq.write_table(store.vectors_table(table["id"], rows), folder / Path(path).name)
        first += table.num_rows


def _fit(documents: DocumentsRef, config: Doc2VecConfig, slot: store.Slot) -> Doc2VecRef:
    splits = ["train", "validation", "test"] if config.transductive else ["train"]
    corpus = slot.folder / "corpus.txt"
    words = write_corpus(store.chunks(documents, ["document", "split"]), corpus, splits)
    if not words:
        raise UserError(f"None of the {documents.rows} movies falls in the train split: give more.")
    fitting = scaled(config, words)
    model = train_doc2vec(corpus, fitting)
    corpus.unlink()
    save_model(model, fitting, slot.folder)
    if config.transductive:
        write_trained(documents, model.dv.vectors, slot.folder / "trained")
    return slot.whole(Doc2VecRef, documents.rows)


@task(name="fit-doc2vec", cache_policy=NO_CACHE)
def fit_doc2vec(documents: DocumentsRef, config: Doc2VecConfig) -> Doc2VecRef:
    """Train Doc2Vec on the train split (on every document in the leaky, transductive mode)."""
    ref = store.entry(
        "doc2vec",
        [VERSION, config, documents.digest],
        Doc2VecRef,
        lambda slot: _fit(documents, config, slot),
    )
    used = load_config(store.locate(ref))
    get_run_logger().info(
        "Doc2Vec %s, %d dimensions, %d epochs", used.architecture, used.vector_size, used.epochs
    )
    return ref


def _embed(
    documents: DocumentsRef, model: Doc2VecRef, compute: Compute, slot: store.Slot
) -> VectorsRef:
    name = f"{documents.name}.parquet"
    table, folder = store.read(documents, ["id", "document"]), store.locate(model)
    trained = folder / "trained" / name
    if trained.exists():
        return slot.table(VectorsRef, name, pq.read_table(trained))
    texts = table["document"].to_pylist()
    vectors = run(compute, PROCESSES_PAY_FROM, infer_in_folder, str(folder), texts)
    return slot.table(VectorsRef, name, store.vectors_table(table["id"], vectors))


@task(name="embed", task_run_name="embed-{documents.name}", cache_policy=NO_CACHE)
def embed(documents: DocumentsRef, model: Doc2VecRef, compute: Compute) -> VectorsRef:
    """Vectors of one chunk, inferred (or the trained ones, in the transductive mode)."""
    return store.entry(
        "vectors",
        [VERSION, model.digest, documents.digest],
        VectorsRef,
        lambda slot: _embed(documents, model, compute, slot),
    )


def self_retrieval(own: Vectors, again: Vectors, rows: NDArray[np.int64]) -> float:
    """Share of re-inferred vectors whose nearest document by cosine is the document itself.

    `own` is (n, size), `again` (m, size), and `rows` says which document each of `again` is.
    """
    unit = own / np.linalg.norm(own, axis=1, keepdims=True)
    return float(np.mean(np.argmax(again @ unit.T, axis=1) == rows))


def require_sound(vectors: Vectors) -> None:
    """Raises ValueError if a vector is not finite or is zero: cosine has no meaning for it."""
    norms = np.linalg.norm(vectors, axis=1)
    bad = int(np.sum(~np.isfinite(norms) | (norms == 0)))
    if bad:
        raise ValueError(f"{bad} of {len(vectors)} vectors are zero or not finite")


@task(name="check-vectors", cache_policy=NO_CACHE)
def check_vectors(
    documents: DocumentsRef, vectors: VectorsRef, model: Doc2VecRef
) -> dict[str, float]:
    """Fail on unusable vectors; measure whether a train document, inferred again, finds itself."""
    own = store.matrix(store.read(vectors))
    require_sound(own)
    table = store.read(documents, ["document", "split"])
    train = np.flatnonzero(np.array(table["split"].to_pylist()) == "train")
    rows = train[:: max(1, len(train) // SELF_RETRIEVAL_SAMPLE)]
    texts = table["document"].take(pa.array(rows)).to_pylist()
    folder = store.locate(model)
    again = infer_in_folder(str(folder), texts, seed=load_config(folder).seed + 1)
    return {"embed_self_retrieval_at_1": self_retrieval(own, again, rows)}
