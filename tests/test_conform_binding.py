"""Which argument of a loss is which: every way of calling it that is tried, in the order in which it is tried."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdcheck.conform.loss.binding import MOST_TRIES, bindings
from kdcheck.conform.loss.subject import LAYOUTS
from kdcheck.errors import ConformError, ParameterError


def ways(target, *, names=None, arguments=None):
    return list(bindings(target, name="loss", arguments=arguments or {}, names=names or {}))


def first(target, **told):
    """What goes where in the likeliest way: of a call alone the name, else with the place before it."""
    slots = ways(target, **told)[0].slots
    return {
        role: slot.key if slot.place == "call" else f"{slot.place} {slot.key}"
        for role, slot in slots.items()
    }


def orders(target, **told):
    """Which arguments are student, teacher and labels in each way, without forms and layouts."""
    found = [
        tuple(
            (role, way.slots[role].key)
            for role in ("student", "teacher", "labels")
            if way.has(role)
        )
        for way in ways(target, **told)
    ]
    return list(dict.fromkeys(found))


def forms_in_order(target, **told):
    """The forms of the tensors in each way that is tried at the plain layout, in order."""
    return [tuple(way.forms.values()) for way in ways(target, **told) if way.layout == "(N, K)"]


# Names


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (
            lambda student_logits, teacher_logits, labels, T=4.0, alpha=0.9: None,
            {
                "tau": "T",
                "alpha": "alpha",
                "student": "student_logits",
                "teacher": "teacher_logits",
                "labels": "labels",
            },
        ),
        (
            lambda y_s, y_t, gt, num_classes, w_kd=1.0, w_ce=1.0, kd_temp=2: None,
            {
                "classes": "num_classes",
                "alpha": "w_kd",
                "beta": "w_ce",
                "tau": "kd_temp",
                "student": "y_s",
                "teacher": "y_t",
                "labels": "gt",
            },
        ),
        # two weights of one kind of name
        (
            lambda logits, labels, alpha=0.5, lam=0.5: None,
            {"alpha": "alpha", "beta": "lam", "student": "logits", "labels": "labels"},
        ),
        (
            lambda logits, labels, gamma=0.5, beta=0.5: None,
            {"beta": "gamma", "alpha": "beta", "student": "logits", "labels": "labels"},
        ),
        # a third one stays as it is
        (
            lambda logits, labels, alpha=0.5, lam=0.5, weight=1.0: None,
            {"alpha": "alpha", "beta": "lam", "student": "logits", "labels": "labels"},
        ),
        # guards against log 0, switches and texts are no settings
        (
            lambda logits, labels, eps=1e-8, alpha=True, tau="mean": None,
            {"student": "logits", "labels": "labels"},
        ),
        (
            lambda logits, labels, eps=1e-3: None,
            {"alpha": "eps", "student": "logits", "labels": "labels"},
        ),
        (
            lambda logits, labels, eps=0.0: None,
            {"alpha": "eps", "student": "logits", "labels": "labels"},
        ),
        (
            lambda logits, labels, tau=1e-4: None,
            {"tau": "tau", "student": "logits", "labels": "labels"},
        ),
        # what has no value yet may be a number; of a bare t or w the annotation decides
        (lambda s, t, labels: None, {"student": "s", "teacher": "t", "labels": "labels"}),
        (lambda logits_NK, labels_N: None, {"student": "logits_NK", "labels": "labels_N"}),
        (
            lambda logits, labels, weight: None,
            {"student": "logits", "labels": "labels", "teacher": "weight"},
        ),
        (lambda x, y, *args, **kwargs: None, {"student": "x", "labels": "y"}),
        (lambda x, y, temperature=None: None, {"student": "x", "labels": "y"}),
        (lambda x, y, mask=3: None, {"student": "x", "labels": "y"}),
        (lambda x, labels=None: None, {"student": "x", "labels": "labels"}),
    ],
)
def test_arguments_are_known_by_their_names(target, wanted):
    assert first(target) == wanted


def annotated(
    logits: Tensor,
    t: float,
    labels: Tensor,
    temperature: float | None = None,
    weight: Tensor | None = None,
    alpha: float | None = None,
) -> Tensor:
    return logits


def test_arguments_are_known_by_their_annotations():
    assert first(annotated) == {
        "tau": "t",
        "alpha": "alpha",
        "student": "logits",
        "labels": "labels",
    }


def test_a_tensor_of_the_name_of_a_number_is_a_tensor():
    def loss(logits, temperature: Tensor, labels):
        return logits

    assert ("teacher", "temperature") in orders(loss)[0]


class Module(nn.Module):
    def __init__(self, num_classes, alpha=0.5, reduction="mean", **_rest):
        super().__init__()
        self.tau, self.is_mean = 2.0, True

    def forward(self, outputs, targets, temperature=3.0):
        return outputs


class Called:
    def __init__(self, lam: float, *_rest: Any) -> None:
        self.lam = lam

    def __call__(self, x, y):
        return x


class PerExample:
    temperature = 4.0

    def __init__(self, alpha=0.5):
        self.alpha, self._beta, self.on, self.num_classes, self.kind = alpha, 0.5, True, 3, "kd"

    def per_example(self, student, teacher, labels):
        return student


class Forward:
    def forward(self, student, labels):
        return student


def test_settings_of_a_constructor_of_an_object_and_of_the_call_are_told_apart():
    assert first(Module) == {
        "tau": "temperature",
        "classes": "construct num_classes",
        "alpha": "construct alpha",
        "student": "outputs",
        "labels": "targets",
    }
    assert first(Module(3)) == {"tau": "temperature", "student": "outputs", "labels": "targets"}
    assert first(Called) == {"alpha": "construct lam", "student": "x", "labels": "y"}
    assert first(Called(0.5)) == {"alpha": "attribute lam", "student": "x", "labels": "y"}
    whole = {"student": "student", "teacher": "teacher", "labels": "labels"}
    assert first(PerExample) == {"alpha": "construct alpha", **whole}
    assert first(PerExample()) == {"alpha": "attribute alpha", **whole}
    assert first(PerExample().per_example) == whole
    assert first(Forward()) == {"student": "student", "labels": "labels"}
    assert first(Forward) == {"student": "student", "labels": "labels"}


def test_attributes_of_a_function_are_no_settings():
    def loss(logits, labels):
        return logits

    loss.alpha = 0.5
    assert first(loss) == {"student": "logits", "labels": "labels"}


def test_what_is_told_goes_before_what_a_name_says():
    def loss(a, b, c, temp=2.0, alpha=0.5):
        return a

    told = {"student": "c", "teacher": "a", "labels": "b:one-hot", "tau": "alpha"}
    way = ways(loss, names=told)[0]
    assert first(loss, names=told) == {
        "tau": "alpha",
        "student": "c",
        "teacher": "a",
        "labels": "b",
    }
    assert way.forms == {"student": "logits", "teacher": "logits", "labels": "one-hot"}
    assert first(loss, names={"student": "a", "teacher": "b", "labels": "c"}) == {
        "tau": "temp",
        "alpha": "alpha",
        "student": "a",
        "teacher": "b",
        "labels": "c",
    }
    assert first(PerExample(), names={"tau": "self.temperature", "beta": "self._beta"}) == {
        "alpha": "attribute alpha",
        "tau": "attribute temperature",
        "beta": "attribute _beta",
        "student": "student",
        "teacher": "teacher",
        "labels": "labels",
    }
    assert first(Module, names={"alpha": "alpha", "tau": "rest.tau"})["tau"] == "construct rest.tau"


def test_positions_and_settings_within_objects_can_be_told():
    way = ways(lambda *given: None, names={"student": "1", "tau": "0"})[0]
    assert {role: slot.key for role, slot in way.slots.items()} == {"student": 1, "tau": 0}
    nested = first(
        lambda outputs, labels, params: None, names={"alpha": "params.alpha", "tau": "params.T"}
    )
    assert nested == {
        "alpha": "params.alpha",
        "tau": "params.T",
        "student": "outputs",
        "labels": "labels",
    }


def test_settings_that_stay_go_where_they_belong_and_are_no_more_asked_for():
    way = ways(Module, arguments={"alpha": 0.25, "num_classes": 7, "depth": 2})[0]
    assert (way.construct, way.call) == ({"alpha": 0.25, "num_classes": 7, "depth": 2}, {})
    assert set(way.slots) == {"student", "labels", "tau"}
    way = ways(PerExample, arguments={"alpha": 0.25, "teacher": None})[0]
    assert (way.construct, way.call) == ({"alpha": 0.25}, {"teacher": None})
    assert set(way.slots) == {"student", "labels"}
    way = ways(lambda x, y, *rest: None, arguments={"2": "mean"})[0]
    assert (way.construct, way.call) == ({}, {2: "mean"})
    way = ways(lambda x, y, **rest: None, arguments={"cfg.tau": 2.0})[0]
    assert way.call == {"cfg.tau": 2.0}
    way = ways(Module, arguments={"num_classes": 3, "cfg.tau": 2.0})[0]
    assert way.construct == {"num_classes": 3, "cfg.tau": 2.0}
    way = ways(lambda x, labels, mask, T=1.0: None, arguments={"mask": None})[0]
    assert set(way.slots) == {"student", "labels", "tau"}


def test_a_way_of_calling_knows_its_loss():
    way = ways(Forward)[0]
    assert (way.name, way.target, way.layout) == ("loss", Forward, "(N, K)")


# Orders, forms and layouts


def test_arguments_without_a_name_are_tried_in_every_order_the_likeliest_first():
    assert orders(lambda a, b: None) == [
        (("student", "a"), ("teacher", "b")),
        (("student", "a"), ("labels", "b")),
        (("student", "b"), ("teacher", "a")),
        (("student", "b"), ("labels", "a")),
    ]
    assert orders(lambda *given: None)[0] == (("student", 0), ("teacher", 1))
    assert orders(lambda x, y: None) == [
        (("student", "x"), ("labels", "y")),
        (("student", "x"), ("teacher", "y")),
    ]
    assert orders(lambda x, y, labels: None) == [
        (("student", "x"), ("teacher", "y"), ("labels", "labels"))
    ]
    assert orders(lambda x, target=None: None) == [
        (("student", "x"), ("labels", "target")),
        (("student", "x"), ("teacher", "target")),
        (("student", "x"),),
    ]
    assert orders(lambda x, labels=None, teacher=None: None) == [
        (("student", "x"), ("teacher", "teacher"), ("labels", "labels")),
        (("student", "x"), ("labels", "labels")),
        (("student", "x"), ("teacher", "teacher")),
        (("student", "x"),),
    ]
    assert orders(lambda *given: None, names={"student": "0"}) == [(("student", 0),)]
    assert orders(lambda *given: None, names={"tau": "0"})[0] == (
        ("student", 1),
        ("teacher", 2),
    )


STUDENTS = ["logits", "log-probabilities", "probabilities", "model output"]
TEACHERS = ["logits", "probabilities", "log-probabilities", "model output"]


def by_surprise(*each):
    """All combinations of forms, each with how unusual it is, the least surprising first."""
    return [
        forms
        for _, forms in sorted(
            (
                (sum(far for far, _ in picked), tuple(form for _, form in picked))
                for picked in each[0]
            ),
            key=lambda pair: pair[0],
        )
    ]


def ranks(*forms):
    """How much each form surprises in its place: later ones more, two of them much."""
    unusual = {"one-hot": 4, "model output": 4}
    return [(at + unusual.get(form, 0), form) for at, form in enumerate(forms)]


@pytest.mark.parametrize(
    ("target", "students", "others"),
    [
        (lambda student, teacher: None, STUDENTS, TEACHERS),
        (lambda student, labels: None, STUDENTS, ["class ids", "one-hot"]),
        (
            lambda student_log_probs, teacher_prob: None,
            ["log-probabilities", "logits", "probabilities", "model output"],
            ["probabilities", "logits", "log-probabilities", "model output"],
        ),
        (
            lambda student_probs, teacher_logprobs: None,
            ["probabilities", "logits", "log-probabilities", "model output"],
            ["log-probabilities", "logits", "probabilities", "model output"],
        ),
        (
            lambda student_softmax, teacher_log_softmax: None,
            ["probabilities", "logits", "log-probabilities", "model output"],
            ["log-probabilities", "logits", "probabilities", "model output"],
        ),
        (
            lambda model_output, one_hot_labels: None,
            ["model output", "logits", "log-probabilities", "probabilities"],
            ["one-hot", "class ids"],
        ),
        (lambda student, label_probs: None, STUDENTS, ["class ids", "one-hot"]),
    ],
)
def test_forms_are_tried_by_how_much_they_would_surprise(target, students, others):
    picked = itertools.product(ranks(*students), ranks(*others))
    wanted = by_surprise(picked)
    got = forms_in_order(target)
    assert got == [each for each in wanted if each in got]
    assert got[:6] == wanted[:6]


def test_layouts_come_after_forms_and_other_orders_in_between():
    steps = [
        (way.slots["student"].key, way.forms["student"], way.forms["labels"], way.layout)
        for way in ways(lambda a, b: None, names={"labels": "b"})
    ]
    plain, sequence, image = LAYOUTS
    assert steps[:6] == [
        ("a", "logits", "class ids", plain),
        ("a", "log-probabilities", "class ids", plain),
        ("a", "probabilities", "class ids", plain),
        ("a", "logits", "class ids", sequence),
        ("a", "logits", "one-hot", plain),
        ("a", "log-probabilities", "class ids", sequence),
    ]
    assert steps.index(("a", "logits", "class ids", image)) == 10
    orders_of = [
        (way.slots["student"].key, *way.forms.values(), way.layout)
        for way in ways(lambda a, b: None)
        if not way.has("labels")
    ]
    at = orders_of.index(("b", "logits", "logits", plain))
    assert [each[0] for each in orders_of[:at]].count("a") == at


def test_no_more_ways_are_tried_than_are_worth_it():
    assert len(ways(lambda a, b, c: None)) == MOST_TRIES == 72
    assert len(ways(lambda logits, labels: None)) == 4 * 2 * 3


# Refusals

MAPPING = "Say which is which: --map student=NAME --map teacher=NAME --map labels=NAME."


class NeedsMore:
    def __init__(self, table, *rest, depth=3, **others):
        self.table = table

    def __call__(self, logits, labels):
        return logits


class Nothing:
    pass


@pytest.mark.parametrize(
    ("target", "told", "words"),
    [
        (
            NeedsMore,
            {},
            (
                "loss: got no value for 'table' of its constructor; wanted one. "
                "Give it: --arg table=VALUE, or arguments={'table': ...}."
            ),
        ),
        (
            Nothing(),
            {},
            (
                "Nothing: got a Nothing, which cannot be called; wanted a loss. "
                "Name the function or the class of the loss."
            ),
        ),
        (
            Nothing,
            {},
            (
                "Nothing: got a Nothing, which cannot be called; wanted a loss. "
                "Name the function or the class of the loss."
            ),
        ),
        (
            lambda labels, teacher: None,
            {},
            (
                "loss: got arguments labels, teacher; wanted student, and teacher or labels among them. "
                f"{MAPPING}"
            ),
        ),
        (
            lambda: None,
            {},
            (
                "loss: got arguments of no known meaning; wanted student, and teacher or labels among them. "
                f"{MAPPING}"
            ),
        ),
        (
            Module,
            {"names": {"tau": "heat"}, "arguments": {"num_classes": 3}},
            None,
        ),
        (
            PerExample,
            {"names": {"tau": "heat"}},
            (
                "loss, tau: got the argument 'heat'; wanted one of alpha, student, teacher, labels. "
                "For an attribute of the object write self.NAME."
            ),
        ),
        (
            PerExample,
            {"arguments": {"heat": 1.0}},
            (
                "loss: got the argument 'heat'; wanted one of alpha, student, teacher, labels. "
                "Check the spelling."
            ),
        ),
        (
            PerExample,
            {"names": {"alpha": "alpha"}, "arguments": {"alpha": 1.0}},
            (
                "loss: got 'alpha' as alpha and as a setting that stays; wanted one of the two. "
                "Leave out its --map or its --arg."
            ),
        ),
    ],
)
def test_what_has_no_place_is_refused_in_whole_words(target, told, words):
    if words is None:  # **_rest of the constructor takes any name
        assert first(target, **told)["tau"] == "construct heat"
        return
    with pytest.raises((ConformError, ParameterError)) as caught:
        ways(target, **told)
    assert str(caught.value) == words


def test_a_value_that_is_given_is_not_missed():
    assert first(NeedsMore, arguments={"table": 3}) == {"student": "logits", "labels": "labels"}
    given: Callable[..., Any] = NeedsMore
    assert first(given, names={"alpha": "table"})["alpha"] == "construct table"
    assert first(given, arguments={"table.x": 3}) == {"student": "logits", "labels": "labels"}


def test_a_function_of_torch_is_read_by_its_signature():
    assert first(torch.nn.functional.cross_entropy) == {
        "alpha": "label_smoothing",
        "student": "input",
        "labels": "target",
    }
