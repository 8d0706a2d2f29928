import gzip

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from tasks.core.contracts import UserError
from tasks.data.source_digests import file_states, read_unchanged
from tasks.data.sources import open_file
from tests.conftest import catalogue, write_csv
from tests.support.source_files import append_to


@pytest.mark.parametrize("name", ["m.csv.gz", "m.parquet", "part-2.csv"])
def test_a_change_is_detected_in_every_file_format(name, tmp_path):
    plain = write_csv(tmp_path / "movies.csv", catalogue(30))
    path = tmp_path / name
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    elif path.suffix == ".parquet":
        pq.write_table(pa_csv.read_csv(plain), path)
    else:
        write_csv(path, [row | {"id": f"9{row['id']}"} for row in catalogue(30)])

    @read_unchanged(file_states([path]))
    def read() -> None:
        for number, _ in enumerate(open_file(path).rows):
            if number == 10:
                append_to(path)

    with pytest.raises(UserError, match=f"{name} changed while it was read"):
        read()


def test_an_error_in_an_unchanged_file_is_raised_as_it_is(tmp_path):
    path = write_csv(tmp_path / "movies.csv", catalogue(3))
    with pytest.raises(ValueError, match="damage"), read_unchanged(file_states([path])):
        raise ValueError("damage")
