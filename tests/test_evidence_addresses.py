"""Where a store's runs are in the MLflow UI: each link in whole."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kdcheck.evidence.addresses import Addresses
from kdcheck.evidence.layout import CLAIMS, TRAININGS

TABLE = "?workflowType=machine_learning"
OF_CLAIM = "&searchFilter=tags.%60claim.c.a%60%20%3D%20%27evidence%27&orderByKey=tags.%60seed%60&orderByAsc=true"


class Store(Addresses):
    """As much of a store as its links need."""

    _runs = SimpleNamespace(experiments={TRAININGS: "1", CLAIMS: "2"})

    def _training(self, digest: str) -> SimpleNamespace:
        return SimpleNamespace(info=SimpleNamespace(run_id=f"run-of-{digest}"))


LINKS = {
    "a training": ("run_url", ["d1"], {}, f"#/experiments/1/runs/run-of-d1{TABLE}"),
    "all trainings": (
        "trainings_url", [], {}, f"#/experiments/1/runs{TABLE}&viewStateShareKey=kdcheck-trainings",
    ),
    "all trainings as charts": (
        "trainings_url", [], {"chart": True},
        f"#/experiments/1/runs{TABLE}&compareRunsMode=CHART&viewStateShareKey=kdcheck-curves",
    ),
    "trainings of a claim": (
        "trainings_url", ["c[a]"], {}, f"#/experiments/1/runs{TABLE}{OF_CLAIM}",
    ),
    "trainings of a claim as charts": (
        "trainings_url", ["c[a]"], {"chart": True},
        f"#/experiments/1/runs{TABLE}{OF_CLAIM}&compareRunsMode=CHART",
    ),
    "current verdicts": (
        "claims_url", [], {}, f"#/experiments/2/runs{TABLE}&viewStateShareKey=kdcheck-verdicts",
    ),
    "records of a claim": (
        "claims_url", ["c[a]"], {},
        f"#/experiments/2/runs{TABLE}&searchFilter=tags.claim%20%3D%20%27c%5Ba%5D%27",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LINKS)
def test_each_link_names_its_experiment_filter_order_and_view_inside_the_ui_and_outside(what):
    method, given, named, link = LINKS[what]
    url = getattr(Store(), method)
    assert url(*given, **named) == link
    assert url(*given, **named, base="http://h:5/") == f"http://h:5/{link}"
