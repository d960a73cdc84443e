"""What seeds buy: spreads that were seen, and the paper's own figures beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcheck.claims import Printed, nats
from kdcheck.errors import EvidenceError
from kdcheck.paper.spreads import EMBEDDED
from kdcheck.planning.bought import (
    SEEDS,
    Spread,
    of_claim,
    printed_distance,
    read,
    shown,
    spreads_of,
    to_json,
)
from kdcheck.planning.devices import GPUS
from kdcheck.planning.forecast import about, forecast
from kdcheck.plugin.collecting import plan_paths
from kdcheck.verdict.resolution import resolution
from tests import report_doubles as doubles
from tests.study_doubles import ERM_SMALL, KD, LS_SMALL, entropy_gap, scale
from tests.test_planning_counts import MadeUpSizes

SMALLEST = {3: 0.4, 5: 0.2, 7: None, 10: 0.1}


def spread(claim="c", unit="nats", margin=0.0, smallest=SMALLEST):
    return Spread(claim=claim, unit=unit, margin=margin, spread=0.05, smallest=smallest)


def in_print(claim, **figures):
    """The claim with entropies of its two arms in print, the second of them 1."""
    cells = [
        Printed(table="9", task=task, metric="mean_entropy_nats", arm=arm, value=value,
                half_width=0.005, text=str(value))
        for task, more in figures.items()
        for arm, value in ((LS_SMALL, 1 + more), (ERM_SMALL, 1.0))
    ]  # fmt: skip
    return replace(claim, paper=replace(claim.paper, printed=tuple(cells)))


def test_spreads_are_those_that_kdcheck_power_says():
    judged = doubles.study()
    found = {each.claim: each for each in spreads_of(judged)}
    assert len(found) > 3
    for each in judged:
        if (power := resolution(each.verdict)) is not None:
            assert found[power.claim].spread == power.spread
            assert found[power.claim].smallest == {n: power.smallest[n] for n in SEEDS}


def test_no_claim_with_two_seeds_is_an_error():
    with pytest.raises(EvidenceError, match="pytest claims/"):
        spreads_of([])


def test_spreads_come_back_from_their_file(tmp_path):
    path = tmp_path / "spreads.json"
    path.write_text(to_json([spread(), spread("d", margin=0.2)]))
    assert read(path) == [spread(), spread("d", margin=0.2)]


@pytest.mark.parametrize("other", [spread("d"), spread(unit="points"), spread(margin=0.1)])
def test_a_spread_of_another_claim_unit_or_margin_is_not_taken(other):
    claim = entropy_gap(LS_SMALL, ERM_SMALL)
    assert of_claim(claim, [other]) is None
    assert of_claim(claim, [other, spread()]) == spread()


@pytest.mark.parametrize(
    ("holds", "distance"), [("every", 0.1), ("some", 0.5), ("average", 0.3), (2, 0.1)]
)
def test_what_the_paper_prints_is_counted_on_as_many_tasks_as_the_claim_needs(holds, distance):
    claim = entropy_gap(LS_SMALL, ERM_SMALL, holds=holds, margin=nats(0.2))
    assert printed_distance(in_print(claim, a=0.7, b=0.3), scale()) == pytest.approx(distance)


def test_what_the_paper_prints_of_some_tasks_alone_is_not_taken():
    claim = entropy_gap(LS_SMALL, ERM_SMALL)
    assert printed_distance(in_print(claim, a=0.7), scale()) is None


def test_claims_count_as_shown_where_their_printed_effect_reaches_what_seeds_show():
    claims = {
        "far": (spread(), 0.5),
        "near": (spread(), 0.15),
        "wrong": (spread(), -1.0),
        "unseen": (None, 9.0),
        "unprinted": (spread(), None),
    }
    assert shown(claims) == {3: 1, 5: 1, 7: 0, 10: 2}


def test_the_spreads_that_come_with_the_paper_are_of_its_claims():
    claims = plan_paths(["claims"]).claims
    known = read(EMBEDDED)
    without = [claim.id for claim in claims if of_claim(claim, known) is None]
    assert len(known) > 40
    # A claim that was INVALID there has none.
    assert len(without) < len(claims) / 10, f"write spreads.json anew: {without}"


def test_a_claim_alone_costs_its_runs_and_those_of_its_premises(monkeypatch):
    monkeypatch.setattr("kdcheck.planning.forecast.Sizes", lambda *_: Named())
    premise = entropy_gap(LS_SMALL, ERM_SMALL, "premise")
    taught = entropy_gap(KD, ERM_SMALL, "taught", rests_on=("premise",))
    plan = forecast([premise, taught], scale(), 3, None, [spread("premise")])
    runs = {each["claim"]: each["runs"] for each in plan["each_claim"]}
    # Two tasks and three seeds; the student brings its teacher.
    assert runs == {"premise": 12, "taught": 24}
    assert plan["total"]["recipes"] == 24
    assert plan["each_claim"][0]["smallest"] == SMALLEST
    assert plan["each_claim"][1]["smallest"] == dict.fromkeys(SEEDS)
    five = plan["by_seeds"][1]
    assert (five["seeds"], five["runs"]) == (5, 40)
    assert five["against_fewest"] == pytest.approx(0.5)
    assert five["hours"] == pytest.approx(plan["devices"][0]["hours_one_worker"] * 5 / 3)


def test_the_workers_of_a_machine_share_the_hours_of_a_study(monkeypatch):
    monkeypatch.setattr("kdcheck.planning.forecast.Sizes", lambda *_: Named())
    claims, made = [entropy_gap(LS_SMALL, ERM_SMALL)], scale()
    plan = forecast(claims, made, made.seeds, None, [])
    size, hours = about(claims, made, None, GPUS[0], 4)
    assert hours == pytest.approx(plan["devices"][0]["hours_one_worker"] / 4)
    assert size == plan["total"]["store_bytes"]


class Named(MadeUpSizes):
    """Sizes that do not exist, with the names of a pair."""

    names = {"larger": "tiny-2", "smaller": "tiny-1"}  # noqa: RUF012 - a double
    notes = ()
