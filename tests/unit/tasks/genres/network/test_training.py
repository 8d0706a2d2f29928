from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from flows.config import TrainConfig
from tasks.core.contracts import UserError
from tasks.genres.config import ClassifierConfig
from tasks.genres.inference import Classifier, network_logits
from tasks.genres.network import training
from tasks.genres.network.checkpoints import Epoch, save_checkpoint
from tasks.genres.network.modules import (
    Dropout,
    GenreNetwork,
    Standardiser,
    WordEncoder,
    fold_layers,
    trained_word_vectors,
)
from tasks.genres.network.training import (
    Examples,
    best_epoch,
    new_state,
    peak_memory_mb,
    pick_device,
    positive_weights,
    predict_logits,
    require_examples,
    run_epoch,
    should_stop,
    shuffled_batches,
    train_epoch,
    train_network,
    useful_threads,
)
from tasks.genres.word_vectors import WordVectors
from tests.support.patched_module import patch_import

CPU = torch.device("cpu")


def examples(count: int, seed: int = 0) -> Examples:
    """Vectors whose signs are the labels."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, 8)).astype(np.float32)
    return Examples(torch.tensor(vectors), torch.tensor((vectors[:, :3] > 0).astype(np.float32)))


#: Vectors (n_words, size) of words; the number of a word is its row plus 1.
WORD_VECTORS = np.random.default_rng(7).normal(size=(6, 4)).astype(np.float32)
NAMES = ["a", "b", "c", "d", "e", "f"]


def word_examples(count: int, seed: int = 0) -> Examples:
    """Three words a movie, of which each of the first three is a label."""
    numbers = np.random.default_rng(seed).integers(1, 7, size=(count, 3)).astype(np.int32)
    labels = np.array([[word in row for word in (1, 2, 3)] for row in numbers])
    return Examples(torch.tensor(numbers), torch.tensor(labels.astype(np.float32)))


def texts_of(examples: Examples) -> list[str]:
    return [" ".join(NAMES[word - 1] for word in row) for row in examples.inputs.tolist()]


def to_classifier(network: GenreNetwork) -> Classifier:
    words = None
    if isinstance(network.encoder, WordEncoder):
        rows = dict(zip(NAMES, range(6), strict=True))
        words = WordVectors(rows, trained_word_vectors(network))
    return Classifier(fold_layers(network), words=words)


def predictions(network: GenreNetwork, data: Examples) -> np.ndarray:
    """What the stored classifier predicts for vectors."""
    vectors = data.inputs.numpy()
    return network_logits(to_classifier(network), [""] * len(vectors), vectors) >= 0


def network_of(hidden: tuple[int, ...], size: int = 8, dropout: float = 0.0) -> GenreNetwork:
    encoder = Standardiser(torch.zeros(size), torch.ones(size))
    return GenreNetwork(encoder, 20, hidden, dropout)


def test_the_default_network_trains_on_one_core_and_a_wide_one_on_several():
    config = ClassifierConfig()
    threads = {
        width: useful_threads(network_of((width, width // 2), 300), config.batch_size, available=4)
        for width in (config.hidden[0], 2048, 4096)
    }
    assert threads == {config.hidden[0]: 1, 2048: 4, 4096: 4}
    assert useful_threads(network_of((2048, 1024), 300), 512, available=1) == 1
    several = useful_threads(network_of((2048, 1024), 300), 512, available=16)
    assert (several, type(several)) == (5, int)


@pytest.mark.parametrize(("quota", "cores", "available"), [(2, 64, 2), (64, 4, 4)])
def test_a_cpu_quota_limits_the_threads_of_a_training(quota, cores, available, monkeypatch):
    limits = list[int]()
    monkeypatch.setattr(training, "cpu_count", lambda: quota)
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(training, "useful_threads", lambda _, __, limit: limits.append(limit) or 1)
    train_network(examples(8), examples(4), ClassifierConfig(hidden=[2], epochs=1))
    assert limits == [available]


@pytest.mark.parametrize(("available", "used"), [(1, 1), (2, 1), (7, 1), (8, 2), (16, 4), (64, 4)])
def test_a_small_network_trains_on_a_quarter_of_the_cores(available, used):
    assert useful_threads(network_of((16,)), batch_size=16, available=available) == used


def test_training_computes_on_one_core_and_leaves_the_number_of_threads_as_it_was(monkeypatch):
    threads = [3]  # not torch's own: a process that is forked, as mutmut does, has none of them
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)

    def run(*_, **__):
        assert threads == [3, 1]
        raise ZeroDivisionError

    monkeypatch.setattr(training, "run_epoch", run)
    with pytest.raises(ZeroDivisionError):
        train_network(examples(50), examples(50), ClassifierConfig())
    assert threads == [3, 1, 3]


def test_network_of_the_blog_preset_has_the_layers_of_the_post():
    config = TrainConfig(preset="blog").classifier
    network = network_of(config.hidden, 100, config.dropout)
    layer_types = [type(layer).__name__ for layer in network.layers]
    assert layer_types == ["Linear", "BatchNorm1d", "ReLU", "Dropout"] * 3 + ["Linear"]
    widths = [layer.out_features for layer in network.layers if type(layer).__name__ == "Linear"]
    assert widths == [512, 256, 128, 20]


def test_network_overfits_64_documents():
    data = examples(64)
    config = ClassifierConfig(dropout=0, epochs=80, patience=None, batch_size=16, decay=False)
    network, history = train_network(data, data, config)
    assert f1_score(data.labels.numpy(), predictions(network, data), average="micro") > 0.99
    assert len(history) == 80


def test_network_trained_on_shuffled_labels_scores_at_chance():
    train, test = examples(400), examples(400, seed=1)
    config = ClassifierConfig(hidden=(16,), epochs=3, patience=None)
    accuracies = []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(400)
        shuffled = Examples(train.inputs, train.labels[order])
        settings = config.model_copy(update={"seed": seed})
        network, _ = train_network(shuffled, shuffled, settings)
        accuracies.append((predictions(network, test) == test.labels.numpy()).mean())
    assert abs(np.mean(accuracies) - 0.5) < 0.06


def test_word_vectors_learn_what_words_mean():
    """Those of all words are equal at first: they say nothing before they are trained."""
    train, test = word_examples(2000), word_examples(500, seed=1)
    alike = np.ones((6, 4), np.float32)
    config = ClassifierConfig(
        hidden=(16,), epochs=20, word_dropout=0.3, word_learning_rate=0.01, dropout=0
    )
    frozen = config.model_copy(update={"word_learning_rate": 1e-9})
    scores = []
    for settings in (config, frozen):
        network, _ = train_network(train, test, settings, alike)
        predicted = predict_logits(network, test.inputs).numpy() >= 0
        scores.append(f1_score(test.labels.numpy(), predicted, average="micro"))
    assert scores[0] > 0.95
    assert scores[1] < 0.7


@pytest.mark.parametrize("sparse", [True, False])
def test_only_vectors_of_words_in_the_training_movies_change(sparse, monkeypatch):
    """Gradients are dense on Apple's devices, which have no sparse ones."""
    if not sparse:
        encoder = partial(WordEncoder, WORD_VECTORS, 0.6, sparse=False)
        monkeypatch.setattr(training, "new_encoder", lambda *_: encoder())
    data = word_examples(40)
    data = Examples(data.inputs.clamp(max=4), data.labels)
    config = ClassifierConfig(hidden=(4,), epochs=1)
    optimizers = new_state(data, config, WORD_VECTORS).optimizers
    assert isinstance(optimizers[1], torch.optim.SparseAdam) == sparse
    network, _ = train_network(data, data, config, WORD_VECTORS)
    changed = (trained_word_vectors(network) != WORD_VECTORS).any(axis=1)
    assert changed.tolist() == [True] * 4 + [False] * 2


