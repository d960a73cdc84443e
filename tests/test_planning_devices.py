"""Hours by the stated model, by hand."""

from __future__ import annotations

import pytest

from kdcheck.planning import devices
from kdcheck.planning.devices import GPUS, Device, find, seconds
from tests.study_doubles import KD
from tests.test_planning_counts import made_up, run_of

FAST = Device(name="fast", peak={"float32": 1e30}, bandwidth=1e30)
SLOW = Device(name="slow", peak={"float32": 1e6}, bandwidth=1e3)


@pytest.fixture
def run():
    graph, found = made_up(looks=0)
    return run_of(graph, found, KD, "a")


def test_a_device_that_is_fast_enough_waits_for_its_host(run):
    alone, busy = seconds([run], FAST)
    assert alone == pytest.approx(10e-6 * (2 * 95 + 70) * (28 + 0.3 * run.look_batches))
    assert busy < 1e-9


def test_a_device_that_is_slow_is_never_waiting(run):
    alone, busy = seconds([run], SLOW)
    assert alone == busy == pytest.approx(run.flops / (1e6 * 0.3) + 28 * 50 * run.parameters / 1e3)


def test_on_a_cpu_both_take_their_time(run):
    both = Device(name="cpu", peak={"float32": 1e6}, bandwidth=1e3, is_host=True)
    assert seconds([run], both)[0] == pytest.approx(
        seconds([run], SLOW)[0] + seconds([run], FAST)[0]
    )


def test_a_precision_that_a_device_does_not_multiply_is_counted_as_the_nearest():
    t4 = next(gpu for gpu in GPUS if gpu.name == "T4")
    assert [t4.counted_as(name) for name in ("bfloat16", "float32", "float64")] == [
        "float16",
        "float32",
        "float32",
    ]


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L4", "L4"),
        ("Tesla T4", "T4"),
        ("NVIDIA L40S", None),
    ],
)
def test_a_gpu_is_known_by_the_name_that_its_driver_gives(said, name):
    found = find(said)
    assert (found and found.name) == name


def test_the_core_of_this_machine_is_measured_and_threads_are_put_back():
    import torch

    before = torch.get_num_threads()
    here = devices.this_cpu(size=64)
    assert torch.get_num_threads() == before
    assert 1e7 < here.peak["float32"] < 1e13
    assert 1e7 < here.bandwidth < 1e13
