import numpy as np
import pyarrow as pa
import pytest

from tasks.core.contracts import DocumentsRef, Ref, UserError, VectorsRef
from tasks.core.storage import store


def write(writer: store.EntryWriter) -> DocumentsRef:
    return writer.table_ref(DocumentsRef, "part.parquet", pa.table({"id": [1, 2]}))


def test_the_error_for_a_table_damaged_during_a_run_names_the_file():
    ref = store.get_or_create("stage", ["key"], DocumentsRef, write)
    store.locate(ref).write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"part.parquet was damaged or deleted .*: run again"):
        store.read(ref)
    store.locate(ref).unlink()
    with pytest.raises(UserError, match=r"part.parquet was damaged or deleted .*: run again"):
        store.read(ref)


def test_references_stay_valid_when_the_root_is_moved(artifacts, monkeypatch):
    ref = store.get_or_create("stage", ["key"], DocumentsRef, write)
    new_root = artifacts.rename(artifacts.with_name("moved"))
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(new_root))
    assert store.read(ref).num_rows == 2


def test_joined_chunks_keep_their_order():
    def chunk(movie_id: int) -> DocumentsRef:
        def write_id(writer: store.EntryWriter) -> DocumentsRef:
            return writer.table_ref(DocumentsRef, "part.parquet", pa.table({"id": [movie_id]}))

        return store.get_or_create("stage", [movie_id], DocumentsRef, write_id)

    joined = store.join([chunk(3), chunk(1), chunk(2)])
    assert isinstance(joined, DocumentsRef)
    assert store.read(joined)["id"].to_pylist() == [3, 1, 2]
    assert joined.rows == 3
    assert joined.digest != store.join([chunk(1), chunk(3), chunk(2)]).digest


def test_the_matrix_of_a_vectors_table_equals_its_input():
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    table = store.vectors_table(pa.chunked_array([[1, 2]]), vectors)
    assert np.array_equal(store.matrix(table), vectors)
    assert np.array_equal(store.matrix(pa.concat_tables([table, table])), np.vstack([vectors] * 2))


def test_the_name_of_a_reference_is_the_stem_of_its_file():
    assert Ref(paths=("cache/x/chunk-00001.parquet",), digest="").name == "chunk-00001"
    assert VectorsRef(paths=("a/b.parquet",), digest="").rows == 0


def test_vectors_are_selected_across_chunks():
    def chunk(vectors: list[list[float]]) -> VectorsRef:
        ids = pa.chunked_array([[0] * len(vectors)])
        table = store.vectors_table(ids, np.array(vectors, np.float32))
        return store.get_or_create(
            "vectors",
            [vectors],
            VectorsRef,
            lambda writer: writer.table_ref(VectorsRef, "v.parquet", table),
        )

    ref = store.join([chunk([[1, 1], [2, 2]]), chunk([[3, 3]])])
    selected = store.select_vectors(ref, np.array([False, True, True]))
    assert selected.tolist() == [[2, 2], [3, 3]]
