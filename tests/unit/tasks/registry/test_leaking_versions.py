from types import SimpleNamespace

import pytest

from tasks.core.contracts import UserError
from tasks.registry import release


@pytest.fixture
def client() -> SimpleNamespace:
    """A registry whose version 3 was registered by a run of the preset blog."""
    run = SimpleNamespace(data=SimpleNamespace(tags={"protocol": "blog"}))
    return SimpleNamespace(get_run=lambda _: run)


def test_a_version_that_has_seen_its_test_movies_is_not_promoted_by_hand(
    artifacts, client, monkeypatch
):
    version = SimpleNamespace(version="3", run_id="run")
    monkeypatch.setattr(release, "find_version", lambda *_: version)
    monkeypatch.setattr(release, "require_usable", lambda _: None)
    with pytest.raises(
        UserError, match=r"Version 3 was trained on its test movies \(preset blog\)"
    ):
        release.promote(client, "3")
