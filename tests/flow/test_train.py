import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from prefect.client.schemas.sorting import ArtifactSort, TaskRunSort

from flows.cli import predict as predict_flow
from flows.cli import recommend as recommend_flow
from flows.cli.predict import PredictConfig
from flows.cli.recommend import RecommendConfig
from flows.cli.train import command
from flows.config import TrainConfig
from flows.diagram import recorded_task_runs, write_diagram
from flows.train import train
from tasks.core.contracts import UserError
from tasks.core.storage import store
from tasks.recommend.search import get_version, open_version
from tasks.registry.champion import load_champion
from tasks.registry.model_registry import MODEL
from tasks.registry.tracking.mlflow_client import EXPERIMENT, connect
from tasks.reports.summary import ONE_GENRE, Summary, notes
from tests.conftest import ROOT, blank_figures, catalogue, movie, write_csv
from tests.support.report_html import panel
from tests.support.stored_files import (
    COMPARISONS,
    LOGGED_ABOUT_MOVIES,
    LOGGED_STAGES,
    cached_files,
    is_record,
    movies_of,
)
from tests.support.trainings import TINY_NET, scores_of, settings

pytestmark = pytest.mark.usefixtures("prefect_server")
#: Of a test that looks at no figure; the run of `trained` and those of odd sources draw theirs.
without_rendering = pytest.mark.usefixtures("blank_figures_of_test")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, prefect_server) -> tuple[Path, Summary, TrainConfig]:
    """A run on a catalogue with every kind of damage, for all tests that only read its results."""
    root = tmp_path_factory.mktemp("trained")
    rows = [
        *catalogue(150),
        movie(150, "Horror") | {"genres": "[]"},
        movie(151, "Horror") | {"id": "1997-08-20"},
        movie(152, "Music") | {"overview": "No overview found."},
        movie(3, "Music") | {"overview": "The same id once more."},
    ]
    config = settings(write_csv(root / "movies.csv", rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_ARTIFACTS", str(root / "artifacts"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return root / "artifacts", train(config), config


@pytest.fixture
def summary(trained, monkeypatch) -> Summary:
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(trained[0]))
    return trained[1]


@pytest.fixture
def blank_figures_of_test(prefect_server) -> Iterator[None]:
    with blank_figures():
        yield


@pytest.fixture
def run(summary) -> mlflow.entities.Run:
    return connect().get_run(summary.run.run_id)


def test_every_row_is_accounted_for(summary):
    ingested = summary.ingested
    assert (ingested.rows, ingested.kept, ingested.unlabelled) == (154, 151, 1)
    assert ingested.reasons == {"bad_id": 1, "placeholder_overview": 1, "duplicate_id": 1}
    quarantined = store.read(ingested.quarantine).select(["source", "row", "column", "reason"])
    assert quarantined.to_pylist() == [
        {"source": "movies.csv", "row": 152, "column": "id", "reason": "bad_id"},
        {
            "source": "movies.csv",
            "row": 153,
            "column": "overview",
            "reason": "placeholder_overview",
        },
        {"source": "movies.csv", "row": 154, "column": "id", "reason": "duplicate_id"},
    ]


def test_genres_that_words_tell_apart_are_learned(summary):
    assert summary.protocol == "held-out"
    assert summary.scores["test_f1_micro"] > 0.8
    assert summary.scores["test_f1_micro"] > summary.scores["baseline_prior_f1_micro"]


def test_mlflow_holds_params_metrics_and_tags(run, summary, trained):
    assert run.info.status == "FINISHED"
    assert connect().get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert run.data.params["doc2vec.vector_size"] == "16"
    assert run.data.params["source"] == str(trained[2].source)
    assert run.data.metrics["source_quarantined_bad_id"] == 1
    assert run.data.metrics["test_f1_micro"] == summary.scores["test_f1_micro"]
    assert run.data.metrics["baseline_tfidf_f1_micro"] > 0
    tags = run.data.tags
    assert (tags["preset"], tags["protocol"], tags["device"]) == ("default", "held-out", "cpu")
    assert tags["version.gensim"]
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.digest == summary.ingested.digest[:32]


def test_epochs_are_steps(run):
    history = connect().get_metric_history(run.info.run_id, "val_loss")
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
        "evaluation/test_predictions.parquet",
        "evaluation/genres.json",
        "source/quarantine.parquet",
    } <= names


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
    assert table.num_rows == 151
    assert np.isfinite(np.array(table["embedding"].to_pylist())).all()


