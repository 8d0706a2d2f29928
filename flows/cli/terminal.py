"""Where commands print tables: titles such as `[rec]` are text there, not markup."""

from rich.console import Console


def text_console() -> Console:
    """A console on standard output that prints every text as it is written."""
    return Console(markup=False, emoji=False)
