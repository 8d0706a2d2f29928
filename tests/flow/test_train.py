import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
)
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import ArtifactSort, TaskRunSort
from prefect.logging import disable_run_logger
from sklearn.metrics import f1_score

from flows.cli.subcommands import predict as predict_flow
from flows.cli.subcommands import recommend as recommend_flow
from flows.cli.subcommands.predict import PredictConfig
from flows.cli.subcommands.recommend import RecommendConfig
from flows.cli.subcommands.train import command
from flows.config import TrainConfig
from flows.diagram import recorded_task_runs, write_diagram
from flows.release import ReleaseConfig, perform_action
from flows.train import train
from tasks.core.compute import Compute
from tasks.core.contracts import (
    ClassifierRef,
    Doc2VecRef,
    DocumentsRef,
    LabelsRef,
    LinearRef,
    ProbabilitiesRef,
    Ref,
    ScoresRef,
    UserError,
    VectorsRef,
)
from tasks.core.documents import tokens_of
from tasks.core.storage import store
from tasks.data.cells import content_id
from tasks.data.ingest import ingest
from tasks.data.labels import LabelConfig, binarize, label
from tasks.data.preprocess import TextConfig
from tasks.embedding.inference import embed_chunk
from tasks.genres.config import ClassifierConfig
from tasks.genres.ensemble import fit_ensemble
from tasks.genres.evaluation.baselines import baselines
from tasks.genres.evaluation.evaluate import evaluate
from tasks.genres.linear import BaselineConfig, fit_linear
from tasks.recommend.search import get_version, open_version
from tasks.registry.champion import load_champion
from tasks.registry.model_registry import MODEL
from tasks.registry.tracking.metric_groups import without_groups
from tasks.registry.tracking.mlflow_client import EXPERIMENT, connect
from tasks.reports.drawing import draw_genres
from tasks.reports.summary import ONE_GENRE, Summary, notes
from tests.conftest import ROOT, blank_figures, catalogue, movie, write_csv
from tests.support.chunk_documents import preprocessed
from tests.support.report_html import panel
from tests.support.rich_catalogue import (
    CLASSES,
    FIRST_ID,
    KEPT,
    QUARANTINED,
    ROWS,
    UNLABELLED,
    WAR_MOVIE,
)
from tests.support.stored import stored_refs
from tests.support.stored_files import (
    COMPARISONS,
    LOGGED_ABOUT_MOVIES,
    LOGGED_STAGES,
    cached_files,
    is_record,
    movies_of,
)
from tests.support.trained_root import TrainedRoot, artifacts_in, rich_settings
from tests.support.trainings import TINY_NET, scores_of, settings

pytestmark = pytest.mark.usefixtures("prefect_server")
#: Of a test that looks at no figure; the shared training and runs on odd sources draw theirs.
without_rendering = pytest.mark.usefixtures("blank_figures_of_test")


@pytest.fixture
def trained(module_root, monkeypatch) -> TrainedRoot:
    """The shared training, for tests that only read its results."""
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(module_root.artifacts))
    return module_root


@pytest.fixture
def summary(trained) -> Summary:
    return trained.summary


@pytest.fixture
def blank_figures_of_test(prefect_server) -> Iterator[None]:
    with blank_figures():
        yield


@pytest.fixture
def run(summary) -> mlflow.entities.Run:
    return connect().get_run(summary.run.run_id)


def test_every_row_is_accounted_for(summary):
    ingested = summary.ingested
    assert (ingested.rows, ingested.kept, ingested.unlabelled) == (ROWS, KEPT, UNLABELLED)
    assert ingested.reasons == QUARANTINED
    quarantined = store.read(ingested.quarantine).select(["source", "row", "column", "reason"])
    assert quarantined.to_pylist() == [
        {"source": "movies.csv", "row": 154, "column": "id", "reason": "bad_id"},
        {
            "source": "movies.csv",
            "row": 155,
            "column": "overview",
            "reason": "placeholder_overview",
        },
        {"source": "movies.csv", "row": 156, "column": "id", "reason": "duplicate_id"},
    ]


def test_the_next_command_names_a_movie_of_the_champion(summary, capsys):
    assert recommend_flow.command(RecommendConfig(titles=[summary.example])) == 0
    assert f"Movies like {summary.example}" in " ".join(capsys.readouterr().out.split())


def test_genres_that_words_tell_apart_are_learned(summary):
    assert summary.protocol == "held-out"
    assert summary.scores["test_f1_micro"] > 0.7
    assert summary.scores["test_f1_micro"] > summary.scores["baseline_prior_f1_micro"]


