from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import main
from flows.cli.recommend import RecommendConfig, recommend, resolve_query
from tasks.core.contracts import IndexRef, RegistryError, UserError
from tasks.recommend.index import publish_version
from tasks.recommend.search import get_version
from tasks.registry.champion import Champion, load_champion
from tests.app.conftest import MARKUP, champion_of
from tests.conftest import free_port
from tests.index_rows import BITING, rows


@pytest.fixture(scope="module")
def client(trained) -> TestClient:
    return TestClient(main.create_app(), base_url="http://127.0.0.1:8000")


@pytest.fixture
def found(published) -> Champion:
    return champion_of(published)


def movies(client: TestClient, **question: Any) -> list[dict[str, Any]]:
    response = client.get("/api/recommend", params=question)
    assert response.status_code == 200, response.text
    listed: list[dict[str, Any]] = response.json()["movies"]
    return listed


def detail(client: TestClient, status: int, path: str = "recommend", **question: Any) -> str:
    response = client.get(f"/api/{path}", params=question)
    assert response.status_code == status
    return str(response.json()["detail"])


def completed(client: TestClient, typed: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = client.get("/api/titles", params={"q": typed}).json()["titles"]
    return listed


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_a_foreign_name_that_leads_to_this_machine_is_refused(client, host):
    assert client.get("/api/genres", headers={"Host": host}).status_code == 400


def test_localhost_is_answered(client):
    assert client.get("/api/genres", headers={"Host": "localhost:8000"}).status_code == 200


def test_a_title_is_completed_the_movie_of_that_name_first(client):
    names = [(movie["title"], movie["exact"]) for movie in completed(client, "alien")]
    assert names == [("Alien", True), ("Aliens", False)]


def test_what_was_typed_is_anywhere_in_a_title(client):
    assert completed(client, "cind")[0]["title"] == "Cinderella"
    assert completed(client, "story")[0]["title"] == "Toy Story"


def test_near_titles_are_offered_where_none_has_what_was_typed(client):
    (first, *_) = completed(client, "toy stry")
    assert (first["title"], first["exact"]) == ("Toy Story", False)


def test_namesakes_are_completed_with_their_years(client):
    years = [movie["year"] for movie in completed(client, "Cinderella") if movie["exact"]]
    assert years == [1950, 2015]


def test_there_are_at_most_eight_completions(client, published, tmp_path, monkeypatch):
    titles = [f"Part {number} of many" for number in range(20)]
    many = publish_version(str(tmp_path / "lancedb"), [rows(titles)], "run-1")
    monkeypatch.setattr(main, "load_champion", lambda: champion_of(many))
    assert len(completed(client, "Part")) == 8


def test_a_completion_needs_three_letters(client):
    said = detail(client, 422, "titles", q="al")
    assert said == "q: String should have at least 3 characters (got 'al')."


def test_genres_and_languages_are_those_of_the_catalogue(client):
    assert client.get("/api/genres").json() == {"genres": ["Horror", "War"]}
    assert client.get("/api/languages").json() == {"languages": ["en", "fr"]}


def test_an_answer_is_the_command_line_s(client, found):
    config = RecommendConfig(titles=["Alien"], explain=True)
    version = get_version(found.index)
    expected = recommend(found, version, resolve_query(config, version, found), config)
    listed = movies(client, title="Alien")
    assert all(movie.pop("overview").startswith("Story ") for movie in listed)
    assert listed == expected


def test_an_answer_says_what_was_asked_and_why_it_is_there(client):
    answer = client.get("/api/recommend", params={"title": "alien", "limit": 1}).json()
    assert answer["question"] == "Alien (1979)"
    (movie,) = answer["movies"]
    assert set(movie["why"]) == {"words", "genres", "content", "genre", "shares"}
    assert sum(movie["why"]["shares"].values()) == pytest.approx(movie["score"], abs=1e-5)


def test_several_titles_are_taken_together(client):
    params = {"title": ["Alien", "Toy Story"]}
    answer = client.get("/api/recommend", params=params).json()
    assert answer["question"] == "Alien (1979) + Toy Story (1984)"
    assert not {1, 6} & {movie["id"] for movie in answer["movies"]}


def test_each_title_may_have_an_id_that_tells_namesakes_apart(client):
    params = {"title": ["Cinderella", "Cinderella"], "id": [5, 4]}
    answer = client.get("/api/recommend", params=params).json()
    assert answer["question"] == "Cinderella (2015) + Cinderella (1950)"


def test_ids_alone_are_enough(client):
    answer = client.get("/api/recommend", params={"id": [1, 2]}).json()
    assert answer["question"] == "Alien (1979) + Aliens (1980)"


@pytest.mark.parametrize("title", [*BITING[:5], "Emoji 🎬", "../../etc/passwd", MARKUP])
def test_titles_with_quotes_sql_or_markup_are_only_titles(client, title):
    response = client.get("/api/recommend", params={"title": title})
    assert response.status_code == 200
    assert response.json()["question"].startswith(title)
    assert response.headers["content-type"] == "application/json"


def test_an_unknown_title_is_not_found_and_gets_suggestions(client):
    said = detail(client, 404, title="toy stry")
    assert said.startswith("No movie is called 'toy stry'. Did you mean: Toy Story (1984)")


def test_namesakes_are_listed_where_one_was_meant(client):
    assert "Cinderella (1950), id 4; Cinderella (2015), id 5" in detail(
        client, 404, title="Cinderella"
    )
    assert movies(client, title="Cinderella", year=2015)


def test_a_text_is_answered(client):
    answer = client.get("/api/recommend", params={"text": "a story of two", "limit": 3}).json()
    assert answer["question"] == "a story of two"
    assert answer["movies"][0]["why"]["words"] == ["story"]
    assert answer["movies"][0]["genres"] == ["War"]


def test_a_text_without_a_known_word_is_not_found(client):
    assert detail(client, 404, text="zzz").startswith("Not one word of the text is known")


def test_filters_leave_out_what_does_not_pass(client):
    assert {movie["genres"][0] for movie in movies(client, id=1, genre="war")} == {"War"}
    assert {movie["genres"][0] for movie in movies(client, id=1, not_genre="War")} == {"Horror"}
    years = [movie["year"] for movie in movies(client, id=1, from_year=1985, to_year=1990)]
    assert min(years) >= 1985
    assert max(years) <= 1990
    french = {movie["id"] for movie in movies(client, id=2, language="fr", limit=50)}
    assert french == {1, 4, 7, 10, 13, 16, 19}


def test_nothing_passes_impossible_filters(client):
    assert movies(client, id=1, from_year=2000, to_year=1990) == []


def test_an_unknown_genre_is_said_with_those_there_are(client):
    said = detail(client, 404, id=1, genre="Opera")
    assert said == "No movie carries the genre 'Opera'. There are: Horror, War."


def test_diversity_changes_the_list(client):
    closest, varied = movies(client, id=1), movies(client, id=1, diversity=1)
    assert closest[0]["id"] == varied[0]["id"]
    assert closest != varied


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"id": 1, "limit": 0}, "limit: Input should be greater than or equal to 1 (got '0')."),
        ({"id": 1, "limit": 51}, "limit: Input should be less than or equal to 50 (got '51')."),
        ({"id": 1, "lmit": 5}, "lmit: Extra inputs are not permitted (got '5')."),
        ({"id": 1, "to_year": 10**30}, "to_year: Input should be less than or equal to 2200"),
        ({"id": "x" * 99}, f"valid integer, unable to parse string as an integer (got '{'x' * 60}"),
        ({"text": "t" * 5001}, "text: String should have at most 5000 characters"),
        ({}, "Ask by title or id, or by text."),
        ({"id": 1, "text": "story"}, "Ask by title or id, or by text."),
        ({"title": ["Alien", "Aliens"], "id": 1}, "Give each title its id, or none."),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(client, question, said):
    assert said in detail(client, 422, **question)


