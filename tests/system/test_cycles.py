"""Train, promote, roll back, again and again: readers get their answers, the disk stays small."""

import threading
from pathlib import Path

import pytest

from flows.release import ReleaseConfig, perform_action
from flows.train import train
from tasks.recommend.index import version_tags
from tasks.recommend.query import RecommendationRequest, query_from_movies, recommend
from tasks.recommend.search import get_version
from tasks.registry.champion import load_champion
from tasks.registry.release import versions
from tasks.registry.tracking.mlflow_client import connect
from tasks.reports.summary import Summary
from tests.support.trained_root import rich_settings

pytestmark = pytest.mark.usefixtures("prefect_server", "blank_figures")
KEPT = 1  # newest versions, beside the champion and the previous one
CYCLES = 20


class Reader(threading.Thread):
    """Asks the champion until it is told to stop, and remembers what went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.enough, self.answered, self.errors = threading.Event(), 0, list[str]()

    def run(self) -> None:
        request = RecommendationRequest(titles=["Horror Story 0"])
        while not self.enough.is_set():
            try:
                champion = load_champion()
                version = get_version(champion.index)
                query = query_from_movies(request, version)
                movies = recommend(query, request, version, champion.rank)
                assert len(movies) == request.limit
                self.answered += 1
            except Exception as error:
                self.errors.append(repr(error))


def used(root: Path, kind: str) -> int:
    return sum(path.stat().st_size for path in root.rglob(kind) if path.is_file())


def cycle(source: Path, number: int) -> None:
    """A new version, promoted whatever it is worth, and taken back."""
    doc2vec = {"vector_size": 16, "epochs": 20, "seed": number}
    config = rich_settings(source, doc2vec=doc2vec, retention={"trainings": KEPT})
    summary = train(config)
    assert isinstance(summary, Summary)
    perform_action(ReleaseConfig(action="promote", versions=[summary.model_version]))
    perform_action(ReleaseConfig(action="rollback"))


@pytest.mark.endurance
def test_releases_in_a_row_fill_no_disk_and_leave_no_reader_without_answer(trained_root):
    artifacts, sizes, reader = trained_root.artifacts, list[int](), Reader()
    reader.start()
    try:
        for number in range(CYCLES):
            cycle(trained_root.source, number)
            assert len(versions(connect())) <= KEPT + 2
            assert len(version_tags(load_champion().index.uri)) == len(versions(connect()))
            sizes.append(used(artifacts / "lancedb", "*") + used(artifacts / "mlruns", "*.npy"))
    finally:
        reader.enough.set()
        reader.join()
    assert reader.errors == []
    assert reader.answered > CYCLES
    assert max(sizes) < 1.2 * max(sizes[:3])
