"""What a number of seeds can show, against simulation, and the verb that prints it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kdcheck.cli import main
from kdcheck.evidence import bundle
from kdcheck.evidence.judged import selected
from kdcheck.verdict import Criterion, Measured, TaskEffects, Word, judge, judge_family
from kdcheck.verdict.resolution import SEEDS_TRIED, resolution
from tests import report_doubles as doubles

CRITERION = Criterion(claim="c", tasks=("a",), margin=0.1, because="a test", unit="nats")
SPREAD = np.array([-1.0, 0.5, 0.0, 0.9, -0.4])


def measured(centre=0.1, sd=0.2, tasks=("a",)):
    scatter = sd * SPREAD / SPREAD.std(ddof=1)
    return Measured(
        tasks={
            name: TaskEffects(seeds=tuple(range(5)), effects=tuple(centre + scatter * (1 + k)))
            for k, name in enumerate(tasks)
        }
    )


@pytest.mark.parametrize("family", [1, 10])
@pytest.mark.parametrize("seeds", [5, 10])
def test_an_effect_at_the_distance_given_is_shown_four_times_in_five(family, seeds):
    # Null: our figure; 20,000 tries, standard error 0.0028, bound 5 of them.
    company = [replace(CRITERION, claim=f"absent {k}") for k in range(family - 1)]
    verdict = judge_family([CRITERION, *company], {"c": measured()})["c"]
    found = resolution(verdict, seeds=(seeds,))
    assert found.spread == pytest.approx(0.2)
    rng = np.random.default_rng(seeds)
    draws = rng.normal(0.1 + found.smallest[seeds], 0.2, size=(20_000, seeds))
    p = stats.ttest_1samp(draws, 0.1, axis=-1, alternative="greater").pvalue
    shown = (p / 0.7 * family <= 0.0225).mean()
    print(f"{seeds} seeds, family of {family}: shown {shown:.4f}, wanted 0.8, bound 0.014")
    assert shown == pytest.approx(0.8, abs=0.014)


def test_inside_a_margin_on_both_sides_the_distance_is_counted_inwards():
    within = replace(CRITERION, direction="within", margin=1.0)
    found = resolution(judge(within, measured(centre=0.5)), seeds=(3, 10, 30))
    assert found.smallest[3] is None or found.smallest[3] > found.smallest[10]
    rng = np.random.default_rng(0)
    draws = rng.normal(1.0 - found.smallest[10], 0.2, size=(20_000, 10))
    p = stats.ttest_1samp(draws, 1.0, axis=-1, alternative="less").pvalue
    shown = (p / 0.7 <= 0.0225).mean()
    print(f"inside a margin: shown {shown:.4f}, wanted 0.8, bound 0.014")
    assert shown == pytest.approx(0.8, abs=0.014)
    narrow = replace(within, margin=0.01)
    assert set(resolution(judge(narrow, measured())).smallest.values()) == {None}


def test_the_widest_task_is_the_one_that_limits():
    two = replace(CRITERION, tasks=("a", "b"))
    assert resolution(judge(two, measured(tasks=("a", "b")))).spread == pytest.approx(0.4)


def test_more_seeds_show_smaller_effects_and_company_asks_for_larger_ones():
    alone = resolution(judge(CRITERION, measured()))
    far = [alone.smallest[n] for n in SEEDS_TRIED]
    assert far == sorted(far, reverse=True)
    company = [replace(CRITERION, claim=f"absent {k}") for k in range(20)]
    beside = resolution(judge_family([CRITERION, *company], {"c": measured()})["c"])
    assert all(beside.smallest[n] > alone.smallest[n] for n in SEEDS_TRIED)


def test_what_was_not_judged_has_no_resolution():
    assert resolution(judge(CRITERION, None)) is None
    one = Measured(tasks={"a": TaskEffects(seeds=(0,), effects=(0.3,))})
    assert resolution(judge(CRITERION, one)) is None


def test_an_undecided_claim_says_at_how_many_seeds_it_would_be_decided():
    undecided = judge(CRITERION, measured(centre=0.3))
    assert undecided.word is Word.UNDECIDED
    assert resolution(undecided).decided_at == 5 + undecided.more_seeds
    assert resolution(judge(CRITERION, measured(centre=5.0))).decided_at is None


@pytest.fixture
def pocket(monkeypatch):
    """Claims of two scales in a bundle."""
    claims = doubles.study()
    source = doubles.source()
    held = [*claims, *doubles.study(doubles.CLAIMS[:1], scale="mini")]
    monkeypatch.setattr(
        source, "claims", lambda paper=None, scale=None: selected(held, paper, scale), raising=False
    )
    monkeypatch.setattr(bundle, "Bundle", lambda _: source)
    return claims


def test_the_verb_prints_a_line_for_each_judged_claim(pocket, capsys):
    assert main(["power", "--bundle", "somewhere", "--scale", "pocket"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:6] == ["claim", "verdict", "unit", "margin", "effect", "spread"]
    assert all(f"{n} seeds" in head for n in SEEDS_TRIED)
    judged = sorted(each.claim.id for each in pocket if each.verdict.seeds >= 2)
    assert [line.split()[0] for line in lines] == judged
    assert main(["power", "--bundle", "somewhere", "--scale", "pocket", "--format", "json"]) == 0
    stored = {row["claim"]: row for row in json.loads(capsys.readouterr().out)}
    assert sorted(stored) == judged
    for each in pocket:
        if each.claim.id in stored:
            row = stored[each.claim.id]
            assert (row["word"], row["effect"]) == (each.verdict.word, each.verdict.effect)
            assert set(row["smallest"]) == {str(n) for n in SEEDS_TRIED}


def test_the_verb_says_what_to_do_where_nothing_was_judged(pocket, capsys):
    assert main(["power", "--bundle", "somewhere", "--scale", "grand"]) == 2
    assert "Run pytest claims/" in capsys.readouterr().err
