"""The parts of the simulations: how differences scatter, what null families are, what candidates and routes count."""

# Shapes: F families, C claims, T tasks, S seeds, L looks, W words.

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kdcheck.errors import InputError
from kdcheck.verdict import Plan, Word, candidates, routes
from kdcheck.verdict import calibration as cal
from kdcheck.verdict.candidates import CANDIDATES, Candidate
from kdcheck.verdict.family import NONE_YET, settle
from kdcheck.verdict.looks import Evidence, look_at
from kdcheck.verdict.spread import moderated, raised

SUPPORTED, REFUTED, EQUIVALENT = range(3)


def state(rng):
    return rng.bit_generator.state["state"]


# How differences scatter


def drawn(name, shape=(4000, 12, 2, 5)):
    return cal.SEEDS[name](np.random.default_rng(8), shape)


@pytest.mark.parametrize("name", cal.SEEDS)
def test_every_way_of_scattering_has_the_shape_that_was_asked_for(name):
    assert drawn(name, (3, 6, 2, 4)).shape == (3, 6, 2, 4)


@pytest.mark.parametrize(
    ("name", "deviations"),
    [
        ("normal", [1.0] * 12),
        ("normal, spreads of 1 and 3 by turns", [1.0] * 4 + [3.0] * 4 + [1.0] * 4),
        ("normal, one claim with 3 times the spread", [3.0] + [1.0] * 11),
        ("normal, one claim with 10 times the spread", [10.0] + [1.0] * 11),
        ("normal, claims and tasks correlated 0.8", [1.0] * 12),
    ],
)
def test_normal_differences_have_the_spread_of_their_claim(name, deviations):
    # 40,000 draws each: a standard deviation is known to 0.4 %; of correlated ones there are 20,000.
    draws = drawn(name)
    np.testing.assert_allclose(draws.std(axis=(0, 2, 3)), deviations, rtol=0.025)
    assert stats.kurtosis(draws[:, -1].ravel()) == pytest.approx(0.0, abs=0.15)


def test_a_family_smaller_than_the_spreads_that_are_listed_has_the_first_of_them():
    assert drawn("normal, one claim with 10 times the spread", (4000, 1, 1, 5)).std() > 9


def test_spreads_that_are_unequal_are_lognormal_over_families_and_claims():
    draws = drawn("normal, spreads unequal (lognormal 0.5)", (400, 12, 2, 200))
    log_sd_FC = np.log(draws.std(axis=(2, 3)))
    assert log_sd_FC.std() == pytest.approx(0.5, rel=0.05)
    assert log_sd_FC.mean() == pytest.approx(0.0, abs=0.03)


def test_correlated_claims_and_tasks_share_four_fifths_of_their_variance():
    draws = drawn("normal, claims and tasks correlated 0.8")
    for one, other in (
        (draws[:, 0, 0], draws[:, 1, 0]),
        (draws[:, 0, 0], draws[:, 0, 1]),
        (draws[:, 2, 1], draws[:, 7, 0]),
    ):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] == pytest.approx(0.8, abs=0.02)
    between_seeds = np.corrcoef(draws[:, 0, 0, 0], draws[:, 0, 0, 1])[0, 1]
    assert between_seeds == pytest.approx(0.0, abs=0.07)


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("heavy-tailed (t, 3 df)", stats.t(3)),
        ("both arms skewed (exponential)", stats.laplace()),
        ("skewed difference (exponential)", stats.expon(-1)),
        ("skewed difference (lognormal)", stats.lognorm(1, -np.exp(0.5))),
    ],
)
def test_other_differences_have_the_distribution_of_their_name(name, distribution):
    # Null: the distribution named; the seed is fixed, so this is one draw that must not be odd.
    assert stats.kstest(drawn(name, (20_000, 1, 1, 1)).ravel(), distribution.cdf).pvalue > 0.01


