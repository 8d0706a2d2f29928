"""Documents -> Doc2Vec -> vectors: train on one split, infer every vector with the same function.

gensim is used in `doc2vec.py` alone, which is imported where it is used: gensim takes a while to
load, and a fully cached run never needs it.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from tasks.core.compute import Compute, run_chunk, run_stage
from tasks.core.contracts import Doc2VecRef, DocumentsRef, ScoresRef, UserError, VectorsRef
from tasks.core.progress import watch_epochs
from tasks.core.storage import store
from tasks.embedding.config import Doc2VecConfig, load_config, scale_to_corpus
from tasks.embedding.pooling import known_token_rows, load_weights, pooled_vectors

VERSION = 4
SELF_RETRIEVAL_SAMPLE = 200
INFERRING_PAYS_FROM = 3  # chunks from which a pool of processes is worth the seconds of its start
POOLING_PAYS_FROM = 10
Vectors = NDArray[np.float32]


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
    documents: DocumentsRef, config: Doc2VecConfig, text: BaseModel, writer: store.EntryWriter
) -> Doc2VecRef:
    from tasks.embedding.doc2vec import train_in_folder

    splits = ["train", "validation", "test"] if config.transductive else ["train"]
    corpus, trained = writer.folder / "corpus.txt", writer.folder / "vectors.npy"
    words = write_corpus(store.chunks(documents, ["document", "split"]), corpus, splits)
    if not words:
        raise UserError(f"None of the {documents.rows} movies falls in the train split: give more.")
    train_in_folder(writer.folder, scale_to_corpus(config, words), writer.checkpoint_dir)
    corpus.unlink()
    if config.transductive:
        write_trained(documents, np.load(trained, "r"), writer.folder / "trained")
        trained.unlink()
    store.write_json(writer.folder / "text.json", text.model_dump(mode="json"))
    return writer.folder_ref(Doc2VecRef, documents.rows, measured="training.json")


@task(name="fit-doc2vec", cache_policy=NO_CACHE)
def fit_doc2vec(
    documents: DocumentsRef, config: Doc2VecConfig, text: BaseModel, compute: Compute
) -> Doc2VecRef:
    """Train Doc2Vec on the train split (on every document in the leaky, transductive mode).

    `text`, the settings that made the documents, is stored with the model: who has its folder can
    turn any text into a vector. A large corpus is trained on in a process of its own, whose memory
    goes back when it is done.
    """

    def fit(writer: store.EntryWriter) -> Doc2VecRef:
        with watch_epochs("fit-doc2vec", writer.checkpoint_dir):
            return run_stage(compute, _fit, documents, config, text, writer)

    ref = store.get_or_create("doc2vec", [VERSION, config, text, documents.digest], Doc2VecRef, fit)
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


def document_vectors(folder: str, documents: Sequence[str], seed: int | None = None) -> Vectors:
    """Vectors of space-separated documents by a stored model, as its `features` say.

    (n_documents, vector_size), or twice as wide with `both`; equal documents get equal vectors.
    """
    features, parts = load_config(Path(folder)).features, list[Vectors]()
    if features != "pooled":
        from tasks.embedding.doc2vec import infer_in_folder

        parts.append(infer_in_folder(folder, documents, seed))
    if features != "inferred":
        parts.append(pooled_vectors(load_weights(folder), documents))
    return np.hstack(parts)


def count_known_tokens(folder: str, documents: Sequence[str]) -> list[int]:
    """How many tokens of each document a stored model knows."""
    return [len(rows) for rows in known_token_rows(load_weights(folder), documents)]


def _embed(documents: DocumentsRef, model: Doc2VecRef, writer: store.EntryWriter) -> VectorsRef:
    name = f"{documents.name}.parquet"
    table, folder = store.read(documents, ["id", "document"]), store.locate(model)
    trained = folder / "trained" / name
    if trained.exists():
        return writer.table_ref(VectorsRef, name, pq.read_table(trained))
    vectors = document_vectors(str(folder), table["document"].to_pylist())
    return writer.table_ref(VectorsRef, name, store.vectors_table(table["id"], vectors))


@task(name="embed", task_run_name="embed-{documents.name}", cache_policy=NO_CACHE)
def embed(documents: DocumentsRef, model: Doc2VecRef, compute: Compute) -> VectorsRef:
    """Vectors of one chunk, inferred (or the trained ones, in the transductive mode)."""
    pooled = load_config(store.locate(model)).features == "pooled"
    pays_from = POOLING_PAYS_FROM if pooled else INFERRING_PAYS_FROM
    return store.get_or_create(
        "vectors",
        [VERSION, model.digest, documents.digest],
        VectorsRef,
        lambda writer: run_chunk(compute, pays_from, _embed, documents, model, writer),
    )


def self_retrieval(own: Iterable[Vectors], again: Vectors, rows: NDArray[np.int64]) -> float:
    """Share of re-inferred vectors whose nearest document by cosine is the document itself.

    `own` are the documents' vectors, some at a time; `again` is (m, size), and `rows` says which
    document each of `again` is.
    """
    best, nearest, first = np.full(len(again), -np.inf), np.full(len(again), -1), 0
    for vectors in own:
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosine = again @ unit.T
        closer = cosine.max(axis=1) > best
        nearest[closer] = first + cosine.argmax(axis=1)[closer]
        best, first = np.maximum(best, cosine.max(axis=1)), first + len(vectors)
    return float(np.mean(nearest == rows))


def validate_vectors(vectors: Vectors) -> None:
    """Raises ValueError if a vector is not finite or is zero: cosine has no meaning for it."""
    norms = np.linalg.norm(vectors, axis=1)
    bad = int(np.sum(~np.isfinite(norms) | (norms == 0)))
    if bad:
        raise ValueError(f"{bad} of {len(vectors)} vectors are zero or not finite")


def validated(parts: Iterable[Vectors]) -> Iterator[Vectors]:
    """The same parts, each checked by `require_sound` as it goes by."""
    for part in parts:
        validate_vectors(part)
        yield part


def _check(
    documents: DocumentsRef, vectors: VectorsRef, model: Doc2VecRef, writer: store.EntryWriter
) -> ScoresRef:
    folder = store.locate(model)
    used = load_config(folder)
    split = np.array(store.read(documents, ["split"])["split"].to_pylist())
    train = np.flatnonzero(split == "train")
    rows = train[:: max(1, len(train) // SELF_RETRIEVAL_SAMPLE)]
    texts = store.read(documents, ["document"])["document"].take(pa.array(rows)).to_pylist()
    again = document_vectors(str(folder), texts, seed=used.seed + 1)
    size = used.vector_size  # the inferred part, where there are two
    own = (part[:, :size] for part in validated(map(store.matrix, store.chunks(vectors))))
    share = self_retrieval(own, again[:, :size], rows)
    store.write_json(writer.folder / "metrics.json", {"embed_self_retrieval_at_1": share})
    return writer.folder_ref(ScoresRef, len(rows))


@task(name="check-vectors", cache_policy=NO_CACHE)
def check_vectors(
    documents: DocumentsRef, vectors: VectorsRef, model: Doc2VecRef, compute: Compute
) -> ScoresRef:
    """Fail on unusable vectors; measure whether a train document, inferred again, finds itself."""
    return store.get_or_create(
        "checks",
        [VERSION, documents.digest, vectors.digest, model.digest],
        ScoresRef,
        lambda writer: run_stage(compute, _check, documents, vectors, model, writer),
    )