def test_words_are_dropped_in_training_alone():
    torch.manual_seed(0)
    encoder = WordEncoder(np.ones((1, 1), np.float32), dropout=0.7, sparse=True)
    numbers = torch.ones(4000, 9, dtype=torch.int32)
    kept = (encoder.sums(numbers) ** 2).squeeze()  # k words sum up to k / sqrt(k)
    assert kept.mean().item() == pytest.approx(0.3 * 9, rel=0.03)
    assert (encoder.eval().sums(numbers) ** 2).squeeze().unique().tolist() == pytest.approx([9])


@pytest.mark.parametrize("count", [40, 400])
def test_inputs_of_the_layers_are_standardised_with_all_words(count):
    """However few movies, and though words are left out in training."""
    data, alike = word_examples(count), WORD_VECTORS / 20 + 1
    network, _ = train_network(data, data, ClassifierConfig(hidden=(4,), epochs=2), alike)
    inputs = network.eval().encoder(data.inputs).detach().numpy()
    assert inputs.mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-3)
    assert inputs.std(axis=0) == pytest.approx(np.ones(4), abs=0.02)


def test_documents_without_words_have_zero_vectors():
    encoder = WordEncoder(WORD_VECTORS, dropout=0.0, sparse=True)
    vectors = encoder.sums(torch.tensor([[0, 0], [2, 0], [0, 0], [1, 2]], dtype=torch.int32))
    expected = [0 * WORD_VECTORS[0], WORD_VECTORS[1], 0 * WORD_VECTORS[0]]
    assert vectors[:3].detach().numpy() == pytest.approx(np.array(expected))
    assert vectors[3].tolist() == pytest.approx((WORD_VECTORS[:2].sum(axis=0) / 2**0.5).tolist())