def test_mlflow_holds_params_metrics_and_tags(run, summary, trained):
    assert run.info.status == "FINISHED"
    assert connect().get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert run.data.params["doc2vec.vector_size"] == "16"
    assert run.data.params["source"] == str(trained.config.source)
    assert without_groups(run.data.metrics)["source_quarantined_bad_id"] == 1
    assert without_groups(run.data.metrics)["test_f1_micro"] == summary.scores["test_f1_micro"]
    assert without_groups(run.data.metrics)["baseline_tfidf_f1_micro"] > 0
    tags = run.data.tags
    assert (tags["preset"], tags["protocol"], tags["device"]) == ("default", "held-out", "cpu")
    assert tags["version.gensim"]
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.digest == summary.ingested.digest[:32]


def test_epochs_are_steps(run):
    history = connect().get_metric_history(run.info.run_id, "epochs/val_loss")
    assert [step.step for step in history] == list(range(1, len(history) + 1))


def test_mlflow_holds_models_and_tables(run, tmp_path):
    names = set()
    for folder in ("", "doc2vec", "classifier", "evaluation", "source"):
        names |= {file.path for file in connect().list_artifacts(run.info.run_id, folder)}
    assert {
        "movie_embeddings.parquet",
        "doc2vec/hidden.npy",
        "classifier/weights.npz",
        "classifier/config.json",
        "classifier/thresholds.json",
        "classifier/word_vectors.npy",
        "evaluation/test_predictions.parquet",
        "evaluation/genres.json",
        "source/quarantine.parquet",
    } <= names


def test_the_model_card_is_the_description_of_the_version(run, summary):
    version = connect().get_model_version(MODEL, summary.model_version)
    card = Path(connect().download_artifacts(run.info.run_id, "model_card.md")).read_text()
    assert version.description == card
    assert f"| F1 micro | {without_groups(run.data.metrics)['test_f1_micro']:.3f} (" in card
    assert f"take: {without_groups(run.data.metrics)['rec_top20_share']:.3f}" in card


def test_every_stored_file_says_which_movies_it_may_depend_on(summary):
    """`tests/unit/test_protocol.py` changes movies and compares the files."""
    for name, _ in cached_files(store.artifacts_root()):
        if not is_record(name) and name.split("/")[0] not in COMPARISONS:
            movies_of(name)


def test_fitted_files_in_mlflow_are_copies_of_stored_files(run, summary):
    """So that they depend on the same movies."""
    logged = Path(connect().download_artifacts(run.info.run_id, ""))
    assert {path.name for path in logged.iterdir()} == LOGGED_STAGES | LOGGED_ABOUT_MOVIES
    models = (store.artifacts_root() / "mlruns" / "models").glob("*/artifacts/artifacts/*")
    folders = [*(logged / stage for stage in LOGGED_STAGES), *filter(Path.is_dir, models)]
    stored = {path.read_bytes() for _, path in cached_files(store.artifacts_root())}
    assert all(file.read_bytes() in stored for folder in folders for file in folder.iterdir())


def test_embeddings_of_all_movies_are_finite(run, tmp_path):
    path = connect().download_artifacts(run.info.run_id, "movie_embeddings.parquet", str(tmp_path))
    table = pq.read_table(path)
    assert table.num_rows == KEPT
    assert np.isfinite(np.array(table["embedding"].to_pylist())).all()


def test_predictions_are_of_test_movies_alone(run, tmp_path, summary):
    name = "evaluation/test_predictions.parquet"
    path = connect().download_artifacts(run.info.run_id, name, str(tmp_path))
    predicted = set(pq.read_table(path)["id"].to_pylist())
    root = store.artifacts_root() / "cache" / "documents"
    documents = [pq.read_table(part) for part in root.rglob("*.parquet")]
    rows = [row for table in documents for row in table.to_pylist()]
    assert predicted == {row["id"] for row in rows if row["split"] == "test" and row["genres"]}


def recommended(**settings: Any) -> list[dict[str, Any]]:
    """Movies that `recommend` returns from the champion's index."""
    config, champion = RecommendConfig.model_validate(settings), load_champion()
    version = get_version(champion.index)
    query = recommend_flow.resolve_query(config, version, champion)
    return recommend_flow.recommend(query, config, version, champion.rank)


