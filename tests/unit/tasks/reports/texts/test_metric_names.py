import pytest

from tasks.recommend.evaluation.baseline_rankers import BASELINES, RECOMMENDER
from tasks.recommend.evaluation.list_metrics import RELEVANCE_METRICS
from tasks.registry.gate import METRIC_LABELS
from tasks.reports.texts.metric_names import (
    METRIC_NAMES,
    SCORER_NAMES,
    column_title,
    lower_first,
    metric_key,
)


def test_every_compared_metric_and_scorer_has_a_name():
    assert {*METRIC_LABELS, *RELEVANCE_METRICS} <= set(METRIC_NAMES)
    assert set(SCORER_NAMES) == {RECOMMENDER, *BASELINES}


def test_the_term_of_a_metric_is_its_own():
    assert len({name.term for name in METRIC_NAMES.values()}) == len(METRIC_NAMES)


def test_a_key_is_the_one_of_mlflow():
    assert metric_key("f1_macro", "blog") == "blog_f1_macro"
    assert metric_key("top20_share", "blog") == "rec_top20_share"


@pytest.mark.parametrize(
    ("column", "title"), [("carries_it", "has the genre"), ("first_row", "first row")]
)
def test_columns_have_titles(column, title):
    assert column_title(column) == title


@pytest.mark.parametrize(("text", "inner"), [("F1 micro", "F1 micro"), ("Recall", "recall")])
def test_the_start_of_a_name_inside_a_sentence_is_small_unless_it_is_an_abbreviation(text, inner):
    assert lower_first(text) == inner
