"""Readers while versions are published: no error, and no list that mixes two versions."""

import json
import os
import subprocess
import sys
import time

from tasks.recommend.index import lancedb_uri, publish_version
from tasks.recommend.scoring import RankConfig
from tasks.registry.champion import FORMAT, load_champion
from tasks.registry.model_registry import CHAMPION, MODEL
from tasks.registry.tracking.mlflow_client import connect
from tests.conftest import ROOT
from tests.support.index_rows import rows

READERS, QUESTIONS, VERSIONS, FILMS = 2, 1200, 5, 60
READER = f"""
import json
from tasks.recommend.query import RecommendationRequest, query_from_movies, recommend
from tasks.recommend.search import get_version
from tasks.registry.champion import load_champion

print("ready", flush=True)
seen, mixed = set(), 0
for number in range({QUESTIONS}):
    champion = load_champion()
    version = get_version(champion.index)
    request = RecommendationRequest(id=1 + number % {FILMS})
    movies = recommend(query_from_movies(request, version), request, version, champion.rank)
    versions = {{movie["title"].split()[-1] for movie in movies}}
    mixed += versions != {{champion.index.tag}} or len(movies) != 10
    seen |= versions
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


def test_readers_never_see_a_mixture(artifacts):
    release(0)
    command = [sys.executable, "-c", READER]
    readers = [
        subprocess.Popen(command, env=os.environ, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(READERS)
    ]
    for reader in readers:
        assert reader.stdout
        assert reader.stdout.readline() == "ready\n"
    for number in range(1, VERSIONS + 1):
        time.sleep(0.5)
        release(number)
    answers = [json.loads(reader.communicate(timeout=300)[0]) for reader in readers]
    assert [reader.returncode for reader in readers] == [0] * READERS
    assert [mixed for mixed, _ in answers] == [0] * READERS
    assert len({tag for _, seen in answers for tag in seen}) > 1
    assert load_champion().index.tag == f"v{VERSIONS}"
