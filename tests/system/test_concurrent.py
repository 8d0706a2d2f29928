"""Training runs at once under one artifacts root: all end well, nothing is mixed or lost."""

import json
import subprocess
import sys

from tasks.recommend.search import open_version
from tasks.registry.champion import from_tags, load_champion, model_folders
from tasks.registry.release import versions
from tasks.registry.tracking.mlflow_client import connect
from tests.conftest import ROOT, catalogue, write_csv
from tests.support.run_stages import flags


def test_three_runs_at_once_of_which_two_are_equal(real_server, artifacts, tmp_path):
    """The database does not exist when they start: all want to make it."""
    sources = [write_csv(tmp_path / f"m{of}.csv", catalogue(200 + of)) for of in (0, 1, 1)]
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "flows.train", "--source", str(source), *flags()],
            cwd=ROOT,
            env=real_server | {"RECOMMENDER_ARTIFACTS": str(artifacts)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for source in sources
    ]
    said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    made = [from_tags(one.tags) for one in versions(connect())]
    assert len(made) == 3
    client = connect()
    seconds = [client.get_run(one.run_id).data.metrics["doc2vec_seconds"] for one in made]
    assert len(set(seconds)) == 2  # of the equal ones, one trained and the other waited for it
    rows = {open_version(one.index.uri, one.index.tag).count_rows() for one in made}
    assert rows == {200, 201}
    champion = load_champion()
    assert champion.model_copy(update={"version": ""}) in made
    assert model_folders(champion).doc2vec.is_dir()
    answer = subprocess.run(
        [sys.executable, "-m", "flows.recommend", "Horror Story 3", "--json"],
        cwd=ROOT,
        env=real_server | {"RECOMMENDER_ARTIFACTS": str(artifacts)},
        capture_output=True,
        text=True,
    )
    assert len(json.loads(answer.stdout)) == 10
