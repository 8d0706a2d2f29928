"""Settings of trainings that take seconds, and their scores."""

from pathlib import Path
from typing import Any

from flows.config import TrainConfig
from tasks.reports.summary import Summary

TINY: dict[str, Any] = {
    "deterministic": True,
    "ingest": {"chunk_rows": 60},
    "doc2vec": {"vector_size": 16, "epochs": 60, "min_words": 0, "sample": 0, "infer_epochs": 60},
    "classifier": {"hidden": [16], "epochs": 25, "learning_rate": 0.01, "batch_size": 32},
}


TINY_NET = TINY["classifier"]
#: Settings of a classifier that learns nothing.
WORSE = {"hidden": [2], "epochs": 1, "learning_rate": 1e-6, "linear": False}


def settings(source: Path | str, **more: object) -> TrainConfig:
    return TrainConfig.model_validate({**TINY, "source": str(source), **more})


def scores_of(summary: Summary) -> dict[str, float]:
    """Scores of a run without those of the comparison with the champion."""
    return {
        name: value
        for name, value in summary.scores.items()
        if not name.startswith(("champion_", "gate_", "drift_"))
    }