def test_the_registered_model_answers_titles_and_texts(summary):
    connect()
    model = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    text = "A ghost with a curse, haunted by blood"
    rows = [{"text": text}, {"title": "Music Story 2"}, {"title": "Nowhere"}, {"title": 300}, {}]
    answers = model.predict(pd.DataFrame(rows, columns=["title", "text"]), params={"limit": 3})
    text_answer, title_answer, unknown, number, empty = answers.to_dict("records")
    assert list(text_answer["probabilities"]) == CLASSES
    assert all("Horror" in movie["genres"] for movie in text_answer["movies"])
    expected = recommended(titles=["Music Story 2"], limit=3)
    assert [movie["id"] for movie in title_answer["movies"]] == [movie["id"] for movie in expected]
    assert unknown["error"].startswith("No movie is called 'Nowhere'")
    assert number["error"] == "No movie is called '300'."
    assert empty["error"] == "Give each row a title or a text."


def test_recommend_answers_from_the_champion(summary):
    index = load_champion().index
    assert index.tag == f"run-{summary.run.run_id}"
    assert open_version(index.uri, index.tag).count_rows() == KEPT
    movies = recommended(titles=["horror story 0"])
    assert len(movies) == 10
    assert all("Horror" in movie["genres"] for movie in movies[:5])
    with pytest.raises(UserError, match=r"Did you mean: Horror Story"):
        recommended(titles=["Horror Storyy 0"])


def test_recommend_takes_ids_texts_and_several_titles(summary):
    assert recommended(id="1000") == recommended(titles=["Horror Story 0"])
    assert all("Horror" in movie["genres"] for movie in recommended(text="ghost and blood")[:5])
    movies = recommended(titles=["Horror Story 0", "Music Story 2"], limit=20)
    assert {"Horror", "Music"} <= {name for movie in movies for name in movie["genres"]}
    assert not {"1000", "1002"} & {movie["id"] for movie in movies}
    with pytest.raises(UserError, match="No movie has the id 5"):
        recommended(id="5")
    with pytest.raises(UserError, match="knows no word of the text"):
        recommended(text="zzz")


