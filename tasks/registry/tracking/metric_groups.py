"""Names of metrics -> names in MLflow, where a prefix with a slash puts them into groups.

A metric has one name in code, files, reports and docs; in MLflow it is `GROUP/NAME`. Runs of
earlier releases have the names without groups.
"""

import re
from collections.abc import Mapping

SYSTEM = "system/"  # MLflow's own group: CPU, memory, disk and network
#: Group, and the metrics in it; the first pattern that matches a whole name counts.
GROUPS = (
    ("headline", r"test_f1_(micro|macro)|rec_(keyword_ndcg|franchise_recall)_at_10"),
    ("speed", r".*_(seconds|per_second|memory_mb)"),
    ("interval", r".*_(low|high)"),
    ("gate", r"gate_.*"),
    ("baseline", r"(rec_)?baseline_.*"),
    ("lists", r"rec_.*"),
    ("member", r"member_.*"),
    ("genres", r"test_.*|genres_learnt"),
    ("leaky", r"blog_.*"),
    ("source", r"(source|split)_.*"),
    ("drift", r"drift_.*"),
    ("refresh", r"refresh_.*"),
    ("epochs", r"(train|val)_(loss|f1_micro)|doc2vec_(learning_rate|drift)"),
    ("checks", r"(doc2vec|embed|index)_.*"),
)
OTHER = "other"  # metrics that match none
RENAMED = {"test_network_f1": "member_network_f1"}  # beginnings of names in earlier releases


def grouped_name(name: str) -> str:
    """The name of a metric in MLflow."""
    groups = (group for group, pattern in GROUPS if re.fullmatch(pattern, name))
    return f"{next(groups, OTHER)}/{name}"


def without_groups(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a run of any release by their own names, without those of the machine."""
    return {
        _current_name(name.rpartition("/")[2]): value
        for name, value in metrics.items()
        if not name.startswith(SYSTEM)
    }


def _current_name(name: str) -> str:
    for old, new in RENAMED.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
