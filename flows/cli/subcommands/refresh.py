"""The subcommand `refresh`: check the file, add its movies to the index, print the counts."""

from pathlib import Path

from flows.cli.command_line import DONE
from flows.refresh import REQUIRED, RefreshConfig, refresh
from flows.runtime.notifications import require_block
from flows.runtime.server import prefect_server
from tasks.core.redaction import redacted
from tasks.core.storage import store
from tasks.data.ingest import open_sources
from tasks.registry.champion import load_champion


def command(config: RefreshConfig) -> int:
    """Refresh; an unreadable file or a missing champion is reported before a server is started."""
    store.require_writable()
    open_sources([config.file], config.ingest, REQUIRED)
    load_champion()
    with prefect_server() as server:
        require_block(config.notify)
        print(f"Adding {Path(redacted(config.file)).name} to the index. Prefect server: {server}.")
        result = refresh(config)
    counts = f"{result.added} added, {result.updated} updated"
    print(f"{counts}, {result.index.rows} movies in the index. Report: {result.report}")
    return DONE