def test_recommend_prints_a_table_json_or_csv(summary, capsys):
    question = RecommendConfig(titles=["Music Story 2"], limit=3, explain=True)
    assert recommend_flow.command(question) == 0
    printed = capsys.readouterr().out
    assert "Movies like Music Story 2" in printed
    assert "Music" in printed
    plain = question.model_copy(update={"explain": False})
    recommend_flow.command(plain.model_copy(update={"as_json": True}))
    movies = json.loads(capsys.readouterr().out)
    assert [set(movie) for movie in movies] == [
        {"source", "id", "title", "year", "genres", "score"}
    ] * 3
    recommend_flow.command(plain.model_copy(update={"output": "csv"}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "source,id,title,year,genres,score"
    assert len(lines) == 4


def test_a_question_that_nothing_passes_is_unanswerable(summary, capsys):
    with pytest.raises(UserError, match="No movie passes the filters"):
        recommend_flow.command(RecommendConfig(titles=["Music Story 2"], from_year=2100))
    with pytest.raises(UserError, match=r"carries the genre 'Nonsense'\. There are: Comedy, Drama"):
        recommend_flow.command(RecommendConfig(titles=["Music Story 2"], genre=["Nonsense"]))


def test_lists_are_evaluated_and_shown(run, summary):
    metrics = without_groups(run.data.metrics)
    assert 0 < metrics["rec_coverage_at_10"] <= 1
    assert metrics["rec_genre_precision_at_10"] > 0.9
    names = {file.path for file in connect().list_artifacts(run.info.run_id, "evaluation")}
    assert {f"evaluation/{name}.json" for name in ("scorers", "sample_lists")} <= names
    assert {f"evaluation/{name}.png" for name in ("map", "training", "texts")} <= names
    assert {file.path for file in connect().list_artifacts(run.info.run_id, "lexicon")}


def test_a_run_has_a_report(run, summary):
    html = Path(summary.report).read_text(encoding="utf-8")
    assert f"MLflow run {run.info.run_id}" in html
    for name in ("genre_bars", "training", "texts", "stages"):
        assert "<img" in panel(html, name), name
    assert "There was no champion to compare with" in html
    assert "bad_id" in html
    assert re.search(r"movie-recommender train --preset=default (&#39;)?--source=", html)
    assert run.data.tags["mlflow.note.content"].startswith(f"# movies.csv: {KEPT} movies")


def test_predict_and_evaluation_agree_on_a_test_movie(summary, run, tmp_path, capsys):
    name = "evaluation/test_predictions.parquet"
    path = connect().download_artifacts(run.info.run_id, name, str(tmp_path))
    table = pq.read_table(path)
    for expected in table.to_pylist()[:3]:
        predict_flow.command(PredictConfig(title=expected["title"], as_json=True))
        (movie,) = json.loads(capsys.readouterr().out)
        assert movie["id"] == expected["id"]
        assert set(movie["genres"]) == set(expected["predicted_genres"])
        for genre, probability in movie["genres"].items():
            column = table.schema.metadata[b"classes"].decode().split(", ").index(genre)
            assert probability == pytest.approx(expected["probabilities"][column], abs=1e-6)


def test_predict_answers_texts_files_and_the_top_n(summary, tmp_path, capsys):
    text = "A ghost with a curse, a haunted grave and blood at midnight"
    assert predict_flow.command(PredictConfig(text=text, top_n=1)) == 0
    assert "Horror" in capsys.readouterr().out
    rows = [{"id": "1", "title": "x", "overview": text}, {"id": "", "title": "y", "overview": "z"}]
    file = write_csv(tmp_path / "new.csv", rows, ["id", "title", "overview"])
    predict_flow.command(PredictConfig(file=str(file), top_n=2, as_json=True))
    printed = capsys.readouterr()
    (answer,) = json.loads(printed.out)
    assert next(iter(answer["genres"])) == "Horror"
    assert len(answer["genres"]) == 2
    assert "new.csv row 2, column 'id': bad_id, left out." in printed.err


def test_predict_shows_the_ids_of_the_file_whatever_they_are(summary, tmp_path, capsys):
    text = "A ghost with a curse, a haunted grave and blood at midnight"
    rows = [{"tconst": "tt0076759", "title": "x", "plot": text}]
    with_ids = write_csv(tmp_path / "ids.csv", rows, ["tconst", "title", "plot"])
    without_ids = write_csv(
        tmp_path / "plots.csv", [{"title": "x", "plot": text}], ["title", "plot"]
    )
    ids = []
    for file in (with_ids, without_ids):
        predict_flow.command(PredictConfig(file=str(file), as_json=True))
        ids += [movie["id"] for movie in json.loads(capsys.readouterr().out)]
    assert ids == ["tt0076759", content_id(f"x\n{None}\n{text}")]


def test_predict_refuses_what_it_cannot_answer(summary, tmp_path):
    with pytest.raises(UserError, match="knows no word"):
        predict_flow.command(PredictConfig(text="zzz qqq"))
    with pytest.raises(UserError, match="No movie is called 'Nowhere'"):
        predict_flow.command(PredictConfig(title="Nowhere"))
    file = write_csv(tmp_path / "new.csv", [{"id": "1", "title": "x"}], ["id", "title"])
    with pytest.raises(UserError, match="no column 'overview'"):
        predict_flow.command(PredictConfig(file=str(file)))


def logged_table(run: mlflow.entities.Run, name: str, folder: Path) -> pa.Table:
    """A table that a run logged."""
    path = f"evaluation/{name}.parquet"
    return pq.read_table(connect().download_artifacts(run.info.run_id, path, str(folder)))


def test_scores_are_those_of_the_logged_predictions(run, tmp_path):
    table = logged_table(run, "test_predictions", tmp_path)
    actual, predicted, tfidf, network = (
        binarize(table[f"{kind}_genres"].to_pylist(), CLASSES)
        for kind in ("actual", "predicted", "tfidf", "network")
    )
    metrics = without_groups(run.data.metrics)
    tfidf_f1 = f1_score(actual, tfidf, average="macro")
    assert metrics["baseline_tfidf_f1_macro"] == pytest.approx(tfidf_f1)
    network_f1 = f1_score(actual, network, average="macro")
    assert metrics["member_network_f1_macro"] == pytest.approx(network_f1)
    assert metrics["test_f1_micro"] == pytest.approx(f1_score(actual, predicted, average="micro"))
    assert metrics["test_f1_macro"] == pytest.approx(f1_score(actual, predicted, average="macro"))
    for name in ("micro", "macro"):
        low, high = (metrics[f"test_f1_{name}_{end}"] for end in ("low", "high"))
        assert low < metrics[f"test_f1_{name}"] < high
        margin = metrics[f"test_f1_{name}"] - metrics[f"baseline_tfidf_f1_{name}"]
        low, high = (metrics[f"test_f1_{name}_over_tfidf_{end}"] for end in ("low", "high"))
        assert low < margin < high


def test_tables_show_genres_slices_and_mistakes_of_the_test_movies(run, tmp_path):
    predicted = logged_table(run, "test_predictions", tmp_path).to_pylist()
    genres = logged_table(run, "genres", tmp_path).to_pylist()
    support = {name: sum(name in row["actual_genres"] for row in predicted) for name in CLASSES}
    assert {row["genre"]: row["support"] for row in genres} == support
    slices = logged_table(run, "slices", tmp_path).to_pylist()
    for kind in ("decade", "overview words", "number of genres", "language"):
        movies = sum(row["movies"] for row in slices if row["slice"] == kind)
        assert movies == len(predicted), kind
    mistakes = logged_table(run, "mistakes", tmp_path).to_pylist()
    expected = {
        (row["title"], genre)
        for row in predicted
        for genre in {*row["actual_genres"]} ^ {*row["predicted_genres"]}
    }
    assert {(row["title"], row["genre"]) for row in mistakes} <= expected
    assert bool(mistakes) == bool(expected)


def test_recommend_without_a_champion_advises_to_train():
    with pytest.raises(UserError, match="make train"):
        recommend_flow.command(RecommendConfig(titles=["Alien"]))


def written(root: Path) -> dict[Path, int]:
    """Every table except those of the comparison with a champion, which the first run lacks."""
    tables = (root / "cache").rglob("*.parquet")
    return {
        path.relative_to(root): path.stat().st_mtime_ns
        for path in tables
        if not {"challenge", "drift", "list-figures"} & set(path.parts)
    }


class SecondRun(NamedTuple):
    """A run on unchanged source and settings, and the tables before it and after it."""

    summary: Summary
    artifacts: Path
    task_runs: list[TaskRun]
    tables_before: dict[Path, int]
    tables_after: dict[Path, int]


@pytest.fixture(scope="module")
def second_run(shared_training, tmp_path_factory) -> SecondRun:
    root = shared_training.copy(tmp_path_factory.mktemp("second"))
    before = written(root.artifacts)
    with artifacts_in(root.artifacts), blank_figures():
        summary = train(root.config)
        assert isinstance(summary, Summary)
        task_runs = recorded_task_runs(summary)
    return SecondRun(summary, root.artifacts, task_runs, before, written(root.artifacts))


def test_prefect_and_mlflow_name_each_other(second_run):
    """The second run, because Prefect's server of the shared one may be that of another worker."""
    summary = second_run.summary
    with artifacts_in(second_run.artifacts):
        run = connect().get_run(summary.run.run_id)
    flow_run_id = run.data.tags["prefect.flow_run_id"]
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(flow_run_id)
        this_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id]))
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(),
            flow_run_filter=this_run,
            task_run_filter=TaskRunFilter(),
            sort=ArtifactSort.CREATED_DESC,
            limit=50,
            offset=0,
        )
        tasks = client.read_task_runs(
            flow_run_filter=this_run, sort=TaskRunSort.ID_DESC, limit=200, offset=0
        )
    assert re.fullmatch(r"train-default-movies-\d{4}", flow_run.name)
    assert flow_run.tags[:3] == ["default", "movies", "ingest.chunk-rows=60"]
    assert flow_run.tags[-1] == "and 17 more"
    by_key = {artifact.key: artifact for artifact in artifacts}
    assert summary.run.run_id in by_key["training-summary"].data
    assert "](data:image/png;base64," in by_key["training-summary"].data
    assert summary.run.run_id in by_key["mlflow-run"].data
    assert f"{summary.run.run_id}/artifacts/report.html" in by_key["report"].data
    assert len(json.loads(by_key["quarantine-rows"].data)) == 3
    names = [task.name for task in tasks]
    assert sum(name.startswith("preprocess-movies-") for name in names) == 3
    assert sum(name.startswith("embed-movies-") for name in names) == 3
    shown = [one for one in artifacts if one.type == "table"]
    assert {one.key for one in shown} >= {"genres", "sample-lists", "promotion-gate", "drift"}
    assert all(re.fullmatch(r"[A-Z].*\.", str(one.description)) for one in shown)
    cells = [value for one in shown for row in json.loads(one.data) for value in row.values()]
    assert not [value for value in cells if isinstance(value, list | dict | float)]


