"""Reads artifacts of Prefect."""

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort


def latest_failure() -> str:
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["failure"])),
            sort=ArtifactSort.CREATED_DESC,
            limit=1,
        )
    assert artifact.flow_run_id is not None
    return str(artifact.data)
