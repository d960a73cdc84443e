"""What a study cannot be made of is refused, in the whole of the words that a reader gets."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from kdcheck.claims import Arm, Paper, Reading
from kdcheck.errors import (
    ClaimError,
    EncoderError,
    EvidenceError,
    InputError,
    KdcheckError,
    OptionError,
    RecipeError,
)
from kdcheck.evidence.evidence import Evidence
from kdcheck.study import examine, recheck, resources, retrain, session, work
from kdcheck.study import graph as graphs
from kdcheck.study.graph import build, recipe_of
from kdcheck.study.lock import Lock, Section, TaskFacts, expected_recipe, read, section_of
from kdcheck.study.readings import Readings
from kdcheck.study.resources import Resources, ScaleDigests, check_unchanged, encoders_of
from kdcheck.study.seeds import seed_counts
from kdcheck.testing import tiny_encoder, tiny_task
from kdcheck.verdict import Plan
from tests.evidence_doubles import sample_judged
from tests.study_doubles import (
    CLASSES,
    ERM_LARGE,
    ERM_SMALL,
    KD,
    LS_SMALL,
    NamedDigests,
    entropy_gap,
    evidence,
    planned,
    scale,
)

ANEW = "Take the file back from version control, or write it anew with kdcheck lock."
DIGESTS = NamedDigests()


def refusal(kind: type[KdcheckError], act) -> tuple[str, str, str, str]:
    """Who, got, wanted and next step of the error that is raised."""
    with pytest.raises(kind) as caught:
        act()
    error = caught.value
    return error.who, error.got, error.wanted, error.next_step


@pytest.mark.parametrize("seeds", ["0", "13", "three", "-1", "1.5", ""])
def test_a_number_of_seeds_that_is_not_planned(seeds):
    assert refusal(InputError, lambda: seed_counts(seeds, Plan.of(3))) == (
        "seeds",
        repr(seeds),
        "a number from 1 to 12, or until-decided",
        "More seeds than are planned would be a new criterion.",
    )


def test_a_number_of_seeds_that_is_planned_is_one_look_and_until_decided_is_all_of_them():
    assert [seed_counts(seeds, Plan.of(3)) for seeds in ("1", "12", "until-decided")] == [
        (1,), (12,), (3, 5, 8, 12),
    ]  # fmt: skip


def test_a_smoothing_floor_of_an_arm_that_is_not_smoothed():
    claim = planned(lambda study: study.entropy(KD) - study.smoothing_floor(KD), "floor")
    assert refusal(ClaimError, lambda: build([claim], scale(), (0,), DIGESTS)) == (
        "claim 'floor'",
        f"the smoothing floor of {KD.key}, trained with 'kd'",
        "an arm trained with 'ls'",
        "Only label smoothing has that floor; name an arm whose method smooths labels.",
    )


def test_a_curve_of_an_arm_that_is_looked_at_in_the_end_alone():
    claim = planned(lambda study: study.least(study.entropy_curve(LS_SMALL)), "curve")
    once = scale(training={"batch_size": 8, "evaluations_per_epoch": 0})
    assert refusal(ClaimError, lambda: build([claim], once, (0,), DIGESTS)) == (
        "claim 'curve'",
        "a curve of ls/smaller on a, which is looked at once, at its end",
        "an arm with evaluations_per_epoch of at least 1",
        "Say so in the scale file, under [methods.ls.smaller] or [training].",
    )


def test_two_arms_of_one_key(monkeypatch):
    monkeypatch.setattr(Arm, "key", "the same")
    assert refusal(ClaimError, lambda: graphs._check_keys([ERM_SMALL, LS_SMALL])) == (
        "study",
        "two arms called the same",
        "a key of its own for each",
        "Rename one of their methods.",
    )


def test_claims_of_two_papers_and_a_claim_that_is_there_twice():
    one, other = entropy_gap(LS_SMALL, ERM_SMALL, "one"), entropy_gap(KD, ERM_SMALL, "other")
    theirs = replace(other, paper=Paper(name="a-paper", title="T"))
    assert refusal(ClaimError, lambda: session._check_family([one, theirs, other])) == (
        "study",
        "claims of a-paper and own",
        "claims of one paper",
        "Run the claims of each paper by themselves.",
    )
    assert refusal(ClaimError, lambda: session._check_family([other, one, one, other])) == (
        "study",
        "claim 'one' twice",
        "each id once",
        "Rename one of them.",
    )
    session._check_family([one, other])


def a_section(**changes) -> Section:
    facts = {t: TaskFacts(digest=f"content of {t}", classes=CLASSES[t]) for t in CLASSES}
    claims, seeds = [entropy_gap(LS_SMALL, ERM_SMALL, "one")], tuple(range(12))
    made = section_of(claims, scale(), DIGESTS, facts.__getitem__, seeds, Plan.of(3))
    return replace(made, **changes)


def test_two_families_of_the_same_data_that_are_one_attempt():
    one, other = a_section(), a_section(seeds=tuple(range(12, 24)))
    assert refusal(
        InputError, lambda: Lock(families={each.digest: each for each in (one, other)})
    ) == (
        "lock",
        f"{other.digest[:8]} and {one.digest[:8]}, both attempt 1",
        "one attempt each: they are tries at the same data",
        ANEW,
    )


def test_a_lock_file_that_kdcheck_did_not_write(tmp_path):
    path, section = tmp_path / "claims.lock", a_section()
    good = json.loads(Lock(families={section.digest: section}).text)
    edited = json.loads(json.dumps(good))
    edited["families"][section.digest]["engine_version"] = "0"
    content = replace(section, engine_version="0").digest
    wanted = "a file of kdcheck lock"
    for text, got, need, step in (
        ("[]", "format None", "format 1", ANEW),
        (json.dumps({**good, "format": 2}), "format 2", "format 1", ANEW),
        ("{}", "KeyError('format')", wanted, ANEW),
        (
            json.dumps(edited),
            f"a section {section.digest[:8]} whose content has the digest {content[:8]}",
            "what kdcheck lock wrote",
            f"It was edited by hand. {ANEW}",
        ),
    ):
        path.write_text(text)
        assert refusal(InputError, lambda: read(path)) == (f"lock {path}", got, need, step)
    path.write_text(json.dumps({k: v for k, v in good.items() if k != "history"}))
    who, got, need, step = refusal(InputError, lambda: read(path))
    assert (who, need, step) == (f"lock {path}", wanted, ANEW)
    assert got.startswith('history: "{')
    assert got.endswith("(field required)")


def test_a_section_that_lacks_a_field_or_that_makes_no_plan():
    values = a_section().to_dict()
    without = {name: value for name, value in values.items() if name != "seeds"}
    wanted = "one of this version"
    who, got, need, step = refusal(InputError, lambda: Section.from_dict(without))
    assert (who, need, step) == ("lock", wanted, ANEW)
    assert got.startswith("a section that cannot be read (seeds: ")
    values["plan"]["looks"] = []
    who, got, need, step = refusal(InputError, lambda: Section.from_dict(values))
    assert (who, need, step) == ("lock", wanted, ANEW)
    assert got.startswith("a section that cannot be read (ClaimError(")


def test_a_task_that_a_section_does_not_register():
    section = a_section()
    assert refusal(InputError, lambda: expected_recipe(section, ERM_SMALL, "c", 7)) == (
        f"lock {section.digest[:8]}", "the task 'c'", "one of a, b", "Look up its tasks.",
    )  # fmt: skip


def test_a_pair_that_is_not_known_and_one_that_is_a_single_model():
    assert refusal(InputError, lambda: encoders_of(scale(pair="huge"))) == (
        "scale 'made up'",
        "the pair 'huge'",
        "one of bert, minilm, tiny, narrow, or a list of two encoders, the larger one first",
        'Encoders of --model-dir are named as in pair = ["my-bert", "my-small-bert"].',
    )
    assert encoders_of(scale(pair=("big", "small"))) == {"larger": "big", "smaller": "small"}
    copies = {name: replace(tiny_encoder(), name=name) for name in ("big", "copy")}
    found = SimpleNamespace(load_encoder=copies.__getitem__, load_task=lambda name: tiny_task())
    assert refusal(InputError, lambda: ScaleDigests(scale(pair=("big", "copy")), found)) == (
        "scale 'made up', pair",
        "one model for both sizes, big and copy",
        "a larger and a smaller one",
        "Name two encoders in pair; a copy under another name is the same model.",
    )


def test_data_that_are_not_those_of_the_recipe(monkeypatch):
    task = tiny_task()
    monkeypatch.setattr(resources, "load_task", lambda name, **_: task)
    made = Resources(SimpleNamespace(data_dir=None, cache_dir=None))
    recipe = recipe_of(ERM_SMALL, scale(), "a", 0, DIGESTS)
    assert refusal(RecipeError, lambda: made.inputs_of(recipe)) == (
        f"recipe {recipe.short}, task 'a'",
        f"content {task.digest[:12]}",
        "content content of a, which the recipe names",
        "The data differ from those the recipe was made for; see kdcheck data verify.",
    )


def test_an_encoder_that_is_not_what_the_store_began_with():
    stored = {"tiny-1": {"later one", "an earlier one"}, "tiny-2": {"weights of larger"}}
    assert refusal(EncoderError, lambda: check_unchanged(DIGESTS, stored)) == (
        "encoder 'tiny-1'",
        "files with the content weights ",
        "an earli or later on, which the store was trained from",
        (
            "A file of it has changed: put the old one back. To study the new one give it another "
            "name, or start a new store with --store; nothing was trained."
        ),
    )


def stripped(found: Evidence, *splits: str) -> Evidence:
    """Evidence whose last look kept no logits of some splits."""
    last = found.final
    kept = {name: part for name, part in last.predictions.items() if name not in splits}
    return replace(found, points=(*found.points[:-1], replace(last, predictions=kept)))


def test_logits_that_a_claim_reads_and_a_run_did_not_keep():
    recipe = recipe_of(ERM_SMALL, scale(), "a", 0, DIGESTS)
    kept = stripped(evidence(recipe), "validation")
    readings = Readings(lambda digest, trajectory=False: kept)
    read_it = Reading("accuracy", ERM_SMALL, "validation")
    assert refusal(EvidenceError, lambda: readings.value(read_it, recipe.digest)) == (
        f"run {recipe.short}, step 6",
        "no logits on validation",
        "those that the claim reads",
        "An older version did not keep them; run pytest claims/ into a new store.",
    )


def test_a_teacher_without_logits_on_what_its_student_trains_on():
    recipe = recipe_of(KD, scale(), "a", 0, DIGESTS)
    kept = stripped(evidence(recipe.teacher), "train")
    store = SimpleNamespace(get=lambda digest: kept)
    assert refusal(EvidenceError, lambda: work._teacher_logits(recipe, store)) == (
        f"teacher {recipe.teacher.short}",
        "evidence without logits on the training split",
        "a run that was trained as a teacher",
        "Delete that run in the store; it is trained again, with them.",
    )


def test_a_metric_that_its_logits_do_not_give_and_logits_that_are_none():
    found = evidence(recipe_of(ERM_SMALL, scale(), "a", 0, DIGESTS))
    part = found.final.predictions["test"]
    accuracy = float((part.logits_NK.argmax(1) == part.labels_N).mean())
    values = {**found.final.values, "test/accuracy": accuracy + 0.01}
    altered = replace(found, points=(*found.points[:-1], replace(found.final, values=values)))
    assert refusal(EvidenceError, lambda: examine.check_metrics(altered)) == (
        f"run {found.recipe.digest[:8]}, test/accuracy at step 6",
        f"{accuracy + 0.01:.6f} stored and {accuracy:.6f} from the posteriors",
        "the same",
        "The evidence was altered after training; train that run again.",
    )
    spoilt = replace(part, logits_NK=np.full_like(part.logits_NK, np.nan))
    last = replace(found.final, predictions={"test": spoilt})
    who, *_ = refusal(EvidenceError, lambda: examine.check_metrics(replace(found, points=(last,))))
    assert who.startswith(f"run {found.recipe.digest[:8]}, test, ")


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5])
def test_a_share_of_runs_that_is_none(share):
    assert refusal(OptionError, lambda: retrain.draw({"a"}, share, 0)) == (
        "--retrain",
        f"{share:g}",
        "a share above 0 and at most 1",
        "Say 0.05 for one run in twenty.",
    )


def test_a_source_without_claims():
    source = SimpleNamespace(claims=list)
    assert refusal(EvidenceError, lambda: next(recheck.verify(source))) == (
        "verify",
        "no judged claim",
        "at least one",
        "Run pytest claims/ on that store first.",
    )


def test_a_stored_claim_without_a_run_or_a_study_that_can_be_read():
    stored = sample_judged("c")
    first = next(iter(stored.table.runs))
    fewer = {**stored.table.runs, first: {**stored.table.runs[first], "letters": {}}}
    gap = replace(stored, table=replace(stored.table, runs=fewer))
    step = "It was altered, or another version of kdcheck wrote it; judge again: pytest claims/."
    assert refusal(EvidenceError, lambda: recheck._Family._out_of_place(None, gap)) == (
        "claim 'c'",
        f"no run of {first.key} on letters with seed 0",
        "a run of each arm on each task with each seed",
        step,
    )
    who, got, wanted, last = refusal(
        EvidenceError, lambda: recheck._Family._stands(None, replace(stored, study={}))
    )
    assert (who, wanted, last) == ("claim 'c'", "a whole one", step)
    assert got.startswith("a record of what was run that cannot be read (")


def test_the_metrics_of_an_honest_run_are_let_through():
    for arm in (ERM_LARGE, KD):
        found = evidence(recipe_of(arm, scale(), "b", 1, DIGESTS))
        examine.check_metrics(found)
