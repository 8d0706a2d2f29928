"""The stack's Prefect server: Prefect's, without its newer pages, which call a foreign host."""

import sys
from pathlib import Path

import prefect


def main() -> None:
    """Run `prefect server start` with the same arguments.

    `server.ui.v2_enabled = false` only makes the older pages the usual ones: those at `/v2` stay,
    and a switch to them.
    """
    prefect.__ui_v2_static_path__ = Path(__file__).parent / "no pages"
    from prefect.cli import app

    sys.argv = ["prefect", "server", "start", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
