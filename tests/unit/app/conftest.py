"""Fixtures of the tests of the demo."""

from tests.support.published_catalogue import demo_champion, demo_index  # noqa: F401 - fixtures
