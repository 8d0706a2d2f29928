"""Every metric of a run has a group in MLflow, and keeps its name in it."""

from pathlib import Path

import pytest
import yaml

from tasks.registry.tracking.metric_groups import GROUPS, OTHER, grouped_name, without_groups

DEFINITIONS = Path(__file__).parents[4] / "flow" / "definitions"
LOGGED = sorted(
    {
        name
        for file in DEFINITIONS.glob("*.yaml")
        for name in yaml.safe_load(file.read_text()).get("metrics", [])
    }
)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("test_f1_micro", "headline"),
        ("test_f1_samples", "genres"),
        ("test_f1_micro_low", "interval"),
        ("rec_franchise_recall_at_10", "headline"),
        ("rec_baseline_tfidf_franchise_recall_at_10", "baseline"),
        ("rec_top20_share", "lists"),
        ("baseline_tfidf_f1_micro", "baseline"),
        ("member_network_f1_micro", "member"),
        ("gate_f1_micro_difference", "gate"),
        ("gate_f1_micro_difference_low", "interval"),
        ("blog_f1_micro", "leaky"),
        ("source_quarantined_bad_id", "source"),
        ("train_seconds", "speed"),
        ("doc2vec_words_per_second", "speed"),
        ("doc2vec_drift", "epochs"),
        ("doc2vec_known_words", "checks"),
        ("a_metric_of_a_new_stage", OTHER),
    ],
)
def test_the_group_of_a_metric(name, group):
    assert grouped_name(name) == f"{group}/{name}"


def test_every_metric_that_runs_log_has_a_group():
    assert len(LOGGED) > 100
    names = without_groups(dict.fromkeys(LOGGED, 0.0))
    assert [name for name in names if grouped_name(name) not in LOGGED] == []
    assert not [name for name in LOGGED if name.startswith(f"{OTHER}/")]


def test_every_group_has_metrics():
    groups = {name.partition("/")[0] for name in LOGGED}
    assert [group for group, _ in GROUPS if group not in groups] == ["leaky"]  # of preset `blog`


def test_metrics_of_this_and_of_earlier_releases_have_the_same_names():
    new = {"headline/test_f1_micro": 0.6, "member/member_network_f1_micro": 0.5}
    old = {"test_f1_micro": 0.6, "test_network_f1_micro": 0.5}
    system = {"system/cpu_utilization_percentage": 50.0}
    assert without_groups(new | system) == without_groups(old | system)
    assert set(without_groups(new)) == {"test_f1_micro", "member_network_f1_micro"}
