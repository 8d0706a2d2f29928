import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tasks.core.contracts import DocumentsRef, UserError
from tasks.core.storage import store
from tasks.embedding.doc2vec import (
    infer_vector,
    infer_vectors,
    load_model,
    save_model,
    train_doc2vec,
)
from tasks.embedding.embed import (
    Doc2VecConfig,
    count_known_tokens,
    document_vectors,
    scale_to_corpus,
    self_retrieval,
    validate_vectors,
    write_corpus,
    write_trained,
)
from tests.conftest import THEMES

SMALL = Doc2VecConfig(features="both", min_count=2, vector_size=12, epochs=5, sample=0, workers=1)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    lines = [" ".join(words[n % 3 :]) for words in THEMES.values() for n in range(20)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("architecture", ["dbow", "dm"])
def test_a_stored_model_infers_what_it_inferred_before(corpus, tmp_path, architecture):
    config = SMALL.model_copy(update={"architecture": architecture})
    save_model(train_doc2vec(corpus, config)[0], config, tmp_path)
    (first, read), (second, _) = load_model(tmp_path), load_model(tmp_path)
    assert read == config
    documents = ["ghost blood curse", "sheriff saloon", "words nobody knows"]
    vectors = infer_vectors(first, documents, config)
    assert vectors.shape == (3, 12)
    assert np.isfinite(vectors).all()
    assert np.array_equal(vectors, infer_vectors(second, documents[::-1], config)[::-1])


def test_the_words_of_a_stored_model_keep_their_weights(corpus, tmp_path):
    model, _ = train_doc2vec(corpus, SMALL)
    save_model(model, SMALL, tmp_path)
    again, _ = load_model(tmp_path)
    for word in model.wv.index_to_key:
        before = model.syn1neg[model.wv.key_to_index[word]]
        assert np.array_equal(before, again.syn1neg[again.wv.key_to_index[word]])
        assert model.wv.get_vecattr(word, "count") == again.wv.get_vecattr(word, "count")


def test_no_stored_file_is_a_pickle(corpus, tmp_path):
    save_model(train_doc2vec(corpus, SMALL)[0], SMALL, tmp_path)
    names = {path.name for path in tmp_path.iterdir()} - {"corpus.txt"}
    assert names == {"config.json", "vocabulary.parquet", "hidden.npy"}
    np.load(tmp_path / "hidden.npy", allow_pickle=False)


def test_inference_does_not_depend_on_the_hash_seed_of_the_process(corpus, tmp_path):
    save_model(train_doc2vec(corpus, SMALL)[0], SMALL, tmp_path)
    code = (
        "import sys; from tasks.embedding.embed import document_vectors;"
        "print(document_vectors(sys.argv[1], ['ghost blood curse'])[0].tolist())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_threads_that_share_a_model_do_not_disturb_each_other(corpus):
    model, _ = train_doc2vec(corpus, SMALL)
    documents = ["ghost blood curse midnight", "sheriff saloon outlaw"] * 50
    alone = infer_vectors(model, documents, SMALL)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: infer_vectors(model, documents, SMALL), range(8)))
    assert all(np.array_equal(alone, vectors) for vectors in together)


def test_inference_learns_from_the_words(corpus):
    model, _ = train_doc2vec(corpus, SMALL.model_copy(update={"epochs": 60}))

    def unit(text: str) -> np.ndarray:
        vector = infer_vector(model, text.split(), SMALL.model_copy(update={"infer_epochs": 60}), 1)
        return vector / np.linalg.norm(vector)

    ghost, curse, saloon = map(
        unit, ("ghost haunted blood", "curse grave monster", "saloon cowboy")
    )
    assert ghost @ curse > ghost @ saloon


@pytest.mark.parametrize(("features", "width"), [("inferred", 12), ("pooled", 12), ("both", 24)])
def test_a_vector_has_the_parts_that_are_asked_for(corpus, tmp_path, features, width):
    config = SMALL.model_copy(update={"features": features})
    save_model(train_doc2vec(corpus, config)[0], config, tmp_path)
    vectors = document_vectors(str(tmp_path), ["ghost", "nobody knows"])
    assert vectors.shape == (2, width)
    validate_vectors(vectors)
    assert count_known_tokens(str(tmp_path), ["ghost saloon", "nobody knows"]) == [2, 0]


