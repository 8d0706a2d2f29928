"""The one parameter model of the training flow: CLI flags, Prefect form, YAML and MLflow params."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from flows.runtime.parameters import (
    FlowParameters,
    differing_values,
    explicit_values,
    text_settings,
    with_overrides,
)
from tasks.core.compute import Compute, Runner
from tasks.data.drift import DriftConfig
from tasks.data.ingest import IngestConfig
from tasks.data.labels import LabelConfig
from tasks.data.preprocess import TextConfig
from tasks.data.sources import source_name
from tasks.embedding.config import Doc2VecConfig
from tasks.genres.baselines import BaselineConfig
from tasks.genres.config import ClassifierConfig
from tasks.recommend.index import IndexConfig
from tasks.recommend.scoring import RankConfig
from tasks.registry.challenge import GateConfig
from tasks.registry.retention import RetentionConfig

Preset = Literal["default", "blog", "blog-tuned"]

#: What a preset sets; fields that are given explicitly win over it.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    # The post's notebook: genres in the text, Doc2Vec on test documents too, ten times ten
    # passes with the learning rate starting over, and 0.1 as threshold on the logits.
    "blog": {
        "text": {"recipe": "blog"},
        "doc2vec": {
            "architecture": "dm",
            "vector_size": 100,
            "min_count": 2,
            "sample": 1e-3,
            "alpha": 0.025,
            "epochs": 10,
            "min_words": 0,
            "max_words": 10**9,
            "restarts": 10,
            "transductive": True,
            "features": "inferred",
        },
        "classifier": {
            "hidden": (512, 256, 128),
            "dropout": 0.3,
            "learning_rate": 1e-3,
            "batch_size": 64,
            "epochs": 50,
            "positive_weight": 0.0,
            "standardise": False,
            "calibrate": False,
            "patience": None,
            "threshold": 0.52498,  # sigmoid(0.1)
        },
    },
    # The same leaky protocol taken to its end: hardly a word is left but the genres, and the
    # vectors, which the test documents take part in training, learn little else.
    "blog-tuned": {
        "text": {"recipe": "blog"},
        "doc2vec": {
            "features": "inferred",
            "transductive": True,
            "vector_size": 200,
            "min_count": 20,
            "sample": 0.0,
            "negative": 10,
            "alpha": 0.05,
            "epochs": 40,
            "max_words": 10**9,
        },
        "classifier": {
            "positive_weight": 0.0,
            "batch_size": 512,
            "epochs": 60,
            "patience": 8,
        },
    },
}


class TrainConfig(FlowParameters):
    """Everything that a training run can be told."""

    form_fields = ("source", "preset", "refresh", "skip_unchanged", "deterministic", "notify")
    has_overrides = True

    source: list[str] = Field(
        ["sample"],
        min_length=1,
        description="CSV or parquet file of movies, glob, URI, `sample` or `kaggle`; "
        "`name=…` names it; may be given several times",
    )
    preset: Preset = Field(
        "default",
        description="default: the honest pipeline. blog: the post's leaky recipe. "
        "blog-tuned: the same leak, driven to the score that the post claims",
    )
    deterministic: bool = Field(
        False,
        description="Same data and seeds, same result: sets `doc2vec.workers` to 1 and "
        "`classifier.device` to cpu, whatever else they were set to",
    )
    runner: Runner = Field(
        "auto",
        description="Where chunks are worked on: thread, process or dask; "
        "auto: processes where they were measured to pay",
    )
    dask_address: str | None = Field(
        None,
        description="Scheduler of a Dask cluster; left out: a local one is started for the run",
    )
    refresh: bool = Field(False, description="Use nothing that was cached before this run")
    skip_unchanged: bool = Field(
        False,
        description="Do nothing where the champion learnt the same source with the same "
        "settings and code",
    )
    notify: str | None = Field(
        None,
        description="Prefect notification block that is told of a run that failed, "
        "as in slack-webhook/team",
    )
    ingest: IngestConfig = IngestConfig()
    text: TextConfig = TextConfig()
    doc2vec: Doc2VecConfig = Doc2VecConfig()
    label: LabelConfig = LabelConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    baseline: BaselineConfig = BaselineConfig()
    rank: RankConfig = RankConfig()
    index: IndexConfig = IndexConfig()
    gate: GateConfig = GateConfig()
    drift: DriftConfig = DriftConfig()
    retention: RetentionConfig = RetentionConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        given = with_overrides(given)
        if not isinstance(given, dict):
            return given
        if isinstance(given.get("source"), str):
            given = {**given, "source": [given["source"]]}
        preset = PRESETS.get(str(given.get("preset", "default")), {})
        explicit = {stage: explicit_values(given.get(stage, {})) for stage in preset}
        stages = {
            stage: {**values, **explicit[stage]}
            for stage, values in preset.items()
            if isinstance(explicit[stage], Mapping)  # anything else is left to be refused
        }
        return {**given, **stages}

    @model_validator(mode="after")
    def _make_deterministic(self) -> "TrainConfig":
        if self.deterministic:
            self.doc2vec = self.doc2vec.model_copy(update={"workers": 1})
            self.classifier = self.classifier.model_copy(update={"device": "cpu"})
        return self

    @property
    def source_name(self) -> str:
        """The sources in a run's name."""
        return "+".join(map(source_name, self.source))

    def compute(self, chunks: int) -> Compute:
        """Where that many chunks are worked on."""
        return Compute(self.runner, self.dask_address, chunks)

    @property
    def explicit_settings(self) -> dict[str, Any]:
        """What was asked for: the preset, and the settings that differ from it."""
        plain = TrainConfig.model_validate({"preset": self.preset})
        return {"preset": self.preset} | differing_values(self.model_dump(), plain.model_dump())

    @property
    def training_settings(self) -> dict[str, Any]:
        """The settings that decide what a run learns, and not where or whether it does."""
        where = {
            "runner",
            "dask_address",
            "refresh",
            "skip_unchanged",
            "gate",
            "notify",
            "retention",
        }
        return self.model_dump(mode="json", exclude=where)

    @property
    def protocol(self) -> Literal["held-out", "blog"]:
        """How scores are won, read off the settings that decide it and not off the preset."""
        leaks = self.text.recipe == "blog" or self.doc2vec.transductive
        return "blog" if leaks else "held-out"


def settings_table(model: type[BaseModel] = TrainConfig, prefix: str = "") -> list[str]:
    """Rows of a Markdown table: flag, default and meaning of every field, stages included.

    On the command line, `null` is a text like any other for a setting that holds a text.
    """
    rows, texts = [], text_settings(model)
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            rows += settings_table(field.annotation, f"{prefix}{name}.")
        else:
            default = "null" if field.default is None else field.default
            shown = "–" if field.default is None and name in texts else f"`{default}`"
            rows.append(f"| `--{prefix}{name}` | {shown} | {field.description} |")
    return rows


if __name__ == "__main__":
    print("| flag | default | meaning |", "|---|---|---|", *settings_table(), sep="\n")
