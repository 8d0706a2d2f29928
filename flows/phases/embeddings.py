"""Documents -> Doc2Vec model, a vector of every document, and sanity checks."""

from dataclasses import dataclass

from prefect import unmapped
from prefect.futures import PrefectFuture

from flows.config import TrainConfig
from flows.phases.documents import Documents
from flows.phases.futures import Chunks, as_input, as_inputs, join_vectors
from tasks.core.contracts import Doc2VecRef, ScoresRef, VectorsRef
from tasks.core.progress import gather
from tasks.embedding.inference import embed
from tasks.embedding.training import fit_doc2vec
from tasks.embedding.vector_checks import check_vectors


@dataclass(frozen=True)
class Embeddings:
    """The Doc2Vec model of a run and the document vectors."""

    doc2vec: PrefectFuture[Doc2VecRef]
    chunks: Chunks[VectorsRef]
    vectors: PrefectFuture[VectorsRef]
    scores: PrefectFuture[ScoresRef]


def train_embeddings(config: TrainConfig, data: Documents) -> Embeddings:
    """Train Doc2Vec on the train split, then compute the vector of every document by chunks."""
    documents, compute = as_input(data.documents), data.compute
    doc2vec = fit_doc2vec.submit(documents, config.doc2vec, config.text, compute)
    chunks = embed.map(data.chunks, unmapped(doc2vec), unmapped(compute))
    vectors = join_vectors.submit(as_inputs(chunks))
    scores = check_vectors.submit(documents, as_input(vectors), as_input(doc2vec), compute)
    return Embeddings(doc2vec=doc2vec, chunks=chunks, vectors=vectors, scores=scores)


def show_progress(data: Documents, embeddings: Embeddings) -> None:
    """Wait for the vectors and show how many are done, once Doc2Vec's own progress has ended."""
    embeddings.doc2vec.wait()
    gather("embed", embeddings.chunks, data.ingested.kept)
