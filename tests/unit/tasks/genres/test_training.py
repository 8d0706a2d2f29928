from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from flows.config import TrainConfig
from tasks.core.contracts import UserError
from tasks.genres import training
from tasks.genres import validation as validation_movies
from tasks.genres.checkpoints import Epoch, save_checkpoint
from tasks.genres.config import ClassifierConfig
from tasks.genres.inference import genre_probabilities
from tasks.genres.metrics import calibration_error
from tasks.genres.network import Dropout, GenreClassifier, GenreNetwork, fold_batch_norm
from tasks.genres.training import (
    Examples,
    best_epoch,
    calibrate,
    new_state,
    peak_memory_mb,
    pick_device,
    positive_weights,
    predict_logits,
    require_examples,
    run_epoch,
    should_stop,
    shuffled_batches,
    split_validation,
    train_classifier,
    train_epoch,
)
from tasks.genres.validation import MIN_HALF_OF_VALIDATION

CPU = torch.device("cpu")


def examples(count: int, seed: int = 0) -> Examples:
    """Vectors whose signs are the labels."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, 8)).astype(np.float32)
    return Examples(torch.tensor(vectors), torch.tensor((vectors[:, :3] > 0).astype(np.float32)))


def test_network_of_the_blog_preset_has_the_layers_of_the_post():
    config = TrainConfig(preset="blog").classifier
    network = GenreNetwork(100, 20, config.hidden, config.dropout)
    layer_types = [type(layer).__name__ for layer in network.layers]
    assert layer_types == ["Linear", "BatchNorm1d", "ReLU", "Dropout"] * 3 + ["Linear"]
    widths = [layer.out_features for layer in network.layers if type(layer).__name__ == "Linear"]
    assert widths == [512, 256, 128, 20]


def test_network_overfits_64_documents():
    data = examples(64)
    config = ClassifierConfig(dropout=0, epochs=80, patience=None, batch_size=16, members=1)
    classifier, history = train_classifier(data, data, config)
    predicted = genre_probabilities(fold_batch_norm(classifier), data.vectors.numpy()) >= 0.5
    assert f1_score(data.labels.numpy(), predicted, average="micro") > 0.99
    assert len(history) == 80


def test_network_trained_on_shuffled_labels_scores_at_chance():
    train, test = examples(400), examples(400, seed=1)
    config = ClassifierConfig(hidden=(16,), epochs=3, patience=None, members=1)
    accuracies = []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(400)
        shuffled = Examples(train.vectors, train.labels[order])
        classifier, _ = train_classifier(
            shuffled, shuffled, config.model_copy(update={"seed": seed})
        )
        predicted = genre_probabilities(fold_batch_norm(classifier), test.vectors.numpy()) >= 0.5
        accuracies.append((predicted == test.labels.numpy()).mean())
    assert abs(np.mean(accuracies) - 0.5) < 0.06


def test_equal_seeds_give_equal_networks():
    data = examples(50)
    config = ClassifierConfig(hidden=(16, 8), epochs=3)
    first, second = (train_classifier(data, data, config)[0] for _ in range(2))
    for name, weights in first.state_dict().items():
        assert torch.equal(weights, second.state_dict()[name])


def test_training_does_not_change_the_global_random_state():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train_classifier(examples(20), examples(20), ClassifierConfig(hidden=(4,), epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_early_stopping_returns_the_weights_of_the_best_epoch():
    train, other = examples(60), examples(60, seed=1)
    validation = Examples(other.vectors, 1 - other.labels)
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


def test_batches_have_equal_size():
    assert [len(batch.vectors) for batch in shuffled_batches(examples(9), 4)] == [3, 3, 3]


def test_batches_contain_every_example_with_its_labels():
    data = examples(10)
    vectors, labels = map(torch.cat, zip(*shuffled_batches(data, 4), strict=True))
    assert torch.equal((vectors[:, :3] > 0).float(), labels)
    assert sorted(vectors[:, 0].tolist()) == sorted(data.vectors[:, 0].tolist())


class KilledError(Exception):
    """Simulates the end of a process."""


@pytest.mark.parametrize("epochs_before", [1, 3, 6])
def test_interrupted_training_resumes_with_equal_results(epochs_before, tmp_path, monkeypatch):
    data, config = examples(80), ClassifierConfig(hidden=(16,), epochs=4, members=2, batch_size=16)
    expected, history = train_classifier(data, data, config)
    remaining_calls = iter(range(epochs_before))

    def train_epoch_or_die(*args: object, **kwargs: object) -> float:
        if next(remaining_calls, None) is None:
            raise KilledError
        return train_epoch(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_epoch", train_epoch_or_die)
        with pytest.raises(KilledError):
            train_classifier(data, data, config, tmp_path)
    resumed, resumed_history = train_classifier(data, data, config, tmp_path)
    assert [epoch[:5] for epoch in resumed_history] == [epoch[:5] for epoch in history]
    for name, weights in expected.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name])


@pytest.mark.parametrize("damage", ["emptied", "bit flipped", "other network"])
def test_damaged_checkpoint_is_discarded_and_training_starts_over(damage, tmp_path, caplog):
    data, config = examples(40), ClassifierConfig(hidden=(8,), epochs=2)
    expected, _ = train_classifier(data, data, config, tmp_path)
    (path,) = tmp_path.glob("member-0.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(b"" if damage == "emptied" else content)
    if damage == "other network":
        save_checkpoint(path, new_state(data, ClassifierConfig(hidden=(4,)), seed=1))
    resumed, history = train_classifier(data, data, config, tmp_path)
    assert len(history) == 2
    assert f"Checkpoint {path} is discarded, training starts over: " in caplog.text
    assert not caplog.text.strip().endswith("over: None")
    for name, weights in expected.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name])


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_dropout_of_an_extreme_share_drops_some_units_and_keeps_some(share):
    torch.manual_seed(1)
    units = Dropout(share)(torch.ones(100_000))
    assert 0 < (units == 0).float().mean() < 1
    assert torch.isfinite(units).all()


def test_finished_members_are_not_trained_again(tmp_path):
    data, config = examples(40), ClassifierConfig(hidden=(8,), epochs=2, members=2)
    train_classifier(data, data, config, tmp_path)
    modified = [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    train_classifier(data, data, config, tmp_path)
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())] == modified


def test_scale_of_the_inputs_does_not_matter():
    data, config = examples(200), ClassifierConfig(hidden=(16,), epochs=5, members=1)
    scaled = Examples(data.vectors * 100 + 7, data.labels)
    first, _ = train_classifier(data, data, config)
    second, _ = train_classifier(scaled, scaled, config)
    expected = genre_probabilities(fold_batch_norm(first), data.vectors.numpy())
    probabilities = genre_probabilities(fold_batch_norm(second), scaled.vectors.numpy())
    assert probabilities == pytest.approx(expected, abs=1e-2)


def test_calibration_recovers_the_scale_and_shift_of_the_logits():
    data, config = examples(2000), ClassifierConfig(hidden=(16,), calibrate=False, members=1)
    classifier, _ = train_classifier(data, data, config)
    frequencies = torch.sigmoid(0.5 * predict_logits(classifier, data.vectors) + 1).numpy()
    labels = torch.tensor(np.random.default_rng(3).random((2000, 3)) < frequencies).float()

    def error() -> float:
        probabilities = genre_probabilities(fold_batch_norm(classifier), data.vectors.numpy())
        return calibration_error(labels.numpy().astype(np.uint8), probabilities)

    before = error()
    calibrate(classifier, data._replace(labels=labels))
    assert classifier.scale == pytest.approx(0.5, abs=0.1)
    assert classifier.shift == pytest.approx(1, abs=0.1)
    assert error() < before / 3


def test_too_few_labels_leave_the_logits_uncalibrated():
    classifier, _ = train_classifier(examples(20), examples(20), ClassifierConfig(epochs=1))
    assert (classifier.scale, classifier.shift) == (1, 0)


def test_positive_weight_of_a_rare_genre_grows_with_the_power():
    labels = torch.tensor([[1.0, 1], [0, 1], [0, 1], [0, 0]])
    assert positive_weights(labels, 0) is None
    assert positive_weights(labels, 1).tolist() == pytest.approx([3, 1 / 3])
    assert positive_weights(labels, 0.5).tolist() == pytest.approx([3**0.5, (1 / 3) ** 0.5])


def test_folded_classifier_gives_the_probabilities_of_the_network():
    data = examples(40)
    classifier, _ = train_classifier(data, data, ClassifierConfig(hidden=(8, 4), members=2))
    classifier.scale, classifier.shift = torch.tensor(0.5), torch.tensor(-0.2)
    expected = torch.sigmoid(predict_logits(classifier, data.vectors)).numpy()
    probabilities = genre_probabilities(fold_batch_norm(classifier), data.vectors.numpy())
    assert probabilities == pytest.approx(expected, abs=1e-5)


def test_split_without_examples_is_refused():
    empty = Examples(torch.zeros(0, 3), torch.zeros(0, 2))
    with pytest.raises(UserError, match="The validation split has 0 movies with a learned genre"):
        require_examples(examples(3), empty)


def test_two_movies_are_enough_to_train_and_one_to_validate():
    require_examples(examples(2), examples(1))
    with pytest.raises(UserError, match=r"train split has 1 movies .* \(2 needed\): add movies"):
        require_examples(examples(1), examples(1))


def calibrated(vectors: torch.Tensor, positives: int, monkeypatch) -> GenreClassifier:
    """A classifier whose logits are the vectors; the first movies are positives."""
    monkeypatch.setattr(training, "predict_logits", lambda _, logits: logits)
    classifier = GenreClassifier([], 1)
    labels = (torch.arange(len(vectors)) < positives).float()[:, None]
    calibrate(classifier, Examples(vectors, labels))
    return classifier


def test_logits_that_are_lower_for_positives_stay_uncalibrated(monkeypatch):
    falling = torch.linspace(2, -2, 300)[:, None]
    assert calibrated(falling, 150, monkeypatch).scale > 1
    assert calibrated(-falling, 150, monkeypatch).scale == 1


@pytest.mark.parametrize(
    ("positives", "is_calibrated"), [(49, False), (50, True), (250, True), (251, False)]
)
def test_fifty_positives_and_negatives_are_enough_to_calibrate(
    positives, is_calibrated, monkeypatch
):
    classifier = calibrated(torch.linspace(2, -2, 300)[:, None], positives, monkeypatch)
    assert (classifier.scale != 1) == (classifier.shift != 0) == is_calibrated


def test_the_ensemble_is_calibrated_on_the_validation_split(monkeypatch):
    calls = []
    monkeypatch.setattr(training, "calibrate", lambda *arguments: calls.append(arguments))
    train, validation = examples(20), examples(10, seed=1)
    config = ClassifierConfig(hidden=(4,), epochs=1, members=2)
    classifier, _ = train_classifier(train, validation, config)
    ((calibrated_classifier, calibration_examples),) = calls
    assert calibrated_classifier is classifier
    assert torch.equal(calibration_examples.vectors, validation.vectors)  # too few for halves
    train_classifier(train, validation, config.model_copy(update={"calibrate": False}))
    assert len(calls) == 1


def test_movies_to_stop_on_are_not_those_of_calibration_and_thresholds():
    movies = examples(2 * MIN_HALF_OF_VALIDATION)
    stopping, choosing = split_validation(movies, ClassifierConfig())
    assert torch.equal(torch.cat([stopping.vectors, choosing.vectors]), by_halves(movies))
    assert len(stopping.labels) == len(choosing.labels) == MIN_HALF_OF_VALIDATION


def by_halves(movies: Examples) -> torch.Tensor:
    return torch.cat([movies.vectors[0::2], movies.vectors[1::2]])


@pytest.mark.parametrize(
    ("count", "patience"), [(2 * MIN_HALF_OF_VALIDATION - 1, 4), (2 * MIN_HALF_OF_VALIDATION, None)]
)
def test_few_movies_serve_for_all_and_without_early_stopping_none_are_set_aside(count, patience):
    movies = examples(count)
    halves = split_validation(movies, ClassifierConfig(patience=patience))
    assert all(torch.equal(half.vectors, movies.vectors) for half in halves)


def test_each_half_is_used_for_its_choice_alone(monkeypatch):
    monkeypatch.setattr(validation_movies, "MIN_HALF_OF_VALIDATION", 5)
    used = {}
    monkeypatch.setattr(training, "validate", lambda _, half: (used.update(stop=half), (1, 0))[1])
    monkeypatch.setattr(training, "calibrate", lambda _, half: used.update(calibrate=half))
    validation = examples(10, seed=1)
    config = ClassifierConfig(hidden=(4,), epochs=1, standardise=False)
    train_classifier(examples(20), validation, config)
    assert torch.equal(used["stop"].labels, validation.labels[::2])
    assert torch.equal(used["calibrate"].labels, validation.labels[1::2])


def epochs_of_losses(*losses: float) -> list[Epoch]:
    return [Epoch(0, number, 0.0, loss, 0.0, 0.0) for number, loss in enumerate(losses, 1)]


def test_the_first_of_equally_good_epochs_is_the_best():
    assert best_epoch(epochs_of_losses(3, 1, 2, 1)).epoch == 2


@pytest.mark.parametrize(
    ("losses", "patience", "stops"),
    [
        ([], 1, False),
        ([3, 2], 1, False),
        ([2, 3], 1, True),
        ([2, 3], 2, False),
        ([2, 3, 3], 2, True),
        ([2, 3, 3, 1], None, False),
        ([5, 4, 3, 2, 1], None, True),
        ([5, 4, 3, 2, 1], 9, True),
    ],
)
def test_training_stops_after_all_epochs_or_some_without_improvement(losses, patience, stops):
    config = ClassifierConfig(epochs=5, patience=patience)
    assert should_stop(epochs_of_losses(*losses), config) == stops


def test_unavailable_device_is_refused():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    if torch.cuda.is_available():
        pytest.skip("CUDA is available")
    with pytest.raises(UserError, match="Device cuda is not available"):
        pick_device("cuda")


def test_the_first_available_device_is_chosen_automatically(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto").type == pick_device("mps").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto").type == "cuda"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"mps is not available: use --classifier\.device auto\."):
        pick_device("mps")


@pytest.mark.parametrize(("platform", "mebibytes"), [("linux", 3), ("darwin", 3 / 1024)])
def test_peak_memory_is_that_of_the_process_or_of_the_gpu(platform, mebibytes, monkeypatch):
    """Linux reports kibibytes, macOS bytes."""
    usage = SimpleNamespace(ru_maxrss=3 * 1024)
    gpu = torch.device("cuda")
    monkeypatch.setattr(training.resource, "getrusage", lambda _: usage)
    monkeypatch.setattr(training.sys, "platform", platform)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", {gpu: 5 * 2**20}.__getitem__)
    assert peak_memory_mb(CPU) == mebibytes
    assert peak_memory_mb(gpu) == 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_on_cuda_learns_the_labels():
    data = examples(200)
    cuda_data = Examples(data.vectors.cuda(), data.labels.cuda())
    config = ClassifierConfig(hidden=(32,), batch_size=64)
    classifier, _ = train_classifier(cuda_data, cuda_data, config)
    predicted = genre_probabilities(fold_batch_norm(classifier), data.vectors.numpy()) >= 0.5
    assert f1_score(data.labels.numpy(), predicted, average="micro") > 0.9


@pytest.mark.parametrize("weights", [None, torch.tensor([5.0, 1, 1])])
def test_the_loss_of_an_epoch_is_the_mean_of_its_batches(weights):
    """A network that does not change has the same loss in every order, whose batches are equal."""
    data, network = examples(30), torch.nn.Linear(8, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0)
    loss = train_epoch(network, optimizer, data, batch_size=10, weights=weights)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        network(data.vectors), data.labels, pos_weight=weights
    )
    assert loss == pytest.approx(expected.item(), rel=1e-2)  # matrix products may be of bfloat16


@pytest.mark.parametrize("supported", [True, False])
@pytest.mark.parametrize("device", ["cuda", "cpu", "mps"])
def test_bfloat16_is_used_where_the_hardware_has_it(device, supported, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": supported})
    monkeypatch.setattr(torch, "autocast", lambda kind, dtype, enabled: (kind, dtype, enabled))
    kind, dtype, enabled = training.mixed_precision(torch.device(device))
    assert dtype is torch.bfloat16
    assert (kind, enabled) == ("cpu" if device == "mps" else device, supported and device != "mps")


def test_a_new_network_has_the_settings_of_its_config():
    config = ClassifierConfig(hidden=(6, 5), dropout=0.3, learning_rate=0.0123)
    state = new_state(examples(4), config, seed=1)
    assert state.optimizer.defaults["lr"] == 0.0123
    shares = [layer.share for layer in state.network.layers if isinstance(layer, Dropout)]
    assert shares == [0.3, 0.3]
    assert state.history == []


def test_the_best_weights_do_not_change_with_the_network():
    state = new_state(examples(4), ClassifierConfig(hidden=(6,)), seed=1)
    before = {name: weights.clone() for name, weights in state.best_weights.items()}
    with torch.no_grad():
        for parameter in state.network.parameters():
            parameter.add_(1)
    assert all(torch.equal(before[name], state.best_weights[name]) for name in before)


@pytest.mark.parametrize(("count", "batch_size"), [(100, 32), (640, 40), (2000, 64)])
def test_an_epoch_is_trained_with_the_weights_of_rare_genres_and_recorded(
    count, batch_size, monkeypatch
):
    data, calls = examples(count), []

    def record(network: object, optimizer: object, train: Examples, **arguments: object) -> float:
        calls.append(arguments)
        return 0.25

    monkeypatch.setattr(training, "train_epoch", record)
    config = ClassifierConfig(hidden=(4,), positive_weight=0.5, batch_size=64)
    state = new_state(data, config, seed=1)
    state.history.append(Epoch(3, 1, 0.0, 9.9, 0.0, 0.0))
    run_epoch(state, member=3, train=data, validation=data, config=config)
    (arguments,) = calls
    assert arguments["batch_size"] == batch_size
    assert torch.equal(arguments["weights"], positive_weights(data.labels, 0.5))
    epoch = state.history[-1]
    assert epoch[:5] == (3, 2, 0.25, *training.validate(state.network, data))
    assert 0 <= epoch.seconds < 60


def test_every_epoch_of_every_member_has_a_seed_of_its_own_and_is_reported(tmp_path, monkeypatch):
    seeds, reports = list[int](), list[tuple[int, int]]()
    seed_torch = torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda seed: seeds.append(seed) or seed_torch(seed))
    monkeypatch.setattr(
        training, "write_epoch_progress", lambda _, done, total: reports.append((done, total))
    )
    config = ClassifierConfig(hidden=(4,), epochs=2, members=2, patience=None, seed=7)
    _, history = train_classifier(examples(40), examples(40), config, tmp_path)
    assert seeds == [7, 8, 9, 1007, 1008, 1009]
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [(epoch.member, epoch.epoch) for epoch in history] == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_inputs_are_standardised_by_mean_and_deviation_of_the_train_split():
    train, validation = examples(20), examples(30, seed=1)
    classifier, _ = train_classifier(train, validation, ClassifierConfig(hidden=(4,), epochs=1))
    vectors = train.vectors.numpy()
    assert classifier.input_mean.numpy() == pytest.approx(vectors.mean(axis=0), abs=1e-6)
    assert classifier.input_std.numpy() == pytest.approx(vectors.std(axis=0), rel=1e-5)


def test_logits_that_say_nothing_stay_uncalibrated(monkeypatch):
    assert calibrated(torch.zeros(300, 1), 150, monkeypatch).scale == 1