def test_equal_seeds_give_equal_networks():
    data = examples(50)
    config = ClassifierConfig(hidden=(16, 8), epochs=3)
    for inputs, word_vectors in ((data, None), (word_examples(50), WORD_VECTORS)):
        first, second = (train_network(inputs, inputs, config, word_vectors)[0] for _ in range(2))
        for name, weights in first.state_dict().items():
            assert torch.equal(weights, second.state_dict()[name])


def test_training_does_not_change_the_global_random_state():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train_network(examples(20), examples(20), ClassifierConfig(hidden=(4,), epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_early_stopping_returns_the_weights_of_the_best_epoch():
    train, other = examples(60), examples(60, seed=1)
    validation = Examples(other.inputs, 1 - other.labels)
    config = ClassifierConfig(hidden=(32,), epochs=50, patience=2, learning_rate=0.01)
    network, history = train_network(train, validation, config)
    assert len(history) < 50
    best = min(history, key=lambda epoch: epoch.val_loss)
    assert history[-1].epoch - best.epoch == 2
    logits = network.eval()(validation.inputs)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, validation.labels)
    assert loss.item() == pytest.approx(best.val_loss, abs=1e-5)


def test_batches_have_equal_size():
    assert [len(batch.inputs) for batch in shuffled_batches(examples(9), 4)] == [3, 3, 3]


def test_batches_contain_every_example_with_its_labels():
    data = examples(10)
    vectors, labels = map(torch.cat, zip(*shuffled_batches(data, 4), strict=True))
    assert torch.equal((vectors[:, :3] > 0).float(), labels)
    assert sorted(vectors[:, 0].tolist()) == sorted(data.inputs[:, 0].tolist())


class KilledError(Exception):
    """Simulates the end of a process."""


@pytest.fixture
def saved_after_every_epoch(monkeypatch):
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0)


@pytest.mark.parametrize("epochs_before", [1, 3])
@pytest.mark.parametrize("word_vectors", [None, WORD_VECTORS])
@pytest.mark.usefixtures("saved_after_every_epoch")
def test_interrupted_training_resumes_with_equal_results(
    epochs_before, word_vectors, tmp_path, monkeypatch
):
    data = examples(80) if word_vectors is None else word_examples(80)
    config = ClassifierConfig(hidden=(16,), epochs=4, batch_size=16)
    expected, history = train_network(data, data, config, word_vectors)
    remaining_calls = iter(range(epochs_before))

    def train_epoch_or_die(*args: object, **kwargs: object) -> float:
        if next(remaining_calls, None) is None:
            raise KilledError
        return train_epoch(*args, **kwargs)

    checkpoint = tmp_path / "network.pt"
    with monkeypatch.context() as patch:
        patch.setattr(training, "train_epoch", train_epoch_or_die)
        with pytest.raises(KilledError):
            train_network(data, data, config, word_vectors, checkpoint)
    trained = []
    monkeypatch.setattr(
        training, "train_epoch", lambda *a, **k: trained.append(train_epoch(*a, **k)) or trained[-1]
    )
    resumed, resumed_history = train_network(data, data, config, word_vectors, checkpoint)
    assert len(trained) == len(history) - epochs_before
    assert [epoch[:4] for epoch in resumed_history] == [epoch[:4] for epoch in history]
    seconds = [epoch.seconds for epoch in history]
    assert [epoch.seconds for epoch in resumed_history] != seconds
    for name, weights in expected.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name])


