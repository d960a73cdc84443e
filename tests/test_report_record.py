"""The record: what it says of each claim and run, and that its schema describes it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import pytest
from kdcheck.report.arms import read
from kdcheck.report.judgement import judgement

from kdcheck.claims import nats
from kdcheck.errors import InputError
from kdcheck.paper.arms import ERM, LS, REVERSE_KD, STANDARD_KD
from kdcheck.report import build, schema, to_json
from kdcheck.study.scale import load
from tests import report_doubles as doubles
from tests.json_schema import departures

PAPER_SCALE = replace(load("embedded"), name="paper", tasks=("mrpc", "mnli"), rows={})


@pytest.fixture(scope="module")
def study() -> Any:
    return doubles.study()


@pytest.fixture(scope="module")
def record(study: Any) -> dict[str, Any]:
    return build(*study)


def claim_of(record: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (claim for claim in record["claims"] if claim["id"] == name)
    return found


def test_the_schema_describes_a_record(record: dict[str, Any]) -> None:
    assert departures(record, schema(), schema()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("claims", 0, "word"), "PROVED"),
        (("claims", 0, "interval"), [0.1]),
        (("claims", 0, "tasks", 0, "per_seed", 0, "seed"), "0"),
        (("claims", 0, "margin"), -0.1),
        (("curves", 0, "points", 0, "sd"), "small"),
        (("finals", 0, "paper"), {"table": "2"}),
        (("path",), "/home/someone"),
    ],
)
def test_a_wrong_record_departs_from_the_schema_where_it_is_wrong(
    record: dict[str, Any], path: tuple[Any, ...], value: Any
) -> None:
    wrong = copy.deepcopy(record)
    inner: Any = wrong
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    found = departures(wrong, schema(), schema())
    assert any(str(path[-1]) in departure for departure in found)


def test_a_record_without_its_claims_departs_from_the_schema(record: dict[str, Any]) -> None:
    wrong = {name: value for name, value in record.items() if name != "claims"}
    assert departures(wrong, schema(), schema()) == ["$: no claims"]


def test_the_words_are_those_of_the_judge(study: Any, record: dict[str, Any]) -> None:
    judged, _ = study
    assert {c["id"]: c["word"] for c in record["claims"]} == {
        each.claim.id: each.verdict.word for each in judged
    }
    assert {"SUPPORTED", "REFUTED"} <= {c["word"] for c in record["claims"]}
    assert sum(record["counts"].values()) == len(judged)


def test_a_tasks_effect_is_the_mean_of_its_seeds(record: dict[str, Any]) -> None:
    tasks = [task for claim in record["claims"] for task in claim["tasks"]]
    for task in tasks:
        effects = [seed["effect"] for seed in task["per_seed"]]
        assert task["effect"] == pytest.approx(fmean(effects))
        low, high = task["interval"]
        # t with 4 degrees of freedom at 97.5 % is 2.776.
        assert (high - low) / 2 == pytest.approx(2.776 * stdev(effects) / 5**0.5, rel=1e-3)


def test_finals_are_what_the_runs_ended_with(study: Any, record: dict[str, Any]) -> None:
    judged, source = study
    runs = judged[0].runs
    (cell,) = (
        f
        for f in record["finals"]
        if (f["arm"], f["task"], f["metric"]) == ("ls/smaller", "tweets", "test/accuracy")
    )
    ends = {
        str(seed): source.get(runs.digest("ls/smaller", "tweets", seed)).final.values[
            "test/accuracy"
        ]
        for seed in runs.seeds
    }
    assert cell["values"] == ends
    assert cell["mean"] == pytest.approx(fmean(ends.values()))
    assert cell["sd"] == pytest.approx(stdev(ends.values()))


def test_curves_have_a_point_for_every_look_and_end_at_the_finished_model(
    record: dict[str, Any],
) -> None:
    finals = {(f["arm"], f["task"]): f["mean"] for f in record["finals"]
              if f["metric"] == doubles.ENTROPY}  # fmt: skip
    curves = [curve for curve in record["curves"] if curve["metric"] == doubles.ENTROPY]
    assert len(curves) == len(finals)
    for curve in curves:
        assert curve["points"][-1]["mean"] == pytest.approx(finals[curve["arm"], curve["task"]])


def test_teachers_count_in_the_cost_though_no_claim_reads_them() -> None:
    kd_alone = doubles.entropy_gap("kd", STANDARD_KD, LS("smaller"))
    record = doubles.record(questions=[kd_alone], seeds=3)
    # Student, its teacher and LS, on two tasks with three seeds.
    assert record["cost"]["runs"] == 3 * 2 * 3
    assert "erm/larger" not in {arm["key"] for arm in record["arms"]}


def test_the_papers_figures_stand_beside_ours_where_it_has_them() -> None:
    budgeted = LS("smaller").on_budget_of(STANDARD_KD)
    questions = [
        doubles.entropy_gap("ls", LS("smaller"), ERM("smaller")),
        doubles.entropy_gap("budget", budgeted, ERM("smaller")),
    ]
    record = doubles.record(questions=questions, scale=PAPER_SCALE)
    papers = {(f["arm"], f["task"], f["metric"]): f["paper"] for f in record["finals"]}
    cell = papers["ls/smaller", "mrpc", "test/mean_entropy_nats"]
    assert (cell["table"], cell["printed"], cell["value"]) == ("2", ".6896", 0.6896)
    assert cell["comparison"]["word"] == "INCONSISTENT"
    assert papers["erm/smaller", "mnli", "test/accuracy"]["value"] == pytest.approx(0.813)
    assert papers[budgeted.key, "mrpc", doubles.ENTROPY] is None


def test_a_scope_note_shows_only_where_every_task_is_binary() -> None:
    note = "With two classes a teacher passes on confidence and nothing else."
    question = doubles.entropy_gap("kd", STANDARD_KD, ERM("smaller"), at_two_classes=note)
    binary = replace(load("embedded"), tasks=("snippets",))
    assert doubles.record(questions=[question], scale=binary)["claims"][0]["at_two_classes"] == note
    assert doubles.record(questions=[question])["claims"][0]["at_two_classes"] == ""


def test_two_seeds_show_figures_and_no_word() -> None:
    record = doubles.record(seeds=2)
    assert {claim["word"] for claim in record["claims"]} == {"UNDECIDED"}
    assert all(claim["interval"] and claim["more_seeds"] == 1 for claim in record["claims"])


def test_invalid_evidence_is_shown_by_seed_and_without_a_mean() -> None:
    questions = [doubles.entropy_gap("same", ERM("smaller"), ERM("smaller"), margin=nats(0.01))]
    record = doubles.record(questions=questions, seeds=3)
    (claim,) = record["claims"]
    assert (claim["word"], claim["effect"], claim["interval"]) == ("INVALID", None, None)
    assert claim["advice"]
    assert [seed["effect"] for seed in claim["tasks"][0]["per_seed"]] == [0.0, 0.0, 0.0]
    assert departures(record, schema(), schema()) == []


def test_a_value_that_is_not_finite_is_null(study: Any) -> None:
    judged, _ = study
    first = judged[0]
    measured = first.verdict.measured
    broken = replace(measured.tasks["tweets"], effects=(float("nan"), 0.1, 0.2, 0.3, 0.4))
    tasks = dict(measured.tasks) | {"tweets": broken}
    verdict = doubles.judge_anew(first, replace(measured, tasks=tasks))
    shown = judgement(replace(first, verdict=verdict, runs=doubles.no_runs(first)), {})
    assert shown["word"] == "INVALID"
    assert shown["tasks"][0]["per_seed"][0]["effect"] is None


def test_claims_of_two_scales_make_no_report(study: Any) -> None:
    judged, source = study
    mixed = [judged[0], replace(judged[1], scale="mini")]
    with pytest.raises(InputError) as caught:
        build(mixed, source)
    assert "embedded, mini" in str(caught.value)
    assert "--scale" in caught.value.next_step


def test_no_claims_make_no_report(study: Any) -> None:
    with pytest.raises(InputError) as caught:
        build([], study[1])
    assert "pytest claims/" in caught.value.next_step


def test_claims_that_rest_on_other_runs_of_an_arm_are_noted(study: Any) -> None:
    judged, source = study
    claims = sorted(judged, key=lambda each: each.claim.id)
    last = claims[-1]
    swapped = {
        arm: {task: {"0": seeds["1"], "1": seeds["0"]} for task, seeds in tasks.items()}
        for arm, tasks in last.runs.runs.items()
    }
    other = replace(last, runs=replace(last.runs, runs=swapped))
    notes = build([*claims[:-1], other], source)["notes"]
    assert last.claim.id in notes[0]


def test_seeds_of_other_settings_are_not_mixed_into_an_arm() -> None:
    scale = load("embedded")
    longer = copy.deepcopy(scale.methods["erm"])
    longer["smaller"]["epochs"] += 1
    changed = replace(scale, methods={**scale.methods, "erm": longer})
    gap = doubles.entropy_gap
    now, source = doubles.study([gap("a", LS("smaller"), ERM("smaller"))], seeds=3)
    before, old = doubles.study([gap("b", LS("smaller"), ERM("smaller"))], scale=changed, seeds=5)
    source.graph.recipes.update(old.graph.recipes)
    source.graph.roles.update(old.graph.roles)
    record = build([*now, *before], source)
    seeds = {f["arm"]: list(f["values"]) for f in record["finals"]}
    assert seeds == {"erm/smaller": ["0", "1", "2"], "ls/smaller": ["0", "1", "2", "3", "4"]}
    assert "Claim b was judged on other runs" in record["notes"][0]


def test_the_same_evidence_gives_the_same_bytes(study: Any, record: dict[str, Any]) -> None:
    judged, source = study
    again = build(list(reversed(judged)), source)
    assert to_json(again) == to_json(record)
    assert json.loads(to_json(record)) == record


@pytest.mark.parametrize(
    ("arm", "label", "plain"),
    [
        (REVERSE_KD, "Reverse KD", True),
        (STANDARD_KD.taught_by(LS("larger")), "Standard KD, taught by LS (larger)", False),
        (
            STANDARD_KD.taught_by(ERM("larger"), temperature=0.5),
            "Standard KD, taught by ERM (larger) at temperature 0.5",
            False,
        ),
        (
            ERM("smaller").on_budget_of(STANDARD_KD),
            "ERM, budget of Standard KD (smaller)",
            False,
        ),
    ],
)
def test_an_arms_key_is_read_back_in_words(arm: Any, label: str, plain: bool) -> None:
    reading = read(arm.key)
    assert (reading.label, reading.is_plain, reading.size) == (label, plain, arm.size)
