import numpy as np
import pyarrow as pa
import pytest

from tasks.core.compute import Compute
from tasks.core.contracts import Doc2VecRef, DocumentsRef, VectorsRef
from tasks.core.storage import store
from tasks.embedding import vector_checks
from tasks.embedding.config import Doc2VecConfig
from tasks.embedding.vector_checks import (
    check_vectors,
    sample_train_rows,
    self_retrieval,
    validate_vectors,
)
from tests.support.stored import stored_folder, stored_table


def test_self_retrieval_is_the_share_of_vectors_nearest_to_their_document():
    stored = np.eye(3, dtype=np.float32)
    inferred = np.array([[0.9, 0.1, 0], [0.9, 0.1, 0]], np.float32)
    assert self_retrieval([stored], inferred, np.array([0, 1])) == 0.5
    assert self_retrieval([stored[:1], stored[1:]], inferred, np.array([1, 0])) == 0.5


@pytest.mark.parametrize("invalid", [np.nan, np.inf, 0.0])
def test_zero_or_infinite_vectors_are_refused(invalid):
    validate_vectors(np.ones((2, 2), np.float32))
    with pytest.raises(ValueError, match="1 of 2 vectors"):
        validate_vectors(np.array([[1, 1], [invalid, invalid]], np.float32))


def test_only_train_documents_are_sampled():
    assert sample_train_rows(np.array(["train", "test", "train"])).tolist() == [0, 2]
    assert len(sample_train_rows(np.full(1000, "train"))) == 200


@pytest.fixture
def seeds(monkeypatch) -> list[int]:
    """Seeds with which documents are inferred; their vectors point the same way."""
    used = list[int]()

    def infer(_: str, texts: list[str], seed: int) -> np.ndarray:
        used.append(seed)
        return np.eye(len(texts), 2, dtype=np.float32)

    monkeypatch.setattr(vector_checks, "document_vectors", infer)
    monkeypatch.setattr(
        vector_checks, "load_config", lambda _: Doc2VecConfig(vector_size=2, seed=7)
    )
    return used


def checked(second: float) -> dict[str, float]:
    """The check of two documents, the second vector of which ends with this value."""
    documents = pa.table({"split": ["train", "train"], "document": ["a", "b"]})
    vectors = store.vectors_table(
        pa.chunked_array([["1", "2"]]), np.array([[1, 0], [0, second]], np.float32)
    )
    scores = check_vectors.fn(
        stored_table(DocumentsRef, documents),
        stored_table(VectorsRef, vectors),
        stored_folder(Doc2VecRef, lambda folder: (folder / "model").touch()),
        Compute(),
    )
    return dict(store.read_json(store.locate(scores) / "metrics.json"))


def test_train_documents_are_inferred_again_with_another_seed(artifacts, seeds):
    assert checked(1.0) == {"embed_self_retrieval_at_1": 1.0}
    assert seeds == [8]


@pytest.mark.parametrize("invalid", [np.nan, 0.0])
@pytest.mark.usefixtures("seeds")
def test_a_run_with_an_invalid_vector_fails(artifacts, invalid):
    with pytest.raises(ValueError, match="1 of 2 vectors"):
        checked(invalid)
