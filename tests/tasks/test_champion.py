import pytest

from tasks.champion import CHAMPION, MODEL, Champion, champion, from_tags, rival, to_tags
from tasks.contracts import IndexRef, UserError
from tasks.rank import RankConfig
from tasks.track import connect

READER = Champion(
    index=IndexRef(uri="u", tag="run-1"),
    rank=RankConfig(votes=0.5),
    run_id="1",
    source="digest",
    fingerprint="mark",
    digests=(("doc2vec", "abc"),),
)


def register(tags: dict[str, str]) -> None:
    client = connect()
    client.create_registered_model(MODEL)
    made = client.create_model_version(MODEL, "file:///nowhere", tags=tags)
    client.set_registered_model_alias(MODEL, CHAMPION, made.version)


def test_before_the_first_training(artifacts):
    assert rival() is None
    with pytest.raises(UserError, match="Nothing has been trained yet"):
        champion()


def test_a_champion_of_an_earlier_version_is_no_rival_and_cannot_answer(artifacts):
    register({"index_uri": "u", "index_tag": "run-1"})
    assert rival() is None
    with pytest.raises(UserError, match="trained by an earlier version"):
        champion()


def test_tags_say_everything(artifacts):
    assert from_tags(to_tags(READER)) == READER
    register(to_tags(READER))
    assert champion() == rival() == READER
