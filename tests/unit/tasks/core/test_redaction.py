import logging
import time

import pytest

from tasks.core.redaction import redacted

SECRETS = ("s3cr3t", "alice")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://alice:s3cr3t@host/movies.csv", "https://***@host/movies.csv"),
        ("https://s3cr3t@host/movies.csv", "https://***@host/movies.csv"),
        ("new=https://alice:s3cr3t@host/m.csv", "new=https://***@host/m.csv"),
        ("postgresql://alice:s3cr3t@db/mlflow", "postgresql://***@db/mlflow"),
        ("postgresql+psycopg2://alice:s3/cr3t#s3cr3t@db:5432/x", "postgresql+psycopg2://***@db:5432/x"),
        ("mysql://alice:p@s3cr3t@db/x", "mysql://***@db/x"),
        ("redis://:s3cr3t@host:6379", "redis://***@host:6379"),
        ("https://alice:it's3cr3t@host/m.csv", "https://***@host/m.csv"),
        ("postgresql://db/mlflow?user=alice&password=s3cr3t", "postgresql://db/mlflow?***"),
        ("https://h/m.csv?X-Amz-Signature=s3cr3t&X-Amz-Credential=alice", "https://h/m.csv?***"),
        ("https://h/m.csv?s3cr3t", "https://h/m.csv?***"),
        ("HTTPS://alice:s3cr3t@h/m.csv?sig=s3cr3t", "HTTPS://***@h/m.csv?***"),
        ("https://h/m.csv#access_token=s3cr3t", "https://h/m.csv#***"),
        ("abfs://films@account.dfs.core.windows.net/m.csv?sig=s3cr3t",
         "abfs://films@account.dfs.core.windows.net/m.csv?***"),
        ("zip://a.csv::https://alice:s3cr3t@h/x.zip?sig=s3cr3t", "zip://a.csv::https://***@h/x.zip?***"),
        ("https://h/a.gz?sig=s3cr3t::https://alice:s3cr3t@h/x", "https://h/a.gz?***::https://***@h/x"),
        ("Cannot read https://alice:s3cr3t@h/m.csv?sig=s3cr3t: 404, url='https://h/m.csv?t=s3cr3t'.",
         "Cannot read https://***@h/m.csv?***: 404, url='https://h/m.csv?***'."),
        ('["https://alice:s3cr3t@h/a.csv", "b.csv"]', '["https://***@h/a.csv", "b.csv"]'),
        ("--source='https://alice:s3cr3t@h/a.csv?x=s3cr3t' --preset=blog",
         "--source='https://***@h/a.csv?***' --preset=blog"),
        ("Max retries exceeded with url: /m.csv?X-Amz-Signature=s3cr3t&part=1",
         "Max retries exceeded with url: /m.csv?X-Amz-Signature=***&part=1"),
        ("(see https://h/m.csv?sig=s3cr3t).", "(see https://h/m.csv?***)."),
    ],
)  # fmt: skip
def test_credentials_are_redacted_and_other_text_is_unchanged(text, expected):
    assert redacted(text) == expected
    assert not [secret for secret in SECRETS if secret in redacted(text)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "data/me@work/movies.csv",
        "C:\\films\\a@b?.csv",
        "file:///C:/films/me@work/a.csv",
        "file://C:/films/me@work.csv",
        "s3://bucket/me@work/part-?.csv",
        "s3://bucket/part-?/year=2020/*.csv",
        "https://github.com/@team/films.csv",
        "https://host:8080/data/@team/x.csv",
        "zip://a.csv::https://host/me@work/x.zip",
        "name=path/a.csv",
        "Se7en://Who? What=ever",
        "Who? me@work: http://www.film.com",
        "What's Up, Doc? key=1",
        "abfs://films@account.dfs.core.windows.net/m.csv",
        "http://127.0.0.1:5000/#/experiments/1/runs/abc/artifacts/report.html",
        "sqlite:////data/a@b/mlflow.db",
        "Is it at https://host/x.csv? Give another.",
    ],
)
def test_text_without_credentials_is_unchanged(text):
    assert redacted(text) == text


def test_redaction_is_idempotent():
    text = redacted("zip://a.csv::https://alice:s3cr3t@h/x.zip?sig=1#t=2")
    assert redacted(text) == text


def test_long_text_is_redacted_in_linear_time():
    texts = ["a." * 50_000, "https://" + "a:" * 50_000, "x://y?" * 10_000, "@" * 50_000 + "://"]
    start = time.monotonic()
    for text in texts:
        redacted(text)
    assert time.monotonic() - start < 5


def test_log_records_of_libraries_are_redacted(caplog):
    url = "https://alice:s3cr3t@h/m.csv?sig=s3cr3t"
    logger = logging.getLogger("some.library")
    logger.error("Cannot reach %s (%d)", url, 503)
    try:
        raise OSError(url)
    except OSError:
        logger.exception("It failed")
    assert "Cannot reach https://***@h/m.csv?*** (503)" in caplog.text
    assert "OSError: https://***@h/m.csv?***" in caplog.text
    assert "s3cr3t" not in caplog.text
