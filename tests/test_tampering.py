"""Bundles that somebody tampered with and sealed again: what verify finds, and what it cannot see."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from kdcheck.cli import main
from kdcheck.errors import EvidenceError
from kdcheck.evidence.bundle import Bundle
from kdcheck.report import build
from kdcheck.study.recheck import Check, verify
from kdcheck.study.registering import Known, register
from kdcheck.study.resources import Resources
from kdcheck.study.retrain import Retrained, retrain
from tests import tampering
from tests.refusal import refused
from tests.tampering import Forgery, Study, real_study

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "verify.md"


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return real_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def forged(study: Study, tmp_path: Path) -> Forgery:
    return Forgery(study, tmp_path / "bundle")


def told(checks: Iterator[Check]) -> dict[str, str]:
    """By claim that differs, all that is said of it."""
    return {
        check.stored.criterion.claim: "; ".join(check.differences)
        for check in checks
        if not check.same
    }


def again(study: Study, bundle: Bundle, *digests: str) -> list[Retrained]:
    return list(retrain(bundle, digests, Resources(study.places)))


def test_an_honest_bundle_is_as_stored_with_its_own_lock_and_with_that_of_the_repository(study):
    checks = list(verify(Bundle(study.bundle)))
    assert {c.stored.criterion.claim: c.stored.standing for c in checks} == {
        **dict.fromkeys((claim.id for claim in tampering.CLAIMS), "CONFIRMATORY"),
        "late": "EXPLORATORY",
    }
    assert told(iter(checks)) == {}
    assert told(verify(Bundle(study.bundle), study.lock)) == {}


FOUND: list[tuple[Callable[[Forgery], None], dict[str, str]]] = [
    (
        tampering.another_seed,
        {
            "ls_raises": r"ls/smaller on fish with seed 4 is the run \w{8}, with seed 2, not 4",
            "falls": r"ls/smaller on fish with seed 4",
        },
    ),
    (
        tampering.another_arm,
        {"kd_raises": r"erm/smaller on fish with seed 2 is the run \w{8}, with .*objective"},
    ),
    (tampering.moved_margin, {"ls_raises": r"without the reason: Its margin is 0, registered"}),
    (
        tampering.another_plan,
        {"agrees": r"judged by the plan looks 3, not 3, 5, 8, 12; .*weights 1, not 0.7"},
    ),
    (tampering.swapped_tasks, {"agrees": r"on fish with seed 2 is the run \w{8}, with task words"}),
    (tampering.another_sentence, {"ls_raises": r"Its sentence is 'Label smoothing lowers"}),
    (
        tampering.rewritten_labels,
        {"agrees": r"the run \w{8} has other labels on test of fish than the lock registers"},
    ),
    (tampering.another_word, {"ls_raises": "word stored as SUPPORTED, not UNDECIDED"}),
    (tampering.another_effect, {"ls_raises": r"effect on fish with seed 3 stored as \+"}),
    (
        tampering.dropped_claim,
        {"agrees": "stored as CONFIRMATORY, not EXPLORATORY; .*4 of 5 registered claims were run"},
    ),
    (tampering.split_scale, {"ls_raises": "family size stored as 1, not 5; rivals"}),
    (tampering.smaller_p, {"ls_raises": "adjusted p SUPPORTED stored as"}),
    (tampering.smaller_family, {"ls_raises": "family size stored as 2, not 5"}),
    (tampering.no_reasons, {"late": "CONFIRMATORY.*The lock does not register this claim"}),
    (tampering.run_twice, {"ls_raises": "with seed 3 is the run .*, which is .* seed 2 already"}),
    (tampering.logits_of_another_seed, {"falls": r"the run \w{8} has the logits of the run"}),
    (
        tampering.another_encoder,
        {"agrees": r"on fish with seed 2 is the run \w{8}, with encoder_digest \w{12}, not f{12}"},
    ),
    (tampering.another_recipe, {"falls": r"with learning_rate 0.001, not 0.012"}),
    (
        tampering.another_teacher,
        {
            "agrees": r"kd/smaller<-erm/larger on fish with seed 3 .* teacher.encoder my-small-bert, not my-bert"
        },
    ),
    (
        tampering.no_premises,
        {"kd_raises": "Its list of premises is none, registered was larger_is_surer"},
    ),
    (tampering.other_direction, {"larger_is_surer": "Its direction is 'not_below'"}),
    (tampering.picked_seeds, {"agrees": "judged by the seeds 13, 12, .*, not 2, 3, 4"}),
    (
        tampering.figures_for_readers,
        {"agrees": "interval_95 written as 0.35, 0.37, and its inputs"},
    ),
    (tampering.another_study, {"ls_raises": "with epochs 8, not 9"}),
]


@pytest.mark.parametrize(
    ("tamper", "said"), [pytest.param(*each, id=each[0].__name__) for each in FOUND]
)
def test_what_was_tampered_with_is_found_and_named(forged: Forgery, tamper, said):
    tamper(forged)
    found = told(verify(forged.bundle))
    for claim, pattern in said.items():
        assert re.search(pattern, found.get(claim, "")), (claim, found)


REFUSED: list[tuple[Callable[[Forgery], None], str]] = [
    (tampering.flipped_bit, r"test\.parquet with sha256"),
    (tampering.another_metric, r"run \w{8}, test/accuracy at step \d+: got 0.99"),
    (tampering.edited_curve, r"run \w{8}, test_sample/mean_entropy_nats at step"),
]


@pytest.mark.parametrize(
    ("tamper", "said"), [pytest.param(*each, id=each[0].__name__) for each in REFUSED]
)
def test_evidence_that_contradicts_itself_is_refused(forged: Forgery, tamper, said):
    tamper(forged)
    with pytest.raises(EvidenceError, match=said):
        list(verify(forged.bundle))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: body["study"].clear(), "claim 'agrees': got a record of what was run"),
        (lambda body: body["study"]["settings"].pop("rows"), "got a record of what was run"),
        (
            lambda body: body["table"]["runs"][0]["tasks"]["fish"].pop("3"),
            "claim 'agrees': got no run of .* on fish with seed 3",
        ),
    ],
)
def test_a_record_that_lacks_something_is_refused_by_name(forged: Forgery, change, said):
    forged.edit("agrees", change)
    with pytest.raises(EvidenceError, match=said):
        list(verify(forged.bundle))


NEED_THE_LOCK: list[tuple[Callable[[Forgery], None], dict[str, str]]] = [
    (
        tampering.edited_section,
        {
            "agrees": r"judged under the lock \w{8}, which is not in the file",
            "ls_raises": "Its margin is 0, registered was 0.01",
        },
    ),
    (
        tampering.dropped_attempts,
        {"agrees": "not in the file; judged by the plan attempt 1, not 2"},
    ),
    (tampering.dropped_claim_and_entry, {"agrees": "4 of 5 registered claims were run"}),
    (tampering.renamed_scale, {"agrees": "at the scale 'grand', which the file calls 'small'"}),
]


@pytest.mark.parametrize(
    ("tamper", "said"), [pytest.param(*each, id=each[0].__name__) for each in NEED_THE_LOCK]
)
def test_what_the_bundle_could_hide_is_found_with_the_lock_of_the_repository(
    study: Study, forged: Forgery, tamper, said
):
    tamper(forged)
    assert told(verify(forged.bundle)) == {}
    found = told(verify(forged.bundle, study.lock))
    for claim, pattern in said.items():
        assert re.search(pattern, found.get(claim, "")), (claim, found)


def test_a_lock_that_lost_an_attempt_or_has_another_in_its_place_is_said(study: Study):
    bundle, [section] = Bundle(study.bundle), study.lock.families.values()
    [earlier] = section.earlier
    found = told(verify(bundle, replace(study.lock, history={})))
    assert found["agrees"] == f"the file has lost the earlier attempt {earlier[:8]}"
    claims = {**section.claims, "falls": {**section.claims["falls"], "margin": 0.5}}
    known = Known({section.digest: section})
    later = register(study.lock, replace(section, claims=claims), "small", known).lock
    found = told(verify(bundle, later))
    assert found["agrees"].startswith(
        f"judged under the lock {section.digest[:8]}, which was replaced"
    )
    assert "Its margin is 0, registered was 0.5" in found["falls"]


NEED_TRAINING: list[tuple[Callable[[Forgery], None], tuple, str]] = [
    (
        tampering.surer_logits,
        (tampering.LS_SMALL, 3),
        r"posteriors on test are up to 0.\d+ from those of these weights",
    ),
    (
        tampering.unseen_curve,
        (tampering.ERM_SMALL, 3),
        r"train/loss_nats at step \d+ is 0.\d+, stored is",
    ),
]


@pytest.mark.parametrize(
    ("tamper", "slot", "said"), [pytest.param(*each, id=each[0].__name__) for each in NEED_TRAINING]
)
def test_what_only_training_again_can_tell(study: Study, forged: Forgery, tamper, slot, said):
    tamper(forged)
    assert told(verify(forged.bundle, study.lock)) == {}
    [found] = again(study, forged.bundle, forged.run(*slot))
    assert found.same_weights
    assert re.search(said, "; ".join(found.differences)), found.differences


def test_honest_runs_come_out_again_to_the_last_bit_with_and_without_a_teacher(
    study: Study, forged
):
    runs = [forged.run(tampering.LS_SMALL, 3), forged.run(tampering.KD, 2, "words")]
    for found in again(study, forged.bundle, *runs):
        assert (found.same_weights, found.differences) == (True, ())
        assert found.distances["test"] == (0.0, 0.0)


BEYOND: list[tuple[Callable[[Forgery], None], str]] = [
    (tampering.another_place, "place in the paper"),
    (tampering.no_deviations, "deviations"),
]


@pytest.mark.parametrize(
    ("tamper", "listed"), [pytest.param(*each, id=each[0].__name__) for each in BEYOND]
)
def test_what_verify_cannot_see_is_listed_in_its_guide(study: Study, forged, tamper, listed):
    tamper(forged)
    assert told(verify(forged.bundle, study.lock)) == {}
    _, _, beyond = GUIDE.read_text(encoding="utf-8").partition("## What it cannot see")
    assert listed in beyond


F32 = np.zeros(2, dtype=np.float32)
POINT = {"step": 3, "epoch": 1.0, "values": {}, "weights_digest": ""}


def deep(contrast: dict) -> dict:
    for _ in range(40):
        contrast = {"operation": "+", "of": [contrast, {"operation": "number", "of": [1.0]}]}
    return contrast


def raw(change: Callable[[str], str], name: str = "judged.json") -> Callable[[Forgery], None]:
    """Change the text of a file of a claim, whatever becomes of it."""

    def tamper(forged: Forgery) -> None:
        forged.edit("ls_raises", lambda values: None)  # to be sealed again
        [path] = {
            path.with_name(name)
            for path in forged.folder.glob("claims/*/judged.json")
            if '"id": "ls_raises"' in path.read_text()
        }
        path.write_text(change(path.read_text()))

    return tamper


def field(change: Callable[[dict], object], of: str = "judged.json") -> Callable[[Forgery], None]:
    return lambda forged: forged.edit("ls_raises", change, of)


def of_run(name: str, content: bytes) -> Callable[[Forgery], None]:
    """Put a file in the place of one that a run left."""

    def tamper(forged: Forgery) -> None:
        forged.training(forged.run(tampering.LS_SMALL, 3)).joinpath(name).write_bytes(content)

    return tamper


def table(**columns: list) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def no_test_logits(forged: Forgery) -> None:
    training = forged.training(forged.run(tampering.LS_SMALL, 3))
    training.joinpath("posteriors", "test.parquet").unlink()


def pipe(forged: Forgery) -> None:
    (forged.folder / "claims/000/manifest.json").unlink()
    os.mkfifo(forged.folder / "claims/000/manifest.json")


def link(forged: Forgery) -> None:
    """Its content is as sealed, and lies elsewhere."""
    path = forged.training(forged.run(tampering.LS_SMALL, 3)) / "cost.json"
    path.rename(forged.folder.parent / "elsewhere")
    path.symlink_to(forged.folder.parent / "elsewhere")


HOSTILE: dict[str, tuple[Callable[[Forgery], None], str]] = {
    "garbage parquet": (of_run("posteriors/test.parquet", b"PAR1 no"), "no parquet that can be"),
    "other columns": (
        of_run("posteriors/test.parquet", table(id=["a"], label=["b"])),
        "got id string, label string; wanted id string, label int64, logit_0 float",
    ),
    "an example twice": (
        of_run("posteriors/test.parquet", table(id=["a", "a"], label=[0, 1], logit_0=F32)),
        "2 rows with 1 ids",
    ),
    "a label that is no class": (
        of_run(
            "posteriors/test.parquet", table(id=["a", "b"], label=[0, 7], logit_0=F32, logit_1=F32)
        ),
        r"run \w{8}, test, .*labels: got 7 in row 1",
    ),
    "margin NaN": (raw(lambda t: t.replace('"size": 0.01', '"size": NaN')), "the number nan"),
    "margin a text": (
        field(lambda v: v["claim"]["margin"].update(size="0.01")),
        r"claim\.margin\.size: '0\.01' \(input should be a valid number",
    ),
    "unknown quantifier": (
        field(lambda v: v["claim"].update(holds="twice")),
        r"claim\.holds: 'twice'",
    ),
    "unknown operation": (
        field(lambda v: v["claim"]["contrast"].update(operation="**")),
        "the operation '\\*\\*'",
    ),
    "unknown metric": (
        field(lambda v: v["claim"]["contrast"]["of"][0]["of"][0].update(metric="luck")),
        "metric='luck'",
    ),
    "no points": (of_run("points.json", b'{"points": [], "notes": []}'), "points: '\\[\\]'"),
    "steps that fall": (
        of_run("points.json", json.dumps({"notes": [], "points": [POINT, POINT]}).encode()),
        "points at steps \\[3, 3\\]",
    ),
    "cost a text": (of_run("cost.json", b'{"seconds": "many"}'), "seconds: 'many'"),
    "null": (raw(lambda _: "null"), "one of format None"),
    "null within": (field(lambda v: v.update(verdict=None)), "verdict: 'None'"),
    "deep": (raw(lambda _: "[" * 10**6), "more than 64 deep"),
    "deep contrast": (
        field(lambda v: v["claim"].update(contrast=deep(v["claim"]["contrast"]))),
        "more than 64 deep",
    ),
    "a paper that is none": (raw(lambda _: "[]", "paper.json"), "paper.json, the whole"),
    "a method that is a number": (
        field(lambda v: v["study"]["settings"]["methods"]["ls"].update(smaller=1.5)),
        r"record of what was run that cannot be read .*settings\.methods\.ls\.smaller",
    ),
    "no objective": (
        field(lambda v: v["study"]["settings"]["methods"]["ls"]["smaller"].pop("objective")),
        r"settings\.methods\.ls\.smaller\.objective: .*field required",
    ),
    "a task that is a number": (
        field(
            lambda v: v["study"]["settings"]["methods"]["ls"]["smaller"].update(tasks={"fish": 1})
        ),
        r"settings\.methods\.ls\.smaller\.tasks\.fish: '1'",
    ),
    "an arm without a row": (
        field(lambda v: v["table"]["runs"].pop(0)),
        r"claim of bundle .*: got no row of runs for (ls|erm)/smaller",
    ),
    "marks that are a text": (
        field(lambda v: v["data"].update(fish={"marks": "cut"})),
        r"data\.fish\.marks: 'cut'",
    ),
    "no test logits": (no_test_logits, r"run \w{8}: got no logits on test"),
    "a pipe": (pipe, "manifest.json is a pipe, socket or device"),
    "a link": (link, "cost.json is reached by a link"),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_bundle_of_a_stranger_ends_in_one_line_and_no_page(
    forged: Forgery, tmp_path: Path, capsys: pytest.CaptureFixture[str], hostile: str
) -> None:
    tamper, said = HOSTILE[hostile]
    tamper(forged)
    _ = forged.bundle  # sealed again
    page = tmp_path / "pages" / "page.html"
    verify_it, report_it = ["verify"], ["report", "--output", str(page), "--bundle"]
    for command in (verify_it, report_it):
        assert main([*command, str(forged.folder)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert re.search(rf"^kdcheck {command[0]}: .*{said}", line), line
    assert not page.parent.exists()


def test_seeds_of_one_arm_that_were_looked_at_at_other_times_give_no_curve(forged: Forgery) -> None:
    path = forged.training(forged.run(tampering.LS_SMALL, 3)) / "points.json"
    tampering.edit(path, lambda points: points["points"].pop(1))
    bundle = forged.bundle
    with refused(
        EvidenceError,
        "curve of ls/smaller: got looks at the epochs 1, 2, 3, 4, 5 and 3 more and looks at the",
        "1, 3, 4, 5, 6 and 2 more",
    ):
        build(bundle.claims(), bundle)


@pytest.mark.parametrize("tamper", [tampering.another_word, tampering.split_scale])
def test_a_report_of_a_bundle_is_judged_again_and_not_written_where_a_word_differs(
    forged: Forgery, tmp_path: Path, capsys: pytest.CaptureFixture[str], tamper
) -> None:
    page, command = tmp_path / "page.html", ["report", "--bundle", str(forged.folder), "--output"]
    assert main([*command, str(page)]) == 0
    capsys.readouterr()
    page.unlink()
    tamper(forged)
    _ = forged.bundle
    assert main([*command, str(page)]) == 2
    assert re.search(
        r"verdicts that it does not give, first ls_raises: .*See all of them with kdcheck verify",
        capsys.readouterr().err,
    )
    assert not page.exists()
