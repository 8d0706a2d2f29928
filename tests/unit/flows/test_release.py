from flows.release import readable


def test_numbers_of_a_metric_are_rounded_by_its_name():
    row = {"name": "doc2vec_seconds", "a": 12.3456, "b": None}
    assert readable(row) == {"name": "doc2vec_seconds", "a": "12.3", "b": None}
    assert readable({"name": "test_f1_micro", "a": 0.60123})["a"] == "0.601"


def test_the_reason_is_the_last_column_of_a_version():
    """It is long, and would push the scores off the page."""
    assert [*readable({"version": "1", "why": "no champion", "test_f1_micro": 0.5})] == [
        "version",
        "test_f1_micro",
        "why",
    ]
