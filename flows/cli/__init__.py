"""Terminal commands: the console script, its subcommands, parsing, output, exit codes.

A subcommand's module is imported only when it runs: Prefect and torch take seconds to import.
"""

from typing import NamedTuple


class Subcommand(NamedTuple):
    """A function `(config) -> exit code` by module and name, and its line in the help."""

    function: str
    summary: str


SUBCOMMANDS = {
    "train": Subcommand(
        "flows.cli.subcommands.train:command",
        "Train on a catalogue; promote the version if it is better",
    ),
    "recommend": Subcommand(
        "flows.cli.subcommands.recommend:command", "Recommend movies for titles, an id or a text"
    ),
    "predict": Subcommand(
        "flows.cli.subcommands.predict:command",
        "Predict genres of a movie, a text or a file of movies",
    ),
    "validate": Subcommand(
        "flows.cli.subcommands.validate:command", "Say what a run would read in files of movies"
    ),
    "refresh": Subcommand(
        "flows.cli.subcommands.refresh:command", "Add new movies to the index without retraining"
    ),
    "batch": Subcommand(
        "flows.cli.subcommands.batch:command", "Write the lists of many movies to a file"
    ),
    "release": Subcommand(
        "flows.cli.subcommands.release:command", "List, promote, roll back or compare versions"
    ),
    "serve": Subcommand(
        "flows.cli.subcommands.stack:serve",
        "Start the local stack: Prefect, a worker, deployments, MLflow",
    ),
    "status": Subcommand("flows.cli.subcommands.stack:status", "Say what of the local stack is up"),
    "stop": Subcommand("flows.cli.subcommands.stack:stop_stack", "Stop the local stack"),
    "demo": Subcommand("app.main:command", "Serve the demo page on this machine"),
    "clean-cache": Subcommand(
        "flows.clean_cache:command", "Delete cached stage outputs of this machine"
    ),
}
#: Commands of `python -m flows.NAME` that are not subcommands.
MODULES = {
    "stack": Subcommand(
        "flows.cli.subcommands.stack:command", "Start, observe or stop the local stack"
    )
}
#: Flags in `--help` of a command whose other flags are in `--help-all`; by default those that
#: belong to no stage.
EVERYDAY_FLAGS = {
    "train": (
        "--source",
        "--preset",
        "--skip-unchanged",
        "--refresh",
        "--deterministic",
        "--runner",
        "--notify",
        "--ingest.keywords",
        "--ingest.credits",
        "--text.keywords",
        "--doc2vec.epochs",
        "--classifier.epochs",
        "--rank.preset",
    )
}