def test_coarse_two_point_and_identical_differences_are_what_they_are_called():
    coarse = Counter(drawn("coarse (rounded normal)").ravel().tolist())
    assert set(coarse) >= {-2.0, -1.0, 0.0, 1.0, 2.0}
    assert all(value == round(value) for value in coarse)
    total = sum(coarse.values())
    assert coarse[0.0] / total == pytest.approx(
        stats.norm.cdf(0.5) - stats.norm.cdf(-0.5), abs=0.01
    )
    two = Counter(drawn("two-point (+1 or -1)").ravel().tolist())
    assert set(two) == {-1.0, 1.0}
    assert two[1.0] / two.total() == pytest.approx(0.5, abs=0.01)
    identical = drawn("identical differences")
    assert np.ptp(identical, axis=-1).max() == 0
    assert identical[..., 0].std() == pytest.approx(1.0, rel=0.02)


def test_one_run_in_twenty_collapses():
    draws = drawn("rare collapse (1 run in 20)")
    collapsed = draws < -10
    assert collapsed.mean() == pytest.approx(0.05, rel=0.05)
    for part, middle in ((draws[collapsed], -19.0), (draws[~collapsed], 1.0)):
        assert part.mean() == pytest.approx(middle, abs=0.01)
        assert part.std() == pytest.approx(0.1, rel=0.03)


# Null families


def test_a_null_family_has_every_quantifier_by_turns():
    plan = Plan.of(3)
    family = cal.null_family(6, "zero", plan)
    assert [(c.claim, c.tasks, c.holds) for c in family] == [
        ("0", ("a",), "every"),
        ("1", ("a", "b"), "every"),
        ("2", ("a", "b"), "some"),
        ("3", ("a", "b"), "average"),
        ("4", ("a",), "every"),
        ("5", ("a", "b"), "every"),
    ]
    for c in family:
        assert (c.margin, c.unit, c.because) == (0.0, "standard deviations", "simulated")
        assert (c.plan, c.seeds, c.direction) == (plan, tuple(range(12)), "above")
    assert {c.margin for c in cal.null_family(4, Word.REFUTED)} == {30.0}
    assert cal.null_family(1, "zero")[0].plan == Plan()


