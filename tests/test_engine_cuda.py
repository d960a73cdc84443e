"""What is asked of CUDA, seen without a device: each call is recorded with the device that it is for."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from kdcheck.engine import gradients, loop, memory, packing, resume, settings
from kdcheck.engine.inputs import prepare
from kdcheck.engine.schedule import Schedule
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task

CPU, SECOND = torch.device("cpu"), torch.device("cuda:1")
TASK, ENCODER = tiny_task(train=12), tiny_encoder(layers=1)


def recipe(**changes):
    return tiny_recipe(TASK, ENCODER, **changes)


@pytest.fixture
def asked(monkeypatch):
    """What CUDA is asked, instead of CUDA."""
    calls: list[tuple[str, object]] = []

    def stand_in(place, name, answer=None):
        monkeypatch.setattr(place, name, lambda *a, **_: calls.append((name, *a)) or answer)

    for name, answer in (
        ("manual_seed_all", None),
        ("max_memory_allocated", 2**20),
        ("get_device_name", "A card"),
        ("empty_cache", None),
        ("reset_peak_memory_stats", None),
    ):
        stand_in(torch.cuda, name, answer)
    return calls


def test_dropout_on_a_device_is_drawn_from_the_stream_as_on_the_cpu(asked):
    gradients._seed(CPU, 7)
    assert asked == []
    here = torch.rand(3)
    gradients._seed(SECOND, 7)
    assert asked == [("manual_seed_all", 7)]
    assert torch.equal(torch.rand(3), here), "what is drawn on the host is no other"


def test_memory_that_is_counted_is_that_of_the_runs_own_device(asked):
    assert settings.peak_memory_bytes(SECOND) == 2**20
    assert asked == [("max_memory_allocated", SECOND)]


def test_the_environment_names_the_card(asked):
    told = settings.environment(recipe(), SECOND)
    assert (told["device"], told["device_name"]) == ("cuda", "A card")
    assert asked == [("get_device_name", SECOND)]
    assert settings.environment(recipe(), CPU)["device"] == "cpu"


def test_the_random_state_of_the_device_is_put_back_too(monkeypatch):
    forked = []
    monkeypatch.setattr(
        torch.random, "fork_rng", lambda devices: forked.append(devices) or nullcontext()
    )
    for device in (SECOND, CPU):
        with settings.settings_of(recipe(), device):
            pass
    assert forked == [[SECOND], []]


@pytest.mark.parametrize("device", [CPU, SECOND])
def test_products_are_cast_on_the_kind_of_device_that_a_run_is_on(monkeypatch, device):
    cast = []
    monkeypatch.setattr(torch, "autocast", lambda kind, **how: cast.append((kind, how)))
    settings.autocast_of(recipe(precision="bfloat16"), device)
    assert cast == [(device.type, {"dtype": torch.bfloat16, "enabled": True})]


def test_a_smaller_part_is_tried_only_once_the_memory_of_the_larger_is_given_back(asked):
    state = SimpleNamespace(device=SECOND, micro_batch=8, step=3, notes=[])
    gradients._halve_micro_batch(state, recipe(), "out of memory")
    assert state.micro_batch == 4
    assert asked == [("empty_cache",)]
    memory.free_cache(CPU)
    assert len(asked) == 1


def test_a_batch_goes_to_the_device_in_one_copy_out_of_pinned_memory(monkeypatch):
    rows = torch.arange(3).numpy()
    batch = prepare(TASK, ENCODER, 48).batch("train", rows)
    copied = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: Pinned(self, copied))
    moved = batch.to(SECOND)
    assert copied == [(SECOND, True)]
    assert torch.equal(moved.input_ids, batch.in_one_layout().input_ids)
    assert isinstance(moved, packing.PackedBatch)


class Pinned:
    """A tensor in pinned memory, which records where it is copied and whether that waits."""

    def __init__(self, tensor, copied):
        self._tensor, self._copied = tensor, copied

    def to(self, device, *, non_blocking):
        self._copied.append((device, non_blocking))
        return self._tensor


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_run_starts_with_model_guard_and_scaler_on_its_device_and_a_count_from_zero(
    asked, monkeypatch, precision
):
    placed = []
    monkeypatch.setattr(
        torch.nn.Module, "to", lambda self, device: placed.append(("model", device)) or self
    )
    monkeypatch.setattr(loop, "FiniteGuard", lambda device, **_: placed.append(("guard", device)))
    monkeypatch.setattr(
        torch.amp, "GradScaler", lambda kind, enabled: placed.append(("scaler", kind, enabled))
    )
    inputs = prepare(TASK, ENCODER, recipe().max_length)
    started = recipe(precision=precision)
    loop._start(started, inputs, Schedule(started, len(TASK.train)), SECOND)
    assert placed == [
        ("model", SECOND), ("guard", SECOND), ("scaler", "cuda", precision == "float16"),
    ]  # fmt: skip
    assert asked == [("reset_peak_memory_stats", SECOND)]


def test_labels_and_settings_are_those_of_the_device_that_a_run_is_on(monkeypatch):
    class StartedError(Exception):
        pass

    found = []

    def note(name, answer):
        def call(*arguments):
            found.append((name, arguments[-1]))
            return answer

        return call

    def start(*arguments):
        found.append(("start", arguments[-1]))
        raise StartedError

    monkeypatch.setattr(loop, "targets_of", note("targets", (None, None)))
    monkeypatch.setattr(loop, "settings_of", note("settings", nullcontext()))
    monkeypatch.setattr(loop, "_start", start)
    inputs = prepare(TASK, ENCODER, recipe().max_length)
    with pytest.raises(StartedError):
        loop.train(recipe(), inputs, device=SECOND)
    assert found == [("targets", SECOND), ("settings", SECOND), ("start", SECOND)]


def test_what_a_checkpoint_holds_of_the_loss_goes_back_to_the_device(tmp_path):
    inputs = prepare(TASK, ENCODER, recipe().max_length)
    saved, fresh = (
        loop._start(recipe(), inputs, Schedule(recipe(), len(TASK.train)), CPU) for _ in range(2)
    )
    saved.guard.loss_sum = torch.tensor(2.5, dtype=torch.float64)
    resume.save(saved, tmp_path, recipe())
    fresh.guard.loss_sum = torch.zeros((), device="meta")
    resume.restore(fresh, tmp_path, recipe(), inputs)
    assert fresh.guard.loss_sum.device == torch.device("meta")
    resume.restore(saved, tmp_path, recipe(), inputs)
    assert saved.guard.loss_sum == 2.5