def test_the_graph_in_prefect_is_small_enough_to_be_read(second_run):
    """The page draws labels the larger the fewer tasks there are, and no arrow above 500."""
    flow_run_id = second_run.task_runs[0].flow_run_id
    with get_client(sync_client=True) as client:
        graph = client.request("GET", f"/flow_runs/{flow_run_id}/graph-v2").json()
    nodes = [node for _, node in graph["nodes"]]
    outside = [node["label"] for node in nodes if not node["encapsulating"]]
    assert len(outside) <= 28
    assert {"preprocess", "embed", "read-source", "decide-promotion"} <= set(outside)
    assert not [label for label in outside if label.startswith(("preprocess-", "embed-"))]
    assert sum(len(node["children"]) for node in nodes) < 100


def test_a_second_run_reuses_every_stage(second_run, shared_training):
    assert scores_of(second_run.summary) == scores_of(shared_training.summary)
    assert second_run.tables_after == second_run.tables_before


def test_the_architecture_page_shows_the_edges_that_prefect_recorded(second_run, tmp_path):
    """The second run has a champion to compare with."""
    page = ROOT / "docs" / "architecture.md"
    copy = Path(shutil.copy(page, tmp_path))
    write_diagram(second_run.task_runs, copy)
    assert copy.read_text() == page.read_text(), "run python -m flows.diagram"


