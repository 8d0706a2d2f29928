"""Documents and a stored Doc2Vec model -> document vectors, inferred, pooled or both.

gensim is imported only where vectors are inferred: loading it takes seconds, and neither a fully
cached run nor pooling needs it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import unmapped

from tasks.core.compute import Compute, run_chunk
from tasks.core.contracts import Doc2VecRef, DocumentsRef, VectorsRef
from tasks.core.orchestration.progress import gather
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.embedding.config import load_config
from tasks.embedding.pooling import known_token_rows, load_weights, pooled_vectors

# Minimum chunks for which a process pool is faster, its start-up of some seconds included.
MIN_CHUNKS_TO_INFER_IN_POOL = 3
MIN_CHUNKS_FOR_PARALLEL_POOLING = 10
Vectors = NDArray[np.float32]


def document_vectors(folder: str, documents: Sequence[str], seed: int | None = None) -> Vectors:
    """Vectors (n_documents, vector_size) of documents, by the model in `folder`.

    The model's `features` decide how they are computed; `both` gives (n_documents,
    2 * vector_size), the inferred part first. Equal documents get equal vectors.
    """
    features, parts = load_config(Path(folder)).features, list[Vectors]()
    if features != "pooled":
        from tasks.embedding.doc2vec import infer_in_folder

        parts.append(infer_in_folder(folder, documents, seed))
    if features != "inferred":
        parts.append(pooled_vectors(load_weights(folder), documents))
    return np.hstack(parts)


def count_known_tokens(folder: str, documents: Sequence[str]) -> list[int]:
    """Number of tokens of each document that are in the vocabulary of the model in `folder`."""
    return [len(rows) for rows in known_token_rows(load_weights(folder).row_by_word, documents)]


def _embed(documents: DocumentsRef, model: Doc2VecRef, writer: store.EntryWriter) -> VectorsRef:
    name = f"{documents.name}.parquet"
    table, folder = store.read(documents, ["id", "document"]), store.locate(model)
    trained = folder / "trained" / name
    if trained.exists():
        return writer.table_ref(VectorsRef, name, pq.read_table(trained))
    vectors = document_vectors(str(folder), table["document"].to_pylist())
    return writer.table_ref(VectorsRef, name, store.vectors_table(table["id"], vectors))


@stage_task("embed-chunk", "embed-{documents.name}")
def embed_chunk(documents: DocumentsRef, model: Doc2VecRef, compute: Compute) -> VectorsRef:
    """Vectors of one chunk of documents; a transductive model's are those from training."""
    pooled = load_config(store.locate(model)).features == "pooled"
    min_chunks = MIN_CHUNKS_FOR_PARALLEL_POOLING if pooled else MIN_CHUNKS_TO_INFER_IN_POOL
    return store.get_or_create(
        "vectors",
        [model.digest, documents.digest],
        VectorsRef,
        lambda writer: run_chunk(compute, min_chunks, _embed, documents, model, writer),
    )


@stage_task("embed")
def embed(documents: DocumentsRef, model: Doc2VecRef, compute: Compute) -> VectorsRef:
    """Vectors of all documents, each chunk in a task of its own."""
    vectors = embed_chunk.map(documents.parts, unmapped(model), unmapped(compute))
    return store.join(gather("embed", vectors, documents.rows))