def test_trained_vectors_and_pooled_ones_are_not_mixed():
    with pytest.raises(ValidationError, match="set features to inferred"):
        Doc2VecConfig(transductive=True)


def test_each_pass_is_logged(corpus):
    _, history = train_doc2vec(corpus, SMALL)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    rates = [row["learning_rate"] for row in history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(1e-4)
    assert all(0 <= row["drift"] <= 2 for row in history)
    assert history[-1]["drift"] < history[0]["drift"]


def test_a_corpus_without_repeated_words_is_refused(tmp_path):
    (tmp_path / "corpus.txt").write_text("one two\nthree four\n")
    with pytest.raises(UserError, match="No word occurs 2 times in the 2 training documents"):
        train_doc2vec(tmp_path / "corpus.txt", SMALL)


def test_only_the_asked_splits_reach_the_corpus(tmp_path):
    table = pa.table({"document": ["a", "b", "c"], "split": ["train", "test", "train"]})
    assert write_corpus([table, table], tmp_path / "c.txt", ["train"]) == 4
    assert (tmp_path / "c.txt").read_text() == "a\nc\na\nc\n"


def test_a_small_corpus_gets_more_epochs_up_to_a_bound():
    config = Doc2VecConfig(epochs=20, infer_epochs=10, min_words=1_000_000, max_words=20_000_000)

    def epochs(words: int) -> tuple[int, int]:
        found = scale_to_corpus(config, words)
        return found.epochs, found.infer_epochs

    assert epochs(1_000_000) == (20, 10)
    assert epochs(25_000) == (40, 20)
    assert epochs(10) == (100, 100)
    assert scale_to_corpus(config.model_copy(update={"epochs": 200}), 10).epochs == 200


def test_a_large_corpus_gets_fewer_epochs_down_to_a_bound():
    config = Doc2VecConfig(epochs=20, max_words=20_000_000)
    assert [scale_to_corpus(config, words).epochs for words in (10**6, 2 * 10**6, 10**8)] == [
        20,
        10,
        5,
    ]
    assert scale_to_corpus(config.model_copy(update={"epochs": 2}), 10**8).epochs == 2
    assert scale_to_corpus(config, 10**8).infer_epochs == config.infer_epochs


def test_a_small_corpus_learns_rarer_words_too():
    config = Doc2VecConfig(min_count=3, epochs=10, min_words=1_000_000)
    assert [scale_to_corpus(config, words).min_count for words in (1000, 10**6)] == [2, 3]
    assert scale_to_corpus(config.model_copy(update={"min_count": 1}), 1000).min_count == 1


def test_each_line_of_the_corpus_is_a_document(corpus):
    assert train_doc2vec(corpus, SMALL)[0].corpus_count == 60


def test_a_small_corpus_gets_one_thread():
    config = Doc2VecConfig(workers=4)
    assert [scale_to_corpus(config, n).workers for n in (1000, 200_000, 10**7)] == [1, 2, 4]


def test_the_models_own_vectors_are_kept_a_file_a_chunk(artifacts, tmp_path):
    def chunk(number: int) -> DocumentsRef:
        table = pa.table({"id": [number, number + 1]})
        name = f"movies-{number:05d}.parquet"
        return store.get_or_create(
            "d", [number], DocumentsRef, lambda writer: writer.table_ref(DocumentsRef, name, table)
        )

    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    write_trained(store.join([chunk(0), chunk(2)]), vectors, tmp_path / "trained")
    second = pq.read_table(tmp_path / "trained" / "movies-00002.parquet")
    assert second["id"].to_pylist() == [2, 3]
    assert np.array_equal(store.matrix(second), vectors[2:])


def test_self_retrieval_is_the_share_that_finds_itself():
    own = np.eye(3, dtype=np.float32)
    again = np.array([[0.9, 0.1, 0], [0.9, 0.1, 0]], np.float32)
    assert self_retrieval([own], again, np.array([0, 1])) == 0.5
    assert self_retrieval([own[:1], own[1:]], again, np.array([1, 0])) == 0.5


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_unusable_vectors_are_refused(bad):
    validate_vectors(np.ones((2, 2), np.float32))
    with pytest.raises(ValueError, match="1 of 2 vectors"):
        validate_vectors(np.array([[1, 1], [bad, bad]], np.float32))