def stages() -> set[Path]:
    """Folders of the stages whose outputs are stored."""
    return {record.parents[1] for record in store.cache_root().glob("*/[!.]*/ref.json")}


def vectors() -> dict[str, list[bytes]]:
    """Contents of the vector files of all runs, by name."""
    files = sorted((store.cache_root() / "vectors").rglob("*.parquet"))
    names = sorted({file.name for file in files})
    return {name: [file.read_bytes() for file in files if file.name == name] for name in names}


@without_rendering
def test_a_run_that_uses_nothing_from_before_gives_the_same(trained_root):
    """Equal data, settings and seeds: every stage is computed again, with an equal result."""
    before, stages_before = set(store.cache_root().glob("*/*/ref.json")), stages()
    again = train(trained_root.config.model_copy(update={"refresh": True, "runner": "thread"}))
    assert scores_of(again) == scores_of(trained_root.summary)
    new = set(store.cache_root().glob("*/*/ref.json")) - before
    assert stages_before - {record.parents[1] for record in new} == set()
    chunks = len(again.ingested.chunks)
    assert len([record for record in new if record.parents[1].name == "documents"]) == chunks
    assert {name: len(set(files)) for name, files in vectors().items()} == dict.fromkeys(
        vectors(), 1
    )
    assert all(len(files) == 2 for files in vectors().values())


def documents_of(source: Path) -> list[DocumentsRef]:
    """The documents of every chunk of a source, as the flow's tasks store them."""
    with disable_run_logger():
        ingested = ingest.fn([str(source)], settings(source).ingest)
    return preprocessed(ingested.chunks, TextConfig())


def test_a_changed_row_redoes_its_chunk_alone(tmp_path):
    rows = catalogue(150)
    before = documents_of(write_csv(tmp_path / "movies.csv", rows))
    rows[70] |= {"overview": "A changed text of ghosts and blood."}
    after = documents_of(write_csv(tmp_path / "movies.csv", rows))
    assert len(before) == 3
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]


class StageRefs(NamedTuple):
    """Stored outputs of the shared training."""

    documents: DocumentsRef
    doc2vec: Doc2VecRef
    labels: LabelsRef
    network: ClassifierRef
    linear: LinearRef
    classifier: ClassifierRef
    probabilities: ProbabilitiesRef
    baseline: ScoresRef
    scores: ScoresRef


def stored_outputs() -> StageRefs:
    kinds = {"doc2vec": Doc2VecRef, "labels": LabelsRef, "network": ClassifierRef}
    kinds |= {"linear": LinearRef, "ensemble": ClassifierRef}
    kinds |= {"probabilities": ProbabilitiesRef, "baselines": ScoresRef, "scores": ScoresRef}
    refs = [stored_refs(stage, kind)[0] for stage, kind in kinds.items()]
    return StageRefs(store.join(stored_refs("documents", DocumentsRef)), *refs)


