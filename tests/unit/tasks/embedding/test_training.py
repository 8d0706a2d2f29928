from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.contracts import DocumentsRef
from tasks.core.storage import store
from tasks.embedding.training import write_corpus, write_trained_vectors


def test_corpus_holds_only_the_documents_of_the_splits(tmp_path):
    table = pa.table({"document": ["a", "b", "c"], "split": ["train", "test", "train"]})
    assert write_corpus([table, table], tmp_path / "c.txt", ["train"]) == 4
    assert (tmp_path / "c.txt").read_text() == "a\nc\na\nc\n"


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
