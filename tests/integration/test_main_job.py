"""The main job, whole: claims are planned, trained, judged, stored, verified, exported and shown."""

from __future__ import annotations

import functools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kdcheck.cli import main
from kdcheck.errors import EvidenceError
from kdcheck.evidence.layout import TRAININGS
from kdcheck.evidence.store import Store
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task
from tests.tiny_files import write_encoder, write_task

CLAIMS = """
from kdcheck.claims import claim, nats
from kdcheck.paper import PAPER
from kdcheck.paper.arms import ERM, LS, STANDARD_KD

@claim("ls_raises_entropy", says="LS makes a classifier less sure.", where="Table 2",
       holds="on every task", margin=nats({margin}), because="a test", paper=PAPER)
def test_ls_raises_entropy(study):
    study.judge(study.entropy(LS("smaller")) - study.entropy(ERM("smaller")))

@claim("kd_lowers_entropy", says="A student is surer.", where="Table 2",
       holds="on every task", margin=nats(0.01), because="a test", paper=PAPER)
def test_kd_lowers_entropy(study):
    study.judge(study.entropy(ERM("smaller")) - study.entropy(STANDARD_KD))
"""
SCALE = """
name = "smoke"
pair = ["my-bert", "my-small-bert"]
tasks = ["words"]
seeds = {seeds}
deviations = ["Everything is tiny."]
[training]
batch_size = 8
max_length = 32
""" + "".join(
    f"""
[methods.{method}]
objective = {{{{ name = {objective} }}}}
learning_rate = 3e-3
epochs = {{epochs}}
"""
    for method, objective in (
        ("erm.smaller", '"erm"'),
        ("erm.larger", '"erm"'),
        ("ls.smaller", '"ls", alpha = 0.6'),
        ("standard_kd.smaller", '"kd", alpha = 0.5'),
    )
)


slow = pytest.mark.skipif(
    not os.environ.get("KDCHECK_SLOW"), reason="starts pytest anew, 10 to 100 s; set KDCHECK_SLOW=1"
)
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def study_folder(tmp_path: Path) -> Path:
    """Data, encoders, claims and a scale, all tiny and none fetched."""
    write_task(tmp_path / "data" / "words")
    for name, layers in (("my-bert", 2), ("my-small-bert", 1)):
        write_encoder(tmp_path / "models" / name, layers)
    (tmp_path / "test_claims.py").write_text(CLAIMS.format(margin=0.05))
    (tmp_path / "smoke.toml").write_text(SCALE.format(seeds=2, epochs=20))
    return tmp_path


def _command(*arguments: str) -> list[str]:
    command = "-m pytest test_claims.py -p no:cacheprovider --scale smoke.toml --store store "
    command += "--data-dir data --model-dir models --workers 0"
    return [sys.executable, *command.split(), *arguments]


