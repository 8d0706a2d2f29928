import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import loader, main
from flows.cli.command_line import main as run_command
from tasks.core.contracts import IndexRef, RegistryError, UserError
from tasks.recommend.explanation import FEATURE_LABELS
from tasks.recommend.index import publish_version
from tasks.recommend.query import RecommendationRequest, query_from_movies, recommend
from tasks.recommend.scoring import RankConfig
from tasks.recommend.search import get_version
from tasks.registry.champion import Champion, load_champion
from tests.conftest import free_port
from tests.support.index_rows import HOSTILE_TITLES, rows
from tests.support.patched_module import patch_import
from tests.support.published_catalogue import MARKUP, champion_of, known_and_obscure_movie

OWN_PATHS = ["/", "/docs", "/api/genres"]
OWN_PATHS += [f"/{file.name}" for file in main.STATIC.iterdir()]


@pytest.fixture(scope="module")
def client(demo_champion) -> TestClient:
    return TestClient(main.create_app(), base_url="http://127.0.0.1:8000")


@pytest.fixture
def champion(demo_index) -> Champion:
    return champion_of(demo_index)


def movies(client: TestClient, **parameters: Any) -> list[dict[str, Any]]:
    response = client.get("/api/recommend", params=parameters)
    assert response.status_code == 200, response.text
    listed: list[dict[str, Any]] = response.json()["movies"]
    return listed


def detail(client: TestClient, status: int, path: str = "recommend", **parameters: Any) -> str:
    response = client.get(f"/api/{path}", params=parameters)
    assert response.status_code == status
    return str(response.json()["detail"])


