"""`python -m flows.predict`: the subcommand of this name, in `flows/cli/subcommands/`."""

from flows.cli.app import run_module

if __name__ == "__main__":
    run_module("predict")