@pytest.fixture
def run_claims(study_folder: Path) -> Run:
    """Run the claims in a process of their own, as a user would."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            _command(*arguments), cwd=study_folder, capture_output=True, text=True, check=False
        )

    return run


def test_the_main_job_runs_from_claims_to_report_and_the_second_time_trains_nothing(
    run_claims: Run, study_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study_folder / "smoke.toml").write_text(SCALE.format(seeds=2, epochs=8))
    assert "attempt 1" in _lock(study_folder)
    first = run_claims()
    assert "2 claims; 8 runs (0 in the store)" in first.stdout
    board = r"^  UNDECIDED +A student is surer\.\n .+ 0 of 1 task  kd_lowers_entropy$"
    assert re.search(board, first.stdout, re.MULTILINE), first.stdout
    assert "EXPLORATORY" not in first.stdout
    assert first.returncode == 0, "UNDECIDED is no failure"

    store = Store.open(study_folder / "store")
    before = {digest: store.run_url(digest) for digest in store.digests()}
    assert len(before) == 8  # two seeds of four arms

    bundle, lock = study_folder / "bundle", study_folder / "claims.lock"
    assert main(["export", str(bundle), "--store", str(study_folder / "store")]) == 0
    assert main(["verify", str(bundle), "--lock", str(lock)]) == 0
    assert "every verdict is as stored" in capsys.readouterr().out
    page = study_folder / "page.html"
    assert main(["report", "--bundle", str(bundle), "--output", str(page)]) == 0
    assert "LS makes a classifier less sure." in page.read_text(encoding="utf-8")

    # A margin that is moved after the first run is noticed; what is in the store is not trained again,
    # and what a process left that is dead by now is marked. A claim that is asked for alone stays one
    # of its family, and so does what it leaves in the store.
    left = _left_by_a_dead_process(store)
    (study_folder / "test_claims.py").write_text(CLAIMS.format(margin=0.02))
    moved = run_claims("-k", "ls_raises_entropy")
    assert "(4 in the store)" in moved.stdout
    assert "1 of them here and 1 more in the store" in moved.stdout
    assert (
        "EXPLORATORY, not as registered\n  Its margin is 0.02, registered was 0.05." in moved.stdout
    )
    assert {digest: store.run_url(digest) for digest in store.digests()} == before
    assert store._runs.look(left).info.status == "KILLED"
    standing = {each.claim.id: each.verdict.standing for each in store.claims()}
    assert standing == {"kd_lowers_entropy": "CONFIRMATORY", "ls_raises_entropy": "EXPLORATORY"}
    assert {each.verdict.family_size for each in store.claims()} == {2}
    assert main(["verify", "--store", str(study_folder / "store")]) == 0
    # Registered now, it is a further try at what was seen.
    assert "attempt 2" in _lock(study_folder)


def _lock(folder: Path) -> str:
    """What registering the claims of a folder says, in a process that has no other claims."""
    command = "-m kdcheck lock test_claims.py --scale smoke.toml --store store"
    command += " --data-dir data --model-dir models"
    return subprocess.run(
        [sys.executable, *command.split()], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def _left_by_a_dead_process(store: Store) -> str:
    """Id of a RUNNING run whose owner no longer lives."""
    begun = store.begin(
        tiny_recipe(tiny_task(), tiny_encoder()), role="x", claims=[], worker="doomed"
    )
    store._runs.tag(begun.run_id, "kdcheck.started", "1")  # this process, but an earlier one
    return begun.run_id


@slow
def test_workers_of_xdist_give_the_same_runs_and_verdicts_as_one_process(
    run_claims: Run, study_folder: Path
) -> None:
    assert run_claims("--workers", "1").returncode == 0
    result = run_claims("-n", "2", "--store", "store2")
    assert result.returncode == 0, result.stdout
    assert _found(study_folder / "store2") == _found(study_folder / "store")


@slow
def test_two_workers_of_xdist_train_and_judge_where_every_warning_is_an_error(
    run_claims: Run, study_folder: Path
) -> None:
    done = run_claims("-n", "2", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^page: ", done.stdout, re.MULTILINE), done.stdout
    assert (study_folder / "kdcheck-report.html").exists()


def _in_the_way(store: Path) -> None:
    store.write_text("no folder")


def _damaged(store: Path) -> None:
    store.mkdir()
    (store / "mlflow.db").write_bytes(bytes(range(256)) * 40)


def _too_large(store: Path) -> None:
    """No file of this process and its children may grow any more than this."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))


@slow
@pytest.mark.parametrize("make", [_in_the_way, _damaged, _too_large])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_store_that_cannot_be_used_is_told_in_one_line_and_nothing_is_trained(
    study_folder: Path, make: Callable[[Path], None], workers: str
) -> None:
    limits = functools.partial(make, study_folder / "store") if make is _too_large else None
    if limits is None:
        make(study_folder / "store")
    done = subprocess.run(
        _command("-n", workers),
        cwd=study_folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limits,
    )
    said = done.stdout + done.stderr
    assert "INTERNALERROR" not in said, said
    assert "Traceback" not in said, said
    # A worker of xdist finds it before its first test, whose error it is then.
    usage, errors = pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.TESTS_FAILED
    assert done.returncode == (errors if int(workers) else usage), said
    assert re.search(r"^(ERROR: )?kdcheck: store .*; wanted ", said, re.MULTILINE), said
    assert not list(study_folder.glob("store/artifacts/trainings/*"))


@slow
def test_posteriors_that_are_gone_fail_the_claims_that_rest_on_them_in_one_line_each(
    run_claims: Run, study_folder: Path
) -> None:
    assert run_claims().returncode == 0
    for path in study_folder.glob("store/artifacts/trainings/*/artifacts/posteriors"):
        shutil.rmtree(path)
    done = run_claims()
    assert "INTERNALERROR" not in done.stdout, done.stdout
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "posteriors/" in done.stdout
    assert "Traceback" not in done.stdout


