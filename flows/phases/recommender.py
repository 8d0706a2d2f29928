"""Documents, vectors, genres -> rows of the index, the index, and scores of its lists."""

from dataclasses import dataclass

from prefect.futures import PrefectFuture

from flows.config import TrainConfig
from flows.phases.documents import Documents
from flows.phases.embeddings import Embeddings
from flows.phases.futures import as_input
from flows.phases.genres import Genres
from tasks.core.contracts import (
    ClassifierRef,
    Doc2VecRef,
    FiguresRef,
    IndexRef,
    RowsRef,
    RunRef,
    ScoresRef,
    TransformerRef,
    VectorsRef,
)
from tasks.core.storage.store import locate
from tasks.recommend.evaluation.list_evaluation import evaluate_lists
from tasks.recommend.features.index_features import (
    build_index_rows,
    fit_text_features,
    fit_transformer,
)
from tasks.recommend.index import build_index
from tasks.recommend.model_folders import ModelFolders
from tasks.reports.drawing import draw_map


@dataclass(frozen=True)
class Recommender:
    """Everything that a run publishes: models, vectors, index, scores and figures.

    `lists` is one of `scores`; scores of the comparison with the champion are in `Decision`.
    """

    vectors: PrefectFuture[VectorsRef]
    doc2vec: PrefectFuture[Doc2VecRef]
    classifier: PrefectFuture[ClassifierRef]
    transformer: PrefectFuture[TransformerRef]
    index: PrefectFuture[IndexRef]
    lists: PrefectFuture[ScoresRef]
    scores: list[PrefectFuture[ScoresRef]]
    figures: list[PrefectFuture[FiguresRef]]

    def folders(self) -> ModelFolders:
        """The model folders; waits until the models are trained."""
        models = (self.doc2vec, self.classifier, self.transformer)
        return ModelFolders.of(*(locate(model.result()) for model in models))


def build_recommender(
    config: TrainConfig, run: RunRef, data: Documents, embeddings: Embeddings, genres: Genres
) -> Recommender:
    """Build the index rows, evaluate the lists ranked from them, and build the index."""
    transformer, index_rows = build_rows(data, embeddings, genres)
    rows, compute = as_input(index_rows), data.compute
    lists = evaluate_lists.submit(
        rows=rows,
        documents=as_input(data.documents),
        doc2vec=as_input(embeddings.doc2vec),
        classifier=as_input(genres.classifier),
        lexicon=as_input(transformer),
        ratings=data.ratings,
        known_items=data.known_items,
        config=config.rank,
        compute=compute,
    )
    movie_map = draw_map.submit(rows, compute)
    return Recommender(
        vectors=embeddings.vectors,
        doc2vec=embeddings.doc2vec,
        classifier=genres.classifier,
        transformer=transformer,
        index=build_index.submit(rows, config.index, run.index_tag, compute),
        lists=lists,
        scores=[
            *genres.scores,
            embeddings.scores,
            lists,
        ],
        figures=[movie_map, *genres.figures],
    )


def build_rows(
    data: Documents, embeddings: Embeddings, genres: Genres
) -> tuple[PrefectFuture[TransformerRef], PrefectFuture[RowsRef]]:
    """Fit the index transformer, and build the index row of every movie with it."""
    documents, vectors = as_input(data.documents), as_input(embeddings.vectors)
    labels, compute = as_input(genres.labels), data.compute
    doc2vec, classifier = as_input(embeddings.doc2vec), as_input(genres.classifier)
    texts = as_input(fit_text_features.submit(documents, labels, doc2vec, compute))
    transformer = fit_transformer.submit(texts, documents, vectors, classifier, compute)
    rows = build_index_rows.submit(
        documents=documents,
        vectors=vectors,
        labels=labels,
        probabilities=as_input(genres.probabilities),
        doc2vec=doc2vec,
        classifier=classifier,
        lexicon=as_input(transformer),
        compute=compute,
    )
    return transformer, rows