#: Stages by name, each run on stored outputs with a setting that the shared training had not.
CHANGED: dict[str, Callable[[StageRefs], object]] = {
    "labels": lambda refs: label.fn(refs.documents, LabelConfig(min_support=6)),
    "baselines": lambda refs: baselines.fn(
        documents=refs.documents,
        labels=refs.labels,
        linear=refs.linear,
        text=TextConfig(recipe="blog"),
    ),
    "linear": lambda refs: fit_linear.fn(
        documents=refs.documents,
        labels=refs.labels,
        config=BaselineConfig(tfidf_c=(0.1,)),
        positive_power=0.2,
        text=TextConfig(),
        compute=Compute(),
    ),
    "ensemble": lambda refs: fit_ensemble.fn(
        documents=refs.documents,
        vectors=store.join(stored_refs("vectors", VectorsRef)),
        labels=refs.labels,
        network=refs.network,
        linear=refs.linear,
        config=ClassifierConfig(calibrate=False),
    ),
    "genre-figures": lambda refs: draw_genres.fn(
        documents=refs.documents,
        doc2vec=refs.doc2vec,
        classifier=refs.classifier,
        scores=refs.scores,
        baseline=refs.baseline,
        protocol="blog",
    ),
    "scores": lambda refs: evaluate.fn(
        documents=refs.documents,
        labels=refs.labels,
        classifier=refs.classifier,
        probabilities=refs.probabilities,
        baseline=refs.baseline,
        protocol="blog",
        vectors=store.join(stored_refs("vectors", VectorsRef)),
        network=None,
    ),
}


@pytest.mark.parametrize("stage", CHANGED)
@without_rendering
def test_a_changed_setting_computes_its_stage_again(trained_root, stage):
    before = stored_refs(stage, Ref)
    with disable_run_logger():
        CHANGED[stage](stored_outputs())
    assert len(stored_refs(stage, Ref)) == len(before) + 1


@without_rendering
@pytest.mark.endurance
def test_deleted_parts_of_the_cache_are_computed_again_in_processes_too(trained_root):
    """Both cost time alone: scores stay the same.

    A run in processes alone would import everything a dozen times; other stages take the same ways
    into a process as these.
    """
    deleted = ["documents", "doc2vec", "vectors", "network", "ensemble", "lists"]
    for stage in (*deleted, "labels", "ingest", "scores"):
        for entry in list((store.cache_root() / stage).iterdir())[:2]:
            shutil.rmtree(entry)
    summary = train(trained_root.config.model_copy(update={"runner": "process"}))
    # the number of threads, which decides the order of sums, may differ in another process
    assert scores_of(summary) == pytest.approx(scores_of(trained_root.summary), abs=2e-3)


def test_chunks_on_dask_have_the_same_documents_and_vectors(trained_root, dask):
    expected = stored_refs("documents", DocumentsRef), stored_refs("vectors", VectorsRef)
    (doc2vec,) = stored_refs("doc2vec", Doc2VecRef)
    store.invalidate_cache()
    compute, text = Compute("dask"), trained_root.config.text
    chunks = trained_root.summary.ingested.chunks
    documents = preprocessed(chunks, text, compute)
    embedded = [embed_chunk.fn(chunk, doc2vec, compute) for chunk in documents]
    digests = [[ref.digest for ref in refs] for refs in (documents, embedded)]
    assert digests == [[ref.digest for ref in refs] for refs in expected]


@pytest.fixture(scope="module")
def blog_run(tmp_path_factory, prefect_server) -> Iterator[tuple[Path, Summary]]:
    """A quick run of the preset `blog` in a root of its own."""
    folder = tmp_path_factory.mktemp("blog")
    quick = {"doc2vec": {"epochs": 2, "restarts": 2}, "classifier": {"epochs": 3}}
    config = settings(write_csv(folder / "m.csv", catalogue(90)), preset="blog", **quick)
    with artifacts_in(folder / "artifacts"), blank_figures():
        yield folder / "artifacts", train(config)


@pytest.fixture
def blog_summary(blog_run, monkeypatch) -> Summary:
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(blog_run[0]))
    return blog_run[1]


def test_the_blog_preset_is_labelled(blog_summary, shared_training):
    assert "blog_f1_micro" in blog_summary.scores
    assert not [name for name in blog_summary.scores if name.startswith("test_")]
    metrics = without_groups(connect().get_run(blog_summary.run.run_id).data.metrics)
    assert "blog_val_f1_micro" in metrics
    assert "val_f1_micro" not in metrics
    genre_scores = {
        name.removeprefix("blog_") for name in blog_summary.scores if not name.startswith("rec_")
    }
    expected = {
        name.removeprefix("test_")
        for name in scores_of(shared_training.summary)
        if not name.startswith("rec_")
        and not name.startswith("member_")
        and "network" not in name  # the post has nothing else
    }
    assert genre_scores == expected
    assert counted_words() == stored_vocabulary()
    (history,) = (store.artifacts_root() / "cache" / "doc2vec").glob("*/history.parquet")
    assert pq.read_table(history).num_rows == 2 * 2  # epochs of each restart


