"""Every setting and every input of a stage is part of the key of its entry in the cache."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prefect import Task
from pydantic import BaseModel

from tasks.core.compute import Compute
from tasks.core.contracts import (
    ClassifierRef,
    Doc2VecRef,
    DocumentsRef,
    IndexRef,
    KnownItemsRef,
    LabelsRef,
    LinearRef,
    MoviesRef,
    ProbabilitiesRef,
    ProfileRef,
    RatingsRef,
    Ref,
    RowsRef,
    ScoresRef,
    SplitsRef,
    TransformerRef,
    VectorsRef,
)
from tasks.core.storage import store
from tasks.data import drift, ingest, labels, preprocess, splits
from tasks.embedding import inference, training, vector_checks
from tasks.embedding.config import Doc2VecConfig
from tasks.genres import classifier, ensemble, linear
from tasks.genres.config import ClassifierConfig
from tasks.genres.evaluation import baselines, evaluate
from tasks.recommend.evaluation import list_evaluation
from tasks.recommend.features import index_features
from tasks.recommend.model_folders import ModelFolders
from tasks.recommend.scoring import RankConfig
from tasks.registry import batch, challenge, refresh
from tasks.registry.champion import Champion
from tasks.reports import drawing
from tests.support.changed_values import changed_models, changed_value

Arguments = Mapping[str, Any]
DOCUMENTS, VECTORS = DocumentsRef(paths=("d",), digest="d"), VectorsRef(paths=("v",), digest="v")
MOVIES, LABELS = MoviesRef(paths=("m",), digest="m"), LabelsRef(paths=("l",), digest="l")
ROWS, SCORES = RowsRef(paths=("r",), digest="r"), ScoresRef(paths=("s",), digest="s")
PROBABILITIES = ProbabilitiesRef(paths=("p",), digest="p")
SPLITS, PROFILE = SplitsRef(paths=("x",), digest="x"), ProfileRef(paths=("f",), digest="f")
DOC2VEC = Doc2VecRef(paths=("w",), digest="w")
CLASSIFIER = ClassifierRef(paths=("c",), digest="c")
LINEAR = LinearRef(paths=("i",), digest="i")
LEXICON = TransformerRef(paths=("t",), digest="t")
RATINGS = RatingsRef(source="m", files=(Path("r"), Path("l")), digest="g")
KNOWN_ITEMS = KnownItemsRef(source="m", file=Path("k"), digest="k")
FOLDERS = ModelFolders.of(Path("doc2vec"), Path("classifier"), Path("lexicon"))
INDEX = IndexRef(uri="u", tag="t")
CHAMPION = Champion(index=INDEX, rank=RankConfig(), run_id="1", digests=(("doc2vec", "d"),))
OPPONENT = challenge.Opponent(
    champion=CHAMPION, folders=FOLDERS, fitted_keys=Path("fitted_keys.npy")
)
MODELS = {"doc2vec": DOC2VEC, "classifier": CLASSIFIER, "lexicon": LEXICON}
JUDGES = {"ratings": RATINGS, "known_items": KNOWN_ITEMS}
LABELLED = {"documents": DOCUMENTS, "vectors": VECTORS, "labels": LABELS}


class Stage(NamedTuple):
    """A task, or a function that tasks call, and arguments to call it with."""

    task: Any
    arguments: Arguments

    @property
    def function(self) -> Any:
        return getattr(self.task, "fn", self.task)

    @property
    def name(self) -> str:
        return str(self.task.name if isinstance(self.task, Task) else self.task.__name__)


STAGES = [
    Stage(ingest.ingest, {"sources": ["m.csv"], "config": ingest.IngestConfig()}),
    Stage(splits.assign_splits, {"chunks": [MOVIES], "config": preprocess.TextConfig()}),
    Stage(
        preprocess.preprocess_chunk,
        {"movies": MOVIES, "splits": SPLITS, "config": preprocess.TextConfig()},
    ),
    Stage(labels.label, {"documents": DOCUMENTS, "config": labels.LabelConfig()}),
    Stage(drift.profile_source, {"chunks": [MOVIES]}),
    Stage(
        drift.measure_drift,
        {
            **{"chunks": [MOVIES], "profile": PROFILE, "config": drift.DriftConfig()},
            **{"old": Path("profile.json"), "doc2vec": Path("doc2vec")},
        },
    ),
    Stage(
        training.fit_doc2vec,
        {"documents": DOCUMENTS, "config": Doc2VecConfig(), "text": preprocess.TextConfig()},
    ),
    Stage(inference.embed_chunk, {"documents": DOCUMENTS, "model": DOC2VEC}),
    Stage(
        vector_checks.check_vectors, {"documents": DOCUMENTS, "vectors": VECTORS, "model": DOC2VEC}
    ),
    Stage(
        linear.fit_linear,
        {
            **{"documents": DOCUMENTS, "labels": LABELS, "positive_power": 0.5},
            **{"config": linear.BaselineConfig(), "text": preprocess.TextConfig()},
        },
    ),
    Stage(
        baselines.baselines,
        {
            **{"documents": DOCUMENTS, "labels": LABELS, "linear": LINEAR},
            "text": preprocess.TextConfig(),
        },
    ),
    Stage(
        classifier.fit_network,
        {
            **{"documents": DOCUMENTS, "inputs": VECTORS, "labels": LABELS},
            "config": ClassifierConfig(),
        },
    ),
    Stage(
        ensemble.fit_ensemble,
        LABELLED | {"network": CLASSIFIER, "linear": LINEAR, "config": ClassifierConfig()},
    ),
    Stage(
        classifier.predict_genres,
        {"classifier": CLASSIFIER, "vectors": VECTORS, "documents": DOCUMENTS},
    ),
    Stage(
        evaluate.evaluate,
        {
            **{"documents": DOCUMENTS, "labels": LABELS, "classifier": CLASSIFIER},
            **{"probabilities": PROBABILITIES, "baseline": SCORES, "protocol": "held-out"},
            **{"network": CLASSIFIER, "vectors": VECTORS},
        },
    ),
    Stage(
        index_features.fit_text_features,
        {"documents": DOCUMENTS, "labels": LABELS, "doc2vec": DOC2VEC},
    ),
    Stage(
        index_features.fit_transformer,
        {
            **{"texts": LEXICON, "documents": DOCUMENTS},
            **{"vectors": VECTORS, "classifier": CLASSIFIER},
        },
    ),
    Stage(index_features.build_index_rows, LABELLED | {"probabilities": PROBABILITIES} | MODELS),
    Stage(
        list_evaluation.evaluate_lists,
        {"rows": ROWS, "documents": DOCUMENTS, "config": RankConfig()} | MODELS | JUDGES,
    ),
    Stage(
        challenge.challenge,
        {
            **{"documents": DOCUMENTS, "challenger": FOLDERS, "lists": SCORES},
            **{"opponent": OPPONENT, **JUDGES},
        },
    ),
    Stage(challenge.join_comparisons, {"with_champion": SCORES, "with_best": [SCORES]}),
    Stage(
        refresh.index_new_movies_chunk,
        {"movies": MOVIES, "folders": FOLDERS, "source": "m", "index": INDEX},
    ),
    Stage(
        batch.rank_lists_chunk, {"rows": [1], "index": INDEX, "config": RankConfig(), "limit": 10}
    ),
    Stage(
        drawing.draw_genres,
        {
            **{"documents": DOCUMENTS, "doc2vec": DOC2VEC, "classifier": CLASSIFIER},
            **{"scores": SCORES, "baseline": SCORES, "protocol": "held-out"},
        },
    ),
    Stage(drawing.draw_lists, {"evaluations": [SCORES]}),
    Stage(drawing.draw_map, {"rows": ROWS}),
]

SHARES = {"test_share", "gate_share", "validation_share"}
#: Settings that do not change the output. The limits of drift are applied to the stored one.
WITHOUT_EFFECT = {
    "assign-splits": {
        f"config.{name}" for name in preprocess.TextConfig.model_fields.keys() - SHARES
    },
    "measure_drift": {"config.warn_above", "config.stop_above"},
    "fit-network": {"config.linear"},
    "rank-lists-chunk": {"index.rows", "index.recall"},
}


class KeyRecordedError(Exception):
    """Ends a stage as soon as it has asked for its entry."""


@pytest.fixture
def key_of_stage(monkeypatch) -> Callable[[Stage, Arguments], str]:
    """The key under which a stage called with some arguments looks for its entry."""
    keys: list[str] = []
    current: list[Stage] = []

    def record(name: str, key: list[object], kind: type, write: Callable[..., object]) -> None:
        keys.append(store.key_of(key))
        assert write.__module__ == current[-1].function.__module__  # whose code is in the key
        raise KeyRecordedError

    def called(stage: Stage, arguments: Arguments) -> str:
        current.append(stage)
        place = {"compute": Compute()} if "compute" in stage.function.__annotations__ else {}
        with pytest.raises(KeyRecordedError):
            stage.function(**arguments, **place)
        return keys[-1]

    monkeypatch.setattr(store, "get_or_create", record)
    monkeypatch.setattr(inference, "load_config", lambda _: Doc2VecConfig())
    monkeypatch.setattr(store, "locate", lambda _: Path("folder"))
    monkeypatch.setattr(store, "file_digest", lambda path: f"digest of {path}")
    monkeypatch.setattr(ingest, "resolve_sources", lambda sources, _: sources)
    monkeypatch.setattr(ingest, "localize_joined_files", lambda config: config)
    monkeypatch.setattr(ingest, "list_source_files", lambda sources, _: [])
    return called


def changed_arguments(arguments: Arguments) -> Iterator[tuple[str, Arguments]]:
    """Name of each input or setting, and the arguments with it changed."""
    for name, value in arguments.items():
        if isinstance(value, Ref | RatingsRef | KnownItemsRef):
            yield name, {**arguments, name: value.model_copy(update={"digest": "changed"})}
        elif isinstance(value, BaseModel):
            for path, changed in changed_fields(value):
                yield f"{name}.{path}", {**arguments, name: changed}
        elif name != "sources":  # what counts is the content of the files
            yield name, {**arguments, name: changed_input(value)}


def changed_fields(model: BaseModel) -> Iterator[tuple[str, BaseModel]]:
    """As `changed_models`; a field with a mapping gets one more entry."""
    mappings = {name: value for name, value in model if isinstance(value, dict)}
    for name, value in mappings.items():
        yield name, model.model_copy(update={name: value | {"changed": 1.0}})
    without_mappings = model.model_copy(update=dict.fromkeys(mappings, ""))
    for path, changed in changed_models(without_mappings):
        if path not in mappings:
            yield path, changed.model_copy(update=mappings)


def changed_input(value: Any) -> Any:
    if isinstance(value, list) and isinstance(value[0], Ref):
        return [value[0].model_copy(update={"digest": "changed"})]
    return [99] if isinstance(value, list) else changed_value(value)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_setting_and_input_changes_the_key_of_a_stage(stage, key_of_stage):
    key = key_of_stage(stage, stage.arguments)
    unchanged = {
        name
        for name, arguments in changed_arguments(stage.arguments)
        if key_of_stage(stage, arguments) == key
    }
    assert unchanged == WITHOUT_EFFECT.get(stage.name, set())
