import pytest
from pydantic import ValidationError

from tasks.embedding.config import Doc2VecConfig, scale_to_corpus


def test_transductive_vectors_cannot_be_pooled():
    with pytest.raises(ValidationError, match="set features to inferred"):
        Doc2VecConfig(transductive=True)


def test_small_corpus_gets_more_epochs_up_to_the_maximum():
    config = Doc2VecConfig(epochs=20, infer_epochs=10, min_words=1_000_000, max_words=20_000_000)

    def epochs(corpus_words: int) -> tuple[int, int]:
        scaled = scale_to_corpus(config, corpus_words)
        return scaled.epochs, scaled.infer_epochs

    assert epochs(1_000_000) == (20, 10)
    assert epochs(25_000) == (40, 20)
    assert epochs(10) == (100, 100)
    assert scale_to_corpus(config.model_copy(update={"epochs": 200}), 10).epochs == 200


def test_large_corpus_gets_fewer_epochs_down_to_the_minimum():
    config = Doc2VecConfig(epochs=20, max_words=20_000_000)
    epochs = [scale_to_corpus(config, words).epochs for words in (10**6, 2 * 10**6, 10**8)]
    assert epochs == [20, 10, 5]
    assert scale_to_corpus(config.model_copy(update={"epochs": 2}), 10**8).epochs == 2
    assert scale_to_corpus(config, 10**8).infer_epochs == config.infer_epochs


def test_small_corpus_trains_on_words_that_occur_twice():
    config = Doc2VecConfig(min_count=3, epochs=10, min_words=1_000_000)
    assert [scale_to_corpus(config, words).min_count for words in (1000, 10**6)] == [2, 3]
    assert scale_to_corpus(config.model_copy(update={"min_count": 1}), 1000).min_count == 1


def test_small_corpus_gets_one_thread():
    config = Doc2VecConfig(workers=4)
    assert [scale_to_corpus(config, n).workers for n in (1000, 200_000, 10**7)] == [1, 2, 4]
