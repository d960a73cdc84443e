"""The lock file: what it holds, what changes it, and which attempt a changed family is."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kdcheck.claims import Claim, Paper, nats
from kdcheck.errors import InputError
from kdcheck.study.graph import build
from kdcheck.study.lock import (
    Lock,
    Section,
    TaskFacts,
    expected_recipe,
    facts_of,
    labels_digest,
    read,
    section_of,
)
from kdcheck.study.registering import UNREGISTERED, Known, register
from kdcheck.study.scale import Scale
from kdcheck.study.standing import Standing
from kdcheck.tasks import Origin, Split, Task
from kdcheck.verdict import Plan
from tests.study_doubles import (
    BACK,
    CLASSES,
    ERM_LARGE,
    ERM_SMALL,
    KD,
    LS_SMALL,
    NamedDigests,
    entropy_gap,
    scale,
)

ONE = entropy_gap(LS_SMALL, ERM_SMALL, "one", margin=nats(0.01))
TWO = entropy_gap(ERM_SMALL, KD.on_budget_of(BACK), "two[x]", rests_on=("one",))
LATE = entropy_gap(ERM_LARGE, ERM_SMALL, "late")
SCALE = scale(rows={"a": {"train": 50}}, first_seed=7)


def section(*claims: Claim, at: Scale = SCALE, **changes) -> Section:
    """The section of claims at a scale, on data that do not exist."""
    plan = Plan.of(at.seeds)
    seeds = tuple(range(at.first_seed, at.first_seed + plan.looks[-1]))
    facts = {t: TaskFacts(digest=f"content of {t}", classes=CLASSES[t]) for t in CLASSES}
    of = section_of(claims or (ONE, TWO), at, NamedDigests(), facts.__getitem__, seeds, plan)
    return replace(of, **changes)


def locked(*sections: Section, name: str = "made up") -> Lock:
    """A lock with some sections, registered one after the other under one name."""
    lock = Lock()
    for each in sections:
        lock = register(lock, each, name).lock
    return lock


def seen(*sections: Section, seeds=()) -> Known:
    """A store with verdicts under sections and runs of the smaller encoder on task b."""
    runs = frozenset(("content of b", "weights of smaller", seed) for seed in seeds)
    return Known({each.digest: each for each in sections}, runs)


def only(lock: Lock) -> Section:
    [found] = lock.families.values()
    return found


# The file


def test_a_section_comes_back_from_its_file_with_the_digest_it_had(tmp_path):
    lock = locked(section())
    path = tmp_path / "claims.lock"
    path.write_text(lock.text)
    assert read(path) == lock
    assert read(path).text == lock.text
    assert list(json.loads(lock.text)["families"]) == [section().digest]
    assert read(tmp_path / "none.lock") == Lock()


@pytest.mark.parametrize(
    "edit",
    [
        lambda each: each["claims"]["one"].update(margin=0.001),
        lambda each: each["claims"].pop("two[x]"),
        lambda each: each["plan"].update(attempt=2),
        lambda each: each["settings"]["training"].update(batch_size=4),
        lambda each: each["tasks"][0].update(majority=0.9),
    ],
)
def test_a_section_that_was_edited_by_hand_is_refused(tmp_path, edit):
    values = json.loads(locked(section()).text)
    edit(values["families"][section().digest])
    (tmp_path / "claims.lock").write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"a section \w{8} whose content has.*edited by hand"):
        read(tmp_path / "claims.lock")


@pytest.mark.parametrize(
    ("content", "told"), [("{", "JSONDecodeError"), ("[]", "format None"), ('{"format": 0}', "0")]
)
def test_what_is_no_lock_is_refused(tmp_path, content, told):
    (tmp_path / "claims.lock").write_text(content)
    with pytest.raises(InputError, match=told):
        read(tmp_path / "claims.lock")


def test_two_families_of_the_same_data_cannot_both_be_first_attempts():
    one, other = section(), section(ONE)
    with pytest.raises(InputError, match="both attempt 1; wanted one attempt each"):
        Lock(families={each.digest: each for each in (one, other)})


def test_a_name_is_no_part_of_a_section_and_a_margin_is():
    assert section(at=replace(SCALE, name="copy")).digest == section().digest
    assert section(at=replace(SCALE, deviations=("D.",))).digest == section().digest
    assert section(replace(ONE, margin=nats(0.02)), TWO).digest != section().digest
    assert section(at=replace(SCALE, first_seed=8)).digest != section().digest
    assert section(at=replace(SCALE, rows={})).digest != section().digest


def test_a_setting_that_is_left_at_its_default_is_the_same_as_one_that_is_written_down():
    written = replace(SCALE, training={**SCALE.training, "max_length": 128, "dropout": 0.1})
    assert section(at=written).digest == section().digest


def test_every_recipe_of_a_family_is_made_from_its_section_alone(tmp_path):
    (tmp_path / "claims.lock").write_text(locked(section()).text)
    kept = only(read(tmp_path / "claims.lock"))
    graph = build([ONE, TWO], SCALE, kept.seeds, NamedDigests())
    made = {
        expected_recipe(kept, arm, task, seed).digest
        for arm, tasks in graph.runs.items()
        for task, seeds in tasks.items()
        for seed in seeds
    }
    wanted = {d for tasks in graph.runs.values() for runs in tasks.values() for d in runs.values()}
    assert made == wanted
    assert len(made) == 3 * 2 * 12
    with pytest.raises(InputError, match="got the task 'c'; wanted one of a, b"):
        expected_recipe(kept, ERM_SMALL, "c", 7)


def test_a_registered_claim_gives_its_criterion_and_contrast_without_its_code():
    kept = Section.from_dict(section().to_dict())
    criterion = kept.criterion("two[x]", "shown")
    assert (criterion.claim, criterion.scale, criterion.rests_on) == ("two[x]", "shown", ("one",))
    assert (criterion.seeds, criterion.plan) == (tuple(range(7, 19)), Plan.of(3))
    assert kept.measures("two[x]") == TWO.measures
    assert criterion.contrast == TWO.measures.text


def test_what_is_said_of_a_task_is_of_the_rows_that_are_used():
    def split(name, labels):
        ids = tuple(f"{name}{row}" for row in range(len(labels)))
        return Split(ids=ids, texts=tuple((each,) for each in ids), labels=tuple(labels))

    task = Task(
        name="t", classes=("n", "y"), text_columns=("text",), origin=Origin(source="s", licence="l", citation="c"),
        train=split("r", [0, 1, 1]), validation=split("v", [0, 1]), test=split("t", [0, 0, 0, 1, 1]),
    )  # fmt: skip
    whole, cut = facts_of(task, {}), facts_of(task, {"test": 2, "train": 1})
    assert (whole.digest, whole.classes, whole.majority) == (task.digest, 2, 0.6)
    assert whole.labels["test"] == labels_digest(
        reversed(task.test.ids), reversed(task.test.labels)
    )
    assert cut.labels["train"] == whole.labels["train"], "each seed cuts its own"
    part = task.subset(test=2).test
    assert cut.labels["test"] == labels_digest(part.ids, part.labels)
    assert labels_digest(part.ids, [1 - label for label in part.labels]) != cut.labels["test"]


# What differs


def reasons(*claims: Claim, at: Scale = SCALE, of: Section | None = None, **changes):
    """What makes claims exploratory that are held against the two registered ones."""
    standing = Standing(section(*claims, at=at, **changes), of or section())
    return [*standing.common, *(r for each in standing.own.values() for r in each)]


def faster(method: str) -> Scale:
    methods = json.loads(json.dumps(SCALE.methods))
    methods[method]["smaller"]["epochs"] = 99
    return replace(SCALE, methods=methods)


MOVED = {"a": TaskFacts(digest="moved", classes=3), "b": section().tasks["b"]}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("The lock does not register this claim.", reasons(ONE, TWO, LATE)),
        ("Its margin is 0.005, registered was 0.01.", reasons(replace(ONE, margin=nats(0.005)), TWO)),
        ("Its direction is 'not_below', registered was 'above'.", reasons(replace(ONE, direction="not_below"))),
        ("Its quantifier over tasks is 'some', registered was 'every'.", reasons(replace(ONE, holds="some"))),
        ("Its list of premises is none, registered was one.", reasons(replace(TWO, rests_on=()))),
        ("Its sentence is 'T.', registered was 'S.'.", reasons(replace(ONE, says="T."))),
        (
            ("Its contrast is 'mean_entropy_nats(ls/smaller) - mean_entropy_nats(erm/larger)', registered was "
            "'mean_entropy_nats(ls/smaller) - mean_entropy_nats(erm/smaller)'."),
            reasons(entropy_gap(LS_SMALL, ERM_LARGE, "one", margin=nats(0.01))),
        ),
        ("Setting methods.ls.smaller.epochs is 99, registered was 2.", reasons(at=faster("ls"))),
        ("Setting methods.back_kd.larger.learning_rate is 1, registered was 0.01.",
         reasons(at=replace(SCALE, methods={**SCALE.methods, "back_kd": {"larger": {**SCALE.methods["back_kd"]["larger"], "learning_rate": 1.0}}}))),
        ("Setting may_collapse is ls, registered was none.", reasons(at=replace(SCALE, may_collapse=("ls",)))),
        ("Setting rows.a.train is absent, registered was 50.", reasons(at=replace(SCALE, rows={}))),
        ("Task 'a' has the content moved, registered was content .", reasons(tasks=MOVED)),
        ("Task 'b' is registered and not run.", reasons(tasks={"a": section().tasks["a"]})),
        ("Encoder 'larger' has the content other, registered was weights .",
         reasons(encoders={**section().encoders, "larger": {"name": "n", "digest": "other"}})),
        ("The plan has the looks (4, 7, 10, 16), registered was (3, 5, 8, 12) with the rate 0.025.",
         reasons(at=replace(SCALE, seeds=4))),
        ("The seeds are 20 to 31, registered were 7 to 18.", reasons(at=replace(SCALE, first_seed=20))),
        ("The engine is of version 0, registered was 2.", reasons(engine_version="0", of=section(engine_version="2"))),
    ],
)  # fmt: skip
def test_whatever_differs_from_the_lock_is_said_in_one_sentence(said, found):
    assert found == [said]


def test_a_task_that_is_not_registered_and_a_contrast_that_only_reads_alike_are_said():
    more = {**section().tasks, "c": TaskFacts(digest="content of c", classes=2)}
    assert reasons(tasks=more) == ["Task 'c' is not registered."]
    claims = section().claims
    other = {**claims["one"], "measures": claims["two[x]"]["measures"]}
    assert reasons(claims={**claims, "one": other}) == [
        "Its contrast reads other arms than the registered one, which is written alike."
    ]


def test_many_settings_that_differ_are_counted():
    found = reasons(at=replace(SCALE, training={"batch_size": 4, "dropout": 0.2, "beta_1": 0.5, "beta_2": 0.5}))  # fmt: skip
    assert len(found) == 4
    assert found[-1] == "1 more setting differs."


def test_a_copy_of_a_scale_with_an_unused_method_or_another_name_differs_in_nothing():
    methods = {**SCALE.methods, "new": SCALE.methods["ls"]}
    assert reasons(at=replace(SCALE, name="copy", methods=methods)) == []
    assert reasons(ONE, at=faster("own_kd")) == []
    bad_teacher = replace(SCALE, may_collapse=("back_kd", "own_kd"))
    assert section(at=bad_teacher).settings["may_collapse"] == ["back_kd"], "the only one in use"
    assert reasons(ONE, at=SCALE, of=section(at=bad_teacher)) == []


def test_another_attempt_has_no_other_plan():
    later = replace(section(), plan=replace(section().plan, attempt=3))
    assert reasons(of=later) == []


# Registering


def test_the_first_lock_is_a_first_attempt_and_the_same_again_changes_nothing():
    change = register(Lock(), section(), "made up")
    assert change.said == ("2 claims are registered for the first time.",)
    assert (change.section.attempt, change.section.plan.price) == (1, 0.9)
    again = register(change.lock, section(), "copy", seen(change.section))
    assert again.lock is change.lock
    assert again.said == ()


def test_a_section_that_nobody_looked_at_is_replaced_and_said_claim_by_claim():
    lock = locked(section())
    change = register(lock, section(replace(ONE, margin=nats(0.02)), LATE), "made up")
    assert change.said == (
        "late: is new.",
        "one: Its margin is 0.02, registered was 0.01.",
        "two[x]: is gone.",
    )
    assert only(change.lock) == change.section
    assert (change.section.attempt, change.section.earlier) == (1, ())
    assert change.lock.history == {}


@pytest.mark.parametrize(
    "known",
    [seen, lambda first: seen(seeds=[18])],
    ids=["a verdict", "a run with a registered seed"],
)
def test_a_section_that_changes_after_its_evidence_is_the_next_attempt(known):
    lock = locked(section())
    first = only(lock)
    change = register(lock, section(ONE), "made up", known(first))
    assert only(change.lock).attempt == 2
    assert change.section.earlier == (first.digest,)
    assert change.lock.history == {first.digest: first.facts}
    assert change.section.plan.price == pytest.approx(0.09)
    third = register(change.lock, section(TWO), "made up", seen(change.section))
    assert third.section.attempt == 3
    assert set(third.section.earlier) == set(third.lock.history) == {first.digest, change.section.digest}  # fmt: skip


def test_ten_rolls_of_the_settings_spend_no_more_than_one_error_rate():
    lock, spent = Lock(), 0.0
    for epochs in range(10):
        at = scale(training={"batch_size": 8 + epochs})
        before = list(lock.families.values())
        change = register(lock, section(at=at), "made up", seen(*before))
        lock, spent = change.lock, spent + change.section.plan.price
    assert 0.999 < spent < 1.0
    assert len(lock.history) == 9


def test_a_family_beside_another_of_the_same_data_is_a_further_attempt_before_any_evidence():
    lock = locked(section())
    beside = register(lock, section(at=faster("ls")), "re-rolled")
    assert beside.section.attempt == 2
    assert len(beside.lock.families) == 2
    again = register(beside.lock, section(at=faster("erm")), "re-rolled")
    assert again.section.attempt == 2, "the one it replaces was not looked at"
    assert len(again.lock.families) == 2


def test_another_wording_is_the_same_attempt_and_another_paper_or_data_another_family():
    lock = locked(section())
    reworded = register(
        lock, section(replace(ONE, because="better"), TWO), "made up", seen(only(lock))
    )
    assert reworded.section.attempt == 1
    assert reworded.section.earlier == (only(lock).digest,)
    theirs = [replace(each, paper=Paper(name="theirs", title="T")) for each in (ONE, TWO)]
    tasks = {"c": TaskFacts(digest="content of c", classes=2)}
    for other in (section(*theirs), section(tasks=tasks)):
        assert register(lock, other, "made up", seen(only(lock))).section.attempt == 1


def test_seeds_that_were_looked_at_before_anything_was_registered_are_a_first_attempt():
    known = seen(seeds=[0, 7])
    change = register(Lock(), section(), "made up", known)
    assert change.section.attempt == 2
    assert UNREGISTERED in change.said
    fresh = replace(SCALE, first_seed=100)
    for unseen in (register(Lock(), section(at=fresh), "m", known), register(Lock(), section(), "m", seen(seeds=[1000]))):  # fmt: skip
        assert unseen.section.attempt == 1


def test_a_section_that_was_judged_and_taken_out_of_the_lock_counts_as_one_more_attempt():
    lock, taken_out = locked(section()), section(ONE)
    known = seen(only(lock), taken_out)
    change = register(lock, section(), "made up", known)
    assert change.section.attempt == 3
    assert set(change.lock.history) == {only(lock).digest, taken_out.digest}
    assert (
        f"The store has verdicts under the lock {taken_out.digest[:8]}: one more attempt."
        in change.said
    )
    again = register(change.lock, section(), "made up", known)
    assert again.said == ()
    emptied = register(Lock(), section(), "made up", seen(change.section))
    assert emptied.section.attempt == 4


def test_a_study_is_held_against_its_own_content_first_then_its_data_then_its_name():
    mine, rolled = section(), section(at=faster("ls"))
    tasks = {"c": TaskFacts(digest="content of c", classes=2)}
    elsewhere = section(tasks=tasks)
    lock = register(register(locked(mine), rolled, "rolled").lock, elsewhere, "elsewhere").lock
    near = [lock.nearest(each, "rolled") for each in (mine, rolled)]
    assert [each and each.settings for each in near] == [mine.settings, rolled.settings]
    assert lock.nearest(elsewhere, "made up") == elsewhere
    unknown = section(tasks={"d": TaskFacts(digest="content of d", classes=2)})
    assert lock.nearest(unknown, "fresh") is None
    assert lock.nearest(unknown, "elsewhere") == elsewhere
