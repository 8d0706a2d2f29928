"""The stack's worker: Prefect's, after what an earlier one was submitting is scheduled again."""

import os
import sys

from prefect.client.orchestration import get_client

from flows.runtime.local_stack.schedules import reschedule_interrupted_submissions

POOL = "local"


def main() -> None:
    """Replace this process by Prefect's worker of the pool.

    Without an answer of the server it fails, and supervisord starts it again.
    """
    with get_client(sync_client=True) as client:
        reschedule_interrupted_submissions(client, POOL)
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL]
    os.execv(sys.executable, worker)


if __name__ == "__main__":
    main()
