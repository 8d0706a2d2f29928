"""Documents -> Doc2Vec -> vectors: train on one split, infer every vector with the same function.

What is gensim's lies in `tasks/doc2vec.py`. It is imported where it is used: gensim takes a while
to load, and a run that finds everything in the cache never needs it.
"""

import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, Field, model_validator

from tasks import store
from tasks.compute import Compute, run
from tasks.contracts import Doc2VecRef, DocumentsRef, ScoresRef, UserError, VectorsRef

VERSION = 3
SELF_RETRIEVAL_SAMPLE = 200
PROCESSES_PAY_FROM = 3  # chunks to infer; a pool takes seconds to start
WORDS_A_WORKER = 100_000  # words of a corpus from which another training thread has work
MAX_EPOCHS = 100  # what small corpora are scaled to at most
Vectors = NDArray[np.float32]


class Doc2VecConfig(BaseModel):
    """Doc2Vec (Le & Mikolov, 2014) as gensim trains it."""

    architecture: Literal["dbow", "dm"] = Field("dbow", description="PV-DBOW or PV-DM")
    features: Literal["inferred", "pooled", "both"] = Field(
        "both",
        description="What a vector is: inferred by gensim's training, pooled from the words' "
        "weights in one step, or both side by side",
    )
    vector_size: int = Field(300, ge=2, le=2000, description="Dimensions of each of the two")
    window: int = Field(5, ge=1, description="Context words on each side (dm)")
    min_count: int = Field(2, ge=1, description="Occurrences that a word needs to be learnt")
    sample: float = Field(1e-4, ge=0, description="Share above which frequent words are thinned")
    negative: int = Field(5, ge=1, description="Noise words drawn for each word")
    noise_exponent: float = Field(
        0.75, ge=-1, le=1, description="Power of the counts by which noise words are drawn"
    )
    alpha: float = Field(0.05, gt=0, le=1, description="Learning rate at the start")
    epochs: int = Field(20, ge=1, description="Passes over the documents")
    min_words: int = Field(
        1_000_000, ge=0, description="Words to train on at least: a small corpus gets more epochs"
    )
    restarts: int = Field(1, ge=1, description="Times that training starts over at full rate")
    infer_epochs: int = Field(10, ge=1, description="Passes when a vector is inferred")
    transductive: bool = Field(
        False, description="Train on held-out documents too and use the trained vectors: leaks"
    )
    workers: int = Field(default=2, ge=1, description="Training threads; 1 is deterministic")
    seed: int = Field(42, ge=0, description="Seed of training and inference")

    @model_validator(mode="after")
    def _trained_vectors_are_not_pooled(self) -> "Doc2VecConfig":
        if self.transductive and self.features != "inferred":
            raise ValueError("transductive vectors are trained ones: set features to inferred")
        return self


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


def load_config(folder: Path) -> Doc2VecConfig:
    """The config that a stored model was trained with."""
    return Doc2VecConfig.model_validate(store.read_json(folder / "config.json"))


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


def write_trained(documents: DocumentsRef, vectors: Vectors, folder: Path) -> None:
    """Write the model's own document vectors, a file a chunk, named as the chunk is."""
    folder.mkdir()
    first = 0
    for path, table in zip(documents.paths, store.chunks(documents, ["id"]), strict=True):
        rows = vectors[first : first + table.num_rows]
        pq.write_table(store.vectors_table(table["id"], rows), folder / Path(path).name)
        first += table.num_rows