@pytest.mark.parametrize(
    ("null", "effects"),
    [
        ("zero", [[0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]),
        (Word.SUPPORTED, [[30.0], [1000.0, 30.0], [30.0, 30.0], [30.0, 30.0]]),
        (Word.REFUTED, [[-30.0], [-30.0, -30.0], [-1000.0, -30.0], [-30.0, -30.0]]),
        (Word.EQUIVALENT, [[30.0], [30.0, 30.0], [0.0, 30.0], [30.0, 30.0]]),
    ],
)
def test_null_effects_lie_at_the_very_edge_of_their_word(null, effects):
    assert [cal.null_effects(c, null).tolist() for c in cal.null_family(4, null)] == effects


def test_what_is_simulated_is_the_effect_and_its_scatter_beside_two_arms():
    criteria = cal.null_family(4, "zero", Plan.of(3))

    def scatter(rng, shape):
        assert shape == (5, 4, 2, 12)
        return np.arange(480.0).reshape(shape)

    rng, same = np.random.default_rng(1), np.random.default_rng(1)
    arrays = cal.simulate(
        scatter, criteria, lambda c: np.full(len(c.tasks), 0.5), families=5, rng=rng
    )
    plain_FCTS = same.standard_normal((5, 4, 2, 12))
    for c, claim in enumerate(arrays):
        tasks = len(criteria[c].tasks)
        wanted = np.arange(480.0).reshape(5, 4, 2, 12)[:, c, :tasks] + 0.5
        np.testing.assert_allclose(claim.effects, wanted, rtol=1e-12)
        plain, other = claim.arms
        np.testing.assert_array_equal(plain, plain_FCTS[:, c, :tasks])
        np.testing.assert_array_equal(other - plain, claim.effects)


def test_a_row_counts_families_with_a_false_word_and_claims_without_one(monkeypatch):
    """Three families of two claims: whatever the draws, the words are these."""
    words_FC = np.array([[SUPPORTED, EQUIVALENT], [NONE_YET, NONE_YET], [EQUIVALENT, EQUIVALENT]])
    seen = {}

    def settles(evidence, plan):
        seen["plan"] = plan
        return replace(settle(evidence, plan), words=words_FC)

    def draws(rng, shape):
        seen["state"] = state(rng)
        scatter = rng.standard_normal(shape)
        scatter[1, 1] = 0.0  # one claim of one family has no spread: it is INVALID
        return scatter

    monkeypatch.setattr(cal, "settle", settles)
    monkeypatch.setattr(cal, "SEEDS", {"first": None, "mine": draws})
    plan = Plan(looks=(3, 5), supported=0.125)
    row = cal.calibrate_row("mine", Word.REFUTED, families=3, claims=2, seed=9, plan=plan)
    assert row == cal.Row(
        seeds="mine",
        null="edge of REFUTED",
        families=3,
        claims=2,
        any_false_supported=1 / 3,
        any_false_refuted=0.0,
        any_false_equivalent=2 / 3,
        invalid=1 / 6,
        undecided=1 / 6,
        bound=0.125,
    )
    assert seen["plan"] is plan
    assert seen["state"] == state(np.random.default_rng([9, 1, 2]))


def row_of(**changes):
    shares = dict.fromkeys(
        [
            "any_false_supported",
            "any_false_refuted",
            "any_false_equivalent",
            "invalid",
            "undecided",
        ],
        0.0,
    )
    return cal.Row(
        **{
            "seeds": "x",
            "null": "y",
            "families": 400,
            "claims": 1,
            "bound": 0.025,
            **shares,
            **changes,
        }
    )


@pytest.mark.parametrize("word", ["supported", "refuted", "equivalent"])
def test_the_worst_word_of_a_row_must_keep_the_bound(word):
    assert row_of().keeps_the_bound is True
    assert row_of(**{f"any_false_{word}": 25 / 400}).keeps_the_bound is False
    assert row_of(invalid=1.0, undecided=1.0).keeps_the_bound is True


def test_a_share_of_families_has_the_standard_error_of_a_coin():
    assert row_of().standard_error(0.25) == pytest.approx(np.sqrt(0.25 * 0.75 / 400))


def test_all_rows_are_yielded_in_the_order_of_the_table(monkeypatch):
    monkeypatch.setattr(cal, "calibrate_row", lambda *row, **given: (row, given))
    found = list(cal.calibrate(families=2, claims=3, seed=4, plan=Plan.of(3)))
    assert [row for row, _ in found] == [(s, n) for s in cal.SEEDS for n in cal.NULLS]
    given = {"families": 2, "claims": 3, "seed": 4, "plan": Plan.of(3)}
    assert all(each == given for _, each in found)
    assert len(found) == cal.number_of_rows() == 56


# Candidates


def test_a_candidate_looks_when_its_name_says():
    by_name = {each.name: each for each in CANDIDATES}
    assert by_name["t, looks at 3, 5, 7, 10 alike"].plan(5) == Plan(
        looks=(3, 5, 7, 10), weights=(0.25,) * 4
    )
    assert by_name["t, one look"].plan(8) == Plan(looks=(8,), weights=(1.0,))
    assert by_name["t, one main look"].plan(8) == Plan.of(8)


def evidence_of(p_FC, own_FC=None, looks=1):
    """Evidence of SUPPORTED alone, the same at each look."""

    def whole(p_FC):
        p_FCLW = np.ones((*np.shape(p_FC), looks, 3))
        p_FCLW[..., SUPPORTED] = np.asarray(p_FC)[..., None]
        return p_FCLW

    return Evidence(whole(p_FC), whole(p_FC if own_FC is None else own_FC), [])


ONE_LOOK = Plan(looks=(5,))
RATE = 0.0225


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # By itself only the first claim is clear; beside its class the first two are.
        ({"rule": raised}, [SUPPORTED, NONE_YET, NONE_YET, NONE_YET]),
        ({"rule": raised, "itself": False}, [SUPPORTED, SUPPORTED, NONE_YET, NONE_YET]),
        # Of the class nothing, of the claims themselves three.
        ({"rule": None}, [SUPPORTED, NONE_YET, SUPPORTED, SUPPORTED]),
        ({"rule": raised, "premises": "gate"}, [SUPPORTED, NONE_YET, NONE_YET, NONE_YET]),
    ],
)
def test_a_candidate_shows_what_its_evidence_shows(changes, words):
    asked = []

    def see(plan, rule):
        asked.append((plan, rule))
        return evidence_of([[0.001, 0.001, 1.0, 0.5]], [[0.001, 0.9, 0.001, 0.001]])

    found = Candidate("x", **changes).words(cal.null_family(4, "zero"), ONE_LOOK, see)
    assert found.tolist() == [words]
    assert asked == [(ONE_LOOK, changes["rule"] or raised)]


