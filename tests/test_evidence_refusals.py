"""What is no evidence, or no place for it, is refused in the whole of the words that a reader gets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kdcheck.errors import BusyError, EvidenceError, FailedBeforeError, KdcheckError
from kdcheck.evidence import layout, network, owner
from kdcheck.evidence.bundle import Bundle, check_replaceable, export_bundle
from kdcheck.evidence.evidence import Predictions
from kdcheck.evidence.failure import Failure, why_lost
from kdcheck.evidence.faults import explain, gone, no_answer
from kdcheck.evidence.files import (
    SealedFiles,
    check_evidence,
    check_evidence_of,
    check_inside,
    check_lock,
    digest_of,
    read_checked,
    read_claim,
    read_evidence,
    seal,
    write_claim,
    write_evidence,
    write_json,
)
from kdcheck.evidence.network import refuse_network
from kdcheck.evidence.note import note
from kdcheck.evidence.taking import deaths_of, failure_of, given_up, require_free
from kdcheck.evidence.tracking import no_store
from kdcheck.places import Location
from tests.evidence_doubles import (
    TAUGHT,
    TEACHER,
    MemorySource,
    sample_evidence,
    sample_judged,
    sample_recipe,
    with_values,
)
from tests.test_evidence_layout import Links, late

AGAIN = "Delete this run (kdcheck ui, or the folder of the bundle) and run again."


def refusal(kind: type[KdcheckError], act) -> tuple[str, str, str, str]:
    """Who, got, wanted and next step of the error that is raised."""
    with pytest.raises(kind) as caught:
        act()
    return parts(caught.value)


def parts(error: KdcheckError) -> tuple[str, str, str, str]:
    return error.who, error.got, error.wanted, error.next_step


@pytest.mark.parametrize(
    ("labels", "logits", "told"),
    [
        ((2,), (3, 2), "3 ids, labels (2,), logits (3, 2)"),
        ((3,), (2, 2), "3 ids, labels (3,), logits (2, 2)"),
        ((3,), (3,), "3 ids, labels (3,), logits (3,)"),
        ((3, 1), (3, 2), "3 ids, labels (3, 1), logits (3, 2)"),
    ],
)
def test_predictions_that_do_not_belong_together(labels, logits, told):
    made = {"labels_N": np.zeros(labels, np.int64), "logits_NK": np.zeros(logits, np.float32)}
    assert refusal(EvidenceError, lambda: Predictions(ids=("a", "b", "c"), **made)) == (
        "predictions",
        told,
        "N ids, labels (N,) and logits (N, K)",
        "The file is damaged or belongs to another split; run kdcheck verify.",
    )


def test_examples_without_logits_and_a_run_without_a_test_split():
    evidence = sample_evidence()
    part = evidence.final.predictions["test"]
    assert refusal(EvidenceError, lambda: part.aligned([part.ids[0], "x", "y"])) == (
        "predictions",
        "no logits for example 'x' (2 missing of 3)",
        "logits for every example asked for",
        "They were made on another cut of the task; train the teacher on this one.",
    )
    bare = dataclasses.replace(evidence.final, predictions={})
    without = dataclasses.replace(evidence, points=(bare,))
    assert refusal(EvidenceError, lambda: without.test) == (
        f"run {evidence.recipe.short}",
        "no logits on test",
        "those of the finished model",
        "It was altered, or an older version wrote it; train it again.",
    )


WRITABLE = (
    "Make it writable (chmod -R u+w), copy it to a place of yours, or choose another with "
    "--store. A bundle can be read without writing."
)
LET_IN = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
START = (
    "Start it (mlflow server), correct its address, or unset MLFLOW_TRACKING_URI to use a "
    "local store. Runs that were finished are safe; run again to go on."
)
UPGRADE = "Back the store up, then run 'mlflow db upgrade {}', or install the MLflow that wrote it."
ROOM = (
    "Free some space, lift the limit of a file's size (ulimit -f), or choose another place "
    "with --store."
)
HELD = (
    "Another process holds it; is the folder on a network file system? Put the store on a "
    "local disk or use an MLflow server."
)


@pytest.mark.parametrize(
    ("words", "wanted", "step"),
    [
        *(
            (each, "a tracking server that lets us in", LET_IN)
            for each in ("error code 401", "Error code 403", "Unauthorized", "Forbidden",
                         "UNAUTHENTICATED", "PERMISSION_DENIED: Permission denied")
        ),
        *(
            (each, "a store that this user may write to", WRITABLE)
            for each in ("attempt to write a readonly database", "a read-only place", "Permission denied")
        ),
        *(
            (each, "the database schema of the installed MLflow", UPGRADE)
            for each in ("database schema is old", "Can't locate revision", "no such column: x", "No such table")
        ),
        *(
            (each, "an intact sqlite database", "Restore it from a copy, or move it away and run again.")
            for each in ("file is not a database", "malformed", "disk image", "can't decode byte")
        ),
        ("database is locked", "the database within 20 s", HELD),
        *(
            (each, "room on the disk", ROOM)
            for each in ("No space left on device", "database or disk is full", "File too large", "disk I/O error")
        ),
        *(
            (each, "a folder", "A file is in the way; choose another place with --store.")
            for each in ("Not a directory", "File exists")
        ),
        *(
            (each, "a tracking server that answers", START)
            for each in ("Max retries exceeded", "Connection refused", "API request to x", "timed out", "unreachable")
        ),
        ("something new", "a store that works",
         "Look at the store with 'kdcheck ui'; if it is broken, choose another with --store."),
    ],
)  # fmt: skip
def test_what_a_broken_store_says_is_told_with_a_next_step(tmp_path, words, wanted, step):
    location = Location.parse(tmp_path)
    found = explain(OSError(f" {words}\nand more"), location, "finish")
    assert isinstance(found, EvidenceError)
    assert parts(found) == (
        f"store {location}, finish",
        words,
        wanted,
        step.format(location.address),
    )
    assert len(explain(OSError("x" * 999), location, "finish").got) == 300


def test_a_store_that_is_gone_or_not_there_and_a_server_that_is_silent(tmp_path):
    location = Location.parse(tmp_path)
    assert parts(gone(location, "finish", "no database")) == (
        f"store {location}, finish",
        "no database",
        "the database it had at the start",
        ("Somebody deleted, moved or replaced the store during the run. Put it back, or run again; "
        "what is missing will be trained anew."),
    )  # fmt: skip
    assert parts(no_answer(location, "nothing")) == (
        f"store {location}, connect", "nothing", "a tracking server that answers", START,
    )  # fmt: skip
    who, got, wanted, _ = parts(no_store(location, "no database there"))
    assert (who, got, wanted) == (f"store {location}", "no database there", "a store")


def run(status: str = "RUNNING", **tags) -> SimpleNamespace:
    """A run of MLflow, as far as anyone asks it."""
    info = SimpleNamespace(status=status, run_id="r1")
    return SimpleNamespace(info=info, data=SimpleNamespace(tags=tags, params={}))


def test_a_recipe_that_another_trains_or_that_failed():
    who, wait = "store s, begin recipe x", "Wait for it, or end that process and run again."
    other = {**owner.this_process(), owner.PID: "1", owner.STARTED: owner._started(1)}
    assert refusal(BusyError, lambda: require_free([run(**other)], True, who)) == (
        who, "a recipe that process 1 is training", "one that is free", wait,
    )  # fmt: skip
    assert refusal(BusyError, lambda: require_free([run("KILLED")], False, who)) == (
        who, "a recipe that another machine is training", "one that is free", wait,
    )  # fmt: skip
    told = {"role": "ls/smaller", "task": "a", "seed": "3"}
    retry = "pytest claims/ --retry-failed tries it again."
    for tags, reason in (({layout.REASON: "no memory"}, "no memory"), ({}, "nobody said why")):
        failed = run("FAILED", **told, **tags)
        assert failure_of(failed) == Failure("ls/smaller", "a", 3, reason)
        assert refusal(FailedBeforeError, lambda failed=failed: require_free([failed], True, who)) == (
            who, f"a recipe that failed: {reason}", "one that did not", retry,
        )  # fmt: skip
    mine = run(**owner.this_process())
    dead = run(**{**owner.this_process(), owner.BOOT: "another"})
    require_free([mine, dead, run("KILLED")], True, who)


def test_a_training_of_which_three_processes_died_is_given_up():
    dead = {
        **owner.this_process(), **owner.controller(), owner.PID: "999999", owner.STARTED: "1",
    }  # fmt: skip
    counts = {deaths: given_up(run(**dead, **{layout.DEATHS: deaths})) for deaths in "0123"}
    said = "{} processes died while they trained it, the last of them 999999"
    assert counts == {"0": None, "1": None, "2": said.format(3), "3": said.format(4)}
    assert given_up(run(**dead, **{layout.DEATHS: "many"})) is None
    assert given_up(run("KILLED", **dead, **{layout.DEATHS: "2"})) is None
    ended = {told: run("KILLED", **{layout.DEATHS: told}) for told in ("many", "2")}
    assert {told: deaths_of(each) for told, each in ended.items()} == {"many": 0, "2": 2}


def test_what_is_lost_is_told_of_a_recipe_and_of_its_teacher():
    student = sample_recipe(7, arm=TAUGHT)
    teacher = sample_recipe(7, arm=TEACHER)
    failure = Failure("plain/larger", "letters", 7, "no memory")
    assert str(failure) == "plain/larger on letters with seed 7 failed: no memory"
    assert why_lost(student, {}) is None
    assert why_lost(student, {student.digest: failure}) == "no memory"
    assert why_lost(student, {teacher.digest: failure}) == f"its teacher {failure}"
    assert why_lost(teacher, {student.digest: failure}) is None


def test_a_run_without_a_tag_or_with_a_seed_that_is_none():
    assert refusal(EvidenceError, lambda: layout.told(run(), "seed")) == (
        "run r1", "no tag or parameter seed", "the run as kdcheck wrote it", AGAIN,
    )  # fmt: skip
    long = "x" * 70
    assert refusal(EvidenceError, lambda: layout.seed_of(run(seed=long))) == (
        "run r1", f"the seed {'x' * 60!r}", "a number", AGAIN,
    )  # fmt: skip
    assert layout.seed_of(run(seed="12")) == 12


def test_numbers_and_texts_that_mlflow_would_change():
    broken = with_values(sample_evidence(), nll=float("inf"))
    who = f"recipe {broken.recipe.short}, metric 'nll'"
    assert refusal(EvidenceError, lambda: layout.metric_rows(broken)) == (
        who, "inf", "a finite number", "Leave it out instead.",
    )  # fmt: skip
    step = "Put it in a file of the run and keep a digest of it here."
    cut = "at most {}, since MLflow cuts the rest off"
    claim = "smoothing_raises_entropy[smaller]"
    for act, kind, length, most in (
        (lambda text: layout.claim_tags([text]), "tag 'claims'", 8001, 8000),
        (lambda text: layout.judged_tags(sample_judged(), text),
         f"claim {claim}, tag 'mlflow.note.content'", 8001, 8000),
        (lambda text: layout.judged_parameters(sample_judged(because=text)),
         f"claim {claim}, parameter 'because'", 6001, 6000),
        (lambda text: layout.parameters(dataclasses.replace(sample_recipe(), task_digest=text)),
         "parameter 'task_digest'", 6001, 6000),
    ):  # fmt: skip
        assert refusal(EvidenceError, lambda act=act, length=length: act("x" * length)) == (
            kind, f"{length} characters", cut.format(most), step,
        )  # fmt: skip
        act("x" * (length - 1000))


def test_the_tags_of_a_training_are_told_whole():
    recipe = sample_recipe(7, arm=TAUGHT)
    assert layout.recipe_tags(recipe, role="taught", claims=["b[x]", "a"]) == {
        "digest": recipe.digest,
        "prefix_digest": "none",
        "role": "taught",
        "task": "letters",
        "encoder": "tiny-2",
        "objective": recipe.objective.name,
        "seed": "7",
        "teacher": sample_recipe(7, arm=TEACHER).digest,
        "mlflow.runName": f"{recipe.objective.name} letters taught 7",
        "mlflow.source.name": "kdcheck",
        "mlflow.note.content": recipe.summary(),
        "claims": "a, b[x]",
        "claim.a": "evidence",
        "claim.b.x": "evidence",
    }
    assert layout.claim_tags([]) == {}


def test_the_note_of_a_claim_is_told_whole():
    marks = {"subset": "A few rows were read."}
    data = {"letters": {"marks": marks}, "dozens": {"marks": {}}}
    judged = dataclasses.replace(late(sample_judged(rests_on=("a",))), data=data)
    text = note(judged, Links())
    verdict = judged.verdict
    rows = [
        f"| {task.name} | {task.effect:+.4f} | {task.interval.low:+.4f} | {task.interval.high:+.4f} |"
        for task in verdict.tasks
    ]
    by_arm = sorted(judged.table.runs.items(), key=lambda item: item[0].key)
    runs = [
        f"- {arm.key}, {task}: " + ", ".join(f"[seed {s}](run of {seeds[s]})" for s in (0, 1, 2))
        for arm, tasks in by_arm
        for task, seeds in tasks.items()
    ]
    claim = judged.claim
    assert text.split("\n\n") == [
        "## Smoothing raises entropy.",
        f"**SUPPORTED, EXPLORATORY, at small scale.** {verdict.reason}",
        "EXPLORATORY:\n- The claim is new.\n- The margin is 0.05, not 0.1.",
        "its table 4.",
        "Rests on [a](records of a).",
        "\n".join(["| task | effect (nats) | low | high |", "| --- | ---: | ---: | ---: |", *rows]),
        f"Contrast: `{claim.measures.text}`, margin 0.05: a third of the smallest gap.",
        "Rows:\n- letters, subset: A few rows were read.",
        "Deviations from the paper:\n" + "\n".join(f"- {each}" for each in judged.deviations),
        f"[Curves of these runs](charts of {claim.id})",
        "\n".join(runs),
    ]


def sealed(folder: Path, who: str = "run x") -> SealedFiles:
    return SealedFiles(lambda name: (folder / name).read_bytes(), seal(folder), who)


def test_files_that_are_not_as_they_were_written(tmp_path):
    write_evidence(tmp_path, sample_evidence())
    files = sealed(tmp_path)
    was = (tmp_path / "cost.json").read_bytes()
    digest = json.loads((tmp_path / "manifest.json").read_text())["files"]["cost.json"]
    assert refusal(EvidenceError, lambda: files.read("more.json")) == (
        "run x", "no file more.json in the manifest", f"one of {files.names}", AGAIN,
    )  # fmt: skip
    (tmp_path / "cost.json").write_bytes(was + b" ")
    who, got, wanted, step = refusal(EvidenceError, lambda: files.read("cost.json"))
    assert (who, wanted, step) == ("run x", f"sha256 {digest[:12]}, as it was written", AGAIN)
    assert got.startswith("cost.json with sha256 ")
    assert got.endswith(f" ({len(was) + 1} bytes)")
    (tmp_path / "cost.json").unlink()
    assert refusal(EvidenceError, lambda: files.read("cost.json")) == (
        "run x", "no file cost.json", "the file as it was written", AGAIN,
    )  # fmt: skip
    (tmp_path / "cost.json").write_text("[]")
    who, got, wanted, step = refusal(EvidenceError, lambda: sealed(tmp_path).read_json("cost.json"))
    assert (who, wanted, step) == ("run x", "values of the kinds that kdcheck writes", AGAIN)
    assert got.startswith("cost.json, ")
    (tmp_path / "cost.json").write_text("{")
    who, got, wanted, step = refusal(EvidenceError, lambda: sealed(tmp_path).read_json("cost.json"))
    assert (who, wanted, step) == ("run x", "JSON as it was written", AGAIN)
    assert got.startswith("cost.json with ")


def test_formats_names_labels_and_sections_that_are_not_ours(tmp_path):
    write_evidence(tmp_path, sample_evidence(1))
    manifest = write_json(tmp_path / "manifest.json", {"format": 9, "files": {}})
    read = lambda name: (tmp_path / name).read_bytes()  # noqa: E731
    assert refusal(EvidenceError, lambda: SealedFiles(read, manifest, "run x")) == (
        "run x",
        "evidence of format 9",
        "format 2",
        "Read it with the version of kdcheck that wrote it.",
    )
    assert refusal(EvidenceError, lambda: check_inside("run x", "../y")) == (
        "run x",
        "the name '../y'",
        "names inside its folder",
        "Do not use this evidence: no version of kdcheck wrote that name.",
    )
    (tmp_path / "manifest.json").unlink()
    one, other = sample_recipe(1), sample_recipe(2)
    assert refusal(
        EvidenceError, lambda: read_checked(sealed(tmp_path), other.digest, trajectory=False)
    ) == (
        f"evidence of recipe {other.short}",
        f"files of recipe {one.short}",
        "the recipe that its label names",
        AGAIN,
    )
    assert refusal(EvidenceError, lambda: check_lock("claim x", {"a": 1}, "b" * 64)) == (
        "claim x",
        f"a section {digest_of({'a': 1})[:8]} of a lock",
        "the section bbbbbbbb",
        "It was altered; judge again: pytest claims/.",
    )
    assert check_lock("claim x", {"a": 1}, digest_of({"a": 1})) == {"a": 1}
    assert refusal(EvidenceError, lambda: check_evidence_of(other, sample_evidence(1))) == (
        f"finish recipe {other.short}",
        f"evidence of recipe {one.short}",
        "its own",
        "Pass the evidence of the run that was begun.",
    )


def test_evidence_that_no_verdict_could_use():
    good = sample_evidence()
    who = f"evidence of recipe {good.recipe.short}"
    diverged = (
        "The run diverged; lower the learning rate, or leave a metric out that this split does not "
        "have."
    )
    rising = "at least one evaluation point, steps rising"
    early = good.points[0]
    whole = {**early.predictions, "test": good.final.predictions["test"]}
    too_early = dataclasses.replace(early, predictions=whole)
    twice = (good.points[0], good.points[0])
    bare = dataclasses.replace(early, predictions={})
    for changes, got, wanted, step in (
        ({"cost": {"seconds": float("inf")}}, "cost seconds = inf", "finite numbers", diverged),
        ({"points": ()}, "points at steps []", rising, "Record each point once."),
        ({"points": twice}, "points at steps [10, 10]", rising, "Record each point once."),
        (
            {"points": (bare,)},
            "no logits at the last step, 10",
            "logits of at least one split",
            "Evaluate at the end.",
        ),
        (
            {"points": (too_early, *good.points[1:])},
            "logits on the test split at step 10, before the end",
            f"at most a sample of {good.recipe.curve_rows} rows there, for a curve",
            "Evaluate on test text when training has ended.",
        ),
    ):
        broken = dataclasses.replace(good, **changes)
        assert refusal(EvidenceError, lambda broken=broken: check_evidence(broken)) == (
            who, got, wanted, step,
        )  # fmt: skip
    check_evidence(good)


def test_curves_that_were_not_kept(tmp_path):
    write_evidence(tmp_path, sample_evidence(), trajectory=False)
    assert refusal(EvidenceError, lambda: read_evidence(sealed(tmp_path), trajectory=True)) == (
        "trajectory",
        "the logits of the last of 3 points only",
        "those of every point",
        "Export the bundle with the trajectory, or read the store it came from.",
    )


def test_a_claim_of_another_format_or_without_the_runs_of_an_arm(tmp_path):
    judged = sample_judged()
    write_claim(tmp_path, judged)
    values = json.loads((tmp_path / "judged.json").read_text())
    wanted = "a judged claim of format 4"
    write_json(tmp_path / "judged.json", {**values, "format": 3})
    assert refusal(EvidenceError, lambda: read_claim(sealed(tmp_path, "store s"))) == (
        "claim of store s",
        "one of format 3",
        wanted,
        "Read it with the version of kdcheck that wrote it, or judge again: pytest claims/.",
    )
    write_json(tmp_path / "judged.json", {**values, "lock": 1})
    assert refusal(EvidenceError, lambda: read_claim(sealed(tmp_path, "store s"))) == (
        "claim of store s",
        "one that cannot be read: lock: '1' (input should be a valid string)",
        wanted,
        AGAIN,
    )
    other = json.loads(json.dumps(values))
    other["verdict"]["word"] = "MAYBE"
    write_json(tmp_path / "judged.json", other)
    who, got, *rest = refusal(EvidenceError, lambda: read_claim(sealed(tmp_path, "store s")))
    assert (who, *rest) == ("claim of store s", wanted, AGAIN)
    assert got.startswith("one that cannot be read: ")
    assert "MAYBE" in got
    fewer = json.loads(json.dumps(values))
    gone_arm = fewer["table"]["runs"].pop(0)["arm"]["method"]
    write_json(tmp_path / "judged.json", fewer)
    assert refusal(EvidenceError, lambda: read_claim(sealed(tmp_path, "store s"))) == (
        "claim of store s", f"no row of runs for {gone_arm}/smaller", wanted, AGAIN,
    )  # fmt: skip


def test_a_folder_that_is_no_bundle_or_no_place_for_one(tmp_path):
    who = f"bundle {tmp_path}"
    who_, got, _, step = refusal(EvidenceError, lambda: Bundle(tmp_path))
    assert (who_, got) == (who, "no manifest.json in it")
    (tmp_path / "thesis.tex").write_text("dear")
    place = ("a new folder, or an older bundle to replace", "Name another folder.")
    assert refusal(EvidenceError, lambda: check_replaceable(tmp_path)) == (
        who, "no bundle in its place (no manifest.json in it)", *place,
    )  # fmt: skip
    (tmp_path / "manifest.json").write_text('{"format": 1}')
    assert refusal(EvidenceError, lambda: Bundle(tmp_path))[1:] == (
        "a manifest.json without format 2", "a bundle of kdcheck", step,
    )  # fmt: skip
    made = export_bundle(MemorySource((sample_judged(),)), tmp_path / "made")
    (made / "b.tex").write_text("dear")
    (made / "a.tex").write_text("dear")
    assert refusal(EvidenceError, lambda: check_replaceable(made)) == (
        f"bundle {made}", "other files beside the bundle (a.tex, b.tex)", *place,
    )  # fmt: skip
    (tmp_path / "empty").mkdir()
    check_replaceable(tmp_path / "empty")
    check_replaceable(tmp_path / "new")


def test_a_store_on_a_network_file_system(tmp_path, monkeypatch):
    location = Location.parse(tmp_path / "store")
    monkeypatch.setattr(network, "network_kind", lambda folder: "nfs4")
    assert refusal(EvidenceError, lambda: refuse_network(location)) == (
        f"store {location}",
        "a folder on a network file system (nfs4)",
        "a disk of this machine: sqlite's write-ahead log and its locks work on one machine alone",
        ("Name a local folder with --store; to share one store between machines, start "
        "'mlflow server' on one of them and give its http address."),
    )  # fmt: skip