def completed(client: TestClient, typed: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = client.get("/api/titles", params={"q": typed}).json()["titles"]
    return listed


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_a_foreign_host_name_is_refused(client, host):
    assert client.get("/api/genres", headers={"Host": host}).status_code == 400


def test_localhost_is_accepted(client):
    assert client.get("/api/genres", headers={"Host": "localhost:8000"}).status_code == 200


def test_an_exact_title_is_the_first_completion(client):
    names = [(movie["title"], movie["exact"]) for movie in completed(client, "alien")]
    assert names == [("Alien", True), ("Aliens", False)]


def test_completions_contain_the_typed_text(client):
    assert completed(client, "cind")[0]["title"] == "Cinderella"
    assert completed(client, "story")[0]["title"] == "Toy Story"


def test_without_a_text_the_best_known_movies_are_named(client, tmp_path, monkeypatch):
    titles = [f"Part {number}" for number in range(12)]
    table = rows(titles, vote_count=[*range(6), *range(16, 10, -1)])
    known = publish_version(str(tmp_path / "lancedb"), [table], "run-1")
    monkeypatch.setattr(loader, "load_champion", lambda: champion_of(known))
    answer = client.get("/api/titles").json()
    best = ["Part 6", "Part 7", "Part 8", "Part 9", "Part 10", "Part 11", "Part 5", "Part 4"]
    assert [movie["title"] for movie in answer["titles"]] == best
    assert answer["meant"] is None


def test_similar_titles_are_completions_if_no_title_contains_the_text(client):
    (first, *_) = completed(client, "toy stry")
    assert (first["title"], first["exact"]) == ("Toy Story", False)


def test_movies_of_the_same_title_are_all_completions(client):
    years = [movie["year"] for movie in completed(client, "Cinderella") if movie["exact"]]
    assert years == [2015, 1950]  # the best known first


def test_a_title_of_one_movie_means_it(client):
    answer = client.get("/api/titles", params={"q": "alien"}).json()
    assert (answer["meant"]["id"], answer["meant"]["note"]) == ("1", "")


@pytest.mark.parametrize("typed", ["Cinderella", "cind", "toy stry"])
def test_an_ambiguous_or_unknown_title_means_no_movie(client, typed):
    assert client.get("/api/titles", params={"q": typed}).json()["meant"] is None


def test_a_title_means_the_clearly_best_known_movie_and_a_note_says_so(
    client, tmp_path, monkeypatch
):
    many = publish_version(str(tmp_path / "lancedb"), [known_and_obscure_movie()], "run-1")
    monkeypatch.setattr(loader, "load_champion", lambda: champion_of(many))
    note = "Movies called 'Gravity': Gravity (1979), id 1; Gravity (1980), id 2. "
    note += "Took Gravity (1980)."
    assert client.get("/api/titles", params={"q": "gravity"}).json()["meant"]["id"] == "2"
    answer = client.get("/api/recommend", params={"title": "Gravity"}).json()
    assert (answer["question"], answer["notes"]) == ("Gravity (1980)", [note])
    assert client.get("/api/recommend", params={"title": "Gravity", "id": 1}).json()["notes"] == []


def test_the_page_names_every_feature_in_the_words_of_the_command_line():
    script = (main.STATIC / "cards.js").read_text(encoding="utf-8")
    (block,) = re.findall(r"const SHARES = \{(.+?)\};", script, re.DOTALL)
    labels = dict(re.findall(r'(\w+): "(.+?)"', block))
    assert {name: label.casefold() for name, label in labels.items()} == {
        name: label.casefold() for name, label in FEATURE_LABELS.items()
    }


def test_there_are_at_most_eight_completions(client, demo_index, tmp_path, monkeypatch):
    titles = [f"Part {number} of many" for number in range(20)]
    many = publish_version(str(tmp_path / "lancedb"), [rows(titles)], "run-1")
    monkeypatch.setattr(loader, "load_champion", lambda: champion_of(many))
    assert len(completed(client, "Part")) == 8


def test_a_short_text_is_completed_by_titles_that_start_with_it(client, tmp_path, monkeypatch):
    titles = ["Up", "Upside Down", "The Up", "Soup", "M", "Mad Max", "\u6d3b\u7740", "Il"]
    table = rows(titles, votes=[10, 900, 5, 5, 3, 5000, 7, 1])
    short = publish_version(str(tmp_path / "lancedb"), [table], "run-1")
    monkeypatch.setattr(loader, "load_champion", lambda: champion_of(short))

    def found(typed: str) -> list[tuple[str, bool]]:
        return [(movie["title"], movie["exact"]) for movie in completed(client, typed)]

    assert found("up") == [("Up", True), ("Upside Down", False)]
    assert found("m") == [("M", True), ("Mad Max", False)]
    assert found("\u6d3b") == [("\u6d3b\u7740", False)]
    assert found("zq") == found("?") == []
    answer = client.get("/api/titles", params={"q": "M"}).json()
    assert answer["meant"]["title"] == "M"
    assert detail(client, 422, "titles", q="a" * 301).startswith(
        "q: String should have at most 300"
    )


def test_a_response_names_the_movies_asked_for_and_their_alternatives(client):
    answer = client.get("/api/recommend", params={"title": ["Cinderella", "Alien"], "id": [5, 1]})
    years = {
        movie["title"]: (movie["year"], [other["year"] for other in movie["alternatives"]])
        for movie in answer.json()["asked"]
    }
    assert years == {"Cinderella": (2015, [1950]), "Alien": (1979, [])}


def test_a_text_asks_for_no_movie(client):
    assert client.get("/api/recommend", params={"text": "a story"}).json()["asked"] == []


def test_the_version_that_answers_is_named_with_its_date(client, demo_index, monkeypatch):
    registered = datetime(2026, 11, 27, 12, tzinfo=UTC)
    champion = champion_of(demo_index).model_copy(update={"version": "7", "registered": registered})
    monkeypatch.setattr(loader, "load_champion", lambda: champion)
    expected = {"version": "7", "registered": "2026-11-27T12:00:00Z", "movies": demo_index.rows}
    assert client.get("/api/version").json() == expected
    assert client.get("/api/recommend", params={"id": 1}).json()["version"] == "7"


def test_genres_and_languages_come_from_the_catalogue(client):
    assert client.get("/api/genres").json() == {"genres": ["Horror", "War"]}
    assert client.get("/api/languages").json() == {"languages": ["en", "fr"]}


def test_the_api_returns_the_recommendations_of_the_command_line(client, champion):
    request = RecommendationRequest(titles=["Alien"], explain=True)
    version = get_version(champion.index)
    query = query_from_movies(request, version)
    expected = recommend(query, request, version, champion.rank)
    listed = movies(client, title="Alien")
    assert all(movie.pop("overview").startswith("Story ") for movie in listed)
    assert {movie.pop("closeness") for movie in listed} == {"very close", "close"}
    assert listed == expected


def test_movies_ranked_by_year_alone_have_the_scores_of_its_formula(client, tmp_path, monkeypatch):
    """exp(-d/8) for d years of difference, computed by hand."""
    titles = ["Alien", "Aliens", "Amélie", "Up", "Coco", "Toy Story"]
    years = [1979, 1986, 2001, 2009, 2017, 1995]
    index = publish_version(str(tmp_path / "lancedb"), [rows(titles, year=years)], "run-1")
    weights = dict.fromkeys(RankConfig.model_fields.keys() - {"preset", "text"}, 0) | {"year": 1}
    champion = Champion(index=index, rank=RankConfig(**weights), run_id="run-1")
    monkeypatch.setattr(loader, "load_champion", lambda: champion)
    listed = movies(client, title="Alien", limit=3)
    assert [movie["title"] for movie in listed] == ["Aliens", "Toy Story", "Amélie"]
    scores = [movie["score"] for movie in listed]
    assert scores == pytest.approx([0.4169, 0.1353, 0.0639], abs=1e-4)


def test_a_response_contains_the_query_and_explanations(client):
    answer = client.get("/api/recommend", params={"title": "alien", "limit": 1}).json()
    assert answer["question"] == "Alien (1979)"
    (movie,) = answer["movies"]
    reasons = {"words", "people", "keywords", "genres", "content", "genre", "shares"}
    assert set(movie["why"]) == reasons
    assert sum(movie["why"]["shares"].values()) == pytest.approx(movie["score"], abs=1e-5)


def test_several_titles_are_one_query(client):
    params = {"title": ["Alien", "Toy Story"]}
    answer = client.get("/api/recommend", params=params).json()
    assert answer["question"] == "Alien (1979) + Toy Story (1984)"
    assert not {"1", "6"} & {movie["id"] for movie in answer["movies"]}


def test_an_id_selects_among_movies_of_the_same_title(client):
    params = {"title": ["Cinderella", "Cinderella"], "id": [5, 4]}
    answer = client.get("/api/recommend", params=params).json()
    assert answer["question"] == "Cinderella (2015) + Cinderella (1950)"


def test_movies_can_be_queried_by_id_only(client):
    answer = client.get("/api/recommend", params={"id": [1, 2]}).json()
    assert answer["question"] == "Alien (1979) + Aliens (1980)"


@pytest.mark.parametrize("title", [*HOSTILE_TITLES[:5], "Emoji 🎬", "../../etc/passwd", MARKUP])
def test_titles_with_quotes_sql_or_markup_are_not_interpreted(client, title):
    response = client.get("/api/recommend", params={"title": title})
    assert response.status_code == 200
    assert response.json()["question"].startswith(title)
    assert response.headers["content-type"] == "application/json"


def test_an_unknown_title_is_answered_with_suggestions(client):
    message = detail(client, 404, title="toy stry")
    assert message.startswith("No movie is called 'toy stry'. Did you mean: Toy Story (1984)")


def test_an_ambiguous_title_lists_the_candidates(client):
    assert "Cinderella (1950), id 4; Cinderella (2015), id 5" in detail(
        client, 404, title="Cinderella"
    )
    assert movies(client, title="Cinderella", year=2015)


def test_a_text_is_a_query(client):
    answer = client.get("/api/recommend", params={"text": "a story of two", "limit": 3}).json()
    assert answer["question"] == "a story of two"
    assert answer["movies"][0]["why"]["words"] == ["Story"]
    assert answer["movies"][0]["genres"] == ["War"]


def test_a_text_without_a_known_word_is_refused(client):
    assert detail(client, 404, text="zzz").startswith("The model knows no word of the text")


def test_filters_exclude_movies(client):
    assert {movie["genres"][0] for movie in movies(client, id=1, genre="war")} == {"War"}
    assert {movie["genres"][0] for movie in movies(client, id=1, not_genre="War")} == {"Horror"}
    years = [movie["year"] for movie in movies(client, id=1, from_year=1985, to_year=1990)]
    assert min(years) >= 1985
    assert max(years) <= 1990
    french = {movie["id"] for movie in movies(client, id=2, language="fr", limit=50)}
    assert french == {"1", "4", "7", "10", "13", "16", "19"}


def test_impossible_filters_return_no_movie(client):
    assert movies(client, id=1, from_year=2000, to_year=1990) == []


def test_an_unknown_genre_lists_the_known_ones(client):
    message = detail(client, 404, id=1, genre="Opera")
    assert message == "No movie carries the genre 'Opera'. There are: Horror, War."


def test_diversity_changes_the_list(client):
    closest, varied = movies(client, id=1), movies(client, id=1, diversity=1)
    assert closest[0]["id"] == varied[0]["id"]
    assert closest != varied


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"id": 1, "limit": 0}, "limit: Input should be greater than or equal to 1 (got '0')."),
        ({"id": 1, "limit": 51}, "limit: Input should be less than or equal to 50 (got '51')."),
        ({"id": 1, "lmit": 5}, "lmit: Extra inputs are not permitted (got '5')."),
        ({"id": 1, "to_year": 10**30}, "to_year: Input should be less than or equal to 2200"),
        ({"id": "x" * 101}, f"String should have at most 100 characters (got '{'x' * 60}"),
        ({"text": "t" * 5001}, "text: String should have at most 5000 characters"),
        ({}, "Give titles or ids, or a text."),
        ({"id": 1, "text": "story"}, "Give titles or ids, or a text."),
        ({"title": ["Alien", "Aliens"], "id": 1}, "Give one id per title, or no ids."),
    ],
)
def test_invalid_parameters_are_one_sentence_each(client, parameters, message):
    assert message in detail(client, 422, **parameters)


