"""Our AdamW against torch's own fused one, to the last bit."""

from __future__ import annotations

import pytest
import torch

from kdcheck.engine.adamw import AdamW

SETTINGS = {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-5, "weight_decay": 0.2}


def weights():
    generator = torch.Generator().manual_seed(0)
    shapes = ((4, 3), (3,), ())
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def train(optimizer, rates=(0.03, 0.02, 0.01, 0.005), blocked=()):
    """Weights after some steps on gradients that differ from step to step."""
    (group,) = optimizer.param_groups
    for step, rate in enumerate(rates):
        group["lr"] = rate
        for weight in group["params"]:
            weight.grad = (weight.detach() + step).sin()
        optimizer.found_inf = torch.tensor(float(step in blocked)) if blocked else None
        optimizer.step()
    return [weight.detach() for weight in group["params"]]


@pytest.mark.parametrize("blocked", [(), (1, 2)], ids=["every step", "two steps blocked"])
def test_weights_moments_and_counts_are_those_of_torchs_own(blocked):
    ours = AdamW(weights(), **SETTINGS)
    theirs = torch.optim.AdamW(weights(), **SETTINGS, fused=True)
    for got, want in zip(train(ours, blocked=blocked), train(theirs, blocked=blocked), strict=True):
        assert torch.equal(got, want)
    for got, want in zip(ours.state.values(), theirs.state.values(), strict=True):
        assert got.keys() == want.keys()
        assert all(torch.equal(got[name], want[name]) for name in want)


def test_weights_are_not_moved_by_a_blocked_step():
    first = weights()
    after = train(AdamW(weights(), **SETTINGS), rates=(0.1,), blocked=(0,))
    assert all(torch.equal(got, want) for got, want in zip(after, first, strict=True))
