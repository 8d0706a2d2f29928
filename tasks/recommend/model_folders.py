"""The model folders of one run, and the digests that they are registered with."""

from pathlib import Path

from pydantic import BaseModel

from tasks.core.storage import store


class ModelFolders(BaseModel, frozen=True):
    """Folders of the models that compute features and genres of a text.

    The field names are also the names of the logged artifacts.
    """

    doc2vec: Path
    classifier: Path
    lexicon: Path

    @classmethod
    def of(cls, *folders: Path) -> "ModelFolders":
        """From folders in the order of the fields."""
        return cls.model_validate(dict(zip(cls.model_fields, folders, strict=True)))

    def digests(self) -> tuple[tuple[str, str], ...]:
        """Name and SHA-256 of each folder."""
        return tuple((name, store.file_digest(path)) for name, path in self)
