"""Declaring claims, and the claims of this repository themselves."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from kdcheck.claims import claim, claim_of, nats
from kdcheck.errors import ClaimError
from kdcheck.paper import PAPER, statement
from kdcheck.paper.margins import smallest_gap

FOLDER = Path(__file__).parent.parent / "claims"
GOOD = {
    "says": "S.",
    "where": "Table 2",
    "holds": "on every task",
    "margin": nats(0.1),
    "because": "b",
}


def declared():
    """Every claim of the repository with its test."""
    for path in sorted(FOLDER.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"claims_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, value in vars(module).items():
            if claim_of(value):
                yield name, value, claim_of(value)


CLAIMS = list(declared())
# Claims whose margin another claim gave: the same sentence under other conditions.
SAME_MARGIN = {
    "ls_raises_entropy_at_equal_budget": "ls_raises_entropy",
    "standard_kd_lowers_entropy_at_equal_budget": "standard_kd_lowers_entropy",
    "self_kd_lowers_entropy_at_equal_budget": "self_kd_lowers_entropy",
    "reverse_kd_raises_entropy_at_equal_budget": "reverse_kd_raises_entropy",
    "smoothing_shows_on_seen_text": "ls_raises_entropy",
    "distillation_shows_on_seen_text": "standard_kd_lowers_entropy",
    "kd_drops_entropy_early": "standard_kd_lowers_entropy",
    "virtual_teacher_raises_entropy": "ls_raises_entropy",
}

# As they were registered; all others are "on every task" and "above".
ON_MOST_TASKS = {
    *("self_kd_lowers_entropy", "self_kd_lowers_entropy_at_equal_budget"),
    *("reverse_kd_raises_entropy", "reverse_kd_raises_entropy_at_equal_budget"),
    *("tuned_reverse_kd_raises_entropy", "self_training_does_not_raise_entropy"),
    *("kd_beats_ls", "ls_lags_erm", "self_kd_beats_standard_kd"),
}
NOT_BELOW = {
    *("ls_triples_entropy", "fitted_ls_keeps_its_floor", "self_training_does_not_raise_entropy")
}


class Recorder:
    """A study that keeps what it is given to judge."""

    def __init__(self):
        self.contrasts = []

    def judge(self, contrast):
        self.contrasts.append(contrast)


def cases(test):
    """The arguments of a test's parametrisation."""
    marks = [mark.args for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    return [{name: value} for name, values in marks for value in values] or [{}]


def test_a_test_that_is_declared_stays_the_test_it_was():
    def test_it(study):
        return study

    assert claim("c", **GOOD)(test_it) is test_it
    assert claim_of(test_it).margin == nats(0.1)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"holds": "always"}, "on most tasks"),
        ({"direction": "sideways"}, "not_below"),
        ({"because": " "}, "a margin chosen after the fact"),
        ({"where": ""}, "its place"),
        ({"margin": 0.05}, r"Write nats\(0.05\), points\(0.05\)"),
    ],
)
def test_a_claim_that_says_too_little_is_refused(change, fact):
    with pytest.raises(ClaimError, match=fact):
        claim("c", **GOOD | change)


def test_ids_are_unique_and_name_their_tests():
    ids = [each.id for _, _, each in CLAIMS]
    assert len(set(ids)) == len(ids)
    assert [f"test_{each.id}" for _, _, each in CLAIMS] == [name for name, _, _ in CLAIMS]


@pytest.mark.parametrize(("name", "test", "each"), CLAIMS, ids=[name for name, _, _ in CLAIMS])
def test_a_claim_judges_its_statement_case_by_case(name, test, each):
    said = statement(each.id)
    assert (each.says, each.where, each.direction) == (said.says, said.where, said.direction)
    assert said.holds.startswith(f"on {each.holds} task")
    assert each.paper is PAPER
    for arguments in cases(test):
        study = Recorder()
        test(study, **arguments)
        assert study.contrasts == [said(*arguments.values())]
    assert [tuple(a.values()) for a in cases(test)] == [(c,) for c in said.over] or cases(test) == [
        {}
    ]
    assert bool(said.over) == (cases(test) != [{}])


@pytest.mark.parametrize(("name", "test", "each"), CLAIMS, ids=[name for name, _, _ in CLAIMS])
def test_a_claim_is_a_sentence_with_a_place_in_the_paper(name, test, each):
    assert each.says.endswith(".")
    assert any(word in each.where for word in ("section", "appendix", "abstract", "closed form"))
    assert each.because


def test_a_margin_does_not_exceed_the_smallest_gap_that_it_is_a_share_of():
    shares = {each.id: each for _, _, each in CLAIMS if "% of the smallest gap" in each.because}
    assert len(shares) == 11
    for each in shares.values():
        assert 0 < each.margin.size <= smallest_gap([statement(each.id)]).size, each.id


def test_quantifiers_and_directions_are_those_that_were_registered():
    found = {each.id: (each.holds, each.direction) for _, _, each in CLAIMS}
    assert found == {
        name: (
            "most" if name in ON_MOST_TASKS else "every",
            "not_below" if name in NOT_BELOW else "above",
        )
        for name in found
    }
    assert set(found) >= ON_MOST_TASKS | NOT_BELOW


def test_the_margin_of_label_smoothing_lies_below_its_gaps_in_both_experiments():
    because = {each.id: each.because for _, _, each in CLAIMS}
    assert because["ls_raises_entropy"].endswith("(0.153 nats, QNLI, Table 8)")


def test_margins_of_accuracy_are_half_a_printed_digit():
    digits = [each for _, _, each in CLAIMS if each.margin.unit == "points"]
    assert len(digits) == 5
    digit = {cell.half_width for cell in PAPER.printed if cell.metric == "accuracy"}.pop()
    for each in digits:
        assert each.margin.size == pytest.approx(100 * digit), each.id
        assert each.margin.size < smallest_gap([statement(each.id)]).size, each.id


def test_margins_taken_from_another_claim_are_that_claims():
    margins = {each.id: each.margin for _, _, each in CLAIMS}
    for name, other in SAME_MARGIN.items():
        assert margins[name] == margins[other], name


def test_a_claim_of_about_is_judged_by_the_allowance_that_the_audit_gives_it():
    margins = {each.id: each.margin.size for _, _, each in CLAIMS}
    for name in ("ls_triples_entropy", "reverse_kd_stays_far_below_ls"):
        assert abs(statement(name).beyond) == margins[name]


def test_the_margin_of_self_training_exceeds_the_one_rise_that_the_paper_calls_very_slight():
    margins = {each.id: each.margin.size for _, _, each in CLAIMS}
    falls = PAPER.values(statement("self_kd_lowers_entropy")())
    assert [round(-fall, 4) for fall in falls.values() if fall < 0] == [0.006]
    assert margins["self_training_does_not_raise_entropy"] > 0.006
