"""Garbage collection of libraries, which costs a command seconds for nothing.

The objects of libraries live as long as the process. Collecting while they are imported finds no
garbage, and at exit Python collects them one by one although the system frees all memory at once.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: Those of Python 3.11 are (700, 10, 10); what a stage imports creates millions of objects.
THRESHOLDS = (50_000, 10, 10)


def collect_less() -> None:
    """Collect less often, and nothing at exit."""
    gc.set_threshold(*THRESHOLDS)
    atexit.register(gc.freeze)


@contextmanager
def not_collected() -> Iterator[None]:
    """Collect nothing in this block, and never what exists at its end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
