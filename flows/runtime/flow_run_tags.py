"""Tags of the current flow run in Prefect."""

from collections.abc import Sequence

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run


def tag_flow_run(tags: Sequence[str]) -> None:
    """Add tags to the flow run, but not to its task runs.

    Every tag of a task run costs the server a look-up of a concurrency limit.
    """
    with get_client(sync_client=True) as client:
        present = client.read_flow_run(flow_run.id).tags
        new = [tag for tag in tags if tag not in present]
        client.update_flow_run(flow_run.id, tags=[*present, *new])
