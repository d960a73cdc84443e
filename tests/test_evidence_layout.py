"""How evidence lies in MLflow: names, guards, links, views, owners and places."""

import base64
import dataclasses
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import traceback
import zlib
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from kdcheck.claims import plain
from kdcheck.claims.paper import Printed
from kdcheck.errors import EvidenceError
from kdcheck.evidence import layout, owner
from kdcheck.evidence.faults import explain, explained
from kdcheck.evidence.links import run_link, runs_link
from kdcheck.evidence.note import LONGEST_NOTE, note
from kdcheck.evidence.views import experiment_tags
from kdcheck.metrics import METRICS
from kdcheck.places import Location, Places
from kdcheck.verdict import Word
from tests.evidence_doubles import (
    OTHER,
    PLAIN,
    SMOOTHED,
    STEPS,
    TAUGHT,
    TEACHER,
    sample_evidence,
    sample_judged,
    sample_recipe,
    with_values,
)
from tests.refusal import refused

STUDENT = sample_recipe(7, arm=TAUGHT)


def test_every_field_of_a_recipe_is_a_parameter_and_the_teacher_a_digest():
    flat = layout.parameters(STUDENT)
    fields = {f.name for f in dataclasses.fields(STUDENT)}
    assert fields <= flat.keys()
    assert flat["objective.alpha"] == "0.5"
    assert flat["teacher"] == sample_recipe(7, arm=TEACHER).digest
    assert flat["train_rows"] == "none"
    assert all(isinstance(value, str) for value in flat.values())


def test_tags_hold_digests_lineage_and_claims():
    tags = layout.recipe_tags(STUDENT, role="student", claims=["b[x]", "a", "a"])
    assert tags["digest"] == STUDENT.digest
    assert tags["teacher"] == sample_recipe(7, arm=TEACHER).digest
    assert tags["prefix_digest"] == "none"
    assert tags["claims"] == "a, b[x]"
    assert layout.recipe_tags(sample_recipe(), role="r", claims=[])["teacher"] == "none"
    assert tags["claim.a"] == tags["claim.b.x"] == "evidence"


def test_metric_rows_are_the_curves_and_the_totals_at_the_end():
    evidence = sample_evidence()
    rows = layout.metric_rows(evidence)
    curve = [(value, step) for name, value, step in rows if name == "test_sample/accuracy"]
    assert curve == [(p.values["test_sample/accuracy"], p.step) for p in evidence.points]
    assert ("test/accuracy", evidence.final.values["test/accuracy"], STEPS[-1]) in rows
    assert ("total/seconds", evidence.cost["seconds"], STEPS[-1]) in rows
    assert len(rows) == 3 * 2 + 3 + 2


def test_a_judged_claim_is_tagged_by_its_own_paper_and_scale():
    judged = sample_judged(paper=OTHER, scale="mini", theme="Smoothing")
    tags = layout.judged_tags(judged, "# N")
    assert tags == {
        "claim": "smoothing_raises_entropy[smaller]",
        "paper": "other",
        "scale": "mini",
        "verdict": "SUPPORTED",
        "standing": "CONFIRMATORY",
        "theme": "Smoothing",
        "where": "its table 4",
        "unit": "nats",
        "data": "",
        "mlflow.runName": "smoothing_raises_entropy[smaller] SUPPORTED",
        "mlflow.source.name": "kdcheck",
        "mlflow.note.content": "# N",
    }


def late(judged):
    """The same, had two things differed from what was registered."""
    reasons = ("The claim is new.", "The margin is 0.05, not 0.1.")
    return dataclasses.replace(
        judged, verdict=dataclasses.replace(judged.verdict, exploratory=reasons)
    )


def test_an_exploratory_verdict_is_tagged_and_named_as_such():
    tags = layout.judged_tags(late(sample_judged()), "# N")
    assert tags["standing"] == "EXPLORATORY"
    assert tags["mlflow.runName"] == "smoothing_raises_entropy[smaller] SUPPORTED EXPLORATORY"


@pytest.mark.parametrize(
    ("holds", "shown"),
    [
        *(("every", "on every task"), ("most", "on most tasks"), ("some", "on some task")),
    ],
)
def test_the_criterion_is_shown_with_its_quantifier_and_the_unit_of_its_margin(holds, shown):
    judged = sample_judged(holds=holds)
    assert layout.judged_parameters(judged) == {
        "margin": "0.05 nats",
        "because": "a third of the smallest gap",
        "holds": shown,
        "contrast": "mean_entropy_nats(smoothed/smaller) - mean_entropy_nats(plain/smaller)",
        "criterion": judged.verdict.criterion.digest,
    }


