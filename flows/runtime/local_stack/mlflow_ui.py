"""The stack's MLflow UI: MLflow's, after what an earlier one has left is ended."""

import os
import signal
import sys

from flows.runtime.local_stack.processes import marked_processes
from tasks.core.processes import end_trees

ENDING_SECONDS = 5


def main() -> None:
    """Replace this process by `mlflow ui` with the same arguments.

    MLflow's server is a child of `mlflow ui`. If that is killed, the child keeps the port.
    """
    remaining = [process for process in marked_processes("mlflow") if process.pid != os.getpid()]
    end_trees(remaining, signal.SIGTERM, ENDING_SECONDS)
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", *sys.argv[1:]])


if __name__ == "__main__":
    main()