def test_a_gate_takes_back_what_rests_on_a_premise_that_is_not_supported():
    criteria = candidates._resting(cal.null_family(9, "zero"))
    assert [c.rests_on for c in criteria] == [
        *((), ("0",), ("0",), ("0",)),
        *((), ("4",), ("4",), ("4",)),
        (),
    ]
    assert candidates._premise_of(criteria).tolist() == [0, 0, 0, 0, 4, 4, 4, 4, 8]
    words_FC = np.array(
        [
            [
                SUPPORTED,
                SUPPORTED,
                REFUTED,
                NONE_YET,
                REFUTED,
                SUPPORTED,
                REFUTED,
                SUPPORTED,
                REFUTED,
            ],
            [
                NONE_YET,
                SUPPORTED,
                REFUTED,
                EQUIVALENT,
                SUPPORTED,
                REFUTED,
                NONE_YET,
                SUPPORTED,
                NONE_YET,
            ],
        ]
    )
    none = NONE_YET
    assert candidates._gated(words_FC, criteria).tolist() == [
        [SUPPORTED, SUPPORTED, REFUTED, none, REFUTED, none, none, none, REFUTED],
        [none, none, none, none, SUPPORTED, REFUTED, none, SUPPORTED, none],
    ]


def rejected_one_by_one(p_C, weights_C, hands_CC, rate):
    """Algorithm 1 of Bretz et al. 2009 as it is printed there, for one family."""
    weights, hands = list(map(float, weights_C)), np.array(hands_CC, float).tolist()
    left, shown = set(range(len(p_C))), set()
    while True:
        ready = [c for c in sorted(left) if p_C[c] <= weights[c] * rate]
        if not ready:
            return shown
        j = ready[0]
        left.remove(j)
        shown.add(j)
        new_weights = {k: weights[k] + weights[j] * hands[j][k] for k in left}
        new_hands = {}
        for k in left:
            for m in left - {k}:
                both = hands[k][j] * hands[j][k]
                new_hands[k, m] = (
                    (hands[k][m] + hands[k][j] * hands[j][m]) / (1 - both) if both < 1 else 0.0
                )
        for k in left:
            weights[k] = new_weights[k]
            for m in left - {k}:
                hands[k][m] = new_hands[k, m]


def test_a_graph_rejects_what_the_printed_algorithm_rejects():
    rng = np.random.default_rng(6)
    sizes = Counter()
    for _ in range(60):
        claims = 5
        p_FC = rng.uniform(0, 0.25, size=(4, claims)) ** 2
        weights_C = rng.dirichlet(np.ones(claims))
        hands_CC = rng.dirichlet(np.full(claims - 1, 0.4), size=claims)
        hands_CC = np.stack([np.insert(row, c, 0.0) for c, row in enumerate(hands_CC)])
        hands_CC *= rng.choice([1.0, 0.5], size=(claims, 1))
        found_FC = candidates._rejected(p_FC, weights_C, hands_CC, 0.025)
        for p_C, found_C in zip(p_FC, found_FC, strict=True):
            wanted = rejected_one_by_one(p_C, weights_C, hands_CC, 0.025)
            assert set(np.flatnonzero(found_C).tolist()) == wanted
            sizes[len(wanted)] += 1
    assert len(sizes) == 6


def test_two_claims_that_hand_everything_to_each_other_are_handed_it_once():
    hands_CC = np.array([[0.0, 1.0], [1.0, 0.0]])
    weights_C = np.array([0.5, 0.5])
    found = candidates._rejected(
        np.array([[0.02, 0.012], [0.02, 0.013]]), weights_C, hands_CC, 0.025
    )
    assert found.tolist() == [[True, True], [False, False]]


