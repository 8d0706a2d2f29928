import subprocess
import sys

import pytest

from tasks.embedding.doc2vec import save_model, train_doc2vec
from tasks.embedding.inference import count_known_tokens, document_vectors
from tasks.embedding.vector_checks import validate_vectors
from tests.conftest import ROOT
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
