from tasks.registry.model_registry import (
    CHAMPION,
    MODEL,
    TaggedVersion,
    _from_mlflow,
    champion_version,
    tracking_uri,
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
    expected = TaggedVersion("2", tags)
    assert champion_version() == expected
    assert _from_mlflow(tracking_uri()) == expected


def test_a_version_without_tags_is_a_champion_without_tags(artifacts):
    client = connect()
    client.create_registered_model(MODEL)
    version = client.create_model_version(MODEL, "file:///nowhere")
    client.set_registered_model_alias(MODEL, CHAMPION, version.version)
    assert champion_version() == TaggedVersion("1", {})
