"""Index rows of a test -> stored scores of their lists, as a training evaluates them."""

import pyarrow as pa
import pytest
from prefect.logging import disable_run_logger

from tasks.core.compute import Compute
from tasks.core.contracts import (
    ClassifierRef,
    Doc2VecRef,
    DocumentsRef,
    KnownItemsRef,
    RatingsRef,
    RowsRef,
    ScoresRef,
    TransformerRef,
)
from tasks.core.storage import store
from tasks.recommend.evaluation import list_evaluation
from tasks.recommend.scoring import RankConfig
from tests.support.stored import stored_folder, stored_table
from tests.support.text_models import WORDS_ALONE, WordModel

#: Shown tables need a Prefect server; a model is replaced by one that compares words.
TABLE_ARTIFACT, TEXT_MODEL = "show_table", "TextModel"


def documents_of(rows: pa.Table) -> DocumentsRef:
    """Stored documents whose texts are the words of index rows."""
    texts = [" ".join(words) for words in rows["words"].to_pylist()]
    columns = rows.select(["id", "title", "overview", "keywords", "collection"])
    with_texts = columns.append_column("document", pa.array(texts))
    splits = pa.array(["train"] * len(texts))
    return stored_table(DocumentsRef, with_texts.append_column("split", splits))


def evaluate(
    rows: pa.Table,
    *,
    ratings: RatingsRef | None = None,
    known_items: KnownItemsRef | None = None,
    config: RankConfig = WORDS_ALONE,
    keywords: bool = False,
) -> ScoresRef:
    """Scores of the lists of index rows; `keywords`: whether the model ranks by keywords."""
    models = [
        stored_folder(kind, lambda folder: store.write_json(folder / "empty.json", {}))
        for kind in (Doc2VecRef, ClassifierRef, TransformerRef)
    ]
    with pytest.MonkeyPatch.context() as patch, disable_run_logger():
        patch.setattr(list_evaluation, TEXT_MODEL, lambda _: WordModel(keywords))
        patch.setattr(list_evaluation, TABLE_ARTIFACT, lambda *_, **__: None)
        return list_evaluation.evaluate_lists.fn(
            rows=stored_table(RowsRef, rows),
            documents=documents_of(rows),
            doc2vec=models[0],
            classifier=models[1],
            lexicon=models[2],
            ratings=ratings,
            known_items=known_items,
            config=config,
            compute=Compute(),
        )
