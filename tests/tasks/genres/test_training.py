import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from flows.config import TrainConfig
from tasks.core.contracts import UserError
from tasks.genres import training
from tasks.genres.config import ClassifierConfig
from tasks.genres.inference import genre_probabilities
from tasks.genres.metrics import calibration_error
from tasks.genres.network import Dropout, GenreNetwork, fold_batch_norm
from tasks.genres.training import (
    Examples,
    calibrate,
    pick_device,
    positive_weights,
    predict_logits,
    require_examples,
    save_checkpoint,
    shuffled_batches,
    train_classifier,
    train_epoch,
)

CPU = torch.device("cpu")


def examples(count: int, seed: int = 0) -> Examples:
    """Vectors whose signs are the labels."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, 8)).astype(np.float32)
    return Examples(torch.tensor(vectors), torch.tensor((vectors[:, :3] > 0).astype(np.float32)))


def test_the_blog_presets_network_is_the_posts():
    config = TrainConfig(preset="blog").classifier
    posts = GenreNetwork(100, 20, config.hidden, config.dropout)
    kinds = [type(layer).__name__ for layer in posts.layers]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Dropout"] * 3 + ["Linear"]
    widths = [layer.out_features for layer in posts.layers if type(layer).__name__ == "Linear"]
    assert widths == [512, 256, 128, 20]


def test_the_network_overfits_64_documents():
    data = examples(64)
    config = ClassifierConfig(dropout=0, epochs=80, patience=None, batch_size=16, members=1)
    classifier, history = train_classifier(data, data, config)
    predicted = genre_probabilities(fold_batch_norm(classifier), data.vectors.numpy()) >= 0.5
    assert f1_score(data.labels.numpy(), predicted, average="micro") > 0.99
    assert len(history) == 80


def test_shuffled_labels_score_at_chance():
    train, test = examples(400), examples(400, seed=1)
    config = ClassifierConfig(hidden=(16,), epochs=3, patience=None, members=1)
    hits = []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(400)
        shuffled = Examples(train.vectors, train.labels[order])
        classifier, _ = train_classifier(
            shuffled, shuffled, config.model_copy(update={"seed": seed})
        )
        predicted = genre_probabilities(fold_batch_norm(classifier), test.vectors.numpy()) >= 0.5
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
    config = ClassifierConfig(
        hidden=(32,), epochs=50, patience=2, learning_rate=0.01, members=1, calibrate=False
    )
    classifier, history = train_classifier(train, validation, config)
    assert len(history) < 50
    best = min(history, key=lambda epoch: epoch.val_loss)
    assert history[-1].epoch - best.epoch == 2
    logits = classifier(validation.vectors)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, validation.labels)
    assert loss.item() == pytest.approx(best.val_loss, abs=1e-5)


def test_batches_are_of_equal_size():
    assert [len(batch.vectors) for batch in shuffled_batches(examples(9), 4)] == [3, 3, 3]


def test_batches_hold_every_example_with_its_labels():
    data = examples(10)
    vectors, labels = map(torch.cat, zip(*shuffled_batches(data, 4), strict=True))
    assert torch.equal((vectors[:, :3] > 0).float(), labels)
    assert sorted(vectors[:, 0].tolist()) == sorted(data.vectors[:, 0].tolist())


class KilledError(Exception):
    """Stands for the end of a process."""


@pytest.mark.parametrize("calls", [1, 3, 6])
def test_training_that_was_cut_off_ends_as_if_it_had_not_been(calls, tmp_path, monkeypatch):
    data, config = examples(80), ClassifierConfig(hidden=(16,), epochs=4, members=2, batch_size=16)
    expected, history = train_classifier(data, data, config)
    counted = iter(range(calls))

    def dying(*arguments: object) -> float:
        if next(counted, None) is None:
            raise KilledError
        return train_epoch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_epoch", dying)
        with pytest.raises(KilledError):
            train_classifier(data, data, config, tmp_path)
    resumed, again = train_classifier(data, data, config, tmp_path)
    assert [epoch[:5] for epoch in again] == [epoch[:5] for epoch in history]
    for name, weights in expected.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name])


def test_a_checkpoint_is_written_though_another_run_deleted_the_folder(tmp_path):
    path = tmp_path / "gone" / "member-0.pt"
    save_checkpoint(path, {}, {}, [])
    assert [file.name for file in path.parent.iterdir()] == ["member-0.pt"]


@pytest.mark.parametrize("damage", ["emptied", "flipped", "another"])
def test_a_damaged_checkpoint_is_discarded_and_training_starts_over(damage, tmp_path, caplog):
    data, config = examples(40), ClassifierConfig(hidden=(8,), epochs=2)
    expected, _ = train_classifier(data, data, config, tmp_path)
    (path,) = tmp_path.glob("member-0.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(b"" if damage == "emptied" else content)
    if damage == "another":
        save_checkpoint(path, {"network": {}, "optimizer": {}}, {}, [])
    resumed, history = train_classifier(data, data, config, tmp_path)
    assert len(history) == 2
    assert "training starts over" in caplog.text
    for name, weights in expected.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name])


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_dropout_of_any_share_drops_some_and_keeps_some(share):
    torch.manual_seed(1)
    units = Dropout(share)(torch.ones(100_000))
    assert 0 < (units == 0).float().mean() < 1
    assert torch.isfinite(units).all()


def test_finished_members_are_not_trained_again(tmp_path):
    data, config = examples(40), ClassifierConfig(hidden=(8,), epochs=2, members=2)
    train_classifier(data, data, config, tmp_path)
    written = [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    train_classifier(data, data, config, tmp_path)
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())] == written


def test_inputs_of_any_scale_are_learnt_alike():
    data, config = examples(200), ClassifierConfig(hidden=(16,), epochs=5, members=1)
    scaled = Examples(data.vectors * 100 + 7, data.labels)
    first, _ = train_classifier(data, data, config)
    second, _ = train_classifier(scaled, scaled, config)
    ours = genre_probabilities(fold_batch_norm(first), data.vectors.numpy())
    theirs = genre_probabilities(fold_batch_norm(second), scaled.vectors.numpy())
    assert theirs == pytest.approx(ours, abs=1e-2)


def test_calibration_finds_how_sure_the_logits_may_be():
    data, config = examples(2000), ClassifierConfig(hidden=(16,), calibrate=False, members=1)
    classifier, _ = train_classifier(data, data, config)
    chances = torch.sigmoid(0.5 * predict_logits(classifier, data.vectors) + 1)
    labels = torch.tensor(np.random.default_rng(3).random((2000, 3)) < chances.numpy()).float()

    def error() -> float:
        said = genre_probabilities(fold_batch_norm(classifier), data.vectors.numpy())
        return calibration_error(labels.numpy().astype(np.uint8), said)

    before = error()
    calibrate(classifier, data._replace(labels=labels))
    assert classifier.scale == pytest.approx(0.5, abs=0.1)
    assert classifier.shift == pytest.approx(1, abs=0.1)
    assert error() < before / 3


def test_too_few_labels_leave_the_logits_as_they_are():
    classifier, _ = train_classifier(examples(20), examples(20), ClassifierConfig(epochs=1))
    assert (classifier.scale, classifier.shift) == (1, 0)


def test_rare_genres_weigh_more_the_higher_the_power():
    labels = torch.tensor([[1.0, 1], [0, 1], [0, 1], [0, 0]])
    assert positive_weights(labels, 0) is None
    assert positive_weights(labels, 1).tolist() == pytest.approx([3, 1 / 3])
    assert positive_weights(labels, 0.5).tolist() == pytest.approx([3**0.5, (1 / 3) ** 0.5])


def test_what_answers_without_torch_says_what_the_network_says():
    data = examples(40)
    classifier, _ = train_classifier(data, data, ClassifierConfig(hidden=(8, 4), members=2))
    classifier.scale, classifier.shift = torch.tensor(0.5), torch.tensor(-0.2)
    expected = torch.sigmoid(predict_logits(classifier, data.vectors)).numpy()
    said = genre_probabilities(fold_batch_norm(classifier), data.vectors.numpy())
    assert said == pytest.approx(expected, abs=1e-5)


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
    classifier, _ = train_classifier(there, there, ClassifierConfig(hidden=(32,), batch_size=64))
    predicted = genre_probabilities(fold_batch_norm(classifier), data.vectors.numpy()) >= 0.5
    assert f1_score(data.labels.numpy(), predicted, average="micro") > 0.9
