"""New movies, and the settings of a refresh with them."""

from pathlib import Path

from flows.refresh import RefreshConfig

NEW = [
    {"id": "9001", "title": "Ghost of the Ranch", "overview": "A ghost and a curse at midnight."},
    {"id": "1000", "title": "Horror Story Zero", "overview": "A haunted grave, told again."},
    {"id": "x", "title": "Broken", "overview": "No id."},
]


def asked_to_add(file: Path, **more: object) -> RefreshConfig:
    """A refresh that accepts the invalid row among three."""
    config = {"file": str(file), "ingest": {"max_quarantined_share": 0.5}, **more}
    return RefreshConfig.model_validate(config)
