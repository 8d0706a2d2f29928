import pytest

from flows.batch import BatchConfig, require_output
from flows.cli.subcommands.batch import command
from tasks.core.contracts import UserError


@pytest.mark.usefixtures("artifacts")
def test_a_missing_file_is_reported_before_a_champion_is_looked_up_or_a_server_started(tmp_path):
    with pytest.raises(UserError) as caught:
        command(BatchConfig(file=str(tmp_path / "no.csv")))
    assert str(caught.value) == f"Cannot read {tmp_path}/no.csv: No such file or directory."


def test_an_output_that_cannot_be_written_is_reported_before_anything_is_ranked(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a folder: give --output the name of a file"):
        require_output(tmp_path)
    with pytest.raises(UserError, match=r"Cannot write .*lists\.parquet: Not a dir|File ex"):
        require_output(tmp_path / "file" / "lists.parquet")


def test_the_folder_of_the_output_is_created(tmp_path):
    require_output(tmp_path / "new" / "lists.parquet")
    assert (tmp_path / "new").is_dir()
