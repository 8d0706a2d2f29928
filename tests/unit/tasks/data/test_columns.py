import pytest

from tasks.core.contracts import UserError
from tasks.data.columns import Columns, find_column, find_columns

#: Headers of catalogues that people have.
NETFLIX = (
    "show_id,type,title,director,cast,country,date_added,release_year,rating,duration,"
    "listed_in,description"
)
IMDB_TOP_1000 = (
    "Poster_Link,Series_Title,Released_Year,Certificate,Runtime,Genre,IMDB_Rating,Overview,"
    "Meta_score,Director,Star1,Star2,Star3,Star4,No_of_Votes,Gross"
)
WIKI = "Release Year,Title,Origin/Ethnicity,Director,Cast,Genre,Wiki Page,Plot"
MOVIELENS = "movieId,title,genres,imdbId,tmdbId,overview"
TMDB_930K = (
    "id,title,vote_average,vote_count,status,release_date,revenue,runtime,adult,backdrop_path,"
    "budget,homepage,imdb_id,original_language,original_title,overview,popularity,poster_path,"
    "tagline,genres,production_companies,production_countries,spoken_languages,keywords"
)
MPST = "imdb_id,title,plot_synopsis,tags,split,synopsis_source,genre"


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (NETFLIX, ["show_id", "title", "description", "listed_in", "release_year"]),
        (IMDB_TOP_1000, [None, "Series_Title", "Overview", "Genre", "Released_Year"]),
        (WIKI, [None, "Title", "Plot", "Genre", "Release Year"]),
        (MOVIELENS, ["movieId", "title", "overview", "genres", None]),
        (TMDB_930K, ["id", "title", "overview", "genres", "release_date"]),
        (MPST, ["imdb_id", "title", "plot_synopsis", "genre", None]),
    ],
)
def test_columns_of_known_catalogues_are_found(header, names):
    columns = header.split(",")
    positions = find_columns("m.csv", columns, Columns())
    fields = ("id", "title", "overview", "genres", "release_date")
    resolved = [columns[positions[field]] if field in positions else None for field in fields]
    assert resolved == names


@pytest.mark.parametrize(
    ("header", "advice"),
    [
        ("id,title,genres,movie_plot", "--ingest.columns.overview movie_plot"),
        ("id,title,genres,Over view text", "--ingest.columns.overview 'Over view text'"),
        ("id,titel,genres,overview", "--ingest.columns.title titel"),
        ("id,title,overview,genre_ids", "--ingest.columns.genres NAME"),
        ("id,name,overview,minute", "--ingest.columns.genres NAME"),
        ("movie_title,genres,plot_keywords", "--ingest.columns.overview NAME"),
        ("id,title,overview,x", "--ingest.columns.genres NAME"),
    ],
)
def test_the_message_for_a_missing_column_names_the_likeliest(header, advice):
    with pytest.raises(UserError) as error:
        find_columns("m.csv", header.split(","), Columns())
    assert str(error.value).endswith(f"Map it with {advice}.")


def test_a_configured_name_comes_first_and_its_case_does_not_matter():
    header = ["id", "title", "overview", "genres", "Long Plot"]
    assert find_columns("m.csv", header, Columns(overview="long_plot"))["overview"] == 4
    assert find_columns("m.csv", header, Columns())["overview"] == 2
    with pytest.raises(UserError, match="no column 'text'"):
        find_columns("m.csv", header, Columns(overview="text"))


@pytest.mark.parametrize("header", [["My films, 2024"], ["1::Toy Story::Comedy"], ["a", "b"]])
def test_rows_above_the_header_are_told_from_a_missing_column(header):
    with pytest.raises(UserError, match=r"no usual column name .* Delete what stands above the"):
        find_columns("m.csv", header, Columns())


def test_of_columns_with_equal_keys_the_one_with_the_very_name_is_read():
    header = ["_id", "id", "title", "overview", "genres"]
    assert find_column("id", header, {}) == 1
    assert find_column("id", ["_id", "title"], {}) == 0
