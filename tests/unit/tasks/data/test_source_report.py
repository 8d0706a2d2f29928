from tasks.data.ingest import IngestConfig
from tasks.data.source_report import report_sources
from tests.conftest import movie, write_csv


def test_a_report_counts_what_a_run_would_read(tmp_path):
    rows = [
        movie(1, "Horror") | {"genres": "horror|Western"},
        movie(2, "Horror") | {"genres": "Horror", "release_date": ""},
        movie(3, "Music") | {"overview": "N/A"},
        movie(1, "Music"),
    ]
    path = write_csv(tmp_path / "films.csv", rows)
    report = report_sources([str(path)], IngestConfig())
    assert report.name == "films.csv"
    assert report.formats == {"films.csv": "comma-separated, UTF-8"}
    assert report.columns["overview"] == "overview"
    assert (report.counts.rows, report.counts.kept, report.counts.undated) == (4, 2, 1)
    assert report.counts.reasons == {"missing_overview": 1, "duplicate_id": 1}
    assert report.genres == {"Horror": 2, "Western": 1}
    assert report.merged == {"Horror": ["Horror", "horror"]}


def test_the_name_of_many_files_is_short(tmp_path):
    for month in range(10, 40):
        write_csv(tmp_path / f"m-{month}.csv", [movie(month, "Horror")])
    report = report_sources([str(tmp_path / "*.csv")], IngestConfig())
    assert report.name == "m-10.csv … m-39.csv (30 files)"
    assert report.counts.kept == 30
