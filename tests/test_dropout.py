"""Dropout from 16 bits an element: its mean, its bits, its generator."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kdcheck.engine import dropout as module
from kdcheck.engine.dropout import LEVELS, Dropout, dropout, keep_mask, keep_masks, replace_dropout

COUNT = 400_000


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_p_to_the_nearest_65536th(p):
    torch.manual_seed(0)
    share = (keep_mask((COUNT,), p, torch.float64) == 0).double().mean().item()
    used = round(p * LEVELS) / LEVELS
    assert abs(used - p) <= 0.5 / LEVELS
    # Five standard errors of a Bernoulli share: one chance in two million.
    assert abs(share - used) < 5 * (used * (1 - used) / COUNT) ** 0.5


def test_over_all_65536_values_of_the_bits_the_mean_of_the_mask_is_one(monkeypatch):
    # In the place of chance, every 16-bit word once.
    every = torch.arange(-LEVELS // 2, LEVELS // 2, dtype=torch.int16).view(torch.int64)
    monkeypatch.setattr(torch.Tensor, "random_", lambda self, *_: self.copy_(every))
    mask = keep_mask((LEVELS,), 0.1, torch.float64)
    assert (mask == 0).sum() == 6554
    assert abs(mask.mean().item() - 1.0) < 1e-12


@pytest.mark.parametrize("lane", range(4))
def test_each_quarter_of_a_draw_drops_alike(lane):
    torch.manual_seed(1)
    mask = keep_mask((COUNT,), 0.1, torch.float32)[lane::4]
    share = (mask == 0).double().mean().item()
    assert abs(share - 0.1) < 5 * (0.09 / (COUNT / 4)) ** 0.5


def test_63_bit_draws_would_have_been_caught(monkeypatch):
    # Planted: random_() without bounds leaves the sign bit zero, so one element in four never drops.
    original = torch.Tensor.random_
    monkeypatch.setattr(torch.Tensor, "random_", lambda self, *_: original(self))
    torch.manual_seed(1)
    shares = [
        (keep_mask((COUNT,), 0.1, torch.float32)[lane::4] == 0).double().mean() for lane in range(4)
    ]
    assert max(abs(share - 0.1) for share in shares) > 0.05


def test_neighbours_drop_independently():
    torch.manual_seed(2)
    dropped = (keep_mask((COUNT,), 0.3, torch.float64) == 0).double() - 0.3
    for distance in (1, 2, 3, 4, 64):
        covariance = (dropped[:-distance] * dropped[distance:]).mean().item()
        assert abs(covariance) < 5 * 0.21 / COUNT**0.5


def test_the_mask_is_a_function_of_the_seed_whatever_the_number_of_threads():
    threads = torch.get_num_threads()
    masks = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            torch.manual_seed(3)
            masks.append(dropout(torch.ones(700, 300), 0.1))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(masks[0], masks[1])
    torch.manual_seed(4)
    assert not torch.equal(dropout(torch.ones(700, 300), 0.1), masks[0])


def test_several_masks_of_one_draw_are_those_of_one_draw_after_the_other():
    shapes = [(5, 3), (1,), (4, 4), (7,)]
    torch.manual_seed(6)
    together = keep_masks(shapes, 0.3, torch.float32)
    torch.manual_seed(6)
    for got, shape in zip(together, shapes, strict=True):
        assert torch.equal(got, keep_mask(shape, 0.3, torch.float32))


def test_the_gradient_is_the_mask():
    x = torch.randn(50, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(5)
    out = dropout(x, 0.5)
    out.sum().backward()
    assert torch.equal(x.grad, (out != 0) * 2.0)


def test_in_eval_mode_and_at_zero_nothing_is_drawn():
    before = torch.get_rng_state()
    x = torch.ones(5)
    assert Dropout(0.5).eval()(x) is x
    assert dropout(x, 0.0) is x
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5])
def test_sizes_that_are_no_multiple_of_four_work(size):
    assert dropout(torch.ones(size), 0.5).shape == (size,)


def test_half_types_keep_their_type():
    assert dropout(torch.ones(9, dtype=torch.bfloat16), 0.1).dtype == torch.bfloat16


def test_off_the_cpu_it_is_torchs_own_dropout(monkeypatch):
    calls = []
    monkeypatch.setattr(
        module.nn.functional, "dropout", lambda values, p: calls.append(p) or values
    )
    dropout(torch.ones(3, device="meta"), 0.1)
    assert calls == [0.1]


def test_every_dropout_of_a_model_is_replaced_and_keeps_its_mode_and_rate():
    model = nn.Sequential(nn.Dropout(0.1), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.4))).eval()
    replace_dropout(model)
    found = [m for m in model.modules() if isinstance(m, Dropout)]
    assert [m.p for m in found] == [0.1, 0.4]
    assert not any(m.training for m in found)
    assert not any(type(m) is nn.Dropout for m in model.modules())
