"""How evidence lies in MLflow: names, guards, links, views, owners and places."""

import base64
import dataclasses
import json
import os
import subprocess
import sys
import traceback
import zlib
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from kdcheck.errors import EvidenceError
from kdcheck.evidence import layout, owner
from kdcheck.evidence.faults import explain, explained
from kdcheck.evidence.links import run_link, runs_link
from kdcheck.evidence.samples import sample_evidence, sample_recipe
from kdcheck.evidence.source import ClaimRecord
from kdcheck.evidence.views import experiment_tags
from kdcheck.objectives import Distillation
from kdcheck.places import Location, Places

STUDENT = dataclasses.replace(
    sample_recipe(), objective=Distillation(alpha=0.5), teacher=sample_recipe(7)
)


def test_every_field_of_a_recipe_is_a_parameter_and_the_teacher_a_digest():
    flat = layout.parameters(STUDENT)
    fields = {f.name for f in dataclasses.fields(STUDENT)}
    assert fields <= flat.keys()
    assert flat["objective.alpha"] == "0.5"
    assert flat["teacher"] == sample_recipe(7).digest
    assert flat["train_rows"] == "none"
    assert all(isinstance(value, str) for value in flat.values())


def test_tags_hold_digests_lineage_and_claims():
    tags = layout.recipe_tags(STUDENT, role="student", claims=["b[x]", "a", "a"])
    assert tags["digest"] == STUDENT.digest
    assert tags["teacher"] == sample_recipe(7).digest
    assert tags["prefix_digest"] == "none"
    assert tags["claims"] == "a, b[x]"
    assert tags["claim.a"] == tags["claim.b.x"] == "evidence"


def test_metric_rows_are_the_curves_and_the_totals_at_the_end():
    evidence = sample_evidence(points=3)
    rows = layout.metric_rows(evidence)
    accuracy = [(value, step) for name, value, step in rows if name == "test/accuracy"]
    assert accuracy == [(p.values["test/accuracy"], p.step) for p in evidence.points]
    assert ("total/seconds", 1.5, 30) in rows
    assert len(rows) == 3 * 3 + 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_metric_that_mlflow_would_change_is_refused(value):
    record = ClaimRecord(claim_id="c", scale="s", evidence=(), note="", metrics={"effect": value})
    with pytest.raises(EvidenceError, match=r"claim c, metric 'effect'.*finite number"):
        layout.record_tags(record)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"note": "x" * 8001}, "mlflow.note.content"),
        ({"tags": {"why": "x" * 8001}}, "why"),
        ({"params": {"looks": "x" * 6001}}, "looks"),
    ],
)
def test_a_text_that_mlflow_would_cut_is_refused(changes, name):
    record = ClaimRecord(**{"claim_id": "c", "scale": "s", "evidence": (), "note": ""} | changes)
    with pytest.raises(EvidenceError) as caught:
        layout.record_tags(record)
    assert repr(name) in str(caught.value)
    assert "since MLflow cuts the rest off" in str(caught.value)
    short = {key: value[:100] if key == "note" else {} for key, value in changes.items()}
    assert layout.record_tags(dataclasses.replace(record, **short))


def test_chunks_lose_nothing_and_keep_the_limit():
    pieces = layout.chunks(list(range(2001)), 1000)
    assert [len(piece) for piece in pieces] == [1000, 1000, 1]
    assert [*pieces[0], *pieces[1], *pieces[2]] == list(range(2001))


def fragment(link: str):
    return urlparse(urlparse(link).fragment)


def test_links_open_the_classic_view_and_carry_filters_unharmed():
    search = "tags.`claim.a b` = 'evidence' AND metrics.x > 1"
    link = runs_link(
        "3", search=search, order="tags.`seed`", chart=True, view="v", base="http://h:1/"
    )
    page = fragment(link)
    assert link.startswith("http://h:1/#/experiments/3/runs?")
    assert page.path == "/experiments/3/runs"
    assert parse_qs(page.query) == {
        "workflowType": ["machine_learning"],
        "searchFilter": [search],
        "orderByKey": ["tags.`seed`"],
        "orderByAsc": ["true"],
        "compareRunsMode": ["CHART"],
        "viewStateShareKey": ["v"],
    }


def test_links_to_runs_and_files():
    assert fragment(run_link("3", "ab")).path == "/experiments/3/runs/ab"
    assert fragment(run_link("3", "ab", artifact="a b.html")).path.endswith("/artifacts/a%20b.html")


def test_saved_views_unpack_to_the_columns_that_matter():
    tags = experiment_tags({layout.TRAININGS: "1", layout.CLAIMS: "2"}, layout.CLAIMS)
    view = json.loads(tags["mlflow.sharedViewState.kdcheck-verdicts"])
    packed = view["state"].removeprefix("deflate;")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert view["name"] == "Verdicts"
    assert "tags.`verdict`" in state["selectedColumns"]
    assert state["searchFilter"] == "tags.current = 'true'"
    assert "viewStateShareKey=kdcheck-verdicts" in tags["mlflow.note.content"].split("\n")[0]
    longest = max(map(len, tags.values()))
    assert longest < 5000, "older MLflow keeps no more in an experiment tag"


