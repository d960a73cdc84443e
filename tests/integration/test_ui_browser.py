"""The MLflow UI as a reader meets it: find a claim, open its evidence, see a curve."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from kdcheck.evidence.layout import CLAIMS, TRAININGS
from kdcheck.evidence.links import run_link, runs_link
from kdcheck.evidence.store import Store
from tests.browser import browse, needs_browser
from tests.evidence_doubles import record, sample_judged, sample_recipe

JUDGED = sample_judged()
CLAIM = JUDGED.claim.id
pytestmark = [
    needs_browser,
    pytest.mark.skipif(
        "KDCHECK_SLOW" not in os.environ,
        reason="starts a real MLflow server and a browser, 20 to 60 s; set KDCHECK_SLOW=1",
    ),
]
Look = Callable[[str], str]


@pytest.fixture(scope="module")
def judged_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A judged claim on twelve trainings with curves, and a training that has only begun."""
    store = Store.create(tmp_path_factory.mktemp("ui") / "store")
    record(store, JUDGED)
    store.begin(sample_recipe(9), role="begun", claims=[], worker="w0")
    return store


@pytest.fixture(scope="module")
def look(judged_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Look:
    """Opens a link of the UI in the browser and gives the page as it then stands."""
    command = [sys.executable, "-m", "kdcheck", "ui", "--port", "0"]
    command += ["--store", str(judged_store.location.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            printed = "".join(iter(server.stdout.readline, "Ctrl-C stops the server.\n"))
            base = re.search(r"verdicts +(http://127.0.0.1:\d+/)", printed)
            assert base, printed
            profile = tmp_path_factory.mktemp("browser")
            wait = ("--virtual-time-budget=20000", "--window-size=1800,1100", "--dump-dom")
            yield lambda link: browse(profile, base[1] + link, *wait)
        finally:
            server.terminate()


def rows(page: str) -> set[str]:
    """Ids of the runs in a table of runs."""
    return set(re.findall(r'row-id="([0-9a-f]{32})"', page))


def lines(page: str) -> list[str]:
    """Courses of the lines in the charts of a page; a line has two points or more."""
    return re.findall(r'class="js-line" d="(M[^"]*L[^"]*)"', page)


def only(store: Store, experiment: str, condition: str) -> str:
    (run,) = store._runs.search(experiment, condition)
    return str(run.info.run_id)


def curves_of(store: Store, run_id: str) -> str:
    """Link to the charts of a training."""
    link = run_link(store._runs.experiments[TRAININGS], run_id)
    return link.replace("?", "/model-metrics?")


def test_a_claim_is_found_by_its_tag(judged_store: Store, look: Look) -> None:
    experiment = judged_store._runs.experiments[CLAIMS]
    page = look(runs_link(experiment, search=f"tags.claim = '{CLAIM}'"))
    assert rows(page) == {only(judged_store, CLAIMS, "")}
    assert CLAIM in page


def test_a_claim_that_is_not_there_is_not_found(judged_store: Store, look: Look) -> None:
    experiment = judged_store._runs.experiments[CLAIMS]
    page = look(runs_link(experiment, search="tags.claim = 'smoothing_raises_entropy[larger]'"))
    assert "tags.claim = 'smoothing_raises_entropy[larger]'" in page, "the page is up"
    assert rows(page) == set()


def test_the_page_of_a_claim_says_its_verdict_and_leads_to_the_curve_of_each_of_its_runs(
    judged_store: Store, look: Look
) -> None:
    run_id = only(judged_store, CLAIMS, "")
    page = look(run_link(judged_store._runs.experiments[CLAIMS], run_id))
    assert "<h2>Smoothing raises entropy.</h2>" in page, "the sentence, as a heading"
    assert "<strong>SUPPORTED at small scale.</strong>" in page
    assert "<td>letters</td>" in page, "a row of the table of effects"

    place = judged_store._runs.experiments[TRAININGS]
    linked = re.findall(rf'href="#/experiments/{place}/runs/([0-9a-f]{{32}})\?', page)
    finished = judged_store._runs.search(TRAININGS, "attributes.status = 'FINISHED'")
    assert sorted(linked) == sorted(run.info.run_id for run in finished)
    assert len(linked) == 12
    page = look(curves_of(judged_store, linked[0]))
    assert "mean_entropy_nats" in page
    assert lines(page)


def test_the_curves_of_a_claim_begin_with_the_first_seed_of_each_of_its_arms(
    judged_store: Store, look: Look
) -> None:
    page = look(judged_store.trainings_url(CLAIM, chart=True))
    assert lines(page), "there are charts"
    names = re.findall(r">(\w+ \w+ \w+/smaller \d)</", page)
    arms = ("erm {} plain/smaller 0", "ls {} smoothed/smaller 0")
    first = {arm.format(task) for arm in arms for task in ("letters", "dozens")}
    assert set(names[:4]) == first


def test_a_run_without_metrics_has_no_curve(judged_store: Store, look: Look) -> None:
    page = look(curves_of(judged_store, only(judged_store, TRAININGS, "tags.role = 'begun'")))
    assert "Model metrics" in page, "the page is up"
    assert lines(page) == []
