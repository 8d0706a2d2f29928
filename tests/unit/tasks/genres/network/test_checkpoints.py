import torch

from tasks.genres.config import ClassifierConfig
from tasks.genres.network.checkpoints import Epoch, restore_checkpoint, save_checkpoint
from tasks.genres.network.training import Examples, new_state

CONFIG = ClassifierConfig(hidden=(4,))
EXAMPLES = Examples(torch.zeros(2, 3), torch.zeros(2, 2))


def test_restored_state_is_the_saved_one(tmp_path):
    saved = new_state(EXAMPLES, CONFIG)
    saved.history.append(Epoch(1, 0.5, 0.6, 0.7, 0.1))
    save_checkpoint(tmp_path / "network.pt", saved)
    restored = new_state(EXAMPLES, CONFIG.model_copy(update={"seed": 2}))
    restore_checkpoint(tmp_path / "network.pt", restored)
    assert restored.history == saved.history
    for name, weights in saved.network.state_dict().items():
        assert torch.equal(weights, restored.network.state_dict()[name])
        assert torch.equal(weights, restored.best_weights[name])


def test_checkpoint_is_written_though_another_run_deleted_the_folder(tmp_path):
    path = tmp_path / "deleted" / "network.pt"
    save_checkpoint(path, new_state(EXAMPLES, CONFIG))
    assert [file.name for file in path.parent.iterdir()] == ["network.pt"]
