"""Links of the store into the MLflow UI, followed without a browser: MLflow reads what they carry."""

from __future__ import annotations

import base64
import json
import re
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import mlflow
import pytest
from mlflow.environment_variables import (
    MLFLOW_DISABLE_TELEMETRY,
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
)
from mlflow.tracking import MlflowClient

from kdcheck.cli import ui
from kdcheck.evidence import database
from kdcheck.evidence.layout import CLAIMS, TRAININGS
from kdcheck.evidence.store import Store
from kdcheck.places import Location
from tests.evidence_doubles import record, sample_judged, sample_recipe

JUDGED = sample_judged(theme="Smoothing")
REFUTED = sample_judged("smoothing_lowers_entropy", effect=-0.5, theme="Smoothing")
LINK = re.compile(r"\]\((#[^)]*)\)")
VIEW = "mlflow.sharedViewState."


@pytest.fixture
def judged(store: Store) -> Store:
    """Two judged claims on twelve trainings, and a training that has only begun."""
    for each in (JUDGED, REFUTED):
        record(store, each)
    store.begin(sample_recipe(9), role="begun", claims=[], worker="w0")
    return store


def view_of(store: Store, experiment_id: str, key: str) -> dict[str, Any]:
    """What a saved view asks for."""
    experiment = MlflowClient(store.location.uri).get_experiment(experiment_id)
    packed = json.loads(experiment.tags[VIEW + key])["state"].removeprefix("deflate;")
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return state


def parts_of(link: str) -> tuple[list[str], Mapping[str, str]]:
    page = urlparse(urlparse(link).fragment)
    return page.path.split("/")[1:], {k: v for k, (v,) in parse_qs(page.query).items()}


def runs_of(store: Store, link: str) -> list[Any]:
    """The runs that a link shows, in its order, as MLflow's own search finds them."""
    (_, experiment_id, _), asked = parts_of(link)
    if "viewStateShareKey" in asked:
        asked = view_of(store, experiment_id, asked["viewStateShareKey"])
    order = [f"{asked['orderByKey']} ASC"] if "orderByKey" in asked else None
    client = MlflowClient(store.location.uri)
    return list(client.search_runs([experiment_id], asked.get("searchFilter", ""), order_by=order))


def test_the_link_of_a_claim_shows_its_records_and_no_others(judged: Store) -> None:
    for each in (JUDGED, REFUTED):
        (run,) = runs_of(judged, judged.claims_url(each.claim.id))
        assert run.data.tags["claim"] == each.claim.id
    assert runs_of(judged, judged.claims_url("smoothing_raises_entropy[larger]")) == []


@pytest.mark.parametrize("chart", [False, True])
def test_the_link_of_a_claims_trainings_shows_them_the_first_seed_of_each_arm_first(
    judged: Store, chart: bool
) -> None:
    found = runs_of(judged, judged.trainings_url(JUDGED.claim.id, chart=chart))
    assert {run.data.tags["digest"] for run in found} == set(JUDGED.table.digests())
    first = {(run.data.tags["role"], run.data.tags["task"]) for run in found[:4]}
    assert len(first) == 4
    assert {run.data.tags["seed"] for run in found[:4]} == {"0"}


def test_every_link_of_a_note_leads_to_runs_of_the_experiment_that_it_names(judged: Store) -> None:
    client = MlflowClient(judged.location.uri)
    followed = set()
    for name, experiment_id in judged._runs.experiments.items():
        notes = [client.get_experiment(experiment_id).tags["mlflow.note.content"]]
        notes += [
            run.data.tags.get("mlflow.note.content", "") for run in judged._runs.search(name, "")
        ]
        for link in {each for note in notes for each in LINK.findall(note)}:
            path, asked = parts_of(link)
            assert asked["workflowType"] == "machine_learning"
            if len(path) == 4:
                assert client.get_run(path[3]).info.experiment_id == path[1]
                followed.add(path[3])
            else:
                asked_of_claims = "exploratory" in asked.get("searchFilter", "").lower()
                assert bool(runs_of(judged, link)) is not asked_of_claims, link
    trainings = judged._runs.search(TRAININGS, "attributes.status = 'FINISHED'")
    assert followed == {run.info.run_id for run in trainings}