def test_a_checkpoint_is_written_when_the_last_one_is_old_enough(tmp_path, monkeypatch):
    data, config = examples(40), ClassifierConfig(hidden=(8,), epochs=6, patience=None)
    saved, clock = [], iter([0, 4, 9, 10, 10, 19, 21, 21, 29])
    patch_import(monkeypatch, training, "time", monotonic=lambda: next(clock))
    monkeypatch.setattr(
        training, "save_checkpoint", lambda path, state: saved.append(len(state.history))
    )
    train_network(data, data, config, checkpoint=tmp_path / "network.pt")
    assert saved == [3, 5]


@pytest.mark.parametrize("word_vectors", [None, WORD_VECTORS])
@pytest.mark.parametrize("damage", ["emptied", "bit flipped", "other network"])
@pytest.mark.usefixtures("saved_after_every_epoch")
def test_damaged_checkpoint_is_discarded_and_training_starts_over(
    damage, word_vectors, tmp_path, caplog
):
    data = examples(40) if word_vectors is None else word_examples(40)
    config, path = ClassifierConfig(hidden=(8,), epochs=2), tmp_path / "n.pt"
    expected, _ = train_network(data, data, config, word_vectors, checkpoint=path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(b"" if damage == "emptied" else content)
    if damage == "other network":
        save_checkpoint(path, new_state(data, ClassifierConfig(hidden=(4,)), word_vectors))
    resumed, history = train_network(data, data, config, word_vectors, checkpoint=path)
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


def test_scale_of_the_inputs_does_not_matter():
    data, config = examples(200), ClassifierConfig(hidden=(16,), epochs=5)
    scaled = Examples(data.inputs * 100 + 7, data.labels)
    logits = [
        predict_logits(train_network(inputs, inputs, config)[0], inputs.inputs)
        for inputs in (data, scaled)
    ]
    assert torch.sigmoid(logits[1]).numpy() == pytest.approx(
        torch.sigmoid(logits[0]).numpy(), abs=1e-2
    )


def test_inputs_are_only_standardised_where_the_config_says_so():
    data, config = examples(200), ClassifierConfig(hidden=(16,), standardise=False, epochs=1)
    encoder = train_network(data, data, config)[0].encoder
    assert (encoder.mean.tolist(), encoder.std.tolist()) == ([0] * 8, [1] * 8)


def test_positive_weight_of_a_rare_genre_grows_with_the_power():
    labels = torch.tensor([[1.0, 1], [0, 1], [0, 1], [0, 0]])
    assert positive_weights(labels, 0) is None
    assert positive_weights(labels, 1).tolist() == pytest.approx([3, 1 / 3])
    assert positive_weights(labels, 0.5).tolist() == pytest.approx([3**0.5, (1 / 3) ** 0.5])


@pytest.mark.parametrize("word_vectors", [None, WORD_VECTORS])
def test_the_stored_classifier_has_the_logits_of_the_network(word_vectors):
    data = examples(40) if word_vectors is None else word_examples(40)
    config = ClassifierConfig(hidden=(8, 4), epochs=2)
    network, _ = train_network(data, data, config, word_vectors)
    texts = [""] * 40 if word_vectors is None else texts_of(data)
    logits = network_logits(to_classifier(network), texts, data.inputs.numpy())
    assert logits == pytest.approx(predict_logits(network, data.inputs).numpy(), abs=1e-4)


def test_split_without_examples_is_refused():
    empty = Examples(torch.zeros(0, 3), torch.zeros(0, 2))
    with pytest.raises(UserError, match="The validation split has 0 movies with a learned genre"):
        require_examples(examples(3), empty)


def test_two_movies_are_enough_to_train_and_one_to_validate():
    require_examples(examples(2), examples(1))
    with pytest.raises(UserError, match=r"train split has 1 movies .* \(2 needed\): add movies"):
        require_examples(examples(1), examples(1))


def test_training_stops_on_the_validation_movies(monkeypatch):
    used = []
    monkeypatch.setattr(training, "validate", lambda _, movies: (used.append(movies), (1, 0))[1])
    validation = examples(10, seed=1)
    train_network(examples(20), validation, ClassifierConfig(hidden=(4,), epochs=1))
    assert used == [validation]


def epochs_of_losses(*losses: float) -> list[Epoch]:
    return [Epoch(number, 0.0, loss, 0.0, 0.0) for number, loss in enumerate(losses, 1)]


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
    patch_import(monkeypatch, training, "resource", getrusage=lambda _: usage)
    patch_import(monkeypatch, training, "sys", platform=platform)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", {gpu: 5 * 2**20}.__getitem__)
    assert peak_memory_mb(CPU) == mebibytes
    assert peak_memory_mb(gpu) == 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("word_vectors", [None, WORD_VECTORS])
def test_training_on_cuda_learns_the_labels(word_vectors, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    data = examples(500) if word_vectors is None else word_examples(500)
    on_gpu = Examples(data.inputs.cuda(), data.labels.cuda())
    config = ClassifierConfig(
        hidden=(32,), batch_size=64, word_learning_rate=0.01, word_dropout=0.3, dropout=0.1
    )
    checkpoint = tmp_path / "network.pt"
    network, history = train_network(on_gpu, on_gpu, config, word_vectors, checkpoint)
    resumed, _ = train_network(on_gpu, on_gpu, config, word_vectors, checkpoint)
    texts = [""] * 500 if word_vectors is None else texts_of(data)
    for trained in (network, resumed):
        predicted = network_logits(to_classifier(trained), texts, data.inputs.numpy()) >= 0
        assert f1_score(data.labels.numpy(), predicted, average="micro") > 0.9
    assert history[-1].train_loss < history[0].train_loss


@pytest.mark.parametrize("focal_gamma", [0.0, 2.0])
@pytest.mark.parametrize("weights", [None, torch.tensor([5.0, 1, 1])])
def test_the_loss_of_an_epoch_is_the_mean_cross_entropy_of_its_batches(weights, focal_gamma):
    """A network that does not change has the same loss in every order, whose batches are equal."""
    data, network = examples(30), torch.nn.Linear(8, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0)
    loss = train_epoch(network, [optimizer], data, 10, weights, focal_gamma)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        network(data.inputs), data.labels, pos_weight=weights
    )
    assert loss == pytest.approx(expected.item(), rel=1e-2)  # matrix products may be of bfloat16


@pytest.mark.parametrize(("logit", "label", "error"), [(2, 1, 0.1192), (2, 0, 0.8808), (0, 1, 0.5)])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_a_step_descends_the_focal_loss(logit, label, error, gamma):
    """The derivative of -(1 - p) ** gamma * log(p) by the logit; p is the label's probability."""
    network = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(network.weight)
    torch.nn.init.constant_(network.bias, logit)
    movie = Examples(torch.zeros(2, 1), torch.full((2, 1), float(label)))
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    settings = {"focal_gamma": gamma} if gamma else {}
    train_epoch(network, [optimizer], movie, batch_size=2, **settings)
    p = 1 - error
    descent = error**gamma * (error - gamma * p * np.log(p))
    step = network.bias.item() - logit
    assert step == pytest.approx(descent if label else -descent, rel=0.02)  # bfloat16


def test_each_label_has_the_focal_weight_of_its_own_error():
    """A movie has the genre, another does not: the steps of both, the first error being small."""
    network = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(network.weight)
    torch.nn.init.constant_(network.bias, 2)
    movies = Examples(torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]))
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    train_epoch(network, [optimizer], movies, batch_size=2, focal_gamma=1.0)
    errors = 1 / (1 + np.exp([2, -2]))
    descents = errors * (errors - (1 - errors) * np.log(1 - errors))
    assert network.bias.item() - 2 == pytest.approx((descents[0] - descents[1]) / 2, rel=0.02)


