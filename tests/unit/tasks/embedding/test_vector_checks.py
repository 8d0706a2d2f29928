import numpy as np
import pytest

from tasks.embedding.vector_checks import sample_train_rows, self_retrieval, validate_vectors


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
