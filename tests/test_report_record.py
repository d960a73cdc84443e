"""The record: which figure of which run stands where, and that its schema describes it."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import t

from kdcheck.claims import Arm, Paper
from kdcheck.errors import InputError
from kdcheck.evidence.judged import Judged
from kdcheck.report import build, contents, schema, to_json
from kdcheck.verdict import Word
from tests import report_doubles as doubles
from tests.json_schema import departures
from tests.report_doubles import (
    ACCURACY,
    BIG,
    BY_SMOOTH,
    CLASSES,
    ECE,
    EFFECTS,
    ENTROPY,
    LENT,
    PAPER,
    PLAIN,
    SMOOTH,
    TASKS,
    TAUGHT,
    WARM,
)  # fmt: skip

SORTED_SEEDS = [3, 11, 12]


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return doubles.record()


def claim_of(record: dict[str, Any], claim_id: str) -> dict[str, Any]:
    (found,) = (claim for claim in record["claims"] if claim["id"] == claim_id)
    return found


def final_of(record: dict[str, Any], arm: Arm, task: str, metric: str) -> dict[str, Any]:
    wanted = (arm.key, task, metric)
    (found,) = (f for f in record["finals"] if (f["arm"], f["task"], f["metric"]) == wanted)
    return found


def ends_of(arm: Arm, task: str) -> dict[str, list[float]]:
    """Entropy and accuracy on test text by seed, from the logits by another route."""
    found: dict[str, list[float]] = {ENTROPY: [], ACCURACY: []}
    for seed in SORTED_SEEDS:
        test = doubles.evidence(arm, task, seed).final.predictions["test"]
        log_p_NK = log_softmax(test.logits_NK.astype(float), axis=1)
        found[ENTROPY].append(-(np.exp(log_p_NK) * log_p_NK).sum(axis=1).mean())
        right = [row.argmax() == label for row, label in zip(log_p_NK, test.labels_N, strict=True)]
        found[ACCURACY].append(sum(right) / len(right))
    return found


def reach(values: Sequence[float]) -> float:
    """Half of a 95 % t interval of the mean."""
    return float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5


def test_the_schema_describes_a_record(record: dict[str, Any]) -> None:
    assert departures(record, schema(), schema()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("claims", 0, "word"), "PROVED"),
        (("claims", 0, "interval"), [0.1]),
        (("claims", 0, "paper"), "+0.3 nats"),
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


def test_every_field_of_a_record_is_required(record: dict[str, Any]) -> None:
    for name in record:
        wrong = {other: value for other, value in record.items() if other != name}
        assert departures(wrong, schema(), schema()) == [f"$: no {name}"]


def test_the_words_are_those_of_the_judge(record: dict[str, Any]) -> None:
    assert {claim["id"]: claim["word"] for claim in record["claims"]} == doubles.WORDS
    assert record["counts"] == {
        "CONFIRMATORY": {
            "SUPPORTED": 1, "REFUTED": 1, "EQUIVALENT": 0, "UNDECIDED": 1, "NOT_TESTABLE": 1,
            "INVALID": 1, "NOT_RUN": 1,
        },
        "EXPLORATORY": {
            "SUPPORTED": 1, "REFUTED": 0, "EQUIVALENT": 1, "UNDECIDED": 0, "NOT_TESTABLE": 0,
            "INVALID": 0, "NOT_RUN": 0,
        },
        "REHEARSAL": dict.fromkeys(map(str, Word), 0),
    }  # fmt: skip


def test_claims_stand_in_the_order_of_the_board_with_theme_standing_and_premise(
    record: dict[str, Any],
) -> None:
    shown = [(c["standing"], c["theme"], c["id"], c["depth"], c["under"]) for c in record["claims"]]
    smoothing, teachers, budgets = doubles.SMOOTHING, doubles.TEACHERS, doubles.BUDGETS
    yes, no = "CONFIRMATORY", "EXPLORATORY"
    # Two claims elsewhere rest on smoothing; of teachers one of two is decided, of budgets none.
    assert shown == [
        (yes, smoothing, doubles.SURER.id, 0, None),
        (yes, smoothing, doubles.AS_GOOD.id, 1, doubles.SURER.id),
        (yes, teachers, doubles.TEACHING.id, 0, None),
        (yes, teachers, doubles.HANDED.id, 1, doubles.TEACHING.id),
        (yes, budgets, doubles.SIZE.id, 0, None),
        (yes, budgets, doubles.UNRUN.id, 0, None),
        (no, budgets, doubles.BUDGET.id, 0, None),
        (no, teachers, doubles.WARMTH.id, 0, None),
    ]


def test_a_claim_says_why_it_is_exploratory_and_what_it_rests_on(record: dict[str, Any]) -> None:
    for claim in doubles.CLAIMS:
        shown = claim_of(record, claim.id)
        assert shown["exploratory"] == list(doubles.EXPLORATORY.get(claim.id, ()))
        assert shown["rests_on"] == list(claim.rests_on)
        assert (shown["lock"], shown["attempt"]) == (doubles.LOCK, 1)
    handed = claim_of(record, doubles.HANDED.id)
    assert handed["reason"] == doubles.UNTESTABLE[doubles.HANDED.id]
    assert handed["effect"] == pytest.approx(
        0.082 / 3
    )  # shown all the same: of every task the least


def test_a_record_names_paper_scale_tasks_and_seeds(record: dict[str, Any]) -> None:
    assert record["paper"] == {"name": "tulip", "title": "Do Tulips < Teach?"}
    assert record["scale"] == "pocket"
    # In the criterion's order, not that of the measurements.
    shown = [(t["name"], t["classes"], t["train_rows"], t["test_rows"]) for t in record["tasks"]]
    assert shown == [("fish", 2, 1200, 40), ("trees", 5, None, 43), ("birds", 3, 345, 46)]
    assert record["seeds"] == SORTED_SEEDS
    assert record["environment"] == {"device": ["cpu", "cuda"], "torch": ["2.13.0"]}


@pytest.mark.parametrize("claim", [doubles.SURER, doubles.AS_GOOD, doubles.WARMTH])
def test_effects_stand_with_their_task_and_seed_and_are_averaged_over_seeds(
    record: dict[str, Any], claim: Any
) -> None:
    tasks = claim_of(record, claim.id)["tasks"]
    assert [task["name"] for task in tasks] == list(TASKS)
    for task, by_seed in zip(tasks, EFFECTS[claim.id], strict=True):
        shown = [(each["seed"], each["effect"]) for each in task["per_seed"]]
        assert shown == sorted(zip((11, 3, 12), by_seed, strict=True))
        assert task["effect"] == pytest.approx(fmean(by_seed))
        middle, half = fmean(by_seed), reach(by_seed)
        assert task["interval"] == pytest.approx([middle - half, middle + half])


def test_a_card_has_the_criterion_and_the_outcome_of_its_own_claim(record: dict[str, Any]) -> None:
    shown = claim_of(record, "smooth_is_less_sure[smaller]")
    assert shown["effect"] == pytest.approx(0.949 / 3)  # the least one: it must hold on every task
    assert shown["interval"][0] < shown["effect"] < shown["interval"][1]
    assert (shown["margin"], shown["unit"], shown["holds"]) == (0.05, "nats", "every")
    assert (shown["direction"], shown["seeds"], shown["tasks_as_claimed"]) == ("above", 3, 3)
    rates = {word: doubles.PLAN.rate(Word(word)) for word in ("SUPPORTED", "REFUTED", "EQUIVALENT")}
    assert shown["criterion"]["rates"] == rates
    assert len(set(rates.values())) == 3
    assert shown["criterion"]["looks"] == [3, 5]
    assert (shown["criterion"]["seeds_used"], shown["criterion"]["family_size"]) == (3, 8)
    assert shown["task_count"] == 3
    assert shown["criterion"]["adjusted_p"]["SUPPORTED"] < 0.04
    assert shown["criterion"]["adjusted_p"]["REFUTED"] == 1.0
    assert shown["criterion"]["contrast"] == (
        "mean_entropy_nats(smooth/smaller) - mean_entropy_nats(plainly/smaller)"
    )
    undecided = claim_of(record, doubles.AS_GOOD.id)
    (verdict,) = (each.verdict for each in doubles.study() if each.claim is doubles.AS_GOOD)
    assert (undecided["more_seeds"], undecided["direction"]) == (verdict.more_seeds, "not_below")
    assert verdict.more_seeds
    assert shown["more_seeds"] is None


def test_a_claim_lists_its_runs_by_arm_task_and_seed(record: dict[str, Any]) -> None:
    runs = claim_of(record, doubles.BUDGET.id)["runs"]
    assert [(arm["arm"], arm["label"]) for arm in runs] == [
        (SMOOTH.key, "Smoothed (smaller)"),
        (LENT.key, "Taught, budget of Smoothed (smaller) (smaller)"),
    ]
    lent = runs[1]["digests"]
    assert list(lent) == list(TASKS)
    assert list(lent["trees"]) == ["3", "11", "12"]
    assert lent["trees"]["12"] == doubles.recipe(LENT, "trees", 12).digest


def test_the_paper_says_of_a_claim_what_its_tables_say(record: dict[str, Any]) -> None:
    def said(claim_id: str) -> dict[str, Any]:
        return {
            each["task"]: (each["value"], each["tables"])
            for each in claim_of(record, claim_id)["paper"]
        }

    assert said(doubles.SURER.id) == {"fish": (0.302, ["21"]), "birds": (0.362, ["21"])}
    assert said(doubles.SIZE.id) == {"fish": (0.104, ["21", "24"]), "birds": (0.063, ["21", "24"])}
    assert said(doubles.AS_GOOD.id) == {"fish": (1.2, ["22"]), "birds": (1.9, ["22"])}
    assert said(doubles.BUDGET.id) == {}


def test_finals_are_computed_from_the_logits_of_their_own_run(record: dict[str, Any]) -> None:
    arms = (SMOOTH, PLAIN, BIG, TAUGHT, WARM, LENT, BY_SMOOTH)
    for arm in arms:
        for task in TASKS:
            for metric, values_S in ends_of(arm, task).items():
                final = final_of(record, arm, task, metric)
                assert list(final["values"]) == ["3", "11", "12"]
                assert list(final["values"].values()) == pytest.approx(values_S)
                assert final["mean"] == pytest.approx(fmean(values_S))
                assert final["sd"] == pytest.approx(stdev(values_S))
    assert record["metrics"] == [ENTROPY, ACCURACY, ECE]
    assert len(record["finals"]) == len(arms) * len(TASKS) * 3


def test_the_papers_figure_is_that_of_metric_arm_and_task(record: dict[str, Any]) -> None:
    papers = {
        (f["arm"], f["task"], f["metric"]): (
            f["paper"]["table"], f["paper"]["printed"], f["paper"]["value"],
        )
        for f in record["finals"]
        if f["paper"]
    }  # fmt: skip
    assert papers == {
        (PLAIN.key, "fish", ENTROPY): ("21", ".311", 0.311),
        (PLAIN.key, "birds", ENTROPY): ("21", ".522", 0.522),
        (SMOOTH.key, "fish", ENTROPY): ("21", ".613", 0.613),
        (SMOOTH.key, "birds", ENTROPY): ("21", ".884", 0.884),
        (TAUGHT.key, "fish", ENTROPY): ("21", ".241", 0.241),
        (TAUGHT.key, "birds", ENTROPY): ("21", ".402", 0.402),
        (BIG.key, "fish", ENTROPY): ("24", ".207", 0.207),
        (BIG.key, "birds", ENTROPY): ("24", ".459", 0.459),
        (PLAIN.key, "fish", ACCURACY): ("22", "81.7", 0.817),
        (PLAIN.key, "birds", ACCURACY): ("22", "63.6", 0.636),
        (TAUGHT.key, "fish", ACCURACY): ("22", "82.9", 0.829),
        (TAUGHT.key, "birds", ACCURACY): ("22", "65.5", 0.655),
        (BIG.key, "fish", ACCURACY): ("25", "87.3", 0.873),
        (BIG.key, "birds", ACCURACY): ("25", "74.1", 0.741),
        (PLAIN.key, "fish", ECE): ("26", ".083", 0.083),
    }


@pytest.mark.parametrize(("beyond", "word"), [(0.8, "CONSISTENT"), (1.2, "INCONSISTENT")])
def test_a_printed_figure_agrees_if_one_more_seed_could_have_printed_it(
    beyond: float, word: str
) -> None:
    values_S = ends_of(PLAIN, "birds")[ACCURACY]
    wide = float(t.ppf(0.975, 2)) * stdev(values_S) * (1 + 1 / 3) ** 0.5
    bounds = [fmean(values_S) - wide, fmean(values_S) + wide]
    old = next(
        each
        for each in PAPER.printed
        if (each.metric, each.arm, each.task) == (ACCURACY, PLAIN, "birds")
    )
    value = bounds[1] + beyond * old.half_width
    new = replace(old, value=value)
    paper = replace(PAPER, printed=tuple(new if each is old else each for each in PAPER.printed))
    record = doubles.record(claims=[replace(doubles.SURER, paper=paper)])
    comparison = final_of(record, PLAIN, "birds", ACCURACY)["paper"]["comparison"]
    assert comparison["prediction_interval"] == pytest.approx(bounds)
    assert comparison["word"] == word


def test_curves_are_means_over_seeds_of_their_own_split(record: dict[str, Any]) -> None:
    curves = {(c["arm"], c["task"], c["split"]): c for c in record["curves"]}
    assert len(curves) == len(record["curves"]) == 7 * len(TASKS) * 2
    assert {c["metric"] for c in record["curves"]} == {ENTROPY}
    for arm, epochs in ((PLAIN, 2), (SMOOTH, 3), (LENT, 3), (WARM, 4)):
        for split in ("test_sample", "train_sample"):
            points = curves[arm.key, "birds", split]["points"]
            assert [point["epoch"] for point in points] == list(range(1, epochs + 1))
            for point in points:
                levels_S = [
                    doubles.level(split, arm, "birds", seed, point["epoch"])
                    for seed in SORTED_SEEDS
                ]
                assert point["mean"] == pytest.approx(fmean(levels_S))
                assert point["sd"] == pytest.approx(stdev(levels_S))


def test_a_curve_that_was_not_followed_is_left_out() -> None:
    source = doubles.source()
    for digest, run in source.runs.items():
        points = [
            replace(point, values={n: v for n, v in point.values.items() if n.startswith("test_")})
            for point in run.points
        ]
        source.runs[digest] = replace(run, points=tuple(points))
    assert {c["split"] for c in build(doubles.study(), source)["curves"]} == {"test_sample"}


def test_an_arm_that_was_looked_at_in_the_end_alone_has_final_figures_and_no_curve() -> None:
    source = doubles.source()
    for digest, run in source.runs.items():
        if run.recipe.epochs == doubles.recipe(SMOOTH, "fish", 3).epochs:
            source.runs[digest] = replace(run, points=run.points[-1:])
    record = build(doubles.study([doubles.SURER]), source)
    assert {curve["arm"] for curve in record["curves"]} == {PLAIN.key}
    assert final_of(record, SMOOTH, "fish", ENTROPY)["sd"] is not None


def test_arms_stand_in_the_papers_order_with_its_words_and_colours(record: dict[str, Any]) -> None:
    shown = [(a["key"], a["label"], a["size"], a["plain"], a["colour"]) for a in record["arms"]]
    assert shown[:4] == [
        (SMOOTH.key, "Smoothed", "smaller", True, "orange"),
        (BIG.key, "Plain", "larger", True, "grey"),
        (PLAIN.key, "Plain", "smaller", True, "grey"),
        (TAUGHT.key, "Taught", "smaller", True, None),
    ]
    assert {(label, plain) for _, label, _, plain, _ in shown[4:]} == {
        ("Taught, taught by Smoothed (larger)", False),
        ("Taught, taught by Plain (larger) at temperature 2", False),
        ("Taught, budget of Smoothed (smaller)", False),
    }
    warm = next(arm for arm in record["arms"] if arm["key"] == WARM.key)
    assert warm["teacher"] == {"method": "plainly", "size": "larger"}
    assert warm["teacher_temperature"] == 2
    rates = {arm["key"]: arm["settings"]["trees"]["learning_rate"] for arm in record["arms"]}
    assert (rates[PLAIN.key], rates[LENT.key], rates[WARM.key]) == pytest.approx((1e-4, 2e-4, 3e-4))


def test_a_figure_lists_those_of_its_arms_that_were_run_and_needs_one() -> None:
    assert doubles.record()["figures"] == [
        {"name": "Figure 7", "title": "The small one", "arms": [TAUGHT.key, PLAIN.key, SMOOTH.key]}
    ]
    assert doubles.record(claims=[doubles.SIZE])["figures"] == [
        {"name": "Figure 7", "title": "The small one", "arms": [PLAIN.key]}
    ]
    assert doubles.record(claims=[doubles.WARMTH])["figures"] == []


def test_each_run_is_read_once_and_counts_once_and_teachers_count() -> None:
    source = doubles.source()
    claims = [doubles.TEACHING, doubles.AS_GOOD]
    record = build(doubles.study(claims), source)
    arms = (PLAIN, TAUGHT, BIG)  # no claim reads the last: it teaches
    runs = [doubles.evidence(arm, task, seed) for arm in arms for task in TASKS
            for seed in SORTED_SEEDS]  # fmt: skip
    assert record["cost"] == {
        "runs": 27,
        "seconds": pytest.approx(sum(run.cost["seconds"] for run in runs)),
        "steps": sum(run.cost["steps"] for run in runs),
        "train_tokens": sum(run.cost["train_tokens"] for run in runs),
    }
    assert sorted(source.read) == sorted(run.recipe.digest for run in runs)
    assert {arm["key"] for arm in record["arms"]} == {PLAIN.key, TAUGHT.key}
    own = sum(run.cost["seconds"] for run in runs[:18])
    assert claim_of(record, doubles.AS_GOOD.id)["seconds"] == pytest.approx(own)


def test_a_scope_note_shows_only_where_every_task_is_binary() -> None:
    claim = replace(doubles.SURER, at_two_classes="Two classes have no structure.")
    (binary,) = doubles.record(claims=[claim], tasks=["fish"])["claims"]
    assert binary["at_two_classes"] == "Two classes have no structure."
    (mixed,) = doubles.record(claims=[claim], tasks=["fish", "birds"])["claims"]
    assert mixed["at_two_classes"] == ""


@pytest.mark.parametrize(("seeds", "more"), [((11,), 2), ((11, 3), 1)])
def test_too_few_seeds_show_figures_and_no_word(seeds: tuple[int, ...], more: int) -> None:
    record = doubles.record(claims=[doubles.SURER], seeds=seeds)
    (claim,) = record["claims"]
    assert (claim["word"], claim["more_seeds"]) == ("UNDECIDED", more)
    assert claim["effect"] is not None
    spread = [claim["interval"], *(f["sd"] for f in record["finals"])]
    assert all((value is None) == (len(seeds) == 1) for value in spread)
    assert departures(record, schema(), schema()) == []


def test_invalid_evidence_is_shown_by_seed_and_without_a_mean(record: dict[str, Any]) -> None:
    claim = claim_of(record, doubles.SIZE.id)
    assert (claim["word"], claim["effect"], claim["interval"]) == ("INVALID", None, None)
    assert claim["advice"]
    fish, trees, _ = claim["tasks"]
    assert (fish["effect"], fish["interval"]) == (None, None)
    assert [seed["effect"] for seed in fish["per_seed"]] == [None, 0.11, 0.13]
    assert [seed["effect"] for seed in trees["per_seed"]] == [0.22, 0.21, 0.24]


def of_scale(judged: Judged, scale: str) -> Judged:
    criterion = replace(judged.verdict.criterion, scale=scale)
    return replace(judged, verdict=replace(judged.verdict, criterion=criterion))


def test_claims_of_two_scales_or_papers_make_no_report() -> None:
    one, other = doubles.study([doubles.SURER, doubles.TEACHING])
    rose = replace(other, claim=replace(other.claim, paper=Paper(name="rose", title="Roses")))
    for mixed, families in (
        ([one, of_scale(other, "mini")], "tulip at mini, tulip at pocket"),
        ([one, rose], "rose at pocket, tulip at pocket"),
    ):
        with pytest.raises(InputError) as caught:
            build(mixed, doubles.source())
        assert families in caught.value.got
        assert "--paper and --scale" in caught.value.next_step


def test_no_claims_make_no_report() -> None:
    with pytest.raises(InputError) as caught:
        build([], doubles.source())
    assert "pytest claims/" in caught.value.next_step


def test_seeds_of_other_settings_are_not_mixed_into_an_arm() -> None:
    source = doubles.source()
    first, second = doubles.study([doubles.SURER, doubles.TEACHING], seeds=(3, 11))
    longer = replace(doubles.recipe(PLAIN, "fish", 3), epochs=9)
    run = doubles.evidence(PLAIN, "fish", 3)
    source.runs[longer.digest] = replace(run, recipe=longer)
    fish = {"fish": {3: longer.digest, 12: doubles.recipe(PLAIN, "fish", 12).digest}}
    tasks = dict(second.table.runs[PLAIN]) | fish
    table = replace(second.table, runs={**second.table.runs, PLAIN: tasks})
    record = build([first, replace(second, table=table)], source)
    assert list(final_of(record, PLAIN, "fish", ENTROPY)["values"]) == ["3", "11"]
    settings = next(arm for arm in record["arms"] if arm["key"] == PLAIN.key)["settings"]
    assert settings["fish"]["epochs"] == 2
    assert record["notes"][0].startswith(f"Claim {doubles.TEACHING.id} was judged on other runs")
    assert sorted(record["notes"][1:]) == [
        f"3 texts of {task} were cut" for task in sorted(CLASSES)
    ]


def test_a_scale_ships_where_the_paper_brings_a_file_of_its_name(tmp_path: Any) -> None:
    (tmp_path / "pocket.toml").write_text("")
    paper = replace(PAPER, scales=str(tmp_path))
    # As read from a store, which may lie where the paper's files do not.
    stored = Paper.from_dict(json.loads(json.dumps(paper.to_dict())))
    assert stored.scales == ""
    for each in (paper, stored):
        record = doubles.record(claims=[replace(doubles.SURER, paper=each)])
        assert record["scale_ships"] is True
    claim = replace(doubles.SURER, paper=stored)
    assert doubles.record(claims=[claim], scale="other")["scale_ships"] is False
    assert doubles.record()["scale_ships"] is False


def test_tasks_that_kdcheck_can_fetch_are_told_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "PACKAGED", {"trees": None})
    packaged = {task["name"]: task["packaged"] for task in doubles.record()["tasks"]}
    assert packaged == {"fish": False, "trees": True, "birds": False}


def test_the_same_evidence_gives_the_same_bytes(record: dict[str, Any]) -> None:
    again = build(list(reversed(doubles.study())), doubles.source())
    assert to_json(again) == to_json(record)
    assert json.loads(to_json(record)) == record
    assert record["deviations"][0] == "Text is invented."
    assert len(record["deviations"]) == 1 + len(record["claims"])
