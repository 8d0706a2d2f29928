"""Each in a process of its own: the collector is that of the whole process."""

import os
import subprocess
import sys
import textwrap

import pytest

from flows.runtime.garbage import THRESHOLDS


def printed(code: str) -> str:
    environment = os.environ | {"MOVIE_RECOMMENDER_SERVER_PARENT": str(os.getpid())}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_a_block_is_not_collected_and_its_objects_never_are():
    output = printed(
        """
        import gc
        from flows.runtime.garbage import not_collected
        with not_collected():
            print(gc.isenabled(), end=" ")
            objects = [[] for _ in range(1000)]
        print(gc.isenabled(), any(one is objects for one in gc.get_objects()), end=" ")
        print(gc.get_freeze_count() > 1000)
        """
    )
    assert output.split() == ["False", "True", "False", "True"]


def test_a_block_that_fails_is_collected_again():
    output = printed(
        """
        import contextlib, gc
        from flows.runtime.garbage import not_collected
        with contextlib.suppress(ZeroDivisionError), not_collected():
            1 / 0
        print(gc.isenabled())
        """
    )
    assert output.split() == ["True"]


@pytest.mark.parametrize(
    "start",
    [
        """
        from flows.cli import app, command_line
        command_line.main = lambda **_: None
        app.run("flows.cli.subcommands.validate:command", "validate", [])
        """,
        """
        from flows.runtime import temporary_app
        temporary_app.app()
        """,
    ],
    ids=["a command", "the server of a run"],
)
def test_programs_collect_less_often_and_nothing_of_what_they_imported(start):
    state = "import gc; print(gc.isenabled(), *gc.get_threshold(), gc.get_freeze_count() > 100_000)"
    lines = printed(f"{textwrap.dedent(start)}\n{state}")
    assert lines.split() == ["True", *map(str, THRESHOLDS), "True"]


def test_nothing_is_collected_at_exit():
    output = printed(
        """
        import atexit, gc
        from flows.runtime import garbage
        atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # runs after the later ones
        garbage.collect_less()
        """
    )
    assert output.split() == ["True"]
