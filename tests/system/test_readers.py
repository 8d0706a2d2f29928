"""Readers while versions are published: no error, and no list that mixes two versions."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack

from tasks.recommend.index import lancedb_uri, publish_version
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import FORMAT, load_champion
from tasks.registry.model_registry import CHAMPION, MODEL
from tasks.registry.tracking.mlflow_client import connect
from tests.support.index_rows import rows
from tests.support.run_stages import started, wait_until

READERS, VERSIONS, FILMS = 2, 5, 60
#: Asks until a file `stop` appears, and once more after that.
READER = f"""
import json, sys
from itertools import count
from pathlib import Path
from tasks.recommend.query import RecommendationRequest, query_from_movies, recommend
from tasks.recommend.search import get_version
from tasks.registry.champion import load_champion

ready, stop = map(Path, sys.argv[1:])
seen, mixed, last = set(), 0, False
for number in count():
    champion = load_champion()
    version = get_version(champion.index)
    request = RecommendationRequest(id=1 + number % {FILMS})
    movies = recommend(query_from_movies(request, version), request, version, champion.rank)
    versions = {{movie["title"].split()[-1] for movie in movies}}
    mixed += versions != {{champion.index.tag}} or len(movies) != 10
    seen |= versions
    ready.touch()
    if last:
        break
    last = stop.exists()
print(json.dumps([mixed, sorted(seen)]))
"""


def release(number: int) -> None:
    """Publish a version whose every title ends in its tag, and make it the champion."""
    tag = f"v{number}"
    titles = [f"Film {film} {tag}" for film in range(FILMS)]
    index = publish_version(lancedb_uri(), [rows(titles, seed=number)], tag)
    tags = {"format": FORMAT, "index_uri": index.uri, "index_tag": tag, "run_id": "none"}
    tags["rank"] = RankConfig().model_dump_json()
    client = connect()
    if not client.search_registered_models():
        client.create_registered_model(MODEL)
    made = client.create_model_version(MODEL, "file:///nowhere", tags=tags)
    client.set_registered_model_alias(MODEL, CHAMPION, made.version)


def test_readers_never_see_a_mixture(artifacts, tmp_path):
    release(0)
    stop, ready = tmp_path / "stop", [tmp_path / f"ready-{number}" for number in range(READERS)]
    with ExitStack() as stack:
        readers = []
        for file in ready:
            command = [sys.executable, "-c", READER, str(file), str(stop)]
            reader = started(command, os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            readers.append(stack.enter_context(reader))
        wait_until(lambda: all(file.exists() for file in ready))
        for number in range(1, VERSIONS + 1):
            time.sleep(0.5)
            release(number)
        stop.touch()
        outputs = [reader.communicate(timeout=120) for reader in readers]
    assert [reader.returncode for reader in readers] == [0] * READERS, outputs
    answers = [json.loads(output) for output, _ in outputs]
    assert [mixed for mixed, _ in answers] == [0] * READERS
    assert all({"v0", f"v{VERSIONS}"} <= set(seen) for _, seen in answers)
    assert load_champion().index.tag == f"v{VERSIONS}"
