"""A small published catalogue and its champion."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from app import loader
from tasks.core.contracts import IndexRef, UserError
from tasks.recommend.catalogue import Catalogue
from tasks.recommend.index import publish_version
from tasks.recommend.scoring import ItemFeatures, RankConfig
from tasks.recommend.text_model import NO_KNOWN_WORD
from tasks.registry.champion import Champion
from tests.support.index_rows import TITLES, rows

MARKUP = "<img src=x onerror=alert(1)>"


class StoryModel:
    """A text model whose only known word is `story`; it predicts the genre War."""

    def text_features(self, text: str, catalogue: Catalogue) -> ItemFeatures:
        if "story" not in text.split():
            raise UserError(NO_KNOWN_WORD)
        content = np.full((1, 6), 6**-0.5, np.float32)
        genres = np.array([[0, 1]], np.float32)
        return catalogue.text_features(content, content, genres, {"story": 1.0})


def champion_of(index: IndexRef) -> Champion:
    return Champion(index=index, rank=RankConfig(), run_id=index.tag)


def known_and_obscure_movie() -> pa.Table:
    """Index rows of two movies called Gravity, of which the second is by far the better known."""
    table = rows(["Gravity", "Gravity", "Alien"])
    return table.set_column(table.column_names.index("votes"), "votes", [[0.1, 0.9, 0.5]])


@pytest.fixture(scope="session")
def demo_index(tmp_path_factory: pytest.TempPathFactory) -> IndexRef:
    folder: Path = tmp_path_factory.mktemp("demo")
    return publish_version(str(folder / "lancedb"), [rows([*TITLES, MARKUP])], "run-1")


@pytest.fixture(scope="session")
def demo_champion(demo_index: IndexRef) -> Iterator[None]:
    """Makes the published catalogue the champion's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "load_champion", lambda: champion_of(demo_index))
        patch.setattr(loader, "text_model", lambda _: StoryModel())
        yield
