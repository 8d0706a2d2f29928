"""Single bytes of the cache change at random: every next run completes with the same result."""

import random

import pytest

from flows.train import train
from tasks.core.files import atomic_write
from tasks.core.storage import store
from tests.conftest import catalogue, write_csv
from tests.support.trainings import scores_of, settings

pytestmark = [pytest.mark.endurance, pytest.mark.usefixtures("prefect_server", "blank_figures")]
RUNS, DAMAGES = 30, 10


def test_three_hundred_damaged_bytes_change_no_result(tmp_path):
    config = settings(write_csv(tmp_path / "movies.csv", catalogue(150)))
    expected, rng = scores_of(train(config)), random.Random(1)  # noqa: S311 - damage, no secret
    store.invalidate_cache()  # so that there is a file `generation` too
    assert scores_of(train(config)) == expected
    for _ in range(RUNS):
        files = sorted(path for path in store.cache_root().rglob("*") if path.is_file())
        for file in rng.sample([path for path in files if path.stat().st_size], DAMAGES):
            content = bytearray(file.read_bytes())
            content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
            with atomic_write(file) as new:  # this process still maps models of the run before
                new.write_bytes(content)
        assert scores_of(train(config)) == expected