def _fit(
    documents: DocumentsRef, config: Doc2VecConfig, text: BaseModel, slot: store.Slot
) -> Doc2VecRef:
    from tasks.doc2vec import save_model, train_doc2vec

    splits = ["train", "validation", "test"] if config.transductive else ["train"]
    corpus = slot.folder / "corpus.txt"
    words = write_corpus(store.chunks(documents, ["document", "split"]), corpus, splits)
    if not words:
        raise UserError(f"None of the {documents.rows} movies falls in the train split: give more.")
    fitting = scaled(config, words)
    start = time.perf_counter()
    model, history = train_doc2vec(corpus, fitting)
    seconds = time.perf_counter() - start
    corpus.unlink()
    save_model(model, fitting, slot.folder)
    store.write_json(slot.folder / "text.json", text.model_dump(mode="json"))
    pq.write_table(pa.Table.from_pylist(history), slot.folder / "history.parquet")
    passes = words * fitting.epochs * fitting.restarts
    training = {"doc2vec_seconds": seconds, "doc2vec_words_per_second": passes / seconds}
    store.write_json(slot.folder / "training.json", training)
    if config.transductive:
        write_trained(documents, model.dv.vectors, slot.folder / "trained")
    return slot.whole(Doc2VecRef, documents.rows)


@task(name="fit-doc2vec", cache_policy=NO_CACHE)
def fit_doc2vec(documents: DocumentsRef, config: Doc2VecConfig, text: BaseModel) -> Doc2VecRef:
    """Train Doc2Vec on the train split (on every document in the leaky, transductive mode).

    `text`, the settings that made the documents, is stored with the models: who has their folder
    can turn any text into a vector.
    """
    ref = store.entry(
        "doc2vec",
        [VERSION, config, text, documents.digest],
        Doc2VecRef,
        lambda slot: _fit(documents, config, text, slot),
    )
    used = load_config(store.locate(ref))
    training = store.read_json(store.locate(ref) / "training.json")
    get_run_logger().info(
        "Doc2Vec %s, %d dimensions, %d epochs in %.1f s (%.0f words/s)",
        used.architecture,
        used.vector_size,
        used.epochs,
        training["doc2vec_seconds"],
        training["doc2vec_words_per_second"],
    )
    return ref


def _embed(
    documents: DocumentsRef, model: Doc2VecRef, compute: Compute, slot: store.Slot
) -> VectorsRef:
    from tasks.doc2vec import vectors_in_folder

    name = f"{documents.name}.parquet"
    table, folder = store.read(documents, ["id", "document"]), store.locate(model)
    trained = folder / "trained" / name
    if trained.exists():
        return slot.table(VectorsRef, name, pq.read_table(trained))
    texts = table["document"].to_pylist()
    vectors = run(compute, PROCESSES_PAY_FROM, vectors_in_folder, str(folder), texts)
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


def _check(
    documents: DocumentsRef, vectors: VectorsRef, model: Doc2VecRef, slot: store.Slot
) -> ScoresRef:
    from tasks.doc2vec import vectors_in_folder

    own = store.matrix(store.read(vectors))
    require_sound(own)
    folder = store.locate(model)
    size = load_config(folder).vector_size  # the inferred part, where there are two
    table = store.read(documents, ["document", "split"])
    train = np.flatnonzero(np.array(table["split"].to_pylist()) == "train")
    rows = train[:: max(1, len(train) // SELF_RETRIEVAL_SAMPLE)]
    texts = table["document"].take(pa.array(rows)).to_pylist()
    again = vectors_in_folder(str(folder), texts, seed=load_config(folder).seed + 1)
    share = self_retrieval(own[:, :size], again[:, :size], rows)
    found = {"embed_self_retrieval_at_1": share}
    store.write_json(slot.folder / "metrics.json", found)
    return slot.whole(ScoresRef, len(rows))


@task(name="check-vectors", cache_policy=NO_CACHE)
def check_vectors(documents: DocumentsRef, vectors: VectorsRef, model: Doc2VecRef) -> ScoresRef:
    """Fail on unusable vectors; measure whether a train document, inferred again, finds itself."""
    return store.entry(
        "checks",
        [VERSION, documents.digest, vectors.digest, model.digest],
        ScoresRef,
        lambda slot: _check(documents, vectors, model, slot),
    )
