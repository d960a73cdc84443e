"""What only a CUDA device can show; skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcheck.engine.inputs import prepare
from kdcheck.engine.loop import train
from kdcheck.errors import TrainingError
from kdcheck.objectives import ERM
from kdcheck.study.local import cuda_devices
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cuda_devices(), reason="no CUDA device that torch starts on"),
    # Which warnings a card, a driver and a build bring nobody knows before: shown, not raised.
    pytest.mark.filterwarnings("default"),
]
CUDA = torch.device("cuda")


def run(device: torch.device, kind: str = "bert", rest=None, **changes):
    task, encoder = tiny_task(), tiny_encoder(kind)
    recipe = tiny_recipe(task, encoder, **changes)
    return train(recipe, prepare(task, encoder, recipe.max_length), device=device, **rest or {})


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_two_runs_on_a_gpu_agree_in_every_bit(kind, precision):
    first, again = (run(CUDA, kind, precision=precision) for _ in range(2))
    assert first.weights_digest == again.weights_digest
    assert first.cost["peak_memory_bytes"] > 0


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_a_gpu_and_the_cpu_give_the_same_logits_without_dropout(kind):
    here, there = (run(torch.device(d), kind, dropout=0.0) for d in ("cpu", "cuda"))
    logits = [e.final.predictions["test"].logits_NK for e in (here, there)]
    assert np.abs(logits[0] - logits[1]).max() < 1e-3


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_run_that_is_stopped_on_a_gpu_and_resumed_ends_with_the_same_weights(precision, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(step: int, _total: int) -> None:
        if step == 3:
            raise StoppedError

    whole = run(CUDA, precision=precision)
    often = {"workdir": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(StoppedError):
        run(CUDA, rest={**often, "progress": stop}, precision=precision)
    resumed = run(CUDA, rest=often, precision=precision)
    assert "resumed at step 3" in resumed.notes
    assert resumed.weights_digest == whole.weights_digest


@pytest.mark.skipif(len(set(cuda_devices())) < 2, reason="no second CUDA device")
def test_a_run_on_a_second_gpu_puts_nothing_on_the_first_and_gives_the_same():
    before = torch.cuda.memory_allocated(0)
    torch.cuda.reset_peak_memory_stats(0)
    second = run(torch.device("cuda:1"))
    assert torch.cuda.max_memory_allocated(0) == before
    # Two cards of one kind give one digest; of different kinds they would not.
    if torch.cuda.get_device_name(0) == torch.cuda.get_device_name(1):
        assert second.weights_digest == run(CUDA).weights_digest


def test_a_gpu_without_memory_ends_the_run_with_what_would_help():
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        with pytest.raises(TrainingError, match=r"too little memory on cuda.*fewer workers"):
            run(CUDA)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_bad_step_moves_no_weights_though_the_host_looks_later(monkeypatch):
    """The host looks every 50 steps, and the run has fewer: the device itself blocks from the bad one on."""
    real, calls, seen = ERM.per_example, [], []

    def spoiled(self, logits_NK, labels_N, teacher_logits_NK=None):
        calls.append(1)
        loss_N = real(self, logits_NK, labels_N, teacher_logits_NK)
        return loss_N * float("nan") if len(calls) == 3 else loss_N

    def keep(optimizer, *_):
        seen.append([weight.detach().clone() for weight in optimizer.param_groups[0]["params"]])

    hook = torch.optim.optimizer.register_optimizer_step_post_hook(keep)
    monkeypatch.setattr(ERM, "per_example", spoiled)
    try:
        with pytest.raises(TrainingError, match="step 2, seed"):
            run(CUDA, evaluations_per_epoch=0)
    finally:
        hook.remove()
    assert len(seen) > 3
    for after in seen[2:]:
        assert all(map(torch.equal, after, seen[1]))