@slow
def test_a_worker_of_xdist_that_is_killed_while_it_trains_costs_no_run_and_no_verdict(
    run_claims: Run, study_folder: Path
) -> None:
    assert run_claims("--workers", "1").returncode == 0
    alone, folder = _found(study_folder / "store"), study_folder / "store2"
    command = _command("-n", "2", "--store", "store2")
    with subprocess.Popen(
        command, cwd=study_folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as session:
        try:
            worker, digest = _kill_a_worker_that_trains(folder)
            output, _ = session.communicate(timeout=300)
        finally:
            session.kill()
    # xdist takes a test that was dealt to the dead worker for the one that killed it. Training goes
    # on: the others take up its run, and a new worker comes in its place.
    assert session.returncode == 1, output
    assert f"worker '{worker}' crashed while running" in output
    assert "1 failed" in output
    # Of two claims, one SUPPORTED and one UNDECIDED, the one that was not dealt to the dead worker.
    assert "1 undecided" in output or "1 passed" in output
    weights, claims, runs = _found(folder)
    assert (weights, runs) == (alone[0], alone[2])
    assert len(claims) == 1
    (taken_up,) = Store.open(folder)._runs.search(TRAININGS, f"tags.digest = '{digest}'")
    assert taken_up.data.tags["kdcheck.worker"] != worker

    assert run_claims("-n", "2", "--store", "store2").returncode == 0
    assert _found(folder) == alone


@slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("by", [("--workers", "1"), ("-n", "1")], ids=["workers", "xdist"])
def test_a_session_that_is_killed_leaves_no_worker_and_the_next_takes_up_what_it_trained(
    run_claims: Run, study_folder: Path, how: signal.Signals, by: tuple[str, str]
) -> None:
    (study_folder / "smoke.toml").write_text(SCALE.format(seeds=2, epochs=200))
    one_claim = ("-k", "ls_raises_entropy")
    with subprocess.Popen(
        _command(*by, *one_claim),
        cwd=study_folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as session:
        worker, digest = _one_that_trains(study_folder / "store")
        try:
            session.send_signal(how)
            session.wait(60)
        finally:
            os.kill(worker, signal.SIGCONT)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _lives(worker):
        time.sleep(0.1)
    assert not _lives(worker)
    assert list((study_folder / "work" / "runs" / digest).glob("step-*")), "it left a checkpoint"
    # What it had finished by then, if anything, is not trained again.
    finished = Store.open(study_folder / "store").digests()
    assert digest not in finished
    again = run_claims("--workers", "1", *one_claim)
    assert again.returncode == 0, again.stdout
    assert f"1 claim; 4 runs ({len(finished)} in the store)" in again.stdout
    store = Store.open(study_folder / "store")
    assert sorted(run.data.tags["digest"] for run in _runs(study_folder)) == sorted(store.digests())
    assert len(store.digests()) == 4
    assert "resumed at step" in " ".join(store.get(digest).notes)


def _one_that_trains(folder: Path) -> tuple[int, str]:
    """Process and digest of the first run that is RUNNING and has taken some steps; the process is held.

    A run takes seconds and the store is read slowly: let loose it could be over before it is killed.
    """
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(0.05)
        for status in (folder.parent / "work" / "workers").glob("*.json"):
            told = json.loads(status.read_text())
            if not 0 < told["step"] < told["total"]:
                continue
            [run] = Store.open(folder)._runs.search(TRAININGS, f"tags.digest = '{told['digest']}'")
            worker = int(run.data.tags["kdcheck.pid"])
            os.kill(worker, signal.SIGSTOP)
            if Store.open(folder)._runs.look(run.info.run_id).info.status == "RUNNING":
                return worker, told["digest"]
            os.kill(worker, signal.SIGCONT)
    raise AssertionError("no worker began to train")


def _lives(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@slow
def test_a_rate_that_diverges_is_recorded_and_a_restart_trains_nothing_else(
    run_claims: Run, study_folder: Path
) -> None:
    text = SCALE.format(seeds=2, epochs=8)
    good, bad = "alpha = 0.6 }\nlearning_rate = 3e-3", "alpha = 0.6 }\nlearning_rate = 1e30"
    assert good in text
    (study_folder / "smoke.toml").write_text(text.replace(good, bad))
    first = run_claims()
    assert first.returncode == 1
    assert "kdcheck: failed: ls/smaller on words with seed 0: step " in first.stdout
    assert "got a loss that is not finite" in first.stdout
    assert "INVALID" in first.stdout
    assert re.search(r"UNDECIDED +A student is surer\.", first.stdout), first.stdout
    again = run_claims()
    assert "8 runs (6 in the store, 2 that failed before)" in again.stdout
    assert again.returncode == 1
    started = [run.data.tags["kdcheck.pid"] for run in _runs(study_folder)]
    assert len(set(started)) == 1, "the second session began nothing"
    asked = run_claims("--retry-failed")
    assert "8 runs (6 in the store, 2 that failed before)" in asked.stdout
    assert len({run.data.tags["kdcheck.pid"] for run in _runs(study_folder)}) == 2


@slow
def test_a_rehearsal_tries_everything_and_a_run_that_fails_in_it_fails_it(
    run_claims: Run, study_folder: Path
) -> None:
    text = SCALE.format(seeds=2, epochs=20)
    done = run_claims("--rehearse", "--undecided-fails", "--report", "page.html")
    assert done.returncode == 0, done.stdout
    assert "rehearsal of smoke scale, 1 task, 3 seeds; 2 claims; 12 runs" in done.stdout
    assert "2 rehearsed" in done.stdout
    assert "REHEARSAL, no evidence of any claim" in done.stdout
    store = Store.open(study_folder / "store")
    assert {each.verdict.standing for each in store.claims()} == {"REHEARSAL"}
    assert {store.get(digest).recipe.epochs for digest in store.digests()} == {1}
    page = (study_folder / "page.html").read_text(encoding="utf-8")
    assert " decided, REHEARSAL</h1>" in page
    assert main(["verify", "--store", str(study_folder / "store")]) == 1, "evidence of nothing"

    good, bad = "alpha = 0.6 }\nlearning_rate = 3e-3", "alpha = 0.6 }\nlearning_rate = 1e30"
    (study_folder / "smoke.toml").write_text(text.replace(good, bad))
    failed = run_claims("--rehearse", "--store", "other")
    assert failed.returncode == 1, failed.stdout
    assert "kdcheck: failed: ls/smaller on words with seed 1000: step " in failed.stdout
    assert "1 error, 1 rehearsed" in failed.stdout


def _runs(folder: Path) -> list:
    return Store.open(folder / "store")._runs.search(TRAININGS, "")


@slow
def test_a_plan_that_measures_goes_through_a_session_of_its_claims_and_leaves_nothing(
    study_folder: Path,
) -> None:
    before = sorted(study_folder.iterdir())
    command = "-m kdcheck plan test_claims.py -k ls_raises --scale smoke.toml --measure --workers 1"
    command += " --data-dir data --model-dir models --format json"
    told = subprocess.run(
        [sys.executable, *command.split()],
        cwd=study_folder, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    plan = json.loads(told)
    assert (plan["claims"], plan["total"]["recipes"]) == (1, 4)
    measured, hours = plan["measured"], plan["each_claim"][0]["hours"]["here"]
    assert [each["encoder"] for each in measured["kinds"]] == ["my-small-bert"]
    around = measured["overhead"]
    assert all(around[name] > 0 for name in ("before", "put", "get", "judge_run", "after"))
    kind, steps = measured["kinds"][0], plan["total"]["steps"]
    at_least = around["before"] + 4 * around["put"] + steps * kind["step"] + around["after"]
    assert hours == measured["hours"] > at_least / 3600
    assert measured["hours_as_busy"] >= measured["hours"]
    assert sorted(study_folder.iterdir()) == before


def _kill_a_worker_that_trains(folder: Path) -> tuple[str, str]:
    """Kill the owner of the first run that is RUNNING; its name, and the digest of that run."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.05)
        try:
            store = Store.open(folder)
        except EvidenceError:  # it is being made
            continue
        for run in store._runs.search(TRAININGS, "attributes.status = 'RUNNING'"):
            tags = run.data.tags
            os.kill(int(tags["kdcheck.pid"]), signal.SIGKILL)
            assert store._runs.look(run.info.run_id).info.status == "RUNNING", "killed too late"
            return tags["kdcheck.worker"], tags["digest"]
    raise AssertionError("no worker began to train")


def _found(folder: Path) -> tuple[dict[str, str], dict[str, object], list[tuple[str, str]]]:
    """What a study found: weights of each finished run, each verdict, and the state of every run."""
    store = Store.open(folder)
    weights = {digest: store.get(digest).weights_digest for digest in store.digests()}
    claims = {each.claim.id: each.verdict.to_dict() for each in store.claims()}
    runs = store._runs.search(TRAININGS, "")
    return weights, claims, sorted((run.data.tags["digest"], run.info.status) for run in runs)
