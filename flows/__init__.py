"""The workflow as a person runs it: which task, in which order, with which configuration."""

import sys

if sys.argv[0] == "-m":  # `python -m flows.train`: the imports that follow take seconds
    from flows.runtime import interrupts

    interrupts.install()