def test_a_margin_without_a_unit_has_none():
    assert layout.judged_parameters(sample_judged(margin=plain(0.1)))["margin"] == "0.1"


def test_effect_and_interval_are_those_on_which_a_claim_of_every_task_turns():
    judged = sample_judged(effect=0.5, seeds=range(5))
    metrics = dict(row[:2] for row in layout.judged_metrics(judged))
    # By hand: of both tasks the smaller mean, lower and upper bound, with the points of Student's t
    # at 4 degrees of freedom; that of the upper bound pays for two tasks (decision 0042).
    spread = [0.011, -0.007, 0.002, 0.005, -0.004]
    mean, error = statistics.mean(spread), statistics.stdev(spread) / 5**0.5
    assert metrics == {
        "n_seeds": 5.0,
        "effect": pytest.approx(0.5 + mean, abs=1e-12),
        "ci_low": pytest.approx(0.5 + 1.3 * (mean - 2.7764451 * error), abs=1e-8),
        "ci_high": pytest.approx(0.5 + mean + 3.4954059 * error, abs=1e-8),
    }


@pytest.mark.parametrize("seeds", [0, 1])
def test_too_few_seeds_have_no_interval(seeds):
    assert dict(row[:2] for row in layout.judged_metrics(sample_judged(seeds=range(seeds)))) == {
        "n_seeds": float(seeds)
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_metric_that_mlflow_would_change_is_refused(value):
    broken = with_values(sample_evidence(), nll=value)
    with pytest.raises(EvidenceError, match=r"recipe \w{8}, metric 'nll'.*finite number"):
        layout.metric_rows(broken)


TOO_LONG = {
    "mlflow.note.content": lambda text: layout.judged_tags(sample_judged(), text),
    "where": lambda text: layout.judged_tags(sample_judged(where=text), "# N"),
    "because": lambda text: layout.judged_parameters(sample_judged(because=text)),
    "claims": lambda text: layout.claim_tags([text]),
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_a_text_that_mlflow_would_cut_is_refused(name):
    with pytest.raises(EvidenceError) as caught:
        TOO_LONG[name]("x" * 8001)
    assert repr(name) in str(caught.value)
    assert "since MLflow cuts the rest off" in str(caught.value)
    assert TOO_LONG[name]("x" * 100)


class Links:
    """Links that say what they lead to."""

    def run_url(self, digest: str) -> str:
        return f"run of {digest}"

    def claims_url(self, claim_id: str | None = None) -> str:
        return f"records of {claim_id}"

    def trainings_url(self, claim_id: str | None = None, *, chart: bool = False) -> str:
        return f"{'charts' if chart else 'table'} of {claim_id}"


def test_a_note_says_the_verdict_first_and_links_each_run_by_arm_task_and_seed():
    judged = sample_judged(seeds=(0, 1, 2))
    lines = note(judged, Links()).splitlines()
    assert lines[:3] == ["## Smoothing raises entropy.", "", lines[2]]
    assert lines[2].startswith("**SUPPORTED at small scale.** The effect is above +0.05 nats on")
    assert "its table 4." in lines
    assert [line for line in lines if line.startswith("| letters")] == [
        "| letters | +0.5020 | +0.4796 | +0.5244 |"
    ]
    assert "- Tasks are cut to a few rows." in lines
    assert "[Curves of these runs](charts of smoothing_raises_entropy[smaller])" in lines
    for arm, tasks in judged.table.runs.items():
        for task, seeds in tasks.items():
            shown = ", ".join(f"[seed {s}](run of {digest})" for s, digest in seeds.items())
            assert f"- {arm.key}, {task}: {shown}" in lines


def test_a_note_says_why_a_verdict_is_exploratory_and_links_what_it_rests_on():
    lines = note(late(sample_judged(rests_on=("a", "b"))), Links()).splitlines()
    assert lines[2].startswith("**SUPPORTED, EXPLORATORY, at small scale.** The effect is above")
    assert lines[4:7] == [
        "EXPLORATORY:", "- The claim is new.", "- The margin is 0.05, not 0.1.",
    ]  # fmt: skip
    assert "Rests on [a](records of a), [b](records of b)." in lines
    plain = note(sample_judged(), Links())
    assert "EXPLORATORY" not in plain
    assert "Rests on" not in plain


def test_a_note_of_too_many_runs_links_their_table():
    links = Links()
    links.run_url = lambda digest: 3 * digest
    text = note(sample_judged(seeds=range(10)), links)
    assert len(text) < LONGEST_NOTE
    *_, curves, last = text.split("\n\n")
    assert curves == "[Curves of these runs](charts of smoothing_raises_entropy[smaller])"
    assert last == "[All 40 runs](table of smoothing_raises_entropy[smaller])"


def test_a_note_says_what_the_paper_prints_of_the_contrast():
    printed = tuple(
        Printed(
            table="4",
            task="letters",
            metric="mean_entropy_nats",
            arm=arm,
            value=value,
            half_width=0.0005,
            text=str(value),
        )
        for arm, value in ((SMOOTHED, 0.5), (PLAIN, 0.2))
    )
    judged = sample_judged(paper=dataclasses.replace(OTHER, printed=printed))
    said = "its table 4. In the paper: letters +0.3 nats (Table 4)."
    assert said in note(judged, Links()).split("\n\n")


def test_a_note_of_all_that_fits_names_each_run_and_one_of_a_character_more_their_table():
    def text(spare):
        judged = sample_judged()
        return note(dataclasses.replace(judged, deviations=("x" * spare,)), Links())

    spare = LONGEST_NOTE - len(text(0)) - 1
    assert len(text(spare)) == LONGEST_NOTE - 1
    assert "[seed 0](run of" in text(spare)
    assert text(spare + 1).endswith("[All 12 runs](table of smoothing_raises_entropy[smaller])")


def test_a_note_says_nothing_of_what_a_claim_does_not_have():
    judged = sample_judged(margin=plain(0.1))
    blocks = note(judged, Links()).split("\n\n")
    assert [block.split("\n")[0] for block in blocks] == [
        "## Smoothing raises entropy.",
        f"**SUPPORTED at small scale.** {judged.verdict.reason}",
        "its table 4.",
        "| task | effect (no unit) | low | high |",
        f"Contrast: `{judged.claim.measures.text}`, margin 0.1: a third of the smallest gap.",
        "Deviations from the paper:",
        f"[Curves of these runs](charts of {judged.claim.id})",
        blocks[-1].split("\n")[0],
    ]


@pytest.mark.parametrize(("effect", "word"), [(0.5, Word.SUPPORTED), (-0.5, Word.REFUTED)])
def test_what_was_judged_before_is_judged_alike(effect, word):
    assert sample_judged(effect=effect).verdict.word is word


def test_chunks_lose_nothing_and_keep_the_limit():
    pieces = layout.chunks(list(range(2001)), 1000)
    assert [len(piece) for piece in pieces] == [1000, 1000, 1]
    assert [*pieces[0], *pieces[1], *pieces[2]] == list(range(2001))


def fragment(link: str):
    return urlparse(urlparse(link).fragment)


def test_a_link_to_a_run_names_it():
    assert fragment(run_link("3", "ab")).path == "/experiments/3/runs/ab"
    assert runs_link("3") == "#/experiments/3/runs?workflowType=machine_learning"
    assert runs_link("3", base="http://hX//").startswith("http://hX/#/")
    assert run_link("3", "ab") == "#/experiments/3/runs/ab?workflowType=machine_learning"
    assert runs_link("3", search="a/b c&d", order="e/f", view="g/h") == (
        "#/experiments/3/runs?workflowType=machine_learning&searchFilter=a%2Fb%20c%26d"
        "&orderByKey=e%2Ff&orderByAsc=true&viewStateShareKey=g%2Fh"
    )


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


def state_of(experiment: str, view: str):
    tags = experiment_tags({layout.TRAININGS: "1", layout.CLAIMS: "2"}, experiment)
    assert max(map(len, tags.values())) < 5000, "older MLflow keeps no more in an experiment tag"
    assert f"viewStateShareKey={view}" in tags["mlflow.note.content"].split("\n")[0]
    saved = json.loads(tags[f"mlflow.sharedViewState.{view}"])
    packed = saved["state"].removeprefix("deflate;")
    return saved["name"], json.loads(zlib.decompress(base64.b64decode(packed)))


def test_saved_views_unpack_to_the_columns_that_matter():
    name, state = state_of(layout.CLAIMS, "kdcheck-verdicts")
    assert name == "Verdicts"
    assert state["selectedColumns"][1:5] == [
        "tags.`theme`", "tags.`claim`", "tags.`verdict`", "tags.`standing`",
    ]  # fmt: skip
    assert state["orderByKey"] == "tags.`theme`"
    assert state["searchFilter"] == "tags.current = 'true' AND tags.paper LIKE '%'"
    name, state = state_of(layout.TRAININGS, "kdcheck-trainings")
    shown = {column.split("`")[1] for column in state["selectedColumns"]}
    assert {"role", "task", "objective", "seed"} < shown
    plain = {f"test/{name}" for name, row in METRICS.items() if row.at_each_look}
    assert {"test/mean_entropy_nats", "test/accuracy"} < plain
    assert shown & {f"test/{each}" for each in METRICS} == plain


def claims_note(*claims):
    tags = experiment_tags({layout.TRAININGS: "1", layout.CLAIMS: "2"}, layout.CLAIMS, claims)
    return tags["mlflow.note.content"]


def test_the_note_of_the_claims_goes_on_with_the_board_of_each_family():
    premise = sample_judged("a", theme="Sizes", effect=-0.5)
    resting = sample_judged("b", theme="Sizes", rests_on=("a",))
    other = late(sample_judged("c", theme="Late", paper=OTHER))
    text = claims_note(other, resting, premise)
    assert text.startswith(claims_note())
    assert text.removeprefix(claims_note()).strip().splitlines() == [
        "**one at small scale.** 2 of 2 claims decided: 1 SUPPORTED, 1 REFUTED; confirmatory.",
        "",
        "**Sizes**: 2 of 2 claims decided: 1 SUPPORTED, 1 REFUTED",
        "- REFUTED: Smoothing raises entropy.",
        "    - SUPPORTED: Smoothing raises entropy.",
        "",
        "**other at small scale.** 1 of 1 claim decided: 1 SUPPORTED; EXPLORATORY, not as registered.",
        "",
        "**Late** (EXPLORATORY): 1 of 1 claim decided: 1 SUPPORTED",
        "- SUPPORTED: Smoothing raises entropy.",
    ]


@pytest.mark.parametrize(
    ("says", "themes", "last"),
    [
        ("x" * 60, 1, f"- SUPPORTED: {'x' * 60}"),
        ("x" * 160, 1, "- SUPPORTED: claim-39"),
        ("x" * 160, 40, "**theme-9**: 1 of 1 claim decided: 1 SUPPORTED"),
        (
            "x" * 160,
            120,
            "**one at small scale.** 120 of 120 claims decided: 120 SUPPORTED; confirmatory.",
        ),
    ],
)
def test_a_board_that_a_tag_cannot_hold_says_less_and_is_never_cut(says, themes, last):
    names = (
        f"{'y' * 60 if themes == 40 else ''}claim-{number:02}" for number in range(max(40, themes))
    )
    claims = [
        sample_judged(name, says=says, theme=f"theme-{number % themes}")
        for number, name in enumerate(names)
    ]
    text = claims_note(*claims)
    assert len(text) <= 5000
    assert text.splitlines()[-1] == last


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


@pytest.mark.parametrize("place", ["postgresql://h/db", "file:/tmp/mlruns", ""])
def test_other_kinds_of_address_are_refused_with_a_way_out(place):
    with pytest.raises(EvidenceError, match="start 'mlflow server' on it"):
        Location.parse(place)


def test_text_that_is_none_is_a_damaged_database(tmp_path):
    with (
        refused(EvidenceError, "can't decode byte 0x80", "intact sqlite database", "Restore it"),
        explained(Location.parse(tmp_path), "open"),
    ):
        b"\x80".decode()


def test_what_sqlalchemy_raises_itself_is_explained_and_other_mistakes_are_not(tmp_path):
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import TimeoutError as PoolTimeout

    for kind in (PoolTimeout, MlflowException, OSError, sqlite3.OperationalError):
        with (
            refused(EvidenceError, f"store {tmp_path}, open: got database is locked"),
            explained(Location.parse(tmp_path), "open"),
        ):
            raise kind("database is locked")
    with pytest.raises(RuntimeError), explained(Location.parse(tmp_path), "open"):
        raise RuntimeError("a mistake of ours")


@pytest.mark.parametrize(
    ("words", "next_step"),
    [
        ("attempt to write a readonly database", "chmod -R u+w"),
        ("Detected out-of-date database schema (found version a)", "mlflow db upgrade sqlite:"),
        ("file is not a database", "Restore it from a copy"),
        ("database is locked", "local disk"),
        ("database or disk is full", "Free some space"),
        ("(sqlite3.OperationalError) disk I/O error", "ulimit -f"),
        ("[Errno 27] File too large", "ulimit -f"),
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