def test_predictions_are_of_test_movies_alone(run, tmp_path, summary):
    name = "evaluation/test_predictions.parquet"
    path = connect().download_artifacts(run.info.run_id, name, str(tmp_path))
    predicted = set(pq.read_table(path)["id"].to_pylist())
    root = store.artifacts_root() / "cache" / "documents"
    documents = [pq.read_table(part) for part in root.rglob("*.parquet")]
    rows = [row for table in documents for row in table.to_pylist()]
    assert predicted == {row["id"] for row in rows if row["split"] == "test" and row["genres"]}


def test_prefect_and_mlflow_name_each_other(run, summary):
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
    assert flow_run.name == "train-default-movies"
    assert flow_run.tags == ["default", "movies"]
    by_key = {artifact.key: artifact for artifact in artifacts}
    assert summary.run.run_id in by_key["training-summary"].data
    assert "](data:image/png;base64," in by_key["training-summary"].data
    assert summary.run.run_id in by_key["mlflow-run"].data
    assert f"{summary.run.run_id}/artifacts/report.html" in by_key["report"].data
    assert len(json.loads(by_key["quarantine-rows"].data)) == 3
    names = [task.name for task in tasks]
    assert sum(name.startswith("preprocess-movies-") for name in names) == 3
    assert sum(name.startswith("embed-movies-") for name in names) == 3


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
    rows = [{"text": text}, {"title": "Music Story 2"}, {"title": "Nowhere"}, {}]
    answers = model.predict(pd.DataFrame(rows, columns=["title", "text"]), params={"limit": 3})
    text_answer, title_answer, unknown, empty = answers.to_dict("records")
    assert set(text_answer["probabilities"]) == {"Horror", "Music", "Western"}
    assert [movie["genres"] for movie in text_answer["movies"]] == [["Horror"]] * 3
    expected = recommended(titles=["Music Story 2"], limit=3)
    assert [movie["id"] for movie in title_answer["movies"]] == [movie["id"] for movie in expected]
    assert unknown["error"].startswith("No movie is called 'Nowhere'")
    assert empty["error"] == "Give each row a title or a text."


def test_recommend_answers_from_the_champion(summary):
    index = load_champion().index
    assert index.tag == f"run-{summary.run.run_id}"
    assert open_version(index.uri, index.tag).count_rows() == 151
    movies = recommended(titles=["horror story 0"])
    assert len(movies) == 10
    assert all(movie["genres"] == ["Horror"] for movie in movies[:5])
    with pytest.raises(UserError, match=r"Did you mean: Horror Story"):
        recommended(titles=["Horror Storyy 0"])


def test_recommend_takes_ids_texts_and_several_titles(summary):
    assert recommended(id=1000) == recommended(titles=["Horror Story 0"])
    assert {movie["genres"][0] for movie in recommended(text="ghost, curse and blood")[:5]} == {
        "Horror"
    }
    movies = recommended(titles=["Horror Story 0", "Music Story 2"], limit=20)
    assert {"Horror", "Music"} <= {name for movie in movies for name in movie["genres"]}
    assert not {1000, 1002} & {movie["id"] for movie in movies}
    with pytest.raises(UserError, match="No movie has the id 5"):
        recommended(id=5)
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
    with pytest.raises(UserError, match=r"carries the genre 'Nonsense'\. There are: Horror"):
        recommend_flow.command(RecommendConfig(titles=["Music Story 2"], genre=["Nonsense"]))


def test_lists_are_evaluated_and_shown(run, summary):
    metrics = run.data.metrics
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
    assert run.data.tags["mlflow.note.content"].startswith("# movies.csv: 151 movies")


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


def test_predict_refuses_what_it_cannot_answer(summary, tmp_path):
    with pytest.raises(UserError, match="knows no word"):
        predict_flow.command(PredictConfig(text="zzz qqq"))
    with pytest.raises(UserError, match="No movie is called 'Nowhere'"):
        predict_flow.command(PredictConfig(title="Nowhere"))
    file = write_csv(tmp_path / "new.csv", [{"id": "1", "title": "x"}], ["id", "title"])
    with pytest.raises(UserError, match="no column 'overview'"):
        predict_flow.command(PredictConfig(file=str(file)))


