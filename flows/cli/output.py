"""Standard output that does not fail a command when its reader, such as `head`, has ended."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO, cast


class _UnbreakableOutput:
    """Standard output that discards what is printed after its reader has closed it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write `text`; discard it if the reader is gone."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        """Flush the buffer; discard it if the reader is gone."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._discard()

    def _discard(self) -> None:
        """Redirect the buffer and all later output to the null device."""
        with Path(os.devnull).open("w") as null_device:
            os.dup2(null_device.fileno(), self._stream.fileno())


@contextmanager
def unbreakable_stdout() -> Iterator[None]:
    """Let a command, which may be a long training run, succeed without a standard output."""
    with Path(os.devnull).open("w") as null_device:
        output = _UnbreakableOutput(sys.stdout or null_device)  # None if the descriptor is closed
        with redirect_stdout(cast(TextIO, output)):
            try:
                yield
            finally:
                output.flush()
