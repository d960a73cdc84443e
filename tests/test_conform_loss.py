"""Conformance of losses: conventions are named as they are, mistakes by the check that is for them."""

from __future__ import annotations

import json
import math
import types
from time import process_time

import numpy as np
import pytest
import torch

import kdcheck as kd
from kdcheck.conform import Status
from kdcheck.conform.loss import CHECKS, checked_loss, checking, compute_loss, compute_loss_func
from kdcheck.conform.loss.formulas import centred, cosine, probabilities
from kdcheck.errors import ConformError, ParameterError
from tests import foreign_losses as foreign
from tests.refusal import refused

CONVENTIONS = {
    "hinton": "Eq. 2 with alpha = alpha, tau squared present",
    "alpha_weighs_the_hard_term": "Eq. 2 with alpha = 1 - lambd, tau squared present",
    "both_weights_free": "Eq. 2 with both weights free: soft weight kd_weight, hard weight ce_weight, "
    "tau squared present",
    "muller_smoothing": "Eq. 1 with alpha = smoothing",
    "SmoothingOverOthers": "Eq. 1 with alpha = epsilon, smoothing over the K - 1 other classes",
    "smoothing_by_divergence": "Eq. 1 with alpha = eps, smoothing over the K - 1 other classes",
    "decoupled": "no distillation loss: KL of label against the rest (TCKD) and KL among the other "
    "classes (NCKD)",
    "reverse_kl": "no distillation loss: reverse KL(student, teacher)",
    "jensen_shannon": "no distillation loss: Jensen-Shannon divergence",
    "mse_of_logits": "no distillation loss: squared error of logits, 1/K of the soft term",
    "mse_of_probabilities": "no distillation loss: squared error of probabilities",
    "dist": "no distillation loss: 1 - Pearson correlation over classes and 1 - Pearson correlation "
    "over the batch",
    "virtual_teacher": "no smoothing loss: cross-entropy with the label and KL(virtual teacher of 0.9 on "
    "the label, student)",
    "confidence_penalty": "no smoothing loss: cross-entropy with the label and entropy of the student",
    "built_in_temperature": "Eq. 2 with alpha = 0.7 built in, tau = 4 built in, tau squared present",
    "takes_posteriors": "Eq. 2's soft term alone",
    "KeepsSettings": "Eq. 2 with alpha = alpha, tau squared present",
    "sequences": "Eq. 2 with alpha = alpha, tau squared present",
    "in_bits": "Eq. 2 with alpha = alpha, soft cross-entropy for KL, tau squared present, in bits",
    "sharpness": "Eq. 2 with alpha = alpha, tau squared present, temperature is the inverse of tau",
    "below_nothing": "Eq. 2 with alpha = alpha, tau squared present",
    "divided_by_the_root_of_n": "Eq. 2 with alpha = alpha, times 1/sqrt N, tau squared present",
    "averaged_over_classes": "Eq. 2 with alpha = alpha, 1/K of the soft term, tau squared present",
    "soft_term_summed": "Eq. 2 with alpha = alpha, reductions differ (hard term times 1/N, soft term times 1), "
    "tau squared present",
    "reverse_kl_above_one": "no distillation loss: reverse KL(student, teacher)",
    "plain_cross_entropy": "plain cross-entropy (ERM)",
    "of_the_teacher_alone": "no loss: nothing in it moves with the student",
}
REDUCTIONS = {
    "below_nothing": "mean over examples",
    "muller_smoothing": "one value per example",
    "divided_by_the_root_of_n": "another",
    "soft_term_summed": "differs between terms",
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_reduction_is_named(name):
    assert checked_loss(getattr(foreign, name)).convention.reduction == REDUCTIONS[name]


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_convention_of_others_is_named_as_it_is(name):
    assert checked_loss(getattr(foreign, name)).convention.verdict == CONVENTIONS[name]


@pytest.mark.parametrize("classes", range(3, 10))
def test_posteriors_without_spread_are_not_correlated_whatever_rounding_leaves(classes):
    flat_NK = np.zeros((2, classes))
    posteriors_NK = centred(probabilities(flat_NK))
    want = 1 - torch.nn.functional.cosine_similarity(*torch.from_numpy(np.stack([flat_NK] * 2)))
    assert cosine(posteriors_NK, posteriors_NK) == pytest.approx(want.numpy())


def test_a_loss_that_is_none_of_the_known_ones_is_said_to_be_unknown():
    found = checked_loss(foreign.strange)
    assert found.convention.verdict.startswith("unknown convention: no combination")
    result = found.run("convention_is_known")
    assert result.status is Status.FAILED
    assert "--map" in result.detail
    assert found.run("tau_squared_once").status is Status.NOT_RUN
    assert found.run("student_shift").status is Status.FAILED


def test_a_fit_that_holds_on_the_chosen_logits_alone_is_not_told():
    """Confirmed on fresh data: a loss that is KD up to some size of logits is not KD."""

    def clipped(student_logits, teacher_logits):
        return foreign.kl(teacher_logits, student_logits.clamp(-3.9, 3.9), 1.0)

    found = checked_loss(clipped).convention
    assert "fails on fresh data" in found.verdict
    assert "4.0" in found.counterexample


ONCE = "Multiply the soft term by tau squared, once: its gradient keeps its size as tau grows."
SUM = "Sum over classes: reduction='batchmean', or .sum(-1).mean()."
SWAP = "Swap the arguments of the divergence: the paper's is D_KL(teacher, student)."
ONE_SOFTMAX = "Hand log_softmax of the logits to the divergence, taken once."
# Of the convention the whole of what is told; of the behaviour, where figures follow, a part.
MISTAKES = {
    "tau_squared_twice": ("tau_squared_once", f"tau squared twice. {ONCE}"),
    "tau_squared_dropped": ("tau_scaling", "multiplies the soft gradient by 0.25"),
    "averaged_over_classes": ("sums_over_classes", f"1/K of the soft term. {SUM}"),
    "soft_term_summed": (
        "one_reduction",
        (
            "reductions differ (hard term times 1/N, soft term times 1). "
            "Reduce both terms alike, or their ratio moves with the batch."
        ),
    ),
    "divided_by_n_twice": (
        "one_reduction",
        "divided by N twice (1/N^2). Take the mean over examples once.",
    ),
    "only_teacher_softened": (
        "sides_tempered_alike",
        "student not tempered. Divide the student's logits by tau as well.",
    ),
    "only_student_softened": (
        "sides_tempered_alike",
        "teacher not tempered. Divide the teacher's logits by tau as well.",
    ),
    "hard_term_softened": (
        "hard_term_untempered",
        "hard term tempered too. The hard term takes the logits as they are: temperature 1.",
    ),
    "divergence_swapped": ("from_teacher_to_student", SWAP),
    "softmax_twice": ("one_softmax", f"softmax is taken twice in the hard term. {ONE_SOFTMAX}"),
    "probabilities_as_logits": ("one_softmax", f"softmax is taken twice of teacher. {ONE_SOFTMAX}"),
    "log_softmax_forgotten": (
        "softmax_is_taken",
        f"no log-softmax is taken of the student. {ONE_SOFTMAX}",
    ),
    "student_detached": ("gradient_is_that_of_the_value", "slope"),
    "no_gradient_at_all": ("gradient_reaches_the_student", "no gradient"),
    "teacher_learns": ("no_gradient_to_the_teacher", "detach the teacher"),
    "tempers_in_place": ("inputs_unchanged", "the teacher's tensor was changed"),
    "logarithm_of_softmax": ("extreme_logits", "nan"),
    "epsilon_lost_in_half_precision": ("half_precision", "float16"),
    "other_at_alpha_1": (
        "same_at_edges",
        "at alpha = 1 it is 0.16 times what it is elsewhere. Let the formula hold at alpha = 1 too.",
    ),
    "temperature_ignored": ("settings_have_an_effect", "T has no effect. Use T, or drop it."),
    "by_chance": ("deterministic", "then"),
    "last_class_for_minus_1": ("ignored_labels", "the label -1 counts as class"),
    "normalised_by_batch": ("batch_independence", "swapped pairs"),
    "favours_class_0": ("class_order", "value"),
    "SmoothingOverOthers": ("two_classes", "the label's logit"),
    "mse_of_logits": ("student_shift", "value"),
    "reverse_kl": (
        "terms_of_the_paper",
        (
            "It has reverse KL(student, teacher); the paper's soft term is D_KL(teacher, student) or "
            "D_KL(u, student)."
        ),
    ),
    "in_bits": ("in_nats", "in bits. Use the natural logarithm, or divide by log 2."),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_by_the_check_that_is_for_it(name):
    check, told = MISTAKES[name]
    result = checked_loss(getattr(foreign, name)).run(check)
    assert result.status is Status.FAILED
    assert told == result.detail if check in checking.CONVENTIONS else told in result.detail
    assert result.counterexample


OTHERS = "alpha (K - 1) / K for Eq. 1's alpha, or spread it over all K."
LAWS = {
    "no_soft_gradient_at_equality": ("only_teacher_softened", "soft gradient: "),
    "never_negative": ("below_nothing", "it is -"),
    "teacher_shift": ("mse_of_logits", "value: "),
    "example_order": ("weighs_by_place", "value: "),
    "reduction_under_accumulation": ("divided_by_the_root_of_n", "parts give "),
    "hard_limit": ("keeps_alpha_off_its_ends", "value with another teacher: "),
    "soft_limit": ("keeps_alpha_off_its_ends", "value with other labels: "),
    "uniform_teacher": ("drops_teachers_without_opinion", "gradient: "),
    "one_hot_teacher": ("drops_teachers_that_are_sure", "gradient: "),
    "label_types": ("narrow_labels_for_targets", "value with int32 labels: "),
    "double_backward": ("bent_at_equality", "the second gradient is "),
    "memory_layout": ("flat_in_memory", "RuntimeError: view size is not compatible"),
    "smooths_over_all_classes": (
        "SmoothingOverOthers",
        f"smoothing over the K - 1 other classes. Pass epsilon = {OTHERS}",
    ),
    "convention_is_known": ("strange", "no combination"),
}


@pytest.mark.parametrize("check", LAWS)
def test_a_law_that_no_other_mistake_breaks_is_broken_by_one_of_its_own(check):
    name, told = LAWS[check]
    result = checked_loss(getattr(foreign, name)).run(check)
    assert result.status is Status.FAILED
    assert told in result.detail


def test_every_check_is_failed_by_a_mistake():
    assert {check for check, _ in MISTAKES.values()} | set(LAWS) == set(CHECKS)


HARD = "cross-entropy with the label"
TEMPERED = "[student at tau, teacher at tau]"
FITTED = {
    "hinton": f"(1 - alpha) 1/N {HARD} + (alpha) tau^2 1/N KL(teacher, student) {TEMPERED}",
    "averaged_over_classes": f"(1 - alpha) 1/N {HARD} + (alpha) tau^2 1/K 1/N KL(teacher, student) {TEMPERED}",
    "divided_by_n_twice": f"(1 - alpha) 1/N^2 {HARD} + (alpha) tau^2 1/N^2 KL(teacher, student) {TEMPERED}",
    "only_teacher_softened": f"(1 - alpha) 1/N {HARD} + (alpha) tau^2 1/N KL(teacher, student) "
    "[student at 1, teacher at tau]",
    "softmax_twice": f"(1 - alpha) 1/N {HARD} of a softmax taken twice + (alpha) tau^2 1/N KL(teacher, student) "
    f"{TEMPERED}",
    "probabilities_as_logits": f"(1 - alpha) 1/N {HARD} + (alpha) tau^2 1/N KL with softmax taken twice of teacher "
    f"{TEMPERED}",
    "log_softmax_forgotten": "(1) 1/N KL(teacher, student) without a log-softmax on the student",
    "in_bits": f"(1/log 2 (1 - alpha)) 1/N {HARD} + (1/log 2 alpha) tau^2 1/N cross-entropy with the teacher {TEMPERED}",
    "temperature_ignored": f"(1 - alpha) 1/N {HARD} + (alpha) 1/N KL(teacher, student)",
}


@pytest.mark.parametrize("name", FITTED)
def test_what_was_fitted_is_told_term_by_term(name):
    assert checked_loss(getattr(foreign, name)).run("convention_is_known").detail == FITTED[name]


ADD_UP = "do not add up to 1; the paper's are alpha and 1 - alpha."
CHANGES = {
    "hinton": [],
    "alpha_weighs_the_hard_term": ["Pass lambd = 1 - alpha: here it weighs the hard term."],
    "both_weights_free": [f"The weights kd_weight and ce_weight {ADD_UP}"],
    "muller_smoothing": ["The value lies alpha log K above Eq. 1; gradients agree."],
    "SmoothingOverOthers": [f"Pass epsilon = {OTHERS}"],
    "in_bits": [
        "The value lies H(teacher) times the weight above Eq. 2; gradients agree.",
        "Use the natural logarithm, or divide by log 2.",
    ],
    "sharpness": ["Pass temperature = 1 / tau."],
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_to_change_is_told_where_a_convention_differs(name):
    remarks = checked_loss(getattr(foreign, name)).convention.remarks
    assert [remark.change for remark in remarks if remark.change] == CHANGES[name]


def test_the_smallest_input_is_small():
    result = checked_loss(foreign.teacher_learns).run("no_gradient_to_the_teacher")
    assert result.counterexample == (
        "student [[0.0, 0.0]], teacher [[0.0, 0.25]], labels [0], alpha 0.5, T 2"
    )


@pytest.mark.parametrize(
    "loss",
    [kd.objectives.distillation, kd.objectives.Distillation, kd.objectives.LabelSmoothing],
    ids=lambda loss: loss.__name__,
)
def test_our_own_losses_pass_every_check_within_20_seconds(loss):
    started = process_time()
    report = kd.check_objective(loss)
    assert process_time() - started < 20
    assert report.verdict.startswith("Eq. ")
    assert {r.name for r in report.results if r.status is Status.FAILED} == set()
    assert report.exit_code == 0


def test_there_are_at_least_20_checks_and_each_has_a_name_of_its_own():
    assert len(CHECKS) == len(set(CHECKS)) >= 20


# Arguments


def test_names_positions_forms_and_nested_settings_can_be_told():
    by_position = checked_loss(
        lambda *a: foreign.hinton(a[1], a[0], a[2], a[3], a[4]),
        names={"teacher": "0", "student": "1", "labels": "2", "tau": "3", "alpha": "4"},
    )
    assert by_position.convention.verdict == CONVENTIONS["hinton"].replace(
        "= alpha", "= argument 4"
    )
    nested = checked_loss(
        foreign.takes_settings,
        names={"alpha": "params.alpha", "tau": "params.temperature"},
    )
    assert nested.convention.verdict == "Eq. 2 with alpha = params.alpha, tau squared present"


@pytest.mark.parametrize(
    "returned",
    [
        lambda loss, logits: (loss, logits),
        lambda loss, logits: [loss],
        lambda loss, logits: {"logits": logits, "loss": loss},
        lambda loss, logits: {"kd": loss},
        lambda loss, logits: types.SimpleNamespace(logits=logits, loss=loss),
    ],
)
def test_the_loss_is_found_in_whatever_is_returned(returned):
    def loss(student_logits, teacher_logits, labels, T=4.0, alpha=0.9):
        made = foreign.hinton(student_logits, teacher_logits, labels, T, alpha)
        return returned(made, student_logits.detach())

    assert checked_loss(loss).convention.verdict == CONVENTIONS["hinton"]


class KeepsWeights:
    """An object whose settings are attributes, of which one is no number and one is private."""

    def __init__(self):
        self.alpha, self.temperature, self.name, self._beta = 0.9, 4.0, "kd", 3.0

    def __call__(self, student_logits, teacher_logits, labels):
        return foreign.hinton(student_logits, teacher_logits, labels, self.temperature, self.alpha)


def test_settings_that_an_object_keeps_are_found_by_name():
    assert checked_loss(KeepsWeights()).convention.verdict == CONVENTIONS["hinton"]


def test_a_setting_that_is_given_stays_as_it_is():
    found = checked_loss(foreign.hinton, arguments={"alpha": 0.25, "T": 3.0}).convention
    assert found.verdict == (
        "Eq. 2 with alpha = 0.25 built in, tau = 3 built in, tau squared present"
    )


def test_logits_that_would_have_to_be_posteriors_are_no_matter_of_course():
    def loss(student_logits, teacher_logits):
        return torch.nn.functional.kl_div(student_logits, teacher_logits, reduction="batchmean")

    result = checked_loss(loss).run("softmax_is_taken")
    assert result.status is Status.FAILED
    assert "if student_logits are log-probabilities" in result.detail


OWN = "one of student_logits, teacher_logits, labels, T, alpha"
SAY = "Say what goes where (--map student=NAME) and what stays (--arg NAME=VALUE)."
WHICH = (
    "student, and teacher or labels among them. "
    "Say which is which: --map student=NAME --map teacher=NAME --map labels=NAME."
)


class Needs(foreign.SmoothingOverOthers):
    """A constructor with an argument of no known meaning."""

    def __init__(self, num_classes, table):
        super().__init__(num_classes)
        self.table = table


def positional(*given):
    return foreign.hinton(*given)


@pytest.mark.parametrize(
    ("loss", "settings", "words"),
    [
        (lambda a, b, c, d: a, {}, f"loss: got arguments a, b, c, d; wanted {WHICH}"),
        (lambda size=3: size, {}, f"loss: got arguments of no known meaning; wanted {WHICH}"),
        (
            foreign.hinton,
            {"arguments": {"temp": 2}},
            f"loss: got the argument 'temp'; wanted {OWN}. Check the spelling.",
        ),
        (
            foreign.hinton,
            {"names": {"pupil": "x"}},
            (
                "names: got the role 'pupil'; wanted one of student, teacher, labels, alpha, beta, tau, classes. "
                "As in --map teacher=soft_targets, or names={'teacher': 'soft_targets'}."
            ),
        ),
        (
            foreign.hinton,
            {"names": {"student": "x"}},
            f"loss, student: got the argument 'x'; wanted {OWN}. For an attribute of the object write self.NAME.",
        ),
        (
            foreign.hinton,
            {"names": {"teacher": "teacher_logits:odds"}},
            (
                "names, teacher: got the form 'odds'; wanted one of logits, probabilities, log-probabilities, "
                "model output. Correct it."
            ),
        ),
        (
            foreign.hinton,
            {"names": {"alpha": "alpha:odds"}},
            "names, alpha: got the form 'odds'; wanted no form: it is a number. Correct it.",
        ),
        (
            foreign.hinton,
            {"names": {"alpha": "alpha"}, "arguments": {"alpha": 0.5}},
            (
                "loss: got 'alpha' as alpha and as a setting that stays; wanted one of the two. "
                "Leave out its --map or its --arg."
            ),
        ),
        (
            lambda logits, labels: 1 / 0,
            {},
            (
                "loss: got a call that ends with ZeroDivisionError: division by zero; wanted a loss of the batch or of "
                f"each example. {SAY}"
            ),
        ),
        (
            lambda logits, labels: "low",
            {},
            (
                "loss: got a call that ends with ConformError: loss: got a str without a tensor; wanted a tensor, or a "
                "tuple or mapping with one. Wrap it in a function that returns the loss.; wanted a loss of the batch "
                f"or of each example. {SAY}"
            ),
        ),
        (
            positional,
            {"names": {"student": "0", "teacher": "3"}},
            (
                "loss: got a call that ends with ConformError: loss: got positions [0, 3]; wanted all of them from 0 to 3. "
                "Say the others with --map ROLE=POSITION or --arg POSITION=VALUE.; wanted a loss of the batch or of "
                f"each example. {SAY}"
            ),
        ),
        (
            Needs,
            {},
            (
                "loss: got no value for 'table' of its constructor; wanted one. "
                "Give it: --arg table=VALUE, or arguments={'table': ...}."
            ),
        ),
        (
            3.14,
            {},
            (
                "float: got a float, which cannot be called; wanted a loss. "
                "Name the function or the class of the loss."
            ),
        ),
        (
            math.hypot,
            {},
            (
                "loss: got a function without a signature; wanted one. "
                "Say the places: --map student=0 --map teacher=1 --map labels=2."
            ),
        ),
        (
            foreign.hinton,
            {"expected_failures": {"deterministic": " "}},
            (
                "loss: got no reason for 'deterministic'; wanted a reason. "
                "Say why it fails, so that a reader can tell when it no longer should."
            ),
        ),
        (
            foreign.hinton,
            {"expected_failures": {"no_such_check": "x"}},
            (
                "loss: got an expected failure of 'no_such_check'; wanted a check's name. "
                f"The checks are: {', '.join(CHECKS)}."
            ),
        ),
    ],
)
def test_a_loss_that_cannot_be_run_is_refused_with_the_next_step(loss, settings, words):
    with pytest.raises((ConformError, ParameterError)) as caught:
        kd.check_objective(loss, name="loss", **settings)
    assert str(caught.value) == words


# Expectations


class Shy:
    """Raises whatever it is asked, as an object that stands for one of a library may."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError("none of your business")


def test_an_object_that_raises_when_it_is_looked_at_is_refused_by_its_class():
    with refused(ConformError, "Shy: got code that ends with RuntimeError: none of your business"):
        kd.check_objective(Shy())


def test_an_expected_failure_is_no_failure_and_a_stale_one_is_reported():
    known = {"tau_squared_once": "as in the paper's code", "deterministic": "it has dropout"}
    report = kd.check_objective(foreign.tau_squared_dropped, expected_failures=known)
    found = {result.name: result for result in report.results}
    assert found["tau_squared_once"].status is Status.EXPECTED
    assert "as in the paper's code" in found["tau_squared_once"].detail
    assert found["deterministic"].status is Status.STALE
    assert report.exit_code == 1


def test_a_report_is_json_and_a_table():
    report = kd.check_objective(foreign.averaged_over_classes)
    values = json.loads(json.dumps(report.as_json()))
    assert values["verdict"] == report.verdict
    assert values["exit_code"] == 1
    soft = values["convention"]["terms"][1]
    assert (soft["kind"], soft["weight"], soft["tau_power"]) == ("kl", "alpha", 2)
    assert (soft["of_classes"], soft["of_examples"]) == ("1/K", "1/N")
    table = report.table()
    assert "failed             sums_over_classes" in table
    assert "to change: Sum over classes" in table
    assert max(map(len, table.splitlines())) <= 100


# Adapters


def test_torchs_label_smoothing_needs_no_adapter():
    for loss in (torch.nn.CrossEntropyLoss, torch.nn.CrossEntropyLoss(label_smoothing=0.1)):
        assert checked_loss(loss).convention.verdict == "Eq. 1 with alpha = label_smoothing"


def test_a_compute_loss_func_is_told_how_many_labels_the_step_has():
    def summed(outputs, labels, num_items_in_batch=None):
        per_example = kd.objectives.label_smoothing(outputs.logits, labels, alpha=0.1)
        return per_example.sum() / num_items_in_batch

    found = compute_loss_func(summed).convention
    assert found.verdict == "Eq. 1 with alpha = 0.1 built in"
    assert found.reduction == "mean over examples"


class DistillingTrainer:
    """As a subclass of ``Trainer`` would be; ``tests/integration`` has a real one."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs)
        with torch.no_grad():
            taught = self.teacher_model(**inputs).logits
        tau = self.args.temperature
        soft = foreign.kl(taught, outputs.logits, tau) * tau**2
        loss = self.args.alpha * outputs.loss + (1 - self.args.alpha) * soft
        return (loss, outputs) if return_outputs else loss


def test_the_compute_loss_of_a_trainer_is_checked_without_a_model_or_data():
    where = {"teacher": "teacher_model", "alpha": "args.alpha", "tau": "args.temperature"}
    found = compute_loss(DistillingTrainer, attributes=where).convention
    assert found.verdict == "Eq. 2 with alpha = 1 - args.alpha, tau squared present"
