import json

import pytest

from flows.cli.command_line import parse
from flows.cli.subcommands.validate import ValidateConfig, command
from tasks.core.contracts import UserError
from tests.conftest import catalogue, write_csv


def config(*arguments: str) -> ValidateConfig:
    return parse(ValidateConfig, "validate", list(arguments))


def test_the_report_is_printed_a_line_for_each_finding(tmp_path, capsys):
    rows = [*catalogue(60), {"id": "7", "title": "x", "overview": "TBD", "genres": "HORROR"}]
    path = write_csv(tmp_path / "films.csv", rows)
    assert command(config(str(path))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "films.csv: comma-separated, UTF-8"
    assert "Rows: 61, kept: 60, quarantined: 1" in lines
    assert "  1 missing_overview (first: films.csv row 61, column 'overview')" in lines
    assert "Genres: Horror 20, Western 20, Music 20" in lines


def test_json_is_for_pipelines(tmp_path, capsys):
    path = write_csv(tmp_path / "films.csv", catalogue(9))
    assert command(config(str(path), "--json")) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["rows"], values["kept"], values["quarantined"]) == (9, 9, {})


def test_a_source_that_no_run_would_accept_is_an_error_after_its_report(tmp_path, capsys):
    rows = [row | {"title": ""} for row in catalogue(60)]
    with pytest.raises(UserError, match="none of its 60 rows is valid: 60 missing_title"):
        command(config(str(write_csv(tmp_path / "films.csv", rows))))
    assert "60 missing_title" in capsys.readouterr().out
