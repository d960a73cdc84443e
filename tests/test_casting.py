"""Weights cast by one operation against autocast's own casts: every bit the same, and all put back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kdcheck.engine.casting import cast_at_once
from kdcheck.engine.packing import _by_modules, packed_logits
from tests.test_blocks import batch_of, made, outcome
from tests.test_packing import SHAPES


def under(dtype, way):
    def autocast(model, batch):
        with torch.autocast("cpu", dtype=dtype):
            return way(model, batch).float()

    return autocast


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_and_gradients_have_the_bits_of_autocasts_own_casts(shape, dtype):
    model, batch = made(shape), batch_of()
    got, want = (outcome(under(dtype, way), model, batch) for way in (packed_logits, _by_modules))
    for name, each in want.items():
        assert each.dtype == torch.float32
        assert torch.equal(got[name], each), name
    assert want["logits"].std() > 0.1


def fail_under(layers, seen: set) -> None:
    with cast_at_once(layers, torch.bfloat16):
        seen.update(layer.weight.dtype for layer in layers)
        raise ZeroDivisionError


def test_layers_have_their_own_weights_again_also_after_an_error():
    layers, seen = [nn.Linear(3, 2), nn.Linear(2, 2)], set()
    own = [each for layer in layers for each in layer.parameters()]
    with pytest.raises(ZeroDivisionError):
        fail_under(layers, seen)
    assert seen == {torch.bfloat16}
    now = [each for layer in layers for each in layer.parameters()]
    assert all(one is other for one, other in zip(own, now, strict=True))


def test_gradients_of_several_casts_add_up_in_the_weights_own_type():
    layer, x = nn.Linear(3, 2), torch.tensor([[1.0, 2.0, 3.0]])
    for times in (1.0, 1 / 512):
        with cast_at_once([layer], torch.bfloat16):
            (layer(x.bfloat16()).sum() * times).backward()
    # In bfloat16, of 8 bits, the second would be lost beside the first.
    assert layer.weight.grad.tolist() == [[each * (1 + 1 / 512) for each in (1.0, 2.0, 3.0)]] * 2
