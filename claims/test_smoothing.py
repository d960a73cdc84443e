"""Label smoothing makes a classifier less sure.

By how much, by how many times, to what floor, and on text that it was trained on too.
"""

import pytest

from kdcheck.claims import SIZES, nats, plain
from kdcheck.paper import claim
from kdcheck.paper.statements.causes import erm_leaves_room_to_triple, smoothing_shows_on_seen_text
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


@claim(smoothing_shows_on_seen_text, margin=nats(0.05), because="the margin on unseen text")
def test_smoothing_shows_on_seen_text(study):
    study.judge(smoothing_shows_on_seen_text())


@claim(
    ls_triples_entropy,
    margin=plain(0.5, "times"),
    because="'about' is read as half a multiple",
    rests_on=[erm_leaves_room_to_triple],
)
def test_ls_triples_entropy(study):
    study.judge(ls_triples_entropy())


@claim(
    fitted_ls_keeps_its_floor,
    margin=nats(0.02),
    because="a label's probability half a percent above the optimum lowers entropy by less, at every alpha "
    "that the paper selected",
)
@pytest.mark.parametrize("size", SIZES)
def test_fitted_ls_keeps_its_floor(study, size):
    study.judge(fitted_ls_keeps_its_floor(size))
