"""Training runs at once under one artifacts root: all end well, nothing is mixed or lost."""

import sys
from contextlib import ExitStack
from tempfile import TemporaryFile

import pytest

from tasks.recommend.search import open_version
from tasks.registry.champion import from_tags, load_champion, model_folders
from tasks.registry.model_registry import unpack_tags
from tasks.registry.release import versions
from tasks.registry.tracking.metric_groups import without_groups
from tasks.registry.tracking.mlflow_client import connect
from tests.conftest import catalogue, write_csv
from tests.support.run_stages import answers, flags, started, wait_until

pytestmark = pytest.mark.endurance


def test_three_runs_at_once_of_which_two_are_equal(real_server, artifacts, tmp_path):
    """The database does not exist when they start: all want to make it."""
    sources = [write_csv(tmp_path / f"m{of}.csv", catalogue(200 + of)) for of in (0, 1, 1)]
    environment = real_server | {"RECOMMENDER_ARTIFACTS": str(artifacts)}
    with ExitStack() as stack:
        outputs = [stack.enter_context(TemporaryFile("w+")) for _ in sources]
        runs = [
            stack.enter_context(
                started(
                    [sys.executable, "-m", "flows.train", "--source", str(source), *flags()],
                    environment,
                    stdout=output,
                    stderr=output,
                )
            )
            for source, output in zip(sources, outputs, strict=True)
        ]
        wait_until(lambda: all(run.poll() is not None for run in runs), seconds=300)
        for run, output in zip(runs, outputs, strict=True):
            output.seek(0)
            assert run.returncode == 0, output.read()
    made = [from_tags(unpack_tags(one.tags)) for one in versions(connect())]
    assert len(made) == 3
    client = connect()
    seconds = [
        without_groups(client.get_run(one.run_id).data.metrics)["doc2vec_seconds"] for one in made
    ]
    assert len(set(seconds)) == 2  # of the equal ones, one trained and the other waited for it
    rows = {open_version(one.index.uri, one.index.tag).count_rows() for one in made}
    assert rows == {200, 201}
    champion = load_champion()
    assert champion.model_copy(update={"version": "", "registered": None}) in made
    assert model_folders(champion).doc2vec.is_dir()
    assert answers(environment, "Horror Story 3") == 10
