"""A judged claim and the table of its runs: what is kept, what is missing, and the way through JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kdcheck.evidence.judged import Judged, Missing, RunTable
from tests.evidence_doubles import ONE, PLAIN, SMOOTHED, TAUGHT, sample_judged

TABLE = RunTable(
    tasks=("a", "b"),
    seeds=(0, 1),
    runs={
        SMOOTHED: {"a": {0: "d0", 1: "d1"}, "b": {0: "d2", 1: "d3"}},
        PLAIN: {"a": {0: "d4", 1: "d5"}, "b": {0: "d6", 1: "d7"}},
    },
)
LOST = {"d1": "no memory", "d6": "not finite", "d7": "not finite"}
LEFT = TABLE.without(LOST.get)


def test_runs_that_are_lost_leave_the_table_and_are_told_with_their_reason() -> None:
    assert (
        replace(
            TABLE,
            runs={
                SMOOTHED: {"a": {0: "d0"}, "b": {0: "d2", 1: "d3"}},
                PLAIN: {"a": {0: "d4", 1: "d5"}},
            },
            missing=(
                Missing(SMOOTHED, "a", 1, "no memory"),
                Missing(PLAIN, "b", 0, "not finite"),
                Missing(PLAIN, "b", 1, "not finite"),
            ),
        )
        == LEFT
    )
    assert str(LEFT.missing[0]) == "smoothed/smaller on a with seed 1: no memory"
    assert TABLE.without({}.get) is TABLE


def test_a_table_says_which_runs_it_has() -> None:
    slots = [(SMOOTHED, "a", 0), (SMOOTHED, "a", 1), (PLAIN, "b", 0), (PLAIN, "c", 0)]
    assert [LEFT.has(*each) for each in slots] == [True, False, False, False]
    assert LEFT.digest(SMOOTHED, "b", 1) == "d3"
    assert LEFT.digests() == ("d0", "d2", "d3", "d4", "d5")


def test_an_arm_that_lost_all_its_runs_keeps_its_row() -> None:
    gone = TABLE.without(lambda digest: "gone" if digest > "d3" else None)
    assert gone.runs[PLAIN] == {}
    assert not gone.has(PLAIN, "a", 0)


def test_a_table_is_stored_by_arm_with_what_is_missing_and_comes_back() -> None:
    shown = LEFT.to_dict()
    assert shown == {
        "tasks": ["a", "b"],
        "seeds": [0, 1],
        "runs": [
            {"arm": PLAIN.to_dict(), "tasks": {"a": {"0": "d4", "1": "d5"}}},
            {
                "arm": SMOOTHED.to_dict(),
                "tasks": {"a": {"0": "d0"}, "b": {"0": "d2", "1": "d3"}},
            },
        ],
        "missing": [
            {"arm": SMOOTHED.to_dict(), "task": "a", "seed": 1, "reason": "no memory"},
            {"arm": PLAIN.to_dict(), "task": "b", "seed": 0, "reason": "not finite"},
            {"arm": PLAIN.to_dict(), "task": "b", "seed": 1, "reason": "not finite"},
        ],
    }
    assert "missing" not in TABLE.to_dict(), "of most tables no run is"
    for table in (TABLE, LEFT):
        assert RunTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


JUDGED = replace(
    sample_judged(rests_on=("x",)),
    lock="5eed",
    study={"seeds": [0, 1]},
    beside=("x", "y"),
    data={"letters": {"marks": {"subset": "A few rows."}}, "dozens": {"marks": {}}},
)


def test_a_judged_claim_is_stored_in_whole_and_comes_back() -> None:
    shown = JUDGED.to_dict()
    assert shown == {
        "format": 4,
        "claim": JUDGED.claim.to_dict(),
        "contrast_text": "mean_entropy_nats(smoothed/smaller) - mean_entropy_nats(plain/smaller)",
        "verdict": JUDGED.verdict.to_dict(),
        "table": JUDGED.table.to_dict(),
        "deviations": ["Tasks are cut to a few rows.", "There is no second task of that kind."],
        "lock": "5eed",
        "study": {"seeds": [0, 1]},
        "beside": ["x", "y"],
        "data": {"letters": {"marks": {"subset": "A few rows."}}, "dozens": {"marks": {}}},
    }
    back = Judged.from_dict(json.loads(json.dumps(shown)), ONE)
    assert back == JUDGED
    assert back.data_said == ("letters, subset: A few rows.",)
    del shown["data"]
    assert Judged.from_dict(shown, ONE) == replace(JUDGED, data={}), "as older ones are"


def test_figures_for_readers_are_kept_as_they_stood_in_the_file_beside_what_follows() -> None:
    shown = JUDGED.to_dict()
    derived = shown["verdict"]["derived"]
    follows = {
        "contrast_text": shown["contrast_text"],
        "criterion_digest": JUDGED.verdict.criterion.digest,
        **derived,
    }
    assert JUDGED.follows == follows
    assert Judged.from_dict(shown, ONE).shown == follows
    shown["contrast_text"] = "altered"
    back = Judged.from_dict(shown, ONE)
    assert back.shown == follows | {"contrast_text": "altered"}
    assert back.follows == follows


@pytest.mark.parametrize("arm", [PLAIN, TAUGHT], ids=lambda arm: arm.key)
def test_digests_of_a_table_are_sorted_and_each_is_there_once(arm) -> None:
    table = RunTable(
        ("a", "b"), (0,), {arm: {"b": {0: "d2"}, "a": {0: "d1"}}, SMOOTHED: {"a": {0: "d2"}}}
    )
    assert table.digests() == ("d1", "d2")
