import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.contracts import DocumentsRef, VectorsRef
from tasks.core.storage import store
from tasks.registry.tracking.results import write_embeddings


def stored(kind: type, name: str, table: pa.Table) -> store.Ref:
    return store.get_or_create(
        name, [1], kind, lambda writer: writer.table_ref(kind, "part.parquet", table)
    )


def test_embeddings_are_written_with_their_movies_in_order(tmp_path):
    vectors = store.vectors_table(pa.chunked_array([[1, 2]]), np.eye(2, dtype="float32"))
    movies = pa.table(
        {"source": ["m", "m"], "id": [1, 2], "title": ["a", "b"], "genres": [["x"], []]}
    )
    documents = store.join([stored(DocumentsRef, "documents", movies)] * 2)
    embeddings = store.join([stored(VectorsRef, "vectors", vectors)] * 2)
    write_embeddings(documents, embeddings, tmp_path / "embeddings.parquet")
    table = pq.read_table(tmp_path / "embeddings.parquet")
    assert table.column_names == ["source", "id", "title", "genres", "embedding"]
    assert table["id"].to_pylist() == [1, 2, 1, 2]
    assert table["embedding"][1].as_py() == [0, 1]
