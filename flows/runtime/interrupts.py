"""Ctrl+C, SIGTERM or a closed terminal -> recorded end, no process left, within seconds.

Python raises KeyboardInterrupt in the main thread only, at any line of any library, and some
libraries swallow it; Prefect then waits for tasks in threads that cannot be interrupted. Here a
separate thread receives the signal, has the end recorded and ends the process. Child processes end
with it (`tasks.core.processes.end_with_parent`). Prefect handles signals of its workers' runs.
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
#: The resource tracker of an aborted process pool cleans up; its warning is not useful here.
QUIET_TRACKERS = "ignore:resource_tracker:UserWarning"
PRINT_SECONDS = 0.5
RECORD_SECONDS = 3.5  # limit for recording the end of a run

ending = threading.Event()
_recorders: list[tuple[Callable[[str], None], str]] = []
_pipe_readers: list[int] = []


def install() -> None:
    """Handle signals from now on. Call it in the main thread; ignored signals stay ignored."""
    if _pipe_readers:
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in MESSAGES:
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup`, or `&` in a script
            signal.signal(number, _leave_to_thread)
    warnings = (os.environ.get("PYTHONWARNINGS"), QUIET_TRACKERS)
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, warnings))
    _pipe_readers.append(reader)
    threading.Thread(target=_receive, args=(reader,), name="interrupts", daemon=True).start()


def record_with(recorder: Callable[[str], None] | None, advice: str = RESUME) -> None:
    """Set the function that is called with the reason when a signal ends this process.

    None removes it. `advice` is printed after the reason.
    """
    _recorders[:] = [(recorder, advice)] if recorder else []


def hold_if_ending() -> None:
    """Block if a signal is ending the process: its thread prints and sets the exit code."""
    if ending.is_set():
        threading.Event().wait()


def _leave_to_thread(number: int, frame: FrameType | None) -> None:
    """Do nothing: Python has written the signal's number to the pipe before this call."""


def _receive(reader: int) -> None:
    while (number := os.read(reader, 1)[0]) not in MESSAGES:
        continue
    _end(number)


def _end(number: int) -> None:
    ending.set()
    if "--debug" not in sys.argv:
        logging.disable(logging.CRITICAL)  # errors from now on are caused by the signal
    _within(PRINT_SECONDS, _print, MESSAGES[number])
    _within(RECORD_SECONDS, _record, MESSAGES[number])
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    os._exit(128 + number)


def _within(seconds: float, function: Callable[[str], None], message: str) -> None:
    """Call `function`, and return after the time limit even if it is still running."""
    thread = threading.Thread(target=function, args=(message,), daemon=True)
    thread.start()
    thread.join(seconds)


def _print(message: str) -> None:
    if "--debug" in sys.argv:
        traceback.print_stack(sys._current_frames()[threading.main_thread().ident or 0])
    advice = "".join(advice for _, advice in _recorders)
    with suppress(OSError):  # the terminal may be closed
        os.write(2, f"{message}{advice}\n".encode())


def _record(message: str) -> None:
    for recorder, _ in _recorders:
        recorder(message)
    with suppress(OSError):
        sys.stdout.flush()
