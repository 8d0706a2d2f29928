"""`python -m flows.stack`: start or stop the local stack, see `flows/cli/subcommands/`."""

from flows.cli.app import run_module

if __name__ == "__main__":
    run_module("stack")
