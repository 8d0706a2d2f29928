"""`python -m flows.predict`: the subcommand of this name, see `flows/cli/predict.py`."""

from flows.cli.app import run_module

if __name__ == "__main__":
    run_module("predict")
