"""Document vectors -> sanity checks: validity of each vector, and self-retrieval of a sample."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.core.compute import Compute, run_stage
from tasks.core.contracts import Doc2VecRef, DocumentsRef, ScoresRef, VectorsRef
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.embedding.config import load_config
from tasks.embedding.inference import document_vectors

SELF_RETRIEVAL_SAMPLE = 200  # train documents that are inferred a second time
Vectors = NDArray[np.float32]


def self_retrieval(
    stored: Iterable[Vectors], inferred: Vectors, row_indices: NDArray[np.int64]
) -> float:
    """Share of `inferred` vectors whose nearest stored vector by cosine is their document's.

    `stored` yields the vectors of all documents, chunk by chunk. `inferred` is (n_sample, size),
    and `row_indices` (n_sample,) are the rows of its documents in `stored`.
    """
    best_cosine, nearest = np.full(len(inferred), -np.inf), np.full(len(inferred), -1)
    first = 0
    for vectors in stored:
        cosine = inferred @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
        closer = cosine.max(axis=1) > best_cosine
        nearest[closer] = first + cosine.argmax(axis=1)[closer]
        best_cosine = np.maximum(best_cosine, cosine.max(axis=1))
        first += len(vectors)
    return float(np.mean(nearest == row_indices))


def validate_vectors(vectors: Vectors) -> None:
    """Check that cosine similarity is defined for all `vectors` (n, size).

    Raises:
        ValueError: a vector is zero or not finite.
    """
    norms = np.linalg.norm(vectors, axis=1)
    invalid = int(np.sum(~np.isfinite(norms) | (norms == 0)))
    if invalid:
        raise ValueError(f"{invalid} of {len(vectors)} vectors are zero or not finite")


def iterate_validated(parts: Iterable[Vectors]) -> Iterator[Vectors]:
    """The same arrays; each is checked by `validate_vectors` before it is yielded."""
    for part in parts:
        validate_vectors(part)
        yield part


def sample_train_rows(split: NDArray[np.str_]) -> NDArray[np.int64]:
    """Rows of an even sample of the train documents, about SELF_RETRIEVAL_SAMPLE of them."""
    train = np.flatnonzero(split == "train")
    return train[:: max(1, len(train) // SELF_RETRIEVAL_SAMPLE)]


def _check(
    documents: DocumentsRef, vectors: VectorsRef, model: Doc2VecRef, writer: store.EntryWriter
) -> ScoresRef:
    folder = store.locate(model)
    config = load_config(folder)
    rows = sample_train_rows(np.array(store.read(documents, ["split"])["split"].to_pylist()))
    texts = store.read(documents, ["document"])["document"].take(pa.array(rows)).to_pylist()
    inferred = document_vectors(str(folder), texts, seed=config.seed + 1)
    size = config.vector_size  # with features=both, only the inferred part is compared
    valid = iterate_validated(map(store.matrix, store.chunks(vectors)))
    share = self_retrieval((part[:, :size] for part in valid), inferred[:, :size], rows)
    store.write_json(writer.folder / "metrics.json", {"embed_self_retrieval_at_1": share})
    return writer.folder_ref(ScoresRef, len(rows))


@stage_task("check-vectors")
def check_vectors(
    documents: DocumentsRef, vectors: VectorsRef, model: Doc2VecRef, compute: Compute
) -> ScoresRef:
    """Fail on invalid vectors; measure self-retrieval of train documents inferred with a new seed.

    Raises:
        ValueError: a vector is zero or not finite.
    """
    return store.get_or_create(
        "checks",
        [documents.digest, vectors.digest, model.digest],
        ScoresRef,
        lambda writer: run_stage(compute, _check, documents, vectors, model, writer),
    )
