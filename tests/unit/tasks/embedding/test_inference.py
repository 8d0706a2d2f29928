import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.core.compute import Compute
from tasks.core.contracts import Doc2VecRef, DocumentsRef
from tasks.core.storage import store
from tasks.embedding import inference
from tasks.embedding.doc2vec import save_model, train_doc2vec
from tasks.embedding.inference import count_known_tokens, document_vectors
from tasks.embedding.vector_checks import validate_vectors
from tests.conftest import ROOT
from tests.support.stored import stored_folder, stored_table
from tests.unit.tasks.embedding.conftest import SMALL

TEXT = "ghost blood curse"
PRINT_A_VECTOR = (
    "import sys; from tasks.embedding.inference import document_vectors;"
    f"print(document_vectors(sys.argv[1], ['{TEXT}'])[0].tolist())"
)


def test_vectors_do_not_depend_on_the_hash_seed_of_the_process(corpus, tmp_path):
    save_model(train_doc2vec(corpus, SMALL)[0], SMALL, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PRINT_A_VECTOR, str(tmp_path)],
        env={"PYTHONHASHSEED": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    # the seed of the process that runs the tests is a random one
    assert done.stdout.strip() == str(document_vectors(str(tmp_path), [TEXT])[0].tolist())


@pytest.mark.parametrize(("features", "width"), [("inferred", 12), ("pooled", 12), ("both", 24)])
def test_vectors_have_the_configured_parts(corpus, tmp_path, features, width):
    config = SMALL.model_copy(update={"features": features})
    save_model(train_doc2vec(corpus, config)[0], config, tmp_path)
    vectors = document_vectors(str(tmp_path), ["ghost", "nobody knows"])
    assert vectors.shape == (2, width)
    validate_vectors(vectors)


def test_only_tokens_of_the_vocabulary_are_counted(corpus, tmp_path):
    save_model(train_doc2vec(corpus, SMALL)[0], SMALL, tmp_path)
    assert count_known_tokens(str(tmp_path), ["ghost saloon", "nobody knows"]) == [2, 0]


def test_a_transductive_model_gives_its_own_vectors_of_the_documents(artifacts, monkeypatch):
    monkeypatch.setattr(inference, "document_vectors", lambda *_: pytest.fail("inferred"))
    documents = stored_table(DocumentsRef, pa.table({"id": ["1", "2"], "document": ["a", "b"]}))
    trained = store.vectors_table(
        pa.chunked_array([["1", "2"]]), np.array([[1, 0], [0, 1]], np.float32)
    )

    def write(folder: Path) -> None:
        (folder / "trained").mkdir()
        (folder / "config.json").write_text(SMALL.model_dump_json())
        pq.write_table(trained, folder / "trained" / f"{documents.name}.parquet")

    vectors = inference.embed_chunk.fn(documents, stored_folder(Doc2VecRef, write), Compute())
    assert store.read(vectors).equals(trained)