def test_evaluation_shows_slices_and_mistakes(run, tmp_path):
    for name in ("genres", "slices", "mistakes"):
        path = f"evaluation/{name}.json"
        file = Path(connect().download_artifacts(run.info.run_id, path, str(tmp_path)))
        assert json.loads(file.read_text())["columns"]
    metrics = run.data.metrics
    assert metrics["test_f1_micro_low"] <= metrics["test_f1_micro"] <= metrics["test_f1_micro_high"]
    assert metrics["test_f1_macro_over_tfidf_low"] <= metrics["test_f1_macro_over_tfidf_high"]
    assert metrics["doc2vec_words_per_second"] > 0
    assert metrics["val_loss"] > 0


def test_recommend_without_a_champion_advises_to_train():
    with pytest.raises(UserError, match="make train"):
        recommend_flow.command(RecommendConfig(titles=["Alien"]))


@without_rendering
def test_the_same_data_and_seed_give_the_same_result(trained, artifacts):
    """A new artifacts root: nothing comes from the cache."""
    root, first, config = trained
    second = train(config)
    assert scores_of(second) == scores_of(first)

    def vectors(where: Path) -> list[bytes]:
        return sorted(
            path.read_bytes() for path in (where / "cache" / "vectors").rglob("*.parquet")
        )

    assert vectors(root) == vectors(artifacts)


@without_rendering
def test_a_second_run_reuses_every_stage(trained, summary):
    def written() -> dict[Path, int]:
        """Every table except those of the comparison with a champion, which the first run lacks."""
        paths = (store.artifacts_root() / "cache").rglob("*.parquet")
        tables = [path for path in paths if not {"challenge", "drift"} & set(path.parts)]
        return {path: path.stat().st_mtime_ns for path in tables}

    before = written()
    again = train(trained[2])
    assert scores_of(again) == scores_of(summary)
    assert written() == before


@without_rendering
def test_a_changed_row_redoes_its_chunk_alone(trained, summary, tmp_path):
    rows = catalogue(150)
    first = settings(write_csv(tmp_path / "movies.csv", rows))
    train(first)
    documents = store.artifacts_root() / "cache" / "documents"
    before = set(documents.iterdir())
    rows[70] |= {"overview": "A changed text of ghosts and blood."}
    train(settings(write_csv(tmp_path / "movies.csv", rows)))
    assert len(set(documents.iterdir()) - before) == 1


def test_the_architecture_page_shows_the_edges_that_prefect_recorded(trained, summary, tmp_path):
    """The second run has a champion to compare with."""
    page = ROOT / "docs" / "architecture.md"
    copy = Path(shutil.copy(page, tmp_path))
    write_diagram(recorded_task_runs(train(trained[2])), copy)
    assert copy.read_text() == page.read_text(), "run python -m flows.diagram"


def test_deleting_any_part_of_the_cache_only_costs_time(trained, summary):
    for stage in ("documents", "vectors", "labels", "classifier", "ingest", "scores"):
        for entry in list((store.artifacts_root() / "cache" / stage).iterdir())[:2]:
            shutil.rmtree(entry)
    assert scores_of(train(trained[2])) == scores_of(summary)


@without_rendering
def test_refresh_uses_nothing_from_before_and_gives_the_same(trained, summary):
    cache = store.artifacts_root() / "cache"
    before = set(cache.glob("*/*/ref.json"))
    again = train(trained[2].model_copy(update={"refresh": True}))
    assert scores_of(again) == scores_of(summary)
    one_each, chunks = 19, 3  # comparisons with the champion and with its source included
    written = set(cache.glob("*/*/ref.json")) - before
    assert len(written) == one_each + 2 * chunks