def test_a_newly_published_version_is_served_without_a_restart(
    client, demo_index: IndexRef, tmp_path, monkeypatch
):
    assert completed(client, "Alien")
    newer = publish_version(str(tmp_path / "lancedb"), [rows(["Solaris", "Stalker"])], "run-2")
    monkeypatch.setattr(loader, "load_champion", lambda: champion_of(newer))
    assert completed(client, "Alien") == []
    assert [movie["title"] for movie in movies(client, title="Solaris")] == ["Stalker"]


@pytest.mark.parametrize("path", OWN_PATHS)
def test_the_page_loads_nothing_from_other_hosts(client, path):
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-security-policy"].startswith("default-src 'self';")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "//" not in response.text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")


def test_every_parameter_and_answer_of_the_api_is_described(client):
    schema = client.get("/openapi.json").json()
    for path, operations in schema["paths"].items():
        operation = operations["get"]
        assert operation["description"], path
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (path, parameter["name"])
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema["components"]["schemas"][answer["$ref"].rpartition("/")[2]]["description"]


def test_the_description_of_the_api_comes_from_this_server(client):
    page = client.get("/docs")
    assert (page.status_code, "<script>" in page.text) == (200, False)
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert client.get(f"/{path}").status_code == 200, path


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/../main.py", "/%2e%2e/main.py"])
def test_other_paths_are_not_served(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.usefixtures("artifacts")
def test_the_demo_without_a_champion_is_a_user_error(monkeypatch, capsys):
    monkeypatch.setattr(loader, "load_champion", load_champion)
    with pytest.raises(SystemExit) as ended:
        run_command(config=main.DemoConfig, program="demo", command=main.command, arguments=[])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "Nothing has been trained yet: run `make train` first.\n"


@pytest.mark.usefixtures("demo_champion")
def test_the_latest_champion_is_served_while_the_registry_is_down(monkeypatch):
    champions, requests = loader.Loader(), []
    first = champions.current()

    def fail() -> Champion:
        requests.append(1)
        raise RegistryError("MLflow does not answer")

    monkeypatch.setattr(loader, "load_champion", fail)
    assert [champions.current() for _ in range(3)] == [first] * 3
    assert len(requests) == 1
    promoted = first.champion.model_copy(update={"version": "9"})
    monkeypatch.setattr(loader, "load_champion", lambda: promoted)
    assert champions.current() == first
    later = time.monotonic() + loader.RETRY_SECONDS
    patch_import(monkeypatch, loader, "time", monotonic=lambda: later)
    assert champions.current().champion == promoted
    monkeypatch.setattr(loader, "load_champion", fail)
    with pytest.raises(RegistryError):
        loader.Loader().current()


@pytest.mark.usefixtures("demo_champion")
def test_a_taken_port_names_the_flag_for_another():
    with main.listener(free_port()) as taken, pytest.raises(UserError) as caught:
        main.command(main.DemoConfig(port=taken.getsockname()[1]))
    assert str(caught.value).endswith("Address already in use. Choose another port with --port.")
