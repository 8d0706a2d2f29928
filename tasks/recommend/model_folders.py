"""The model files of one run, and the digests that they are registered with."""

from pathlib import Path

from pydantic import BaseModel

from tasks.core.storage import store


class ModelFolders(BaseModel, frozen=True):
    """The files that turn a text into something that can be compared."""

    doc2vec: Path
    classifier: Path
    lexicon: Path

    @classmethod
    def of(cls, *folders: Path) -> "ModelFolders":
        """The folders in the order of the fields."""
        return cls.model_validate(dict(zip(cls.model_fields, folders, strict=True)))

    def digests(self) -> tuple[tuple[str, str], ...]:
        """SHA-256 of each folder, by its name."""
        return tuple((name, store.file_digest(path)) for name, path in self)