def test_the_exponent_of_the_settings_is_that_of_the_training():
    losses = [
        train_network(
            data := examples(60),
            data,
            ClassifierConfig(hidden=(8,), epochs=2, batch_size=16, focal_gamma=gamma),
        )[1][-1].train_loss
        for gamma in (0.0, 1.0, 4.0)
    ]
    assert len(set(losses)) == 3


def test_a_label_that_is_certain_has_no_gradient_that_is_not_a_number():
    network = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(network.bias, 100)
    movie = Examples(torch.zeros(2, 1), torch.ones(2, 1))
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    train_epoch(network, [optimizer], movie, batch_size=2, focal_gamma=0.5)
    assert network.bias.item() == 100


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
    config = ClassifierConfig(
        hidden=(6, 5), dropout=0.3, learning_rate=0.0123, word_learning_rate=0.02, word_dropout=0.4
    )
    (optimizer,) = new_state(examples(4), config).optimizers
    assert optimizer.defaults["lr"] == 0.0123
    state = new_state(word_examples(4), config, WORD_VECTORS)
    assert [optimizer.defaults["lr"] for optimizer in state.optimizers] == [0.0123, 0.02]
    assert state.network.encoder.dropout == 0.4
    shares = [layer.share for layer in state.network.layers if isinstance(layer, Dropout)]
    assert shares == [0.3, 0.3]
    assert state.history == []