def test_a_graph_of_premises_hands_their_weight_to_what_rests_on_them():
    criteria = candidates._resting(cal.null_family(5, "zero"))
    # The premise of four has 4/5 of the rate, the fifth claim 1/5, the three that rest nothing of their own.
    weights_C = [0.8, 0, 0, 0, 0.2]
    hands_CC = [
        [0, 1 / 3, 1 / 3, 1 / 3, 0],
        *([1 / 4 * (k != c) for k in range(5)] for c in (1, 2, 3)),
        [0] * 5,
    ]
    rng = np.random.default_rng(7)
    p_FC = rng.uniform(0, 0.22, size=(200, 5)) ** 2
    own_FC = np.where(rng.random((200, 5)) < 0.1, 1.0, p_FC)
    words_FC = np.where(rng.random((200, 5)) < 0.3, REFUTED, SUPPORTED)
    found_FC = candidates._by_graph(words_FC, evidence_of(p_FC, own_FC), criteria, ONE_LOOK)
    for f in range(200):
        shown = rejected_one_by_one(p_FC[f], weights_C, hands_CC, RATE)
        for c in range(5):
            if c in shown and own_FC[f, c] <= RATE:
                assert found_FC[f, c] == SUPPORTED
            else:
                assert found_FC[f, c] == (NONE_YET if words_FC[f, c] == SUPPORTED else REFUTED)
    assert 0.1 < (found_FC == SUPPORTED).mean() < 0.9


def test_what_a_graph_shows_at_any_look_stays_shown():
    criteria = candidates._resting(cal.null_family(4, "zero"))
    evidence = evidence_of([[1.0] * 4], looks=2)
    evidence.p[0, 0, 0, SUPPORTED] = evidence.own[0, 0, 0, SUPPORTED] = 0.001
    words_FC = np.full((1, 4), NONE_YET)
    plan = Plan(looks=(5, 8))
    found = candidates._by_graph(words_FC, evidence, criteria, plan)
    assert found.tolist() == [[SUPPORTED, NONE_YET, NONE_YET, NONE_YET]]


def test_a_plan_until_so_many_seeds_has_the_looks_that_these_reach():
    plan = Plan.of(5)
    assert candidates._until(plan, 12) == replace(plan, looks=(5, 8), weights=(0.7, 0.1))
    assert candidates._until(plan, 20) == plan


def test_the_same_simulated_families_are_seen_under_every_plan(monkeypatch):
    calls = []

    def looks_at(*given):
        calls.append(given)
        return look_at(*given)

    monkeypatch.setattr(candidates, "look_at", looks_at)
    criteria, rng = cal.null_family(3, "zero"), np.random.default_rng(2)
    see = candidates._seen("normal", criteria, lambda c: np.zeros(len(c.tasks)), 5, rng)
    first = see(Plan(), raised)
    assert see(Plan(), raised) is first
    see(Plan(), moderated)
    assert len(calls) == 2
    assert first.p.shape == (5, 3, 4, 3)
    wanted = cal.simulate(
        cal.SEEDS["normal"],
        criteria,
        lambda c: np.zeros(len(c.tasks)),
        families=5,
        rng=np.random.default_rng(2),
    )
    np.testing.assert_array_equal(first.p, look_at(criteria, wanted, Plan()).p)


class Says(Candidate):
    """Says SUPPORTED of so many claims, and remembers what it was asked."""

    asked: list = []  # noqa: RUF012 - it is put anew by each test

    def words(self, criteria, plan, see):
        families, claims = see(plan, raised).p.shape[:2]
        words_FC = np.full((families, claims), NONE_YET)
        count = len(plan.looks)
        words_FC[:count, 0] = REFUTED if criteria[0].margin else SUPPORTED
        self.asked.append((criteria, plan, see))
        return words_FC


