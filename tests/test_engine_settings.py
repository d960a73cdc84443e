"""What a recipe decides about the process, and that all of it is put back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from kdcheck.engine.settings import (
    autocast_of,
    emulated_on_cpu,
    environment,
    is_emulated,
    pick_device,
    room_on,
    settings_of,
)
from kdcheck.errors import TrainingError
from kdcheck.testing import tiny_encoder, tiny_recipe, tiny_task
from tests.refusal import refused

CPU = torch.device("cpu")


def recipe(**changes):
    return tiny_recipe(tiny_task(train=4), tiny_encoder(), **changes)


def state() -> tuple:
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.get_rng_state().tolist(),
    )


def test_threads_kernels_and_tf32_are_the_recipes_inside_and_the_callers_after():
    before = state()
    with settings_of(recipe(threads=2, tf32=True, deterministic=False), CPU):
        assert state()[:5] == (2, False, False, True, True)
        torch.rand(3)
    assert state() == before
    with settings_of(recipe(threads=1), CPU):
        assert state()[:5] == (1, True, False, False, False)
    assert state() == before


def test_all_is_put_back_when_training_fails():
    before = state()
    with pytest.raises(RuntimeError, match="size"), settings_of(recipe(threads=2, tf32=True), CPU):
        torch.rand(3) @ torch.rand(2)
    assert state() == before


@pytest.mark.parametrize(("threads", "flushed"), [(1, True), (2, False)])
def test_denormals_are_flushed_only_where_every_thread_would_do_it(threads, flushed):
    denormal = torch.full((200_000,), 1e-40)
    with settings_of(recipe(threads=threads), CPU):
        product = denormal * 0.5
    assert int((product == 0).sum()) == (len(product) if flushed else 0)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("float32", None),
        ("float64", None),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ],
)
def test_half_precisions_are_autocast_and_the_others_are_not(precision, dtype):
    with autocast_of(recipe(precision=precision), CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (dtype or torch.float32)


def counted(monkeypatch, count: int, available: bool = True, starts: bool = True) -> None:
    """A machine where torch says so much of CUDA."""

    def ones(*_size, device):
        if not starts:
            raise RuntimeError(f"CUDA error: no kernel image is available on {device}")
        return torch.zeros(1)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch, "ones", ones)


def test_a_device_that_is_not_there_is_refused_with_the_number_of_those_that_are(monkeypatch):
    counted(monkeypatch, 1)
    assert pick_device() == pick_device("cuda") == torch.device("cuda")
    with refused(
        TrainingError, "'cuda:1' with 1 CUDA devices", "CUDA_VISIBLE_DEVICES", "leave --device out"
    ):
        pick_device("cuda:1")


def test_a_named_device_is_tried_before_it_is_trained_on(monkeypatch):
    counted(monkeypatch, 2, starts=False)
    with refused(TrainingError, "'cuda:1', on which torch cannot start", "leave --device out"):
        pick_device("cuda:1")


@pytest.mark.parametrize(("free_gib", "workers"), [(0, 1), (11, 1), (16, 2), (24, 4), (139, 6)])
def test_workers_share_a_device_where_its_memory_allows(free_gib, workers, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free_gib * 2**30, 140 * 2**30))
    assert room_on("cuda:0") == workers


def test_a_driver_that_does_not_tell_its_memory_has_room_for_one_worker(monkeypatch):
    def silent(_):
        raise RuntimeError("CUDA error: operation not supported")

    monkeypatch.setattr(torch.cuda, "mem_get_info", silent)
    assert room_on("cuda:0") == 1


@pytest.mark.parametrize(
    ("native", "precision", "device", "emulated"),
    [
        (False, "bfloat16", "cuda", True),
        (True, "bfloat16", "cuda", False),
        (False, "float16", "cuda", False),
        (False, "bfloat16", "cpu", True),
        (True, "bfloat16", "cpu", False),
        (False, "float32", "cpu", False),
    ],
)
def test_a_precision_that_a_device_does_not_have_is_told(
    native, precision, device, emulated, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: native)
    products_in(monkeypatch, bf16=native, fp16=not native)
    assert is_emulated(recipe(precision=precision), torch.device(device)) is emulated


def products_in(monkeypatch, *, bf16, fp16):
    """A CPU whose library of products says so of itself."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", lambda: fp16)


def test_a_cpu_is_asked_for_each_half_precision_and_without_such_a_library_has_none(monkeypatch):
    products_in(monkeypatch, bf16=True, fp16=False)
    assert emulated_on_cpu() == ["float16"]
    products_in(monkeypatch, bf16=False, fp16=True)
    assert emulated_on_cpu() == ["bfloat16"]
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert emulated_on_cpu() == ["bfloat16", "float16"]


@pytest.mark.parametrize(
    "machine",
    [
        {"count": 0},  # called available in spite of that
        {"count": 1, "available": False},  # an old driver, or a build of torch for the CPU
        {"count": 1, "starts": False},  # a card that this build has no kernels for
    ],
)
def test_the_cpu_is_picked_unless_a_device_is_counted_available_and_starts(machine, monkeypatch):
    counted(monkeypatch, **machine)
    assert pick_device() == CPU


def test_a_device_that_is_counted_and_not_available_is_refused_by_name(monkeypatch):
    counted(monkeypatch, 1, available=False)
    with pytest.raises(TrainingError, match=r"'cuda' with 0 CUDA devices .* CUDA build of torch"):
        pick_device("cuda")


@pytest.mark.parametrize(("before", "after"), [(None, ":4096:8"), (":16:8", ":16:8")])
def test_cublas_is_told_its_workspace_before_anything_can_be_multiplied(before, after):
    environment = {k: v for k, v in os.environ.items() if k != "CUBLAS_WORKSPACE_CONFIG"}
    if before:
        environment["CUBLAS_WORKSPACE_CONFIG"] = before
    code = "import os, kdcheck.engine.settings; print(os.environ.get('CUBLAS_WORKSPACE_CONFIG'))"
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == after


def test_the_environment_names_what_bitwise_equality_depends_on():
    told = environment(recipe(threads=2, precision="bfloat16"), CPU)
    assert told["torch"] == torch.__version__
    assert (told["threads"], told["precision"], told["tf32"]) == ("2", "bfloat16", "False")
    assert all(isinstance(value, str) for value in told.values())
