"""The judge's own error rates, and that the simulation runs the judge's own code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from kdcheck.cli import main
from kdcheck.cli.calibrate import _cells
from kdcheck.errors import InputError
from kdcheck.verdict import Measured, Plan, TaskEffects, Word, candidates, judge_family, looks
from kdcheck.verdict import calibration as cal
from kdcheck.verdict.candidates import CHOSEN, compare
from kdcheck.verdict.family import settle, word_at
from kdcheck.verdict.looks import look_at
from kdcheck.verdict.p_values import holm
from kdcheck.verdict.routes import ROUTES, _rerolled, routes
from kdcheck.verdict.spread import moderated

FAMILIES = 400


@pytest.mark.parametrize("null", cal.NULLS)
@pytest.mark.parametrize("seeds", cal.HELD_TO_THE_BOUND)
def test_false_verdicts_of_null_families_stay_within_the_bound(seeds, null):
    row = cal.calibrate_row(seeds, null, families=FAMILIES, claims=12, seed=1)
    for word, rate in (
        ("SUPPORTED", row.any_false_supported),
        ("REFUTED", row.any_false_refuted),
        ("EQUIVALENT", row.any_false_equivalent),
    ):
        print(
            f"false {word}: {rate * FAMILIES:.0f} of {FAMILIES} families of 12 null claims "
            f"({row.seeds}, {row.null}) = {rate:.4f}, bound {row.bound}, Monte Carlo "
            f"standard error there {row.standard_error(row.bound):.4f}"
        )
    assert row.keeps_the_bound


@pytest.mark.parametrize("price", ["looks", "family"])
def test_leaving_out_a_price_is_caught_by_the_calibration(monkeypatch, price):
    if price == "family":
        monkeypatch.setattr("kdcheck.verdict.family.holm", lambda p_XC: p_XC)
    else:
        paid = looks._priced
        monkeypatch.setattr(
            looks, "_priced", lambda criterion, sample, weight: paid(criterion, sample, 1.0)
        )
    row = cal.calibrate_row("normal", Word.SUPPORTED, families=FAMILIES, claims=12, seed=1)
    print(f"without the price of the {price}: {row.any_false_supported:.3f}, bound {row.bound}")
    assert not row.keeps_the_bound


def test_a_spread_that_company_lowers_is_caught_by_the_calibration(monkeypatch):
    # The plain moderated t, and no look at a claim's own spread: see decision 0100.
    monkeypatch.setattr(
        cal,
        "look_at",
        lambda *given: (found := look_at(*given, moderated))._replace(own=np.zeros_like(found.own)),
    )
    name = "normal, one claim with 3 times the spread"
    row = cal.calibrate_row(name, Word.SUPPORTED, families=3 * FAMILIES, claims=12, seed=1)
    print(f"with lowered spreads: {row.any_false_supported:.3f}, bound {row.bound}")
    assert not row.keeps_the_bound


@pytest.mark.parametrize("seeds", ["normal", "identical differences", "two-point (+1 or -1)"])
@pytest.mark.parametrize("null", cal.NULLS)
def test_simulated_families_are_judged_as_real_ones_are(seeds, null):
    rng = np.random.default_rng(2)
    criteria = cal.null_family(6, null)
    arrays = cal.simulate(
        cal.SEEDS[seeds], criteria, lambda c: cal.null_effects(c, null), families=3, rng=rng
    )
    settled = settle(look_at(criteria, arrays, cal.USUAL), cal.USUAL)
    for f in range(3):
        measured = {
            criterion.claim: Measured(
                tasks={
                    task: TaskEffects(
                        seeds=tuple(range(20)),
                        effects=tuple(claim.effects[f, t].tolist()),
                        arms={
                            str(a): tuple(arm[f, t].tolist()) for a, arm in enumerate(claim.arms)
                        },
                    )
                    for t, task in enumerate(criterion.tasks)
                }
            )
            for criterion, claim in zip(criteria, arrays, strict=True)
        }
        for c, verdict in enumerate(judge_family(criteria, measured).values()):
            simulated = word_at(int(settled.words[f, c]))
            if verdict.word is Word.INVALID:
                assert simulated is Word.UNDECIDED
                assert bool(cal.unfit(arrays[c])[f])
            else:
                assert simulated is verdict.word
            np.testing.assert_array_equal(
                settled.adjusted_p[f, c], list(verdict.adjusted_p.values())
            )


@pytest.mark.parametrize("seeds", cal.SEEDS)
def test_simulated_scatter_has_mean_zero(seeds):
    draws = cal.SEEDS[seeds](np.random.default_rng(3), (50_000, 2, 1, 4))
    error = draws.mean(axis=(1, 2, 3)).std() / np.sqrt(len(draws))
    print(f"{seeds}: mean {draws.mean():.4f}, bound {5 * error:.4f}")
    assert abs(draws.mean()) < 5 * error


@pytest.mark.parametrize(("families", "kept", "broken"), [(3, 2, 3), (400, 19, 25), (2000, 70, 80)])
def test_a_rate_breaks_the_bound_where_chance_does_not_explain_it(families, kept, broken):
    # Another route: scipy's exact binomial test against the bound.
    row = cal.calibrate_row("identical differences", "zero", families=families, claims=1, seed=0)
    for count, expected in ((0, True), (kept, True), (broken, False)):
        p = stats.binomtest(count, families, row.bound, alternative="greater").pvalue
        assert bool(p >= cal.THREE_SIGMA) is expected
        assert replace(row, any_false_refuted=count / families).keeps_the_bound is expected


def test_identical_differences_are_always_invalid():
    row = cal.calibrate_row("identical differences", "zero", families=20, claims=3, seed=0)
    assert (row.invalid, row.any_false_supported, row.any_false_refuted) == (1, 0, 0)


def test_calibrate_prints_each_row_in_each_format(capsys):
    options = ["calibrate", "--families", "3", "--claims", "2", "--format"]
    assert main([*options, "table"]) == 0
    table = capsys.readouterr().out
    assert "3 families of 2 null claims per row" in table
    assert main([*options, "markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == cal.number_of_rows() + 2
    assert len({len(line) for line in lines}) == 1
    assert main([*options, "json"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert stored["seed"] == 0
    assert len(stored["rows"]) == cal.number_of_rows()
    assert {"any_false_supported", "bound", "invalid"} <= set(stored["rows"][0])


# Candidates and routes


@pytest.fixture(scope="module")
def compared():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "HELD_TO_THE_BOUND", cal.HELD_TO_THE_BOUND[2:4])
        return {each.name: each for each in compare(families=150, claims=8, seed=3)}


def test_the_chosen_procedure_keeps_the_bound_and_decides_more_than_a_t_test(compared):
    chosen, plain = compared[CHOSEN.name], compared["t, one main look"]
    # 150 families: the bound of 0.025 and six standard errors, for the worst of 24 rates.
    print(f"worst rate {chosen.worst:.3f} ({chosen.where}), bound 0.101")
    assert chosen.worst < 0.101
    ungated = compared["the same, without premises"]
    assert all(ungated.decided[n] > plain.decided[n] for n in (5, 8))
    assert ungated.in_the_end >= chosen.in_the_end
    # A gate takes words back, and a graph gives a premise what its claims would have had.
    graph = compared["the same, a graph of premises"]
    assert all(chosen.decided[n] <= graph.decided[n] <= ungated.decided[n] for n in (5, 8, 10))


def test_the_chosen_candidate_is_the_judge_itself():
    # By the judge's own road, premises as a gate among them.
    criteria = candidates._resting(cal.null_family(8, "zero", Plan.of(5)))
    rng = np.random.default_rng(4)
    arrays = cal.simulate(
        cal.SEEDS["normal"],
        criteria,
        lambda c: np.full(len(c.tasks), 0.3 + (int(c.claim) % 3)),
        families=3,
        rng=rng,
    )
    words = CHOSEN.words(
        criteria, Plan.of(5), lambda plan, rule: look_at(criteria, arrays, plan, rule)
    )
    seen = set()
    for f in range(3):
        measured = {
            criterion.claim: Measured(
                tasks={
                    task: TaskEffects(
                        seeds=tuple(range(20)), effects=tuple(claim.effects[f, t].tolist())
                    )
                    for t, task in enumerate(criterion.tasks)
                }
            )
            for criterion, claim in zip(criteria, arrays, strict=True)
        }
        for c, verdict in enumerate(judge_family(criteria, measured).values()):
            word = verdict.word if verdict.word is not Word.NOT_TESTABLE else Word.UNDECIDED
            assert word_at(int(words[f, c])) is word
            seen.add(verdict.word)
    assert len(seen) > 1


def test_a_graph_of_equal_claims_without_premises_is_holm():
    rng = np.random.default_rng(5)
    p_FC = rng.uniform(0, 0.2, size=(300, 6)) ** 2
    hands_CC = (1 - np.eye(6)) / 5
    found = candidates._rejected(p_FC, np.full(6, 1 / 6), hands_CC, 0.025)
    assert (found == (holm(p_FC) <= 0.025)).all()
    assert 0 < found.mean() < 1


@pytest.fixture(scope="module")
def ways():
    return {each.name: each for each in routes(families=400, claims=4, seed=1)}


def test_every_way_around_gains_without_a_lock_and_nothing_under_one(ways):
    honest = ways["none: one board of the whole family"]
    # 400 families: 0.025 and four standard errors.
    for name, way in ways.items():
        print(f"{name}: {way.without:.3f} without, {way.under:.3f} under a lock, bound 0.056")
        assert way.under < 0.056
        assert way.without >= honest.without
    assert len(ways) == ROUTES
    for name in (
        "a renamed scale with one claim in it",
        "settings changed and run again, 10 times",
    ):
        assert ways[name].without > 0.05


def test_attempts_at_the_full_rate_would_be_caught(monkeypatch):
    monkeypatch.setattr(Plan, "price", 0.9)
    found = _rerolled(families=400, claims=4, seed=1)
    print(f"ten attempts at the full rate: {found.under:.3f}, bound 0.056")
    assert found.under > 0.056


@pytest.mark.parametrize("table", ["--candidates", "--routes"])
def test_candidates_and_routes_print_in_each_format(monkeypatch, table, capsys):
    monkeypatch.setattr(candidates, "HELD_TO_THE_BOUND", ("normal",))
    options = ["calibrate", table, "--families", "2", "--claims", "4", "--format"]
    assert main([*options, "table"]) == 0
    assert "2 families of 4" in capsys.readouterr().out
    assert main([*options, "markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert main([*options, "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == len(lines) - 2


def test_calibrate_is_repeatable_and_its_seed_matters():
    def rates(seed):
        row = cal.calibrate_row(
            "skewed difference (lognormal)", "zero", families=50, claims=12, seed=seed
        )
        return row.any_false_refuted, row.undecided

    assert rates(0) == rates(0)
    assert rates(0) != rates(1)


def test_calibrate_fails_where_normal_seeds_break_the_bound(monkeypatch, capsys):
    monkeypatch.setattr("kdcheck.verdict.family.holm", lambda p_XC: p_XC / 4)
    monkeypatch.setattr(cal, "SEEDS", {"normal": cal.SEEDS["normal"]})
    assert main(["calibrate", "--families", "100", "--claims", "12"]) == 1
    assert "bound broken" in capsys.readouterr().err


def test_calibrate_refuses_a_number_of_families_that_says_nothing(capsys):
    with pytest.raises(InputError, match="0 families of 12 claims"):
        cal.calibrate(families=0, claims=12, seed=0)
    assert main(["calibrate", "--families", "0"]) == 2
    assert "2000 families of 12 claims" in capsys.readouterr().err


def test_the_documented_table_is_the_one_that_the_documented_command_prints():
    text = Path(__file__).parents[1].joinpath("docs", "verdicts.md").read_text(encoding="utf-8")
    assert "kdcheck calibrate --families 2000 --claims 12 --seed 0" in text
    table = [line.split("|")[1:-1] for line in text.splitlines() if "±" in line and line[0] == "|"]
    found = [[cell.strip() for cell in line] for line in table]
    assert [line[:2] for line in found] == [[s, n] for s in cal.SEEDS for n in cal.NULLS.values()]
    for row, null in enumerate(cal.NULLS):  # the first four rows; all forty take ten seconds
        fresh = cal.calibrate_row("normal", null, families=2000, claims=12, seed=0)
        assert found[row] == list(_cells(fresh))


def test_the_documented_candidates_and_routes_are_those_of_the_code(ways):
    text = Path(__file__).parents[1].joinpath("docs", "verdicts.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    for names in (
        [f"{c.name} (chosen)" if c is CHOSEN else c.name for c in candidates.CANDIDATES],
        list(ways),
    ):
        at = [row[:1] for row in rows].index(names[:1])
        assert [row[0] for row in rows[at : at + len(names)]] == names
        assert rows[at + len(names) :][:1] in ([], [[]]), "no row besides"
    assert [row[-1] for row in rows[at : at + len(names)]] == [way.how for way in ways.values()]


def test_the_example_of_the_guide_prints_what_the_guide_says(capsys):
    text = Path(__file__).parents[1].joinpath("docs", "verdicts.md").read_text(encoding="utf-8")
    _, program, _, printed, *_ = text.split("```")
    exec(program.removeprefix("python\n"), {})  # noqa: S102 - the guide's own example
    assert capsys.readouterr().out.strip() == printed.strip()
