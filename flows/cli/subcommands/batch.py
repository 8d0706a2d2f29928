"""The subcommand `batch`: write recommendation lists to a file, print its path."""

from pathlib import Path

from flows.batch import BatchConfig, batch, export_path, output_path, read_titles, require_output
from flows.cli.command_line import DONE
from flows.runtime.notifications import require_block
from flows.runtime.server import prefect_server
from tasks.core.storage import store
from tasks.registry.champion import load_champion


def command(config: BatchConfig) -> int:
    """Write the lists; what is missing is reported before a server is started.

    Raises:
        UserError: there is no champion, the file has no titles, the output cannot be written, or
            the export would replace it.
    """
    store.require_writable()
    if config.file is not None:
        read_titles(Path(config.file))
    load_champion()
    require_output(output_path(config))
    exported = export_path(config)
    with prefect_server():
        require_block(config.notify)
        print(f"Lists are in {batch(config)}")
    if exported:
        print(f"Their ids are in {exported}")
    return DONE