def test_a_dead_process_is_told_from_a_living_and_an_unknown_one():
    mine = owner.this_process()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert owner.owner_is_alive(mine) is True
    assert owner.owner_is_alive({**mine, owner.PID: str(ended.pid)}) is False
    assert owner.owner_is_alive({**mine, owner.BOOT: "another"}) is False
    assert owner.owner_is_alive({**mine, owner.HOST: "another"}) is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="process start times need /proc")
def test_a_process_id_that_came_back_and_a_zombie_are_dead():
    mine = owner.this_process()
    assert owner.owner_is_alive({**mine, owner.STARTED: "1"}) is False
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert owner.owner_is_alive({**mine, owner.PID: str(child), owner.STARTED: "1"}) is False
    os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("option", "environment", "uri", "origin"),
    [
        ("/a", {"KDCHECK_STORE": "/b"}, "sqlite:////a/mlflow.db", "--store"),
        (None, {"KDCHECK_STORE": "/b"}, "sqlite:////b/mlflow.db", "KDCHECK_STORE"),
        (
            None,
            {"MLFLOW_TRACKING_URI": "sqlite:////c/x.db"},
            "sqlite:////c/x.db",
            "MLFLOW_TRACKING_URI",
        ),
        (None, {"MLFLOW_TRACKING_URI": "http://h:5/"}, "http://h:5", "MLFLOW_TRACKING_URI"),
        ("https://h", {"MLFLOW_TRACKING_URI": "http://x"}, "https://h", "--store"),
    ],
)
def test_the_place_is_chosen_in_order_and_says_by_whom(option, environment, uri, origin):
    location = Places.resolve(store=option, environment=environment).store
    assert (location.uri, location.origin) == (uri, origin)


def test_without_a_word_the_store_is_a_folder_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    location = Places.resolve(environment={}).store
    assert location.folder == tmp_path / ".kdcheck/store"
    assert location.origin == "default"


@pytest.mark.parametrize("place", ["postgresql://h/db", "file:/tmp/mlruns", ""])
def test_other_kinds_of_address_are_refused_with_a_way_out(place):
    with pytest.raises(EvidenceError, match="start 'mlflow server' on it"):
        Location.parse(place)


def test_a_plain_folder_in_mlflow_tracking_uri_is_not_taken_for_a_store():
    with pytest.raises(EvidenceError, match=r"MLFLOW_TRACKING_URI.*unset it"):
        Places.resolve(environment={"MLFLOW_TRACKING_URI": "./mlruns"})


@pytest.mark.parametrize(
    ("words", "next_step"),
    [
        ("attempt to write a readonly database", "chmod -R u+w"),
        ("Detected out-of-date database schema (found version a)", "mlflow db upgrade sqlite:"),
        ("file is not a database", "Restore it from a copy"),
        ("database is locked", "local disk"),
        ("database or disk is full", "Free some space"),
        ("API request to http://h failed: Connection refused", "Start it (mlflow server)"),
        ("HTTP 401 Unauthorized", "MLFLOW_TRACKING_TOKEN"),
        ("something new", "kdcheck ui"),
    ],
)
def test_each_fault_names_its_next_step(tmp_path, words, next_step):
    error = explain(OSError(words), Location.parse(tmp_path), "finish")
    assert words in str(error)
    assert next_step in str(error)


@pytest.mark.parametrize(
    "words",
    [
        "API request to endpoint /x failed with error code 401 != 200. Response body: 'Who?'",
        "API request to endpoint /x failed with error code 403 != 200. Response body: 'Permission denied'",
        "PERMISSION_DENIED: Permission denied",
    ],
)
def test_a_server_that_refuses_us_is_neither_started_nor_made_writable(words):
    error = explain(OSError(words), Location.parse("http://h:5"), "finish")
    assert error.wanted == "a tracking server that lets us in"
    assert "MLFLOW_TRACKING_USERNAME" in error.next_step


@pytest.mark.parametrize("words", ["no such file /store/4f401b", "API request to http://h:4030/"])
def test_digits_that_are_no_error_code_are_no_refusal(words):
    error = explain(OSError(words), Location.parse("http://h:5"), "finish")
    assert "MLFLOW_TRACKING_USERNAME" not in error.next_step


def test_a_password_reaches_mlflow_and_no_message():
    address = "http://me:secret@h:5"
    location = Location.parse(address)
    assert location.uri == address
    assert str(location) == location.address == "http://h:5"
    assert "secret" not in repr(location)
    with pytest.raises(EvidenceError) as caught, explained(location, "finish"):
        raise OSError(f"API request to {address}/api/2.0 failed with exception x")
    assert "API request to http://h:5/api/2.0" in str(caught.value)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "address",
    ["http://h:50OO", "http://:5000", "https:///path", "http://[::1", "http://me:secret/@h"],
)
def test_an_address_that_names_no_server_is_refused_and_not_repeated(address):
    with pytest.raises(
        EvidenceError, match=r"MLFLOW_TRACKING_URI.*port that is no number"
    ) as caught:
        Places.resolve(environment={"MLFLOW_TRACKING_URI": address})
    assert "secret" not in str(caught.value)
    with pytest.raises(EvidenceError) as caught:
        Location.parse("postgresql://me:secret@h/db")
    assert "postgresql://h/db" in str(caught.value)
