from datetime import UTC, datetime, timedelta

from tasks.registry.model_registry import (
    CHAMPION,
    MODEL,
    TaggedVersion,
    _from_mlflow,
    champion_version,
    pack_tags,
    tracking_uri,
    unpack_tags,
)
from tasks.registry.tracking.mlflow_client import connect


def test_the_direct_query_reads_the_same_champion_as_mlflow(artifacts):
    client = connect()
    client.create_registered_model(MODEL)
    assert champion_version() is None
    assert _from_mlflow(tracking_uri()) is None
    tags = {"index_tag": "run-9", "source": ""}
    for _ in range(2):
        version = client.create_model_version(MODEL, "file:///nowhere", tags=tags)
    client.set_registered_model_alias(MODEL, CHAMPION, version.version)
    registered = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    expected = TaggedVersion("2", tags, registered)
    assert champion_version() == expected
    assert _from_mlflow(tracking_uri()) == expected
    assert datetime.now(UTC) - registered < timedelta(minutes=10)


def test_packed_tags_are_few_and_those_set_later_count():
    tags = {"index_tag": "run-9", "run_id": "1", "best": '{"f1_micro": "1"}', "rank": "{}"}
    packed = pack_tags(tags)
    assert set(packed) == {"index_tag", "run_id", "record"}
    assert unpack_tags(packed) == tags
    assert unpack_tags(packed | {"best": "{}"}) == tags | {"best": "{}"}
    assert unpack_tags(tags) == tags


def test_a_version_without_tags_is_a_champion_without_tags(artifacts):
    client = connect()
    client.create_registered_model(MODEL)
    version = client.create_model_version(MODEL, "file:///nowhere")
    client.set_registered_model_alias(MODEL, CHAMPION, version.version)
    champion = champion_version()
    assert champion
    assert (champion.version, champion.tags) == ("1", {})