def test_the_links_above_show_verdicts_that_stand_and_those_that_were_refuted(
    judged: Store,
) -> None:
    note = judged._runs._client.get_experiment(judged._runs.experiments[CLAIMS])
    verdicts, refuted, *_ = LINK.findall(note.tags["mlflow.note.content"])
    shown = {run.data.tags["claim"] for run in runs_of(judged, verdicts)}
    assert shown == {JUDGED.claim.id, REFUTED.claim.id}
    assert [run.data.tags["claim"] for run in runs_of(judged, refuted)] == [REFUTED.claim.id]


def test_tags_by_which_a_saved_view_shows_orders_and_groups_are_on_its_runs(judged: Store) -> None:
    asked = set()
    for name, experiment_id in judged._runs.experiments.items():
        experiment = MlflowClient(judged.location.uri).get_experiment(experiment_id)
        for key in (each.removeprefix(VIEW) for each in experiment.tags if each.startswith(VIEW)):
            state = view_of(judged, experiment_id, key)
            columns = [state["orderByKey"], *state["selectedColumns"]]
            groups = state.get("groupBy", {"groupByKeys": []})["groupByKeys"]
            columns += [f"{each['mode']}s.`{each['groupByData']}`" for each in groups]
            wanted = {each.split("`")[1] for each in columns if each.startswith("tags.")}
            runs = runs_of(judged, f"#/experiments/{experiment_id}/runs?viewStateShareKey={key}")
            assert {run.info.status for run in runs} == {"FINISHED"}
            assert [run.data.tags for run in runs if not wanted <= run.data.tags.keys()] == []
            asked |= {(name, each) for each in wanted}
    assert asked >= {(CLAIMS, "verdict"), (CLAIMS, "theme"), (TRAININGS, "seed")}


def test_what_links_and_views_are_called_stands_in_the_ui_that_is_installed() -> None:
    files = (Path(mlflow.__file__).parent / "server" / "js" / "build").rglob("*.js")
    shown = "".join(each.read_text(encoding="utf-8", errors="replace") for each in files)
    words = ["workflowType", "machine_learning", "searchFilter", "orderByKey", "orderByAsc"]
    words += ["compareRunsMode", "CHART", "viewStateShareKey", VIEW, "selectedColumns", "deflate;"]
    words += ["groupByKeys", "groupByData", "aggregateFunction", "mlflow.note.content"]
    words += ["/experiments/:experimentId/runs", "/experiments/:experimentId/runs/:runUuid"]
    assert [word for word in words if word not in shown] == []
    assert "viewStateSharedKey" not in shown, "what is not there would be noticed"


def test_the_server_is_started_as_its_own_command_line_reads_it(
    store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def start(command: list[str], **_: object) -> None:
        started.append(command)
        raise KeyboardInterrupt

    monkeypatch.setattr(ui.subprocess, "Popen", start)
    location = Location.parse(store_folder)
    with pytest.raises(KeyboardInterrupt), ui.serve(location, 5123):
        pass
    ((_, m, module, verb, *told),) = started
    assert (m, module, verb) == ("-m", "mlflow", "server")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one that MLflow itself gives rise to
        from mlflow.cli import cli
    read = cli.commands["server"].make_context("server", told).params
    assert (read["host"], read["port"], read["workers"]) == ("127.0.0.1", 5123, "1")
    assert read["backend_store_uri"] == location.uri
    assert read["artifacts_destination"] == str(location.artifacts)
    for name, value in ui.environment().items():
        monkeypatch.setenv(name, value)
    assert MLFLOW_DISABLE_TELEMETRY.get()
    assert not MLFLOW_SERVER_ENABLE_JOB_EXECUTION.get(), "it would start seven more processes"


def test_mlflow_is_told_to_print_no_address_whose_password_would_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.name, raising=False)
    assert not MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.get()
    database.import_mlflow()
    assert MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.get()