def test_a_newly_published_version_is_served_without_a_restart(
    client, published: IndexRef, tmp_path, monkeypatch
):
    assert completed(client, "Alien")
    newer = publish_version(str(tmp_path / "lancedb"), [rows(["Solaris", "Stalker"])], "run-2")
    monkeypatch.setattr(main, "load_champion", lambda: champion_of(newer))
    assert completed(client, "Alien") == []
    assert [movie["title"] for movie in movies(client, title="Solaris")] == ["Stalker"]


@pytest.mark.parametrize("path", ["/", "/app.js", "/style.css", "/favicon.svg", "/api/genres"])
def test_the_page_may_load_nothing_from_elsewhere(client, path):
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-security-policy"].startswith("default-src 'self';")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "//" not in response.text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/../main.py", "/%2e%2e/main.py"])
def test_nothing_else_is_served(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.usefixtures("artifacts")
def test_without_a_champion_the_demo_ends_with_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(main, "load_champion", load_champion)
    with pytest.raises(SystemExit) as ended:
        main.main(config=main.DemoConfig, program="demo", command=main.command, arguments=[])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "Nothing has been trained yet: run `make train` first.\n"


@pytest.mark.usefixtures("trained")
def test_the_latest_champion_answers_while_the_registry_is_away(monkeypatch):
    loader, asked = main.Loader(), []
    first = loader.current()

    def away() -> Champion:
        asked.append(1)
        raise RegistryError("MLflow does not answer")

    monkeypatch.setattr(main, "load_champion", away)
    assert [loader.current() for _ in range(3)] == [first] * 3
    assert len(asked) == 1
    with pytest.raises(RegistryError):
        main.Loader().current()


@pytest.mark.usefixtures("trained")
def test_a_taken_port_is_said_with_the_flag_that_chooses_another():
    with main.listener(free_port()) as taken, pytest.raises(UserError) as caught:
        main.command(main.DemoConfig(port=taken.getsockname()[1]))
    assert str(caught.value).endswith("Address already in use. Choose another port with --port.")
