import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.contracts import DocumentsRef
from tasks.core.storage import store
from tasks.embedding import training
from tasks.embedding.config import Doc2VecConfig
from tasks.embedding.training import known_word_scores, write_corpus, write_trained_vectors
from tests.support.logs import messages


def test_corpus_holds_only_the_documents_of_the_splits(tmp_path):
    texts = ["a d\ta", "b", "c\tthe c"]
    table = pa.table({"document": texts, "split": ["train", "test", "train"]})
    assert write_corpus([table, table], tmp_path / "c.txt", ["train"]) == 6
    assert (tmp_path / "c.txt").read_text() == "a d\nc\na d\nc\n"


def test_trained_vectors_are_written_to_a_file_per_chunk(artifacts, tmp_path: Path):
    def chunk(number: int) -> DocumentsRef:
        table = pa.table({"id": [number, number + 1]})
        name = f"movies-{number:05d}.parquet"
        return store.get_or_create(
            "d", [number], DocumentsRef, lambda writer: writer.table_ref(DocumentsRef, name, table)
        )

    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    write_trained_vectors(store.join([chunk(0), chunk(2)]), vectors, tmp_path / "trained")
    second = pq.read_table(tmp_path / "trained" / "movies-00002.parquet")
    assert second["id"].to_pylist() == [2, 3]
    assert np.array_equal(store.matrix(second), vectors[2:])


def test_known_words_are_counted_per_document(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("a b a b a x\na x x x x x\n\n")
    assert known_word_scores(corpus, {"a", "b"}) == {
        "doc2vec_known_words": 2.0,
        "doc2vec_few_words_share": pytest.approx(2 / 3),
    }


def test_known_words_of_a_large_corpus_are_those_of_an_even_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "MAX_COUNTED_DOCUMENTS", 2)
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("a\n\na a a a a a a\n\n")
    scores = known_word_scores(corpus, {"a"})
    assert (scores["doc2vec_known_words"], scores["doc2vec_few_words_share"]) == (4, 0.5)


@pytest.mark.parametrize(("share", "expected"), [(0.1, []), (0.25, ["25% of the documents have"])])
def test_few_known_words_are_said(share, expected, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(training, "get_run_logger", lambda: logging.getLogger("test"))
    store.write_json(tmp_path / "config.json", Doc2VecConfig().model_dump(mode="json"))
    times = {"doc2vec_seconds": 1.0, "doc2vec_words_per_second": 9.0}
    words = {"doc2vec_known_words": 4.0, "doc2vec_few_words_share": share}
    store.write_json(tmp_path / "training.json", times | words)
    training._log_training(tmp_path)
    warnings = messages(caplog, logging.WARNING)
    assert [message[:25] for message in warnings] == expected
