import logging

import pytest

from app import loader
from app.loader import text_model  # the fixture `demo_champion` replaces the module's own
from tasks.core.contracts import DamagedVersionError
from tests.support.published_catalogue import champion_of


def test_the_text_model_of_a_champion_is_loaded_once(demo_index, monkeypatch):
    loaded = list[str]()
    monkeypatch.setattr(loader, "model_folders", lambda champion: champion.run_id)
    monkeypatch.setattr(loader, "TextModel", loaded.append)
    champion = champion_of(demo_index).model_copy(update={"best": {"f1_micro": "2"}})
    for _ in range(2):
        text_model(champion)
    assert loaded == [demo_index.tag]


@pytest.mark.usefixtures("demo_champion")
def test_a_text_model_that_cannot_be_loaded_at_start_is_a_warning(monkeypatch, caplog):
    def fail(_: object) -> None:
        raise DamagedVersionError("Version 7 is damaged: its lexicon is missing")

    monkeypatch.setattr(loader, "text_model", fail)
    with caplog.at_level(logging.WARNING):
        loader.Loader().preload_text_model()
    assert "its lexicon is missing" in caplog.text


@pytest.mark.usefixtures("demo_champion")
def test_what_questions_need_once_is_there_before_the_first_one(monkeypatch):
    monkeypatch.setattr(loader.Loader, "preload_text_model", lambda _: None)
    prepared, needed = loader.Loader(), {"positions", "_rows_by_title"}
    in_memory = vars(prepared.current().version.catalogue)
    for name in needed:
        in_memory.pop(name, None)  # of an earlier test
    prepared.prepare()
    assert needed <= in_memory.keys()


@pytest.mark.usefixtures("demo_champion")
def test_an_index_that_cannot_be_read_at_start_is_a_warning(monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise OSError("the storage does not answer")

    preloaded = list[bool]()
    monkeypatch.setattr(loader, "recommend", fail)
    monkeypatch.setattr(loader.Loader, "preload_text_model", lambda _: preloaded.append(True))
    loader.Loader().prepare()
    assert "The first questions take longer: the storage does not answer" in caplog.text
    assert preloaded == [True]