def test_candidates_are_compared_on_null_families_and_on_true_ones(monkeypatch):
    monkeypatch.setattr(Says, "asked", [])
    seen = []
    true_seen = candidates._seen

    def sees(row, criteria, effects, families, rng):
        of = [effects(c).tolist() for c in criteria]
        seen.append((row, [c.rests_on for c in criteria], of, families, state(rng)))
        return true_seen(row, criteria, effects, families, rng)

    monkeypatch.setattr(candidates, "_seen", sees)
    monkeypatch.setattr(candidates, "HELD_TO_THE_BOUND", ("normal", candidates.UNEQUAL))
    says = Says("says", single=True), Says("says more", looks=(3, 5, 7, 10))
    monkeypatch.setattr(candidates, "CANDIDATES", says)
    one, more = candidates.compare(families=8, claims=9, seed=3)
    assert (one.name, more.name) == ("says", "says more")
    assert (one.worst, one.where) == (1 / 8, "SUPPORTED, normal, effect 0, margin 0")
    assert (more.worst, more.where) == (4 / 8, "SUPPORTED, normal, effect 0, margin 0")
    # Of 72 claims as many are shown as looks are reached with so many seeds.
    assert one.decided == {5: 1 / 72, 8: 1 / 72, 10: 1 / 72}
    assert more.decided == {5: 2 / 72, 8: 3 / 72, 10: 4 / 72}
    assert (one.in_the_end, more.in_the_end) == (1 / 72, 4 / 72)
    resting = [(), ("0",), ("0",), ("0",), (), ("4",), ("4",), ("4",), ()]
    nulls = list(cal.NULLS)
    for at, (row, rests, of, families, begun) in enumerate(seen[:8]):
        name = ("normal", candidates.UNEQUAL)[at // 4]
        null = nulls[at % 4]
        assert (row, rests, families) == (name, resting, 8)
        assert of == [cal.null_effects(c, null).tolist() for c in cal.null_family(9, null)]
        place = list(cal.SEEDS).index(name)
        assert begun == state(np.random.default_rng([3, place, at % 4]))
    row, rests, of, families, begun = seen[8]
    assert (row, rests, families) == (candidates.UNEQUAL, resting, 8)
    assert begun == state(np.random.default_rng([3, len(cal.SEEDS)]))
    tasks = [len(c.tasks) for c in cal.null_family(9, "zero")]
    beyond = [1.0] * 4 + [2.0] * 4 + [4.0]
    assert of == [[each] * n for each, n in zip(beyond, tasks, strict=True)]
    assert {c.plan for c in Says.asked[-1][0]} == {Plan.of(10)}
    with pytest.raises(InputError):
        candidates.compare(families=0, claims=9, seed=3)


# Routes


@pytest.fixture
def parts(monkeypatch):
    """Routes whose parts are known: what they are made of is remembered."""
    made = {"drawn": [], "shown": []}

    def draws(families, claims, rng):
        made["drawn"].append((families, claims, state(rng)))
        return list(range(claims)), [f"arrays {len(made['drawn'])}"] * claims

    def shows(family, plan):
        made["shown"].append((tuple(family[0]), plan))
        claims = len(family[0])
        shown_FC = np.zeros((10, claims), dtype=bool)
        shown_FC[:claims, 0] = True
        return shown_FC

    monkeypatch.setattr(routes, "_drawn", draws)
    monkeypatch.setattr(routes, "_shown", shows)
    monkeypatch.setattr(routes, "_boards_so_far", lambda family: np.array([[True], [False]]))
    monkeypatch.setattr(routes, "_down_to_one", lambda family: np.array([[True]] + [[False]] * 3))
    monkeypatch.setattr(
        routes, "_added", lambda family, late: np.array([[family[1] == late[1]]] + [[True]] * 2)
    )
    return made


def test_every_route_is_told_with_what_it_gains_and_what_the_lock_makes_of_it(parts):
    found = [
        (each.name, each.without, each.under, each.how)
        for each in routes.routes(families=10, claims=4, seed=6)
    ]
    assert found[:5] == [
        ("none: one board of the whole family", 0.4, 0.4, "CONFIRMATORY"),
        (
            "a renamed scale with one claim in it",
            0.1,
            0.4,
            "the family is known by its content: all its claims are paid for",
        ),
        ("a board after each -k run", 0.5, 0.4, "claims that were not run are paid for"),
        (
            "claims deleted while undecided, down to one",
            0.25,
            0.4,
            "the family stays as registered",
        ),
        (
            "as many claims added late, three at a time",
            2 / 3,
            0.4,
            "what was added is EXPLORATORY",
        ),
    ]
    assert found[5] == (
        "settings changed and run again, 10 times",
        0.4,
        0.4,
        "numbered attempts, each at a tenth of the rate before it",
    )
    begun = [[6, 0], [6, 1], *([6, 2, roll] for roll in range(10))]
    assert parts["drawn"] == [(10, 4, state(np.random.default_rng(each))) for each in begun]
    assert parts["shown"][0] == ((0, 1, 2, 3), Plan())
    assert parts["shown"][1:5] == [((c,), Plan()) for c in range(4)]
    rolls = parts["shown"][5:]
    assert rolls[::2] == [((0, 1, 2, 3), Plan())] * 10
    assert rolls[1::2] == [((0, 1, 2, 3), Plan(attempt=roll)) for roll in range(1, 11)]
    with pytest.raises(InputError):
        next(routes.routes(families=0, claims=4, seed=6))


def test_rolls_add_up_over_families(monkeypatch, parts):
    turns = iter(range(20))

    def shows(family, plan):
        turn = next(turns)
        shown_FC = np.zeros((20, 2), dtype=bool)
        # Without a lock a family more at each roll; under one only the first two rolls.
        shown_FC[turn // 2 if turn % 2 == 0 else min(turn // 2, 1), turn % 2] = True
        return shown_FC

    monkeypatch.setattr(routes, "_shown", shows)
    found = routes._rerolled(20, 2, 5)
    assert (found.without, found.under) == (10 / 20, 2 / 20)


def test_families_are_drawn_without_an_effect():
    criteria, arrays = routes._drawn(6, 5, np.random.default_rng(4))
    assert criteria == cal.null_family(5, "zero", Plan())
    wanted = cal.simulate(
        cal.SEEDS["normal"],
        criteria,
        lambda c: np.zeros(len(c.tasks)),
        families=6,
        rng=np.random.default_rng(4),
    )
    for got, want in zip(arrays, wanted, strict=True):
        np.testing.assert_array_equal(got.effects, want.effects)


def test_a_part_of_a_family_keeps_claims_and_arrays_together():
    assert routes._part((["a", "b", "c"], [1, 2, 3]), [2, 0]) == (["c", "a"], [3, 1])
    assert (
        routes._any(np.array([[False, True], [True, True], [False, False], [False, False]])) == 0.5
    )


@pytest.fixture(scope="module")
def family():
    """Twelve claims with some effect, so that boards differ."""
    criteria = cal.null_family(12, "zero", Plan())
    rng = np.random.default_rng(11)
    arrays = cal.simulate(
        cal.SEEDS["normal"],
        criteria,
        lambda c: np.full(len(c.tasks), 0.25 * (int(c.claim) % 5)),
        families=30,
        rng=rng,
    )
    return criteria, arrays


def board(family, places):
    """Which claims of a board of these are SUPPORTED, by place in the family."""
    criteria, arrays = family
    evidence = look_at([criteria[c] for c in places], [arrays[c] for c in places], Plan())
    words_FC = settle(evidence, Plan()).words
    return [{places[c] for c in np.flatnonzero(row == SUPPORTED)} for row in words_FC]


def sets_of(shown_FC):
    return [set(np.flatnonzero(row).tolist()) for row in shown_FC]


def test_what_is_shown_is_what_a_board_says(family):
    assert sets_of(routes._shown(family, Plan())) == board(family, range(12))


def test_boards_that_grow_show_what_any_of_them_shows(family):
    boards = [board(family, range(count)) for count in range(1, 13)]
    wanted = [set().union(*each) for each in zip(*boards, strict=True)]
    assert sets_of(routes._boards_so_far(family)) == wanted
    assert wanted != boards[-1]


def test_a_claim_that_is_left_alone_pays_for_itself_alone(family):
    evidence = look_at(*family, Plan())
    p, own = (each[:, :, -1, SUPPORTED] for each in (evidence.p, evidence.own))
    found = routes._down_to_one(family)
    assert found.shape == (30, 1)
    for f in range(30):
        best = min(range(12), key=lambda c, f=f: p[f, c])
        assert found[f, 0] == (p[f, best] <= RATE and own[f, best] <= RATE)


def test_claims_that_are_added_late_come_three_at_a_time(family):
    first = [each[:6] for each in family]
    late = [each[6:] for each in family]
    whole = [
        [*first[0], *(replace(c, claim=f"late {c.claim}") for c in late[0])],
        [*first[1], *late[1]],
    ]
    boards = [board(whole, range(size)) for size in (6, 9, 12)]
    wanted = [set().union(*each) for each in zip(*boards, strict=True)]
    assert sets_of(routes._added(first, late)) == wanted
    assert wanted != boards[-1]
