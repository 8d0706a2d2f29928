"""Documents -> Doc2Vec model, a vector of every document, and sanity checks."""

from dataclasses import dataclass

from prefect.futures import PrefectFuture

from flows.config import TrainConfig
from flows.phases.documents import Documents
from flows.phases.futures import as_input
from tasks.core.contracts import Doc2VecRef, ScoresRef, VectorsRef
from tasks.embedding.inference import embed
from tasks.embedding.training import fit_doc2vec
from tasks.embedding.vector_checks import check_vectors


@dataclass(frozen=True)
class Embeddings:
    """The Doc2Vec model of a run and the document vectors."""

    doc2vec: PrefectFuture[Doc2VecRef]
    vectors: PrefectFuture[VectorsRef]
    scores: PrefectFuture[ScoresRef]


def train_embeddings(config: TrainConfig, data: Documents) -> Embeddings:
    """Train Doc2Vec on the train split, then compute the vector of every document by chunks."""
    documents, compute = as_input(data.documents), data.compute
    doc2vec = fit_doc2vec.submit(documents, config.doc2vec, config.text, compute)
    vectors = embed.submit(documents, as_input(doc2vec), compute)
    scores = check_vectors.submit(documents, as_input(vectors), as_input(doc2vec), compute)
    return Embeddings(doc2vec=doc2vec, vectors=vectors, scores=scores)
