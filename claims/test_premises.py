"""What the others rest on: models that learned and fitted, the larger of them the surer one.

A claim about fitted, confident classifiers says nothing where there are none, and most of what the
paper says of distillation speaks of a teacher that is surer than its student.
"""

import pytest

from kdcheck.claims import SIZES, nats, plain, points
from kdcheck.paper import claim
from kdcheck.paper.statements.causes import (
    erm_leaves_room_to_triple,
    plain_models_are_fitted,
    plain_models_have_learned,
)
from kdcheck.paper.statements.entropies import larger_model_is_surer


@claim(
    plain_models_are_fitted,
    margin=nats(0.0),
    because="half of the largest entropy is itself the line that is drawn",
)
@pytest.mark.parametrize("size", SIZES)
def test_plain_models_are_fitted(study, size):
    study.judge(plain_models_are_fitted(size))


@claim(
    plain_models_have_learned,
    margin=points(5.0),
    because="a third of the paper's own least lead, on MRPC, where two thirds are of one class",
)
@pytest.mark.parametrize("size", SIZES)
def test_plain_models_have_learned(study, size):
    study.judge(plain_models_have_learned(size))


@claim(larger_model_is_surer, margin=nats(0.01))
def test_larger_model_is_surer(study):
    study.judge(larger_model_is_surer())


@claim(
    erm_leaves_room_to_triple,
    margin=plain(0.0, "times"),
    because="arithmetic: no entropy exceeds the largest",
)
def test_erm_leaves_room_to_triple(study):
    study.judge(erm_leaves_room_to_triple())
