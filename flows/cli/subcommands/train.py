"""The subcommand `train`: check the source, train, print the scores."""

from contextlib import suppress

from rich.table import Table

from flows.cli.command_line import DONE
from flows.cli.terminal import text_console
from flows.config import TrainConfig
from flows.runtime import garbage
from flows.runtime.notifications import require_block
from flows.runtime.server import prefect_server
from tasks.core.contracts import UserError
from tasks.core.heartbeat import heartbeat, write_to_stderr
from tasks.core.storage import store
from tasks.data.source_check import require_trainable
from tasks.reports.summary import BASELINE_TITLES, Summary, next_commands, notes, score_rows


def command(config: TrainConfig) -> int:
    """Train; an unreadable source is refused before a server is started."""
    store.require_writable()
    with heartbeat(lambda: "Reading the source", write_to_stderr):
        names = require_trainable(config.source, config.ingest, config.text, config.label)
    with prefect_server(meanwhile=prepare) as server:
        require_block(config.notify)
        from flows.train import train

        print(f"Training on {names}, preset {config.preset}. Prefect server: {server}.")
        outcome = train(config)
        print(outcome) if isinstance(outcome, str) else show(outcome)
    return DONE


def prepare() -> None:
    """Import the flow and connect to MLflow.

    Where MLflow cannot be reached, the flow fails, so that the failure is recorded and notified.
    """
    with garbage.not_collected(), suppress(UserError):
        import flows.train  # noqa: F401
        from tasks.registry.tracking.mlflow_client import connect

        connect()


def show(summary: Summary) -> None:
    """Print the scores, the path of the report and the next commands."""
    console = text_console()
    console.print(score_table(summary))
    for line in notes(summary):
        console.print(line)
    console.print(f"Report: {summary.report}", soft_wrap=True)
    console.print("Next:", *next_commands(summary), sep="\n  ", soft_wrap=True)


def score_table(summary: Summary) -> Table:
    """Scores of the run beside those of the baselines."""
    table = Table(title=f"{summary.ingested.source}: {summary.protocol} protocol")
    for column in ("score", "this run", *BASELINE_TITLES):
        table.add_column(column, justify="left" if column == "score" else "right")
    for row in score_rows(summary.scores, summary.protocol):
        table.add_row(*row)
    return table
