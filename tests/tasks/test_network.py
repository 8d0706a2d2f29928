import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from tasks.classify import ClassifierConfig
from tasks.contracts import UserError, best_threshold
from tasks.network import (
    Examples,
    GenreClassifier,
    batches,
    examples_of,
    load_classifier,
    pick_device,
    predict_probabilities,
    require_examples,
    save_classifier,
    train_classifier,
)

CPU = torch.device("cpu")


def examples(count: int, seed: int = 0) -> Examples:
    """Vectors whose signs are the labels."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, 8)).astype(np.float32)
    return Examples(torch.tensor(vectors), torch.tensor((vectors[:, :3] > 0).astype(np.float32)))


def test_the_network_is_the_posts():
    network = GenreClassifier(100, 20, ClassifierConfig().hidden, 0.3)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Dropout"] * 3 + ["Linear"]
    widths = [layer.out_features for layer in network.layers if type(layer).__name__ == "Linear"]
    assert widths == [512, 256, 128, 20]


def test_the_network_overfits_64_documents():
    data = examples(64)
    config = ClassifierConfig(dropout=0, epochs=80, patience=None, batch_size=16)
    network, history = train_classifier(data, data, config)
    predicted = predict_probabilities(network, data.vectors.numpy()) >= 0.5
    assert f1_score(data.labels.numpy(), predicted, average="micro") > 0.99
    assert len(history) == 80


def test_shuffled_labels_score_at_chance():
    train, test = examples(400), examples(400, seed=1)
    config = ClassifierConfig(hidden=(16,), epochs=3, patience=None)
    hits = []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(400)
        shuffled = Examples(train.vectors, train.labels[order])
        network, _ = train_classifier(shuffled, shuffled, config.model_copy(update={"seed": seed}))
        predicted = predict_probabilities(network, test.vectors.numpy()) >= 0.5
        hits.append((predicted == test.labels.numpy()).mean())
    assert abs(np.mean(hits) - 0.5) < 0.06


def test_the_same_seed_gives_the_same_network():
    data = examples(50)
    config = ClassifierConfig(hidden=(16, 8), epochs=3)
    first, second = (train_classifier(data, data, config)[0] for _ in range(2))
    for name, weights in first.state_dict().items():
        assert torch.equal(weights, second.state_dict()[name])


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train_classifier(examples(20), examples(20), ClassifierConfig(hidden=(4,), epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_training_stops_when_validation_stops_improving_and_keeps_the_best():
    train, noise = examples(60), examples(60, seed=1)
    validation = Examples(noise.vectors, 1 - noise.labels)
    config = ClassifierConfig(hidden=(32,), epochs=50, patience=2, learning_rate=0.01)
    network, history = train_classifier(train, validation, config)
    assert len(history) < 50
    best = min(history, key=lambda epoch: epoch.val_loss)
    assert history[-1].epoch - best.epoch == 2
    logits = network(validation.vectors)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, validation.labels)
    assert loss.item() == pytest.approx(best.val_loss, abs=1e-5)


def test_a_last_batch_of_one_is_left_out():
    assert [len(batch) for batch in batches(9, 4)] == [4, 4]
    assert sorted(torch.cat(list(batches(10, 4))).tolist()) == list(range(10))


def test_a_stored_classifier_predicts_what_it_predicted_before(tmp_path):
    network, _ = train_classifier(
        examples(40), examples(40), ClassifierConfig(hidden=(8, 4), epochs=2)
    )
    vectors = examples(5).vectors.numpy()
    before = predict_probabilities(network, vectors)
    save_classifier(network, ["A", "B", "C"], [0.3, 0.4, 0.5], tmp_path)
    again, classes, thresholds = load_classifier(tmp_path)
    assert np.array_equal(before, predict_probabilities(again, vectors))
    assert classes == ["A", "B", "C"]
    assert thresholds.tolist() == pytest.approx([0.3, 0.4, 0.5])


def test_the_best_threshold_separates_what_can_be_separated():
    labels = np.array([[1, 0], [0, 1], [1, 0]], np.uint8)
    probabilities = np.array([[0.4, 0.1], [0.2, 0.6], [0.5, 0.3]], np.float32)
    assert best_threshold(labels, probabilities) == pytest.approx(0.4)


def test_nothing_to_tune_on_is_refused():
    with pytest.raises(UserError, match="No validation movie"):
        best_threshold(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32))


def test_movies_without_a_learnt_genre_are_no_examples():
    labels = np.array([[1, 0], [0, 0], [0, 1]], np.uint8)
    found = examples_of(np.eye(3, dtype=np.float32), labels, np.array([True, True, False]), CPU)
    assert found.vectors.tolist() == [[1, 0, 0]]
    assert found.labels.tolist() == [[1, 0]]


def test_a_split_without_examples_is_refused():
    none = Examples(torch.zeros(0, 3), torch.zeros(0, 2))
    with pytest.raises(UserError, match="Only 0 movies with a learnt genre fall in the validation"):
        require_examples(examples(3), none)


def test_a_device_that_is_not_there_is_refused():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    if torch.cuda.is_available():
        pytest.skip("CUDA is here")
    with pytest.raises(UserError, match="No cuda device here"):
        pick_device("cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_on_cuda_learns_as_on_the_cpu():
    data = examples(200)
    there = Examples(data.vectors.cuda(), data.labels.cuda())
    network, _ = train_classifier(there, there, ClassifierConfig(hidden=(32,), epochs=30))
    predicted = predict_probabilities(network, data.vectors.numpy()) >= 0.5
    assert f1_score(data.labels.numpy(), predicted, average="micro") > 0.9
