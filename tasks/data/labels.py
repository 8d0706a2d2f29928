"""Genre lists -> indicator matrix, the labels of the multi-label classifier."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from prefect import get_run_logger
from pydantic import Field
from sklearn.preprocessing import MultiLabelBinarizer

from tasks.core.contracts import DocumentsRef, LabelsRef, UserError
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig

GenreLists = Sequence[Sequence[str]]


class LabelConfig(StrictConfig):
    """Which genres are learned."""

    min_support: int = Field(5, ge=1, description="Training movies a genre needs to be learned")


def learnable_genres(genres: GenreLists, min_support: int) -> list[str]:
    """Sorted names of the genres carried by at least `min_support` documents."""
    support = Counter(chain.from_iterable(map(set, genres)))
    return sorted(name for name, count in support.items() if count >= min_support)


def binarize(genres: GenreLists, names: Sequence[str]) -> NDArray[np.uint8]:
    """Indicator matrix (n_documents, n_names): 1 where the document carries the genre.

    Genres that are not in `names` are ignored; a document without any has a row of zeros.
    """
    learned = set(names)
    learned_genres = [[name for name in row if name in learned] for row in genres]
    binarizer = MultiLabelBinarizer(classes=list(names))
    indicator: NDArray[np.uint8] = binarizer.fit_transform(learned_genres).astype(np.uint8)
    return indicator


def require_genres(names: Sequence[str], min_support: int) -> None:
    """Raise UserError if there is no genre to learn."""
    if names:
        return
    raise UserError(
        f"No genre has the {min_support} training movies that a classifier needs. "
        "Give more movies, or lower --label.min-support."
    )


def _label(documents: DocumentsRef, config: LabelConfig, writer: store.EntryWriter) -> LabelsRef:
    table = store.read(documents, ["genres", "split"])
    genres, splits = table["genres"].to_pylist(), table["split"].to_pylist()
    train_genres = [row for row, split in zip(genres, splits, strict=True) if split == "train"]
    names = learnable_genres(train_genres, config.min_support)
    require_genres(names, config.min_support)
    np.save(writer.folder / "labels.npy", binarize(genres, names))
    store.write_json(writer.folder / "classes.json", names)
    return writer.folder_ref(LabelsRef, table.num_rows)


@stage_task("label")
def label(documents: DocumentsRef, config: LabelConfig) -> LabelsRef:
    """Indicator matrix of all documents; genres are chosen on the training split alone."""
    ref = store.get_or_create(
        "labels",
        [config, documents.digest],
        LabelsRef,
        lambda writer: _label(documents, config, writer),
    )
    get_run_logger().info("%d genres to learn", len(store.read_labels(ref)[1]))
    return ref
