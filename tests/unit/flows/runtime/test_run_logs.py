import logging
import sys

import pytest
from prefect.logging.handlers import PrefectConsoleHandler

from flows.runtime.run_logs import (
    LOGGERS,
    RoutineFilter,
    leave_out_routine,
    without_console,
)
from tasks.core.contracts import UserError
from tasks.core.logs import logger


def record(message: str, error: Exception | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.LogRecord("prefect.task_runs", logging.INFO, "", 1, message, (), info)


@pytest.mark.parametrize(
    ("message", "is_logged"),
    [
        ("Finished in state Completed()", False),
        ("Finished in state Cached(type=COMPLETED)", False),
        ("Running hook 'record_signals' in response to entering state 'Running'", False),
        ("Hook 'record_signals' finished running successfully", False),
        ("Finished in state Failed('Task run encountered an exception')", True),
        ("Hook 'on_run_failure' failed", True),
        ("20 genres to learn: Finished in state Completed()", True),
    ],
)
def test_only_what_is_always_so_is_left_out(message, is_logged):
    assert RoutineFilter().filter(record(message)) == is_logged


def test_only_a_user_error_loses_its_traceback():
    mistake, fault = record("failed", UserError("no such file")), record("failed", OSError("full"))
    for one in (mistake, fault):
        assert RoutineFilter().filter(one)
    assert (mistake.exc_info, mistake.getMessage()) == (None, "no such file")
    assert fault.exc_info
    assert fault.getMessage() == "failed"


def test_a_process_that_imports_a_flow_has_one_filter_at_each_logger():
    assert "flows.runtime.hooks" in sys.modules or __import__("flows.runtime.hooks")
    leave_out_routine()
    for name in LOGGERS:
        filters = logging.getLogger(name).filters
        assert [type(one) for one in filters if isinstance(one, RoutineFilter)] == [RoutineFilter]


def test_a_command_that_prints_its_result_has_no_log_lines_on_the_terminal(capsys):
    handler = PrefectConsoleHandler(stream=sys.stderr)
    prefect = logging.getLogger("prefect")
    prefect.addHandler(handler)
    try:
        with without_console():
            prefect.warning("Beginning flow run")
            logger.warning("Prefect does not answer")
        prefect.warning("after it")
    finally:
        prefect.removeHandler(handler)
    printed = capsys.readouterr().err
    assert "Beginning flow run" not in printed
    assert "Prefect does not answer" in printed
    assert "after it" in printed
