"""The artifacts root, and the digests by which what lies there is named."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel

from tasks.core import disk
from tasks.core.contracts import UserError
from tasks.core.files import atomic_write
from tasks.core.redaction import redacted
from tasks.core.storage import remote
from tasks.core.storage.entry_record import sha256_of
from tasks.core.storage.remote import RemoteStore

CACHE = "cache"
GENERATION = f"{CACHE}/generation"


def root_setting() -> str:
    """`RECOMMENDER_ARTIFACTS`, else `artifacts/`: a URL, or an absolute path.

    Raises:
        UserError: the URL has a login in it, which would be recorded with every version.
    """
    where = os.environ.get("RECOMMENDER_ARTIFACTS", "artifacts")
    if remote.is_url(where) and redacted(where) != where:
        raise UserError(
            f"RECOMMENDER_ARTIFACTS={redacted(where)} has a login or a query in it: name the "
            "bucket and folder alone, and give the login as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY."
        )
    return where.rstrip("/") if remote.is_url(where) else str(Path(where).absolute())


def artifacts_root() -> Path:
    """Absolute local root of everything a run writes; for a URL, a folder of its own here."""
    where = root_setting()
    if not remote.is_url(where):
        return Path(where)
    return Path("artifacts").absolute() / re.sub(r"\W+", "-", where)


def remote_store() -> RemoteStore | None:
    """The artifacts root that other machines see; None where it is a path."""
    where = root_setting()
    return remote.open_remote(where) if remote.is_url(where) else None


def uri_of(name: str) -> str:
    """Where something lies that no stage writes, under the root as it is set."""
    return f"{root_setting()}/{name}"


def sha256(parts: Iterable[bytes]) -> str:
    """Hexadecimal SHA-256 of the parts, each preceded by its length so that borders count."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def file_digest(path: Path, without: Sequence[str] = ()) -> str:
    """SHA-256 of a file, or of a folder's files with their names, but for those named."""
    if not path.is_dir():
        return sha256_of(path)
    files = sorted(p for p in path.rglob("*") if p.is_file() and p.name not in without)
    return sha256(f"{p.relative_to(path)} {sha256_of(p)}".encode() for p in files)


def key_of(parts: Sequence[object]) -> str:
    """Hash of a stage's inputs; pydantic models count by their JSON."""
    return sha256(_canonical(part) for part in parts)[:32]


def cache_root() -> Path:
    """Local folder of all entries."""
    return artifacts_root() / CACHE


def cache_generation() -> str:
    """What `forget` wrote last: a part of every entry's key."""
    if copy := remote_store():
        return copy.text(GENERATION) or ""
    file = artifacts_root() / GENERATION
    return sha256([file.read_bytes()]) if file.exists() else ""


def invalidate_cache() -> None:
    """Make every entry unreachable: what follows is computed anew, and pruned away in time."""
    if copy := remote_store():
        copy.write(GENERATION, uuid4().hex)
        return
    with atomic_write(artifacts_root() / GENERATION) as new:
        new.write_text(uuid4().hex)


def require_writable() -> None:
    """Raises UserError where the artifacts root cannot be written to, before minutes are spent.

    A URL must be one that can be opened; the local folder of its files must be writable.
    """
    remote_store()
    disk.require_writable(artifacts_root())


def _canonical(part: object) -> bytes:
    value = part.model_dump(mode="json") if isinstance(part, BaseModel) else part
    return json.dumps(value, sort_keys=True).encode()
