"""Arms: an identity that survives JSON, and a key that no two of them share."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdcheck.claims import Arm
from kdcheck.errors import ClaimError

NAMES = st.sampled_from(["a", "b", "kd", "erm_2", "x.y", "budget", "of"])
TEMPERATURES = st.sampled_from([0.5, 1.0, 2.0, 2.0000000000000004, 1e-7, 64.0])


def _grown(arms):
    plain = {"method": NAMES, "size": NAMES, "budget": st.none() | arms}
    shown = {"teacher_temperature": TEMPERATURES, "teacher_shuffled": st.booleans()}
    taught = st.builds(Arm, **plain, teacher=arms, **shown)
    return st.builds(Arm, **plain) | taught


ARMS = st.recursive(st.builds(Arm, NAMES, NAMES), _grown, max_leaves=8)


@given(ARMS, ARMS)
def test_two_arms_have_one_key_only_if_they_are_one_arm(one, other):
    assert (one.key == other.key) == (one == other)


@given(ARMS)
def test_an_arm_survives_json(arm):
    assert Arm.from_dict(json.loads(json.dumps(arm.to_dict()))) == arm


ERM, KD = Arm("erm", "larger"), Arm("kd", "smaller", teacher=Arm("erm", "larger"))
BACK = Arm("back", "larger", teacher=Arm("erm", "smaller"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (KD.taught_by(ERM.on_budget_of(BACK)), KD.on_budget_of(BACK)),
        (KD.taught_by(KD.taught_by(ERM, temperature=2)), KD.taught_by(KD, temperature=2)),
        (ERM.on_budget_of(KD.on_budget_of(BACK)), ERM.on_budget_of(KD).on_budget_of(BACK)),
        (KD.taught_by(ERM, temperature=1.0000001), KD),
        (KD.taught_by(KD.taught_by(ERM, shuffled=True)), KD.taught_by(KD, shuffled=True)),
        (KD.taught_by(ERM, temperature=2), KD.taught_by(ERM, temperature=2 + 1e-15)),
    ],
    ids=[
        "whose budget",
        "whose temperature",
        "which budget",
        "near 1",
        "whose shuffling",
        "near 2",
    ],
)
def test_nestings_that_read_alike_are_told_apart(one, other):
    assert one != other
    assert one.key != other.key


def test_the_key_of_a_plain_arm_is_short():
    softened = KD.taught_by(Arm("ls", "larger"), temperature=2)
    shuffled = KD.taught_by(ERM, shuffled=True)
    assert [arm.key for arm in (ERM, KD, softened, shuffled)] == [
        "erm/larger",
        "kd/smaller<-erm/larger",
        "kd/smaller<-ls/larger@2",
        "kd/smaller<-shuffled erm/larger",
    ]
    assert "teacher_shuffled" not in KD.to_dict()


def test_whoever_must_be_trained_first_comes_first():
    twice = Arm("kd", "smaller", teacher=KD)
    assert [arm.key for arm in twice.lineage()] == [ERM.key, KD.key, twice.key]


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (lambda: Arm("kd<-x", "smaller"), "'kd<-x'"),
        (lambda: Arm("kd", ""), "letters, digits"),
        (lambda: Arm("kd", "smaller", teacher_temperature=2), "1 where nobody teaches"),
        (lambda: KD.taught_by(ERM, temperature=0), "above 0"),
        (lambda: Arm("kd", "smaller", teacher_shuffled=True), "where nobody teaches"),
        (lambda: KD.taught_by(ERM, temperature=float("nan")), "above 0"),
    ],
)
def test_an_arm_that_could_not_be_told_apart_or_trained_is_refused(make, fact):
    with pytest.raises(ClaimError, match=fact):
        make()
