"""Documents of the train split -> a stored Doc2Vec model.

gensim is imported inside the function that trains: loading it takes seconds, and a fully cached
run never needs it.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import get_run_logger
from pydantic import BaseModel

from tasks.core.compute import Compute, run_stage
from tasks.core.contracts import Doc2VecRef, DocumentsRef, UserError
from tasks.core.documents import tokens_of
from tasks.core.orchestration.progress import watch_epochs
from tasks.core.orchestration.stage_task import stage_task
from tasks.core.storage import store
from tasks.data.splits import SPLITS
from tasks.embedding.config import Doc2VecConfig, load_config, scale_to_corpus
from tasks.embedding.pooling import read_vocabulary

FEW_WORDS = 5  # of a document that the model knows; its vector says little
MAX_FEW_WORDS_SHARE = 0.1  # of the documents, for the run to warn
MAX_COUNTED_DOCUMENTS = 5000
Vectors = NDArray[np.float32]


def write_corpus(documents: Iterable[pa.Table], path: Path, splits: Sequence[str]) -> int:
    """Write the documents of `splits` as gensim's `corpus_file`, one per line; return the words."""
    words = 0
    with path.open("w", encoding="utf-8") as file:
        for table in documents:
            pairs = zip(table["document"].to_pylist(), table["split"].to_pylist(), strict=True)
            texts = [tokens_of(document) for document, split in pairs if split in splits]
            file.writelines(f"{' '.join(tokens)}\n" for tokens in texts)
            words += sum(map(len, texts))
    return words


def known_word_scores(corpus: Path, vocabulary: Collection[str]) -> dict[str, float]:
    """Known words per document of a corpus file, and share of the documents with less than few.

    Counts an even sample of the lines.
    """
    with corpus.open(encoding="utf-8") as file:
        step = max(1, sum(1 for _ in file) // MAX_COUNTED_DOCUMENTS)
        file.seek(0)
        sample = (line.split() for line in islice(file, 0, None, step))
        counts = np.array([sum(word in vocabulary for word in words) for words in sample])
    return {
        "doc2vec_known_words": float(counts.mean()),
        "doc2vec_few_words_share": float((counts < FEW_WORDS).mean()),
    }


def write_trained_vectors(documents: DocumentsRef, vectors: Vectors, folder: Path) -> None:
    """Write the vectors that training assigned to the documents, (n_documents, vector_size).

    Every chunk of `documents` gets a parquet file of the same name.
    """
    folder.mkdir()
    first = 0
    for path, table in zip(documents.paths, store.chunks(documents, ["id"]), strict=True):
        rows = vectors[first : first + table.num_rows]
        pq.write_table(store.vectors_table(table["id"], rows), folder / Path(path).name)
        first += table.num_rows


def _fit(
    documents: DocumentsRef, config: Doc2VecConfig, text: BaseModel, writer: store.EntryWriter
) -> Doc2VecRef:
    from tasks.embedding.doc2vec import train_in_folder

    splits = [*SPLITS] if config.transductive else ["train"]
    corpus_file, vectors_file = writer.folder / "corpus.txt", writer.folder / "vectors.npy"
    words = write_corpus(store.chunks(documents, ["document", "split"]), corpus_file, splits)
    if not words:
        raise UserError(f"The train split holds none of the {documents.rows} movies: add movies.")
    train_in_folder(writer.folder, scale_to_corpus(config, words), writer.checkpoint_dir)
    training, vocabulary = writer.folder / "training.json", set(read_vocabulary(writer.folder))
    scores = known_word_scores(corpus_file, vocabulary)
    store.write_json(training, store.read_json(training) | scores)
    corpus_file.unlink()
    if config.transductive:
        write_trained_vectors(
            documents, np.load(vectors_file, "r", allow_pickle=False), writer.folder / "trained"
        )
        vectors_file.unlink()
    store.write_json(writer.folder / "text.json", text.model_dump(mode="json"))
    return writer.folder_ref(Doc2VecRef, documents.rows, measured="training.json")


@stage_task("fit-doc2vec")
def fit_doc2vec(
    documents: DocumentsRef, config: Doc2VecConfig, text: BaseModel, compute: Compute
) -> Doc2VecRef:
    """Train Doc2Vec on the train split, or on all documents if `config.transductive` (leaky).

    `text`, the preprocessing settings of the documents, is stored with the model, so that the
    model folder is enough to embed new text. A large corpus is trained on in a separate process,
    which returns its memory when it ends.
    """

    def fit(writer: store.EntryWriter) -> Doc2VecRef:
        with watch_epochs("fit-doc2vec", writer.checkpoint_dir):
            return run_stage(compute, _fit, documents, config, text, writer)

    key = [config, text, documents.digest]
    model = store.get_or_create("doc2vec", key, Doc2VecRef, fit)
    _log_training(store.locate(model))
    return model


def _log_training(folder: Path) -> None:
    config = load_config(folder)
    training = store.read_json(folder / "training.json")
    get_run_logger().info(
        "Doc2Vec %s, %d dimensions, %d epochs in %.1f s (%.0f words/s)",
        config.architecture,
        config.vector_size,
        config.epochs,
        training["doc2vec_seconds"],
        training["doc2vec_words_per_second"],
    )
    if training["doc2vec_few_words_share"] > MAX_FEW_WORDS_SHARE:
        get_run_logger().warning(
            "%.0f%% of the documents have less than %d words that the model knows (%.1f on "
            "average): their genres and lists are guesses. Longer overviews or more movies help",
            100 * training["doc2vec_few_words_share"],
            FEW_WORDS,
            training["doc2vec_known_words"],
        )
