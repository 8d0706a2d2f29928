"""Documents, vectors, genres -> index rows, recommendation lists with their scores, and the index.

Everything that a run publishes is in `Recommender`.
"""

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
    RunRef,
    ScoresRef,
    TransformerRef,
    VectorsRef,
)
from tasks.core.storage.store import locate
from tasks.recommend.evaluation.list_evaluation import evaluate_lists
from tasks.recommend.index import build_index
from tasks.recommend.index_features import build_index_rows, fit_transformer
from tasks.recommend.model_folders import ModelFolders
from tasks.reports.drawing import draw_map


@dataclass(frozen=True)
class Recommender:
    """Models, vectors and index of a run, with all scores and figures that do not depend on the
    champion. `scores` holds `lists` too."""

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
    """Describe every movie as a row of the index, rank lists from the rows, build the index."""
    documents, vectors = as_input(data.documents), as_input(embeddings.vectors)
    labels, compute = as_input(genres.labels), data.compute
    transformer = fit_transformer.submit(documents, vectors, labels, compute)
    rows = build_index_rows.submit(
        documents,
        vectors,
        labels,
        as_input(genres.probabilities),
        as_input(transformer),
        compute,
    )
    lists = evaluate_lists.submit(as_input(rows), data.ratings, config.rank, compute)
    movie_map = draw_map.submit(as_input(rows), compute)
    return Recommender(
        vectors=embeddings.vectors,
        doc2vec=embeddings.doc2vec,
        classifier=genres.classifier,
        transformer=transformer,
        index=build_index.submit(as_input(rows), config.index, run.index_tag, compute),
        lists=lists,
        scores=[
            *genres.scores,
            embeddings.scores,
            lists,
        ],
        figures=[movie_map, *genres.figures],
    )
