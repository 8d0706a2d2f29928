"""Genre lists -> indicator matrix, the labels of the multilabel classifier."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field
from sklearn.preprocessing import MultiLabelBinarizer

from tasks.core.contracts import DocumentsRef, LabelsRef, UserError
from tasks.core.storage import store
from tasks.core.strict_config import StrictConfig

VERSION = 1
GenreLists = Sequence[Sequence[str]]


class LabelConfig(StrictConfig):
    """Which genres are learnt."""

    min_support: int = Field(5, ge=1, description="Train documents that a genre needs to be learnt")


def learnable_genres(genres: GenreLists, min_support: int) -> list[str]:
    """Names carried by at least `min_support` documents, sorted."""
    support = Counter(chain.from_iterable(map(set, genres)))
    return sorted(name for name, count in support.items() if count >= min_support)


def binarize(genres: GenreLists, names: Sequence[str]) -> NDArray[np.uint8]:
    """Indicator matrix (n_documents, n_names): 1 where the document carries the genre.

    Names outside `names` are left out; a document without any becomes a row of zeros.
    """
    known = set(names)
    kept = [[name for name in row if name in known] for row in genres]
    matrix = MultiLabelBinarizer(classes=list(names)).fit_transform(kept)
    indicator: NDArray[np.uint8] = matrix.astype(np.uint8)
    return indicator


def require_genres(names: Sequence[str], min_support: int) -> None:
    """Raises UserError if no genre can be learnt."""
    if names:
        return
    raise UserError(
        f"A classifier needs a genre that {min_support} train movies carry; none is here. "
        "Give more movies, or lower --label.min_support."
    )


def _label(documents: DocumentsRef, config: LabelConfig, writer: store.EntryWriter) -> LabelsRef:
    table = store.read(documents, ["genres", "split"])
    genres, splits = table["genres"].to_pylist(), table["split"].to_pylist()
    train = [row for row, split in zip(genres, splits, strict=True) if split == "train"]
    names = learnable_genres(train, config.min_support)
    require_genres(names, config.min_support)
    np.save(writer.folder / "labels.npy", binarize(genres, names))
    store.write_json(writer.folder / "classes.json", names)
    return writer.folder_ref(LabelsRef, table.num_rows)


@task(name="label", cache_policy=NO_CACHE)
def label(documents: DocumentsRef, config: LabelConfig) -> LabelsRef:
    """Labels of every document; the genres to learn are chosen on the train split alone."""
    ref = store.get_or_create(
        "labels",
        [VERSION, config, documents.digest],
        LabelsRef,
        lambda writer: _label(documents, config, writer),
    )
    get_run_logger().info("%d genres to learn", len(store.read_labels(ref)[1]))
    return ref
