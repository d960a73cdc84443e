"""Label smoothing makes a classifier less sure: by how much, by how many times, and to what floor."""

import pytest

from kdcheck.claims import SIZES, nats, plain
from kdcheck.paper import claim
from kdcheck.paper.statements.entropies import (
    fitted_ls_keeps_its_floor,
    ls_raises_entropy,
    ls_triples_entropy,
    tuned_ls_raises_entropy,
)


@claim(ls_raises_entropy, margin=nats(0.05), beside=[tuned_ls_raises_entropy])
@pytest.mark.parametrize("size", SIZES)
def test_ls_raises_entropy(study, size):
    study.judge(ls_raises_entropy(size))


@claim(
    ls_triples_entropy,
    margin=plain(0.5, "times"),
    because="'about' is read as half a multiple",
)
def test_ls_triples_entropy(study):
    study.judge(ls_triples_entropy())


@claim(
    fitted_ls_keeps_its_floor,
    margin=nats(0.02),
    because="half-percent slips of the optimum move the floor by less; see theory.smoothed_label",
)
@pytest.mark.parametrize("size", SIZES)
def test_fitted_ls_keeps_its_floor(study, size):
    study.judge(fitted_ls_keeps_its_floor(size))
