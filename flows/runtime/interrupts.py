"""Ctrl+C, SIGTERM and a closed terminal end a command within seconds and leave nothing running.

Python raises KeyboardInterrupt in the main thread alone, at any line of any library, some of which
swallow it; then Prefect waits for tasks in threads that nothing can interrupt. Here a thread of its
own receives the signal, has the end recorded, and ends the process. Child processes end with it
(`tasks.core.processes.end_with_parent`). A run of a Prefect worker is left to Prefect's handling.
"""

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import psutil

MESSAGES: dict[int, str] = {
    signal.SIGINT: "Interrupted.",
    signal.SIGTERM: "Terminated.",
    signal.SIGHUP: "The terminal was closed.",
}
RESUME = " Finished stages are kept; run the same command to go on."
#: A resource tracker cleans up after a pool that was cut off, and would complain of having to.
QUIET_TRACKERS = "ignore:resource_tracker:UserWarning"
PRINT_SECONDS = 0.5
RECORD_SECONDS = 3.5  # what is not recorded by then is not waited for

ending = threading.Event()
_recorders: list[tuple[Callable[[str], None], str]] = []
_reader: list[int] = []


def install() -> None:
    """Receive signals from now on; called by the main thread. What is ignored stays ignored."""
    if _reader:
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in MESSAGES:
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup`, or `&` in a script
            signal.signal(number, _leave_to_thread)
    warnings = (os.environ.get("PYTHONWARNINGS"), QUIET_TRACKERS)
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, warnings))
    _reader.append(reader)
    threading.Thread(target=_receive, args=(reader,), name="interrupts", daemon=True).start()


def record_with(recorder: Callable[[str], None] | None, advice: str = RESUME) -> None:
    """Set what is called with the reason when a signal ends this command, such as what records the
    end of a flow run; None: nothing is. `advice` is printed after the reason."""
    _recorders[:] = [(recorder, advice)] if recorder else []


def hold_if_ending() -> None:
    """Block where a signal is ending the process: it decides what is printed and the exit code."""
    if ending.is_set():
        threading.Event().wait()


def _leave_to_thread(number: int, frame: FrameType | None) -> None:
    """Python writes the signal's number to the pipe before it calls this."""


def _receive(reader: int) -> None:
    while (number := os.read(reader, 1)[0]) not in MESSAGES:
        continue
    _end(number)


def _end(number: int) -> None:
    ending.set()
    if "--debug" not in sys.argv:
        logging.disable(logging.CRITICAL)  # what breaks from here on is the signal's doing
    _within(PRINT_SECONDS, _print, MESSAGES[number])
    _within(RECORD_SECONDS, _record, MESSAGES[number])
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    os._exit(128 + number)


def _within(seconds: float, function: Callable[[str], None], message: str) -> None:
    """Call `function`, and go on where it has not returned in time."""
    thread = threading.Thread(target=function, args=(message,), daemon=True)
    thread.start()
    thread.join(seconds)


def _print(message: str) -> None:
    if "--debug" in sys.argv:
        traceback.print_stack(sys._current_frames()[threading.main_thread().ident or 0])
    advice = "".join(advice for _, advice in _recorders)
    with suppress(OSError):  # the terminal may be gone
        os.write(2, f"{message}{advice}\n".encode())


def _record(message: str) -> None:
    for recorder, _ in _recorders:
        recorder(message)
    with suppress(OSError):
        sys.stdout.flush()