@pytest.mark.parametrize("runner", ["thread", "process", "dask"])
@without_rendering
def test_every_runner_gives_the_same_result(trained, summary, artifacts, monkeypatch, runner):
    monkeypatch.setenv("RECOMMENDER_ARTIFACTS", str(artifacts))
    if runner == "dask":
        pytest.importorskip("distributed", reason="the dask extra is not installed")
    scores = scores_of(train(trained[2].model_copy(update={"runner": runner})))
    # the number of threads, which decides the order of sums, may differ in another process
    assert scores == pytest.approx(scores_of(summary), abs=2e-3)


@without_rendering
def test_two_sources_in_one_run(tmp_path):
    first = write_csv(tmp_path / "first.csv", catalogue(90))
    second = tmp_path / "second.parquet"
    rows = [movie(number, "Western") for number in range(40)]
    pq.write_table(pa.Table.from_pylist(rows), second)
    summary = train(settings(first).model_copy(update={"source": [str(first), str(second)]}))
    assert (summary.ingested.rows, summary.index.rows) == (130, 130)
    table = open_version(summary.index.uri, summary.index.tag)
    assert len(table.search().where("id = 1001").to_list()) == 2


@without_rendering
def test_the_blog_preset_is_labelled_and_never_champion(trained, tmp_path):
    quick = {"doc2vec": {"epochs": 2, "restarts": 2}, "classifier": {"epochs": 3}}
    config = settings(write_csv(tmp_path / "m.csv", catalogue(90)), preset="blog", **quick)
    summary = train(config)
    assert "blog_f1_micro" in summary.scores
    assert not [name for name in summary.scores if name.startswith("test_")]
    with pytest.raises(UserError, match="Nothing has been trained"):
        load_champion()
    metrics = connect().get_run(summary.run.run_id).data.metrics
    assert "blog_val_f1_micro" in metrics
    assert "val_f1_micro" not in metrics
    plain = {name.removeprefix("blog_") for name in summary.scores}
    assert plain == {name.removeprefix("test_") for name in scores_of(trained[1])}
    assert counted_words() == stored_vocabulary()
    (history,) = (store.artifacts_root() / "cache" / "doc2vec").glob("*/history.parquet")
    assert pq.read_table(history).num_rows == 2 * 2  # epochs of each restart


def counted_words() -> dict[str, int]:
    """Words of the documents of all splits that the blog preset learns, with their counts."""
    chunks = (store.artifacts_root() / "cache" / "documents").glob("*/*.parquet")
    texts = [text for chunk in chunks for text in pq.read_table(chunk)["document"].to_pylist()]
    counts = Counter(word for text in texts for word in text.split())
    return {word: count for word, count in counts.items() if count >= 2}


def stored_vocabulary() -> dict[str, int]:
    (file,) = (store.artifacts_root() / "cache" / "doc2vec").glob("*/vocabulary.parquet")
    columns = pq.read_table(file).to_pydict()
    return dict(zip(columns["word"], columns["count"], strict=True))


def test_a_run_that_fails_is_failed_in_mlflow_too(tmp_path):
    damaged = [row | {"id": "x"} for row in catalogue(60)]
    with pytest.raises(UserError, match="rows are invalid"):
        train(settings(write_csv(tmp_path / "m.csv", catalogue(120) + damaged)))
    client = connect()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    with pytest.raises(UserError, match="Nothing has been trained"):
        load_champion()


def test_a_run_with_leaking_documents_registers_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.data.preprocess.genre_dependent_ids", lambda *_: [7])
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
def test_too_few_movies_are_refused_and_the_champion_stays(trained, summary, tmp_path, count):
    before = load_champion()
    with pytest.raises(UserError):
        train(settings(write_csv(tmp_path / "m.csv", catalogue(count))))
    assert load_champion() == before


@pytest.mark.parametrize("min_support", [1, 5])
def test_a_genre_of_one_movie_breaks_nothing(tmp_path, min_support):
    """With support 1 it is learned, although validation and test have none."""
    rows = [*catalogue(120), movie(200, "Music") | {"genres": "[{'id': 1, 'name': 'War'}]"}]
    source, support = write_csv(tmp_path / "m.csv", rows), {"threshold_support": 1}
    config = settings(source, label={"min_support": min_support}, classifier=TINY_NET | support)
    summary = train(config)
    assert summary.index.rows == 121
    metrics = connect().get_run(summary.run.run_id).data.metrics
    assert all(math.isfinite(value) for value in metrics.values())


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
