"""Parameters of `train`: flags, Prefect form, prefect.yaml and MLflow params of one definition."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from flows.runtime.parameters import (
    NOTIFY_ON,
    FlowParameters,
    NotifyOn,
    differing_values,
    explicit_values,
    flag_name,
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
from tasks.genres.config import ClassifierConfig
from tasks.genres.linear import BaselineConfig
from tasks.recommend.index import IndexConfig
from tasks.recommend.scoring import RankConfig
from tasks.registry.config import RetentionConfig
from tasks.registry.gate import GateConfig

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
START, END = "<!-- settings: python -m flows.config -->\n", "<!-- settings end -->"
Preset = Literal["default", "blog", "blog-tuned"]

#: Settings of each preset; explicit settings override them.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    # The post's notebook: genres in the text, Doc2Vec trained on test documents too, ten rounds of
    # ten epochs, each from the full learning rate, and a threshold of 0.1 on the logits.
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
            "decay": False,
            "batch_size": 64,
            "epochs": 50,
            "positive_weight": 0.0,
            "focal_gamma": 0.0,
            "standardise": False,
            "calibrate": False,
            "patience": None,
            "threshold": 0.52498,  # sigmoid(0.1)
            "linear": False,
        },
    },
    # The same leaky protocol, tuned: few words besides the genres remain in the vocabulary, and the
    # vectors, which are trained on test documents too, encode little else.
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
            "focal_gamma": 0.0,
            "dropout": 0.5,
            "decay": False,
            "batch_size": 512,
            "epochs": 60,
            "patience": 8,
            "linear": False,
        },
    },
}

#: Settings that do not affect the trained models.
NOT_TRAINING_SETTINGS = {
    "runner",
    "dask_address",
    "refresh",
    "skip_unchanged",
    "gate",
    "notify",
    "notify_on",
    "retention",
}


class TrainConfig(FlowParameters):
    """All settings of a training run."""

    form_fields = ("source", "preset", "refresh", "skip_unchanged", "deterministic", "notify")
    has_overrides = True

    source: list[str] = Field(
        ["sample"],
        min_length=1,
        description="File of movies (CSV, JSON, parquet, xlsx), glob, URI, `sample` or `kaggle`; "
        "`name=…` names it; may be repeated",
    )
    preset: Preset = Field(
        "default",
        description="default: the held-out pipeline. blog: the post's leaky recipe. "
        "blog-tuned: the same leak, tuned to the score that the post claims",
    )
    deterministic: bool = Field(
        False,
        description="Reproducible results for equal data and seeds on equal machines: overrides "
        "`doc2vec.workers` with 1 and `classifier.device` with cpu",
    )
    runner: Runner = Field(
        "auto",
        description="Where chunks are processed: thread, process or dask; "
        "auto: processes for stages and sizes where measurements show them to be faster",
    )
    dask_address: str | None = Field(
        None,
        description="Address of a Dask scheduler; left out: a local cluster is started for the run",
    )
    refresh: bool = Field(
        False, description="Ignore all cache entries: every stage is computed again"
    )
    skip_unchanged: bool = Field(
        False,
        description="Do nothing if the same source, settings and code gave the champion, or a "
        "version that was not promoted over it",
    )
    notify: str | None = Field(
        None,
        description="Prefect notification block that receives a message, by default if the run "
        "fails, as in slack-webhook/team",
    )
    notify_on: NotifyOn = Field("failure", description=NOTIFY_ON)
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
    def _fill_from_preset(cls, values: Any) -> Any:
        values = with_overrides(values)
        if not isinstance(values, dict):
            return values
        if isinstance(values.get("source"), str):
            values = {**values, "source": [values["source"]]}
        preset = PRESETS.get(str(values.get("preset", "default")), {})
        explicit = {stage: explicit_values(values.get(stage, {})) for stage in preset}
        stages = {
            stage: {**settings, **explicit[stage]}
            for stage, settings in preset.items()
            if isinstance(explicit[stage], Mapping)  # validation refuses anything else
        }
        return {**values, **stages}

    @model_validator(mode="after")
    def _make_deterministic(self) -> "TrainConfig":
        if self.deterministic:
            self.doc2vec = self.doc2vec.model_copy(update={"workers": 1})
            self.classifier = self.classifier.model_copy(update={"device": "cpu"})
        return self

    @model_validator(mode="after")
    def _refuse_linear_model_of_leaky_texts(self) -> "TrainConfig":
        if self.classifier.linear and self.text.recipe == "blog":
            raise ValueError(
                "classifier.linear is not possible with text.recipe blog, whose texts contain the "
                "genres: set it to false (--no-classifier.linear)"
            )
        return self

    @property
    def fine_tunes_words(self) -> bool:
        """Whether the network trains word vectors: those of a model whose vectors are pooled."""
        return self.classifier.fine_tune and self.doc2vec.features == "pooled"

    @property
    def source_name(self) -> str:
        """Names of the sources, as they appear in the name of the run."""
        return "+".join(map(source_name, self.source))

    def compute(self, chunks: int) -> Compute:
        """Where the tasks of a source with so many chunks run."""
        return Compute(self.runner, self.dask_address, chunks)

    @property
    def explicit_settings(self) -> dict[str, Any]:
        """The preset, and the settings that differ from it."""
        defaults = TrainConfig.model_validate({"preset": self.preset}).model_dump()
        return {"preset": self.preset} | differing_values(self.model_dump(), defaults)

    @property
    def training_settings(self) -> dict[str, Any]:
        """The settings that affect the trained models, without those of where and when to run."""
        return self.model_dump(mode="json", exclude=NOT_TRAINING_SETTINGS)

    @property
    def protocol(self) -> Literal["held-out", "blog"]:
        """Protocol of the scores; it depends on the settings, not on the name of the preset."""
        leaks = self.text.recipe == "blog" or self.doc2vec.transductive
        return "blog" if leaks else "held-out"


def settings_table(model: type[BaseModel] = TrainConfig, prefix: str = "") -> list[str]:
    """Rows of a Markdown table: flag, default and description of every field, stages included.

    A text setting without a default has none in the table: on the command line, `null` is a text.
    """
    rows, texts = [], text_settings(model)
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            rows += settings_table(field.annotation, f"{prefix}{name}.")
        else:
            default = "null" if field.default is None else field.default
            shown = "–" if field.default is None and name in texts else f"`{default}`"
            rows.append(f"| `{flag_name(prefix + name)}` | {shown} | {field.description} |")
    return rows


def write_settings(page: Path = PAGE) -> None:
    """Replace the table of settings of a page."""
    before, after = page.read_text(encoding="utf-8").split(START)
    rows = ["| flag | default | meaning |", "|---|---|---|", *settings_table()]
    table = "".join(f"{row}\n" for row in rows)
    page.write_text(f"{before}{START}{table}{END}{after.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    write_settings()
