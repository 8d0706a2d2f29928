"""A small corpus and the settings to train on it."""

from pathlib import Path

import pytest

from tasks.embedding.config import Doc2VecConfig
from tests.conftest import THEMES

SMALL = Doc2VecConfig(features="both", min_count=2, vector_size=12, epochs=5, sample=0, workers=1)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """60 documents of theme words, one per line."""
    path = tmp_path / "corpus.txt"
    lines = [" ".join(words[n % 3 :]) for words in THEMES.values() for n in range(20)]
    path.write_text("\n".join(lines) + "\n")
    return path
