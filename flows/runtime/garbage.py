"""Garbage collection around imports, which costs a command seconds for nothing.

The objects of libraries live as long as the process. Collecting while they are imported finds no
garbage, and at exit Python collects them one by one although the system frees all memory at once.
"""

import atexit
import gc

#: Python's are (700, 10, 10); libraries that a stage imports create millions of objects.
THRESHOLDS = (50_000, 20, 20)


def pause() -> None:
    """Collect nothing until `resume`."""
    gc.disable()


def resume() -> None:
    """Collect again, but seldom, nothing that exists now, and at exit nothing."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(*THRESHOLDS)
    atexit.register(gc.freeze)