def test_the_best_weights_do_not_change_with_the_network():
    state = new_state(examples(4), ClassifierConfig(hidden=(6,)))
    before = {name: weights.clone() for name, weights in state.best_weights.items()}
    with torch.no_grad():
        for parameter in state.network.parameters():
            parameter.add_(1)
    assert all(torch.equal(before[name], state.best_weights[name]) for name in before)


@pytest.mark.parametrize(("count", "batch_size"), [(100, 16), (1280, 40), (4000, 64)])
def test_an_epoch_is_trained_with_the_weights_of_rare_genres_and_recorded(
    count, batch_size, monkeypatch
):
    data, calls = examples(count), []

    def record(network: object, optimizer: object, train: Examples, **arguments: object) -> float:
        calls.append(arguments)
        return 0.25

    monkeypatch.setattr(training, "train_epoch", record)
    config = ClassifierConfig(hidden=(4,), positive_weight=0.5, batch_size=64)
    state = new_state(data, config)
    state.history.append(Epoch(1, 0.0, 9.9, 0.0, 0.0))
    run_epoch(state, train=data, validation=data, config=config)
    (arguments,) = calls
    assert arguments["batch_size"] == batch_size
    assert torch.equal(arguments["weights"], positive_weights(data.labels, 0.5))
    epoch = state.history[-1]
    assert epoch[:4] == (2, 0.25, *training.validate(state.network, data))
    assert 0 <= epoch.seconds < 60


def test_every_epoch_has_a_seed_of_its_own_and_is_reported(tmp_path, monkeypatch):
    seeds, reports = list[int](), list[tuple[int, int]]()
    seed_torch = torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda seed: seeds.append(seed) or seed_torch(seed))
    monkeypatch.setattr(
        training, "write_epoch_progress", lambda _, done, total: reports.append((done, total))
    )
    config = ClassifierConfig(hidden=(4,), epochs=3, patience=None, seed=7)
    data = examples(40)
    _, history = train_network(data, data, config, checkpoint=tmp_path / "network.pt")
    assert seeds == [7, 8, 9, 10]
    assert reports == [(1, 3), (2, 3), (3, 3)]
    assert [epoch.epoch for epoch in history] == [1, 2, 3]


@pytest.mark.parametrize(("decay", "factors"), [(True, [1, 0.75, 0.5, 0.25]), (False, [1] * 4)])
def test_learning_rates_fall_linearly_over_the_epochs(decay, factors, monkeypatch):
    rates = []

    def record(network: object, optimizers: list[torch.optim.Optimizer], *_: object, **__: object):
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in optimizers])
        return 0.25

    monkeypatch.setattr(training, "train_epoch", record)
    config = ClassifierConfig(
        hidden=(4,), epochs=4, decay=decay, learning_rate=0.4, word_learning_rate=0.1, patience=None
    )
    train_network(word_examples(40), word_examples(40), config, WORD_VECTORS)
    expected = [(0.4 * factor, 0.1 * factor) for factor in factors]
    assert rates == [pytest.approx(row) for row in expected]


def test_inputs_are_standardised_by_mean_and_deviation_of_the_train_split():
    train, validation = examples(20), examples(30, seed=1)
    network, _ = train_network(train, validation, ClassifierConfig(hidden=(4,), epochs=1))
    vectors = train.inputs.numpy()
    assert network.encoder.mean.numpy() == pytest.approx(vectors.mean(axis=0), abs=1e-6)
    assert network.encoder.std.numpy() == pytest.approx(vectors.std(axis=0), rel=1e-5)
