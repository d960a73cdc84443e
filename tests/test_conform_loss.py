"""Conformance of losses: conventions are named as they are, mistakes by the check that is for them."""

from __future__ import annotations

import json
from time import process_time

import numpy as np
import pytest
import torch

import kdcheck as kd
from kdcheck.conform import Status
from kdcheck.conform.loss import CHECKS, checked_loss, compute_loss, compute_loss_func
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
}


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


MISTAKES = {
    "tau_squared_twice": ("tau_squared_once", "tau squared twice"),
    "tau_squared_dropped": ("tau_scaling", "multiplies the soft gradient by 0.25"),
    "averaged_over_classes": ("sums_over_classes", "1/K of the soft term"),
    "soft_term_summed": ("one_reduction", "reductions differ"),
    "divided_by_n_twice": ("one_reduction", "divided by N twice"),
    "only_teacher_softened": ("sides_tempered_alike", "student not tempered"),
    "only_student_softened": ("sides_tempered_alike", "teacher not tempered"),
    "hard_term_softened": ("hard_term_untempered", "hard term tempered too"),
    "divergence_swapped": ("from_teacher_to_student", "Swap the arguments"),
    "softmax_twice": ("one_softmax", "softmax is taken twice in the hard term"),
    "probabilities_as_logits": ("one_softmax", "softmax is taken twice of teacher"),
    "log_softmax_forgotten": ("softmax_is_taken", "no log-softmax is taken of the student"),
    "student_detached": ("gradient_is_that_of_the_value", "slope"),
    "no_gradient_at_all": ("gradient_reaches_the_student", "no gradient"),
    "teacher_learns": ("no_gradient_to_the_teacher", "detach the teacher"),
    "tempers_in_place": ("inputs_unchanged", "the teacher's tensor was changed"),
    "logarithm_of_softmax": ("extreme_logits", "nan"),
    "epsilon_lost_in_half_precision": ("half_precision", "float16"),
    "other_at_alpha_1": ("same_at_edges", "at alpha = 1"),
    "temperature_ignored": ("settings_have_an_effect", "T has no effect"),
    "by_chance": ("deterministic", "then"),
    "last_class_for_minus_1": ("ignored_labels", "the label -1 counts as class"),
    "normalised_by_batch": ("batch_independence", "swapped pairs"),
    "favours_class_0": ("class_order", "value"),
    "SmoothingOverOthers": ("two_classes", "the label's logit"),
    "mse_of_logits": ("student_shift", "value"),
    "reverse_kl": ("terms_of_the_paper", "reverse KL"),
    "in_bits": ("in_nats", "bits"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_by_the_check_that_is_for_it(name):
    check, told = MISTAKES[name]
    result = checked_loss(getattr(foreign, name)).run(check)
    assert result.status is Status.FAILED
    assert told in result.detail
    assert result.counterexample


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


@pytest.mark.parametrize(
    ("loss", "settings", "facts"),
    [
        (lambda a, b, c, d: a, {}, ("a, b, c, d", "--map student=NAME")),
        (foreign.hinton, {"arguments": {"temp": 2}}, ("'temp'", "T", "spelling")),
        (foreign.hinton, {"names": {"pupil": "x"}}, ("'pupil'", "student, teacher")),
        (foreign.hinton, {"names": {"student": "x"}}, ("'x'", "student_logits")),
        (foreign.hinton, {"names": {"teacher": "teacher_logits:odds"}}, ("'odds'", "logits")),
        (lambda logits, labels: 1 / 0, {}, ("ZeroDivisionError", "--map")),
        (lambda logits, labels: "low", {}, ("a str", "tensor")),
    ],
)
def test_a_loss_that_cannot_be_run_is_refused_with_the_next_step(loss, settings, facts):
    with refused((ConformError, ParameterError), *facts):
        kd.check_objective(loss, **settings)


def test_a_constructor_that_lacks_a_value_is_refused_by_its_name():
    class Needs(foreign.SmoothingOverOthers):
        def __init__(self, num_classes, table):
            super().__init__(num_classes)
            self.table = table

    with refused(ConformError, "'table'", "--arg table=VALUE"):
        kd.check_objective(Needs)


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
    with refused(ParameterError, "'no_such_check'", "deterministic"):
        kd.check_objective(foreign.reverse_kl, expected_failures={"no_such_check": "x"})


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
