from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tasks.core.contracts import UserError
from tasks.embedding.doc2vec import (
    infer_vector,
    infer_vectors,
    load_model,
    save_model,
    train_doc2vec,
)
from tests.unit.tasks.embedding.conftest import SMALL


@pytest.mark.parametrize("architecture", ["dbow", "dm"])
def test_stored_model_infers_equal_vectors_each_time_it_is_loaded(corpus, tmp_path, architecture):
    config = SMALL.model_copy(update={"architecture": architecture})
    save_model(train_doc2vec(corpus, config)[0], config, tmp_path)
    (first, loaded_config), (second, _) = load_model(tmp_path), load_model(tmp_path)
    assert loaded_config == config
    documents = ["ghost blood curse", "sheriff saloon", "words nobody knows"]
    vectors = infer_vectors(first, documents, config)
    assert vectors.shape == (3, 12)
    assert np.isfinite(vectors).all()
    assert np.array_equal(vectors, infer_vectors(second, documents[::-1], config)[::-1])


def test_words_of_a_stored_model_keep_their_weights_and_counts(corpus, tmp_path):
    model, _ = train_doc2vec(corpus, SMALL)
    save_model(model, SMALL, tmp_path)
    loaded, _ = load_model(tmp_path)
    for word in model.wv.index_to_key:
        before = model.syn1neg[model.wv.key_to_index[word]]
        assert np.array_equal(before, loaded.syn1neg[loaded.wv.key_to_index[word]])
        assert model.wv.get_vecattr(word, "count") == loaded.wv.get_vecattr(word, "count")


def test_no_stored_file_is_a_pickle(corpus, tmp_path):
    save_model(train_doc2vec(corpus, SMALL)[0], SMALL, tmp_path)
    names = {path.name for path in tmp_path.iterdir()} - {"corpus.txt"}
    assert names == {"config.json", "vocabulary.parquet", "hidden.npy"}
    np.load(tmp_path / "hidden.npy", allow_pickle=False)


def test_threads_that_share_a_model_infer_equal_vectors(corpus):
    model, _ = train_doc2vec(corpus, SMALL)
    documents = ["ghost blood curse midnight", "sheriff saloon outlaw"] * 50
    expected = infer_vectors(model, documents, SMALL)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: infer_vectors(model, documents, SMALL), range(8)))
    assert all(np.array_equal(expected, vectors) for vectors in results)


def test_the_words_of_a_title_are_read_once(corpus):
    """They are among the tokens before the tab."""
    model, _ = train_doc2vec(corpus, SMALL)
    twice, once = infer_vectors(model, ["ghost blood\tghost", "ghost blood"], SMALL)
    assert np.array_equal(twice, once)


def test_documents_of_one_theme_have_similar_vectors(corpus):
    model, _ = train_doc2vec(corpus, SMALL.model_copy(update={"epochs": 60}))

    def unit_vector(text: str) -> np.ndarray:
        vector = infer_vector(model, text.split(), SMALL.model_copy(update={"infer_epochs": 60}), 1)
        return vector / np.linalg.norm(vector)

    ghost, curse, saloon = map(
        unit_vector, ("ghost haunted blood", "curse grave monster", "saloon cowboy")
    )
    assert ghost @ curse > ghost @ saloon


def test_history_has_a_row_per_epoch(corpus):
    _, history = train_doc2vec(corpus, SMALL)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    rates = [row["learning_rate"] for row in history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(1e-4)
    assert all(0 <= row["drift"] <= 2 for row in history)
    assert history[-1]["drift"] < history[0]["drift"]


def test_corpus_without_repeated_words_is_refused(tmp_path):
    (tmp_path / "corpus.txt").write_text("one two\nthree four\n")
    with pytest.raises(UserError, match="No word occurs 2 times in the 2 training documents"):
        train_doc2vec(tmp_path / "corpus.txt", SMALL)


def test_each_line_of_the_corpus_is_a_document(corpus):
    assert train_doc2vec(corpus, SMALL)[0].corpus_count == 60


def test_each_restart_is_a_round_with_the_full_learning_rate_schedule(corpus):
    config = SMALL.model_copy(update={"epochs": 2, "restarts": 3})
    _, history = train_doc2vec(corpus, config)
    rates = [round(row["learning_rate"], 4) for row in history]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert rates == rates[:2] * 3
    assert rates[0] > rates[1]
