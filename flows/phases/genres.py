"""Documents, vectors -> genre labels, classifier, probabilities, and scores on the test split."""

from dataclasses import dataclass

from prefect.futures import PrefectFuture

from flows.config import TrainConfig
from flows.phases.documents import Documents
from flows.phases.embeddings import Embeddings
from flows.phases.futures import as_input
from tasks.core.contracts import (
    ClassifierRef,
    FiguresRef,
    LabelsRef,
    ProbabilitiesRef,
    ScoresRef,
)
from tasks.data.labels import label
from tasks.genres.classifier import fit_network, predict_genres
from tasks.genres.ensemble import fit_ensemble
from tasks.genres.evaluation.baselines import baselines
from tasks.genres.evaluation.evaluate import evaluate
from tasks.genres.linear import fit_linear
from tasks.reports.drawing import draw_genres


@dataclass(frozen=True)
class Genres:
    """The genre classifier of a run and what it predicts."""

    labels: PrefectFuture[LabelsRef]
    classifier: PrefectFuture[ClassifierRef]
    probabilities: PrefectFuture[ProbabilitiesRef]
    scores: list[PrefectFuture[ScoresRef]]
    figures: list[PrefectFuture[FiguresRef]]


def train_classifier(config: TrainConfig, data: Documents, embeddings: Embeddings) -> Genres:
    """Train the classifier and compare it with simple baselines on the same split."""
    documents, vectors = as_input(data.documents), as_input(embeddings.vectors)
    labelled = label.submit(documents, config.label)
    labels = as_input(labelled)
    linear = as_input(
        fit_linear.submit(
            documents=documents,
            labels=labels,
            config=config.baseline,
            positive_power=config.classifier.positive_weight,
            text=config.text,
            compute=data.compute,
        )
    )
    baseline = baselines.submit(documents, labels, linear, config.text)
    trained = fit_network.submit(
        documents=documents,
        inputs=as_input(embeddings.doc2vec) if config.fine_tunes_words else vectors,
        labels=labels,
        config=config.classifier,
        compute=data.compute,
    )
    network = as_input(trained)
    if config.classifier.linear:
        trained = fit_ensemble.submit(
            documents, vectors, labels, network, linear, config.classifier
        )
    classifier = as_input(trained)
    predicted = predict_genres.submit(classifier, vectors, documents, data.compute)
    scores = evaluate.submit(
        documents=documents,
        labels=labels,
        classifier=classifier,
        probabilities=as_input(predicted),
        baseline=as_input(baseline),
        protocol=config.protocol,
        vectors=vectors,
        network=network if config.classifier.linear else None,
    )
    figures = draw_genres.submit(
        documents=documents,
        doc2vec=as_input(embeddings.doc2vec),
        classifier=classifier,
        scores=as_input(scores),
        baseline=as_input(baseline),
        protocol=config.protocol,
    )
    return Genres(
        labels=labelled,
        classifier=trained,
        probabilities=predicted,
        scores=[scores, baseline],
        figures=[figures],
    )
