import logging
import os
import time

import pytest

from tasks.core.contracts import DocumentsRef, RegistryError
from tasks.core.storage import store
from tasks.registry import retention
from tasks.registry.config import RetentionConfig
from tasks.registry.retention import clean_up

HOUR = 3600.0


def entry_last_used(hours_ago: float) -> DocumentsRef:
    """An entry of a kilobyte."""

    def write_bytes(writer: store.EntryWriter) -> DocumentsRef:
        (writer.folder / "file").write_bytes(b"x" * 1000)
        return writer.file_ref(DocumentsRef, "file")

    ref = store.get_or_create("stage", [hours_ago], DocumentsRef, write_bytes)
    last_use = time.time() - hours_ago * HOUR
    os.utime(store.locate(ref).parent / "ref.json", (last_use, last_use))
    return ref


@pytest.fixture(autouse=True)
def without_registry(artifacts, monkeypatch) -> None:
    def fail() -> None:
        raise RegistryError("MLflow does not answer")

    monkeypatch.setattr(retention, "connect", fail)
    monkeypatch.setattr(retention, "get_run_logger", lambda: logging.getLogger("test"))


def test_a_cache_above_its_limit_loses_what_was_not_used_for_six_hours(caplog):
    refs = [entry_last_used(hours) for hours in (9, 7, 5, 1)]
    clean_up(RetentionConfig(cache_gb=1e-9))
    assert [store.locate(ref).exists() for ref in refs] == [False, False, True, True]
    assert "Clean-up failed (versions retired): MLflow does not answer" in caplog.text


def test_a_cache_within_its_limit_loses_nothing():
    refs = [entry_last_used(hours) for hours in (9, 7)]
    clean_up(RetentionConfig(cache_gb=1e-4))
    assert all(store.locate(ref).exists() for ref in refs)


def test_the_limit_is_in_gigabytes():
    refs = [entry_last_used(hours) for hours in (9, 8, 7)]
    clean_up(RetentionConfig(cache_gb=3e-6))
    assert [store.locate(ref).exists() for ref in refs] == [False, True, True]
