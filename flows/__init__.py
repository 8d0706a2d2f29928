"""The workflow: flows, their configuration, their commands."""

import sys

if sys.argv[0] == "-m":  # `python -m flows.train`: its imports take seconds
    from flows.runtime import interrupts

    interrupts.install()
