"""The subcommand `batch`: write recommendation lists to a file, print its path."""

from flows.batch import BatchConfig, batch, export_path
from flows.cli.command_line import DONE
from flows.runtime.server import prefect_server
from tasks.core.storage import store
from tasks.registry.champion import load_champion


def command(config: BatchConfig) -> int:
    """Write the lists; a missing champion is reported before a server is started.

    Raises:
        UserError: there is no champion, or the export would replace the parquet file.
    """
    store.require_writable()
    load_champion()
    exported = export_path(config)
    with prefect_server():
        print(f"Lists are in {batch(config)}")
    if exported:
        print(f"Their ids are in {exported}")
    return DONE