def counted_words() -> dict[str, int]:
    """Words of the documents of all splits that the blog preset learns, with their counts."""
    chunks = (store.artifacts_root() / "cache" / "documents").glob("*/*.parquet")
    texts = [text for chunk in chunks for text in pq.read_table(chunk)["document"].to_pylist()]
    counts = Counter(word for text in texts for word in tokens_of(text))
    return {word: count for word, count in counts.items() if count >= 2}


def stored_vocabulary() -> dict[str, int]:
    (file,) = (store.artifacts_root() / "cache" / "doc2vec").glob("*/vocabulary.parquet")
    columns = pq.read_table(file).to_pydict()
    return dict(zip(columns["word"], columns["count"], strict=True))


def test_a_version_that_has_seen_its_test_movies_is_never_champion(blog_summary):
    """Neither by the gate, nor by hand."""
    assert (blog_summary.outcome, blog_summary.why) == ("rejected", "its scores leak")
    with pytest.raises(UserError, match=r"was trained on its test movies \(preset blog\)"):
        perform_action(ReleaseConfig(action="promote", versions=[blog_summary.model_version]))
    with pytest.raises(UserError, match="Nothing has been trained"):
        load_champion()


def test_a_run_with_leaking_documents_registers_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.data.leakage.genre_dependent_ids", lambda *_: [7])
    with pytest.raises(ValueError, match="documents of movie 7 and others contain their genres"):
        train(settings(write_csv(tmp_path / "m.csv", catalogue(90))))
    client = connect()
    assert client.search_registered_models() == []
    (run,) = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert run.info.status == "FAILED"


def test_a_catalogue_of_one_genre_trains_and_warns_that_scores_mean_nothing(tmp_path):
    one_genre = [movie(number, "Horror") for number in range(60)]
    summary = train(settings(write_csv(tmp_path / "m.csv", one_genre)))
    assert summary.index.rows == 60
    assert summary.scores["genres_learnt"] == 1
    assert ONE_GENRE in notes(summary)
    html = Path(summary.report).read_text(encoding="utf-8")
    undrawn = ("reliability", "thresholds", "precision_recall", "cooccurrence")
    assert all(ONE_GENRE in panel(html, name) for name in undrawn)
    assert "<img" in panel(html, "genre_bars")


@pytest.mark.parametrize("count", [1, 12])
def test_too_few_movies_are_refused_and_the_champion_stays(trained, tmp_path, count):
    before = load_champion()
    with pytest.raises(UserError):
        train(settings(write_csv(tmp_path / "m.csv", catalogue(count))))
    assert load_champion() == before


def is_finite(metrics: dict[str, float]) -> bool:
    return all(math.isfinite(value) for value in metrics.values())


def test_a_genre_of_one_movie_is_not_learned(run, trained):
    movies = recommended(id=FIRST_ID, genre=["War"])
    assert [movie["id"] for movie in movies] == [str(WAR_MOVIE)]
    assert without_groups(run.data.metrics)["genres_learnt"] == len(CLASSES)
    assert is_finite(without_groups(run.data.metrics))


@without_rendering
def test_a_genre_of_one_movie_is_learned_where_the_settings_ask_for_it(trained_root):
    """Validation and test have no movie of it, and what was stored before is not used."""
    config = rich_settings(
        trained_root.source,
        label={"min_support": 1},
        classifier=TINY_NET,
    )
    summary = train(config)
    assert summary.index.rows == KEPT
    assert summary.scores["genres_learnt"] == len(CLASSES) + 1
    assert is_finite(without_groups(connect().get_run(summary.run.run_id).data.metrics))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file"),
        ("", "the file is empty"),
        ("id,title,genres\n1,a,[]\n", "no column 'overview'"),
        ("id,title,overview,genres\n", "a header but no rows"),
        (
            "id,title,overview,genres\n1,a,A text of a ghost.,Horror\n",
            "No genre has the 5 training",
        ),
    ],
)
def test_a_bad_source_is_refused_before_anything_starts(tmp_path, content, sentence, artifacts):
    path = tmp_path / "m.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=sentence):
        command(TrainConfig(source=[str(path)]))
    assert not artifacts.exists()
