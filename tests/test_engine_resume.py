"""A run that was stopped anywhere ends as if it had not been."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from kdcheck.engine import checkpoint, loop, resume
from kdcheck.engine.loop import Clock, train
from kdcheck.errors import CheckpointError, Stopped
from kdcheck.evidence.evidence import Evidence
from tests.engine_doubles import inputs_of, recipe_of
from tests.refusal import refused


class StoppedError(Exception):
    """Raised between two steps, in the place of a kill."""


def outcome(evidence: Evidence) -> str:
    """Digest of all that a run is to leave, at every point."""
    digest = hashlib.sha256()
    for point in evidence.points:
        digest.update(f"{point.step} {point.epoch} {point.weights_digest}".encode())
        digest.update(repr(sorted(point.values.items())).encode())
        for split, predictions in sorted(point.predictions.items()):
            digest.update(f"{split} {predictions.ids}".encode())
            digest.update(predictions.logits_NK.tobytes() + predictions.labels_N.tobytes())
    return digest.hexdigest()


def stop_at(step: int):
    def progress(now: int, _total: int) -> None:
        if now == step:
            raise StoppedError

    return progress


def stopped_and_resumed(recipe, workdir: Path, *steps: int) -> Evidence:
    """Stop after each of the steps, every step having written a checkpoint, then run to the end."""
    for step in steps:
        with pytest.raises(StoppedError):
            train(
                recipe, inputs_of(), workdir=workdir, checkpoint_seconds=0.0, progress=stop_at(step)
            )
    return train(recipe, inputs_of(), workdir=workdir, checkpoint_seconds=0.0)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_stopped_twice_and_resumed_a_run_leaves_the_same_to_the_last_bit(precision, tmp_path):
    recipe = recipe_of(precision=precision)
    whole = train(recipe, inputs_of())
    resumed = stopped_and_resumed(recipe, tmp_path, 2, 4)
    assert outcome(resumed) == outcome(whole)
    assert "resumed at step 2" in resumed.notes
    assert "resumed at step 4" in resumed.notes
    for count in ("train_rows", "train_tokens", "predicted_rows/test_sample", "steps"):
        assert resumed.cost[count] == whole.cost[count]


def test_a_run_that_was_stopped_at_its_end_still_gives_its_evidence(tmp_path):
    recipe = recipe_of()
    resumed = stopped_and_resumed(recipe, tmp_path, 6)
    assert "resumed at step 6" in resumed.notes
    assert outcome(resumed) == outcome(train(recipe, inputs_of()))


def test_a_damaged_newest_checkpoint_is_named_and_the_run_ends_the_same(tmp_path):
    recipe = recipe_of()
    with pytest.raises(StoppedError):
        train(recipe, inputs_of(), workdir=tmp_path, checkpoint_seconds=0.0, progress=stop_at(4))
    tensors = max(tmp_path.glob("step-*")) / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    resumed = train(recipe, inputs_of(), workdir=tmp_path, checkpoint_seconds=0.0)
    assert "resumed at step 3" in resumed.notes
    assert any("step-0000000004" in note and "sha256" in note for note in resumed.notes)
    assert outcome(resumed) == outcome(train(recipe, inputs_of()))


def test_time_between_checkpoints_decides_how_many_are_written_and_nothing_else(tmp_path):
    recipe = recipe_of()
    rare = train(recipe, inputs_of(), workdir=tmp_path / "rare", checkpoint_seconds=1e9)
    often = train(recipe, inputs_of(), workdir=tmp_path / "often", checkpoint_seconds=0.0)
    assert not (tmp_path / "rare").exists()
    assert len(list((tmp_path / "often").iterdir())) == 2
    assert outcome(rare) == outcome(often)


def test_seconds_count_the_tries_before(tmp_path):
    recipe = recipe_of()
    stopped_and_resumed(recipe, tmp_path)
    found = checkpoint.load_latest(tmp_path)
    assert found.state["cost"]["seconds"] > 0
    slow = found.state | {"cost": found.state["cost"] | {"seconds": 1000.0}}
    checkpoint.save(tmp_path, step=found.step, tensors=found.tensors, state=slow)
    resumed = train(recipe, inputs_of(), workdir=tmp_path)
    assert 1000 < resumed.cost["seconds"] < 2000


@pytest.mark.parametrize("moment", ["exp_avg", "exp_avg_sq", "step"])
def test_the_comparison_sees_a_moment_that_was_not_put_back(moment, tmp_path, monkeypatch):
    real = resume.restore

    def forgetful(run, *rest) -> None:
        real(run, *rest)
        for state in run.optimizer.state.values():
            state[moment].zero_()

    recipe = recipe_of()
    whole = outcome(train(recipe, inputs_of()))
    with pytest.raises(StoppedError):
        train(recipe, inputs_of(), workdir=tmp_path, checkpoint_seconds=0.0, progress=stop_at(3))
    monkeypatch.setattr(resume, "restore", forgetful)
    assert outcome(train(recipe, inputs_of(), workdir=tmp_path)) != whole


def test_what_the_loss_summed_up_to_before_a_stop_is_in_the_next_mean(tmp_path, monkeypatch):
    real = resume.restore

    def forgetful(run, *rest) -> None:
        real(run, *rest)
        run.guard.mean_loss()

    recipe = recipe_of()
    whole = outcome(train(recipe, inputs_of()))
    assert outcome(stopped_and_resumed(recipe, tmp_path / "all", 2)) == whole
    monkeypatch.setattr(resume, "restore", forgetful)
    assert outcome(stopped_and_resumed(recipe, tmp_path / "part", 2)) != whole


def test_the_loss_scale_and_the_size_of_parts_are_put_back(tmp_path, monkeypatch):
    runs, start = [], loop._start

    def keep(*args):
        runs.append(start(*args))
        return runs[-1]

    def backed_off(step: int, total: int) -> None:
        runs[0].micro_batch = 4
        runs[0].scaler.update(2.0**9)
        stop_at(2)(step, total)

    monkeypatch.setattr(loop, "_start", keep)
    recipe = recipe_of(precision="float16")
    with pytest.raises(StoppedError):
        train(recipe, inputs_of(), workdir=tmp_path, checkpoint_seconds=0.0, progress=backed_off)
    resumed = train(recipe, inputs_of(), workdir=tmp_path)
    assert runs[1].scaler.get_scale() == 2.0**9
    assert resumed.cost["micro_batch"] == 4


def test_the_folder_of_another_recipe_is_refused_by_both_names(tmp_path):
    first, second = recipe_of(), recipe_of(seed=1)
    stopped_and_resumed(first, tmp_path, 2)
    with refused(CheckpointError, str(tmp_path), first.short, second.short, "a folder of its own"):
        train(second, inputs_of(), workdir=tmp_path)


def test_a_teacher_that_is_resumed_leaves_its_training_logits(tmp_path):
    recipe = recipe_of()
    with pytest.raises(StoppedError):
        train(recipe, inputs_of(), workdir=tmp_path, checkpoint_seconds=0.0, progress=stop_at(5))
    resumed = train(recipe, inputs_of(), workdir=tmp_path, predict_train=True)
    whole = train(recipe, inputs_of(), predict_train=True)
    assert torch.equal(
        *(torch.from_numpy(e.final.predictions["train"].logits_NK) for e in (resumed, whole))
    )


class Time:
    """A clock that goes on only when told to."""

    def __init__(self, monkeypatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(loop, "time", self)

    def monotonic(self) -> float:
        return self.now


def test_checkpoints_that_take_long_are_written_rarely(monkeypatch, tmp_path):
    time, written = Time(monkeypatch), []

    def slow_save(run, *_) -> None:
        written.append(run.step)
        time.now += 1.0

    def step_of_ten_seconds(_step: int, _total: int) -> None:
        time.now += 10.0

    monkeypatch.setattr(resume, "save", slow_save)
    train(recipe_of(epochs=5), inputs_of(), workdir=tmp_path, progress=step_of_ten_seconds)
    assert written == [4, 9, 14]  # after 30 seconds, and then after 50 for one of saving


@pytest.mark.parametrize(("every", "took", "wait"), [(30, 4.8, 240), (30, 0.1, 30)])
def test_the_next_checkpoint_waits_fifty_times_as_long_as_the_last_took_from_its_end(
    every, took, wait, monkeypatch
):
    time = Time(monkeypatch)
    clock = Clock(every)
    time.now += every
    assert clock.checkpoint_is_due()
    with clock.saving():
        time.now += took
    time.now += wait - 0.1
    assert not clock.checkpoint_is_due()
    time.now += 0.2
    assert clock.checkpoint_is_due()


def test_with_no_time_between_checkpoints_each_step_has_one_whatever_it_takes(monkeypatch):
    time = Time(monkeypatch)
    clock = Clock(0.0)
    with clock.saving():
        time.now += 4.8
    assert clock.checkpoint_is_due()


def test_a_run_that_is_asked_to_stop_leaves_a_checkpoint_and_ends_the_same(tmp_path):
    recipe = recipe_of()
    asked = iter([False, False, True])
    with pytest.raises(Stopped, match="SIGTERM"):
        train(recipe, inputs_of(), workdir=tmp_path, stop=lambda: next(asked))
    assert [each.name for each in tmp_path.iterdir()] == ["step-0000000003"]
    resumed = train(recipe, inputs_of(), workdir=tmp_path)
    assert "resumed at step 3" in resumed.notes
    assert outcome(resumed) == outcome(train(recipe, inputs_of()))
