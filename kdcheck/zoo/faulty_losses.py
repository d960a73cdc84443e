"""Faulty distillation and smoothing losses, each as it is met in public code."""

# N examples, K classes

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from kdcheck.conform.loss import checked_loss
from kdcheck.conform.results import Status
from kdcheck.objectives import distillation, label_smoothing
from kdcheck.zoo.entry import Control, Fault, alarms_of


def _soft(logits: Tensor, teacher_logits: Tensor, tau: float) -> Tensor:
    """tau^2 D_KL(teacher, student), the mean over the batch."""
    log_p, t = (logits / tau).log_softmax(-1), (teacher_logits / tau).softmax(-1)
    return tau**2 * functional.kl_div(log_p, t, reduction="batchmean")


def _mixed(logits: Tensor, labels: Tensor, soft: Tensor, alpha: float) -> Tensor:
    return (1 - alpha) * functional.cross_entropy(logits, labels) + alpha * soft


def tau_squared_twice(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Multiplies by tau squared what was multiplied before."""
    return _mixed(logits, labels, tau**2 * _soft(logits, teacher_logits.detach(), tau), alpha)


def tau_squared_dropped(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Softens both sides and leaves the gradient small."""
    return _mixed(logits, labels, _soft(logits, teacher_logits.detach(), tau) / tau**2, alpha)


def mean_over_classes(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Takes ``reduction="mean"``, which divides by K as well."""
    log_p, t = (logits / tau).log_softmax(-1), (teacher_logits.detach() / tau).softmax(-1)
    return _mixed(logits, labels, tau**2 * (t * (t.log() - log_p)).mean(), alpha)


def teacher_alone_softened(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Forgets the temperature on the student's side."""
    t = (teacher_logits.detach() / tau).softmax(-1)
    soft = tau**2 * functional.kl_div(logits.log_softmax(-1), t, reduction="batchmean")
    return _mixed(logits, labels, soft, alpha)


def hard_term_softened(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Divides the student's logits by tau once, for both terms."""
    return _mixed(logits / tau, labels, _soft(logits, teacher_logits.detach(), tau), alpha)


def divergence_swapped(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Takes student and teacher the other way round."""
    log_p, log_t = ((z / tau).log_softmax(-1) for z in (logits, teacher_logits.detach()))
    soft = tau**2 * (log_p.exp() * (log_p - log_t)).sum(-1).mean()
    return _mixed(logits, labels, soft, alpha)


def softmax_twice(logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any) -> Tensor:
    """Takes the teacher's probabilities for logits."""
    t = teacher_logits.detach().softmax(-1)
    return _mixed(logits, labels, _soft(logits, t, tau), alpha)


def cross_entropy_of_probabilities(logits: Any, labels: Any) -> Tensor:
    """Gives probabilities to a function that takes logits."""
    return functional.cross_entropy(logits.softmax(-1), labels)


def sum_for_the_soft_term(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Sums the soft term over the batch, beside a mean of the hard one."""
    return _mixed(logits, labels, _soft(logits, teacher_logits.detach(), tau) * len(logits), alpha)


def divided_by_the_batch_twice(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Divides a mean by the batch once more."""
    return _mixed(logits, labels, _soft(logits, teacher_logits.detach(), tau) / len(logits), alpha)


def smoothing_over_the_others(logits: Any, labels: Any, alpha: Any) -> Tensor:
    """Spreads alpha over the K - 1 wrong classes, which at K = 2 and 0.9 inverts the labels."""
    log_p, classes = logits.log_softmax(-1), logits.shape[-1]
    right = log_p.gather(1, labels[:, None])[:, 0]
    others = (log_p.sum(-1) - right) / (classes - 1)
    return -((1 - alpha) * right + alpha * others).mean()


def in_bits(logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any) -> Tensor:
    """Takes the logarithm to base 2."""
    mixed = _mixed(logits, labels, _soft(logits, teacher_logits.detach(), tau), alpha)
    return mixed / float(np.log(2))


def squares_of_probabilities(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Takes squared differences of probabilities, and calls it distillation."""
    p, t = ((z / tau).softmax(-1) for z in (logits, teacher_logits.detach()))
    return _mixed(logits, labels, tau**2 * ((p - t) ** 2).sum(-1).mean(), alpha)


def temperature_ignored(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Takes a temperature, and does nothing with it."""
    return _mixed(logits, labels, _soft(logits, teacher_logits.detach(), 1.0), alpha)


def scaled_but_at_alpha_1(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Loses tau squared in the branch for a loss without a hard term."""
    soft = _soft(logits, teacher_logits.detach(), tau)
    return soft / tau**2 if alpha == 1 else _mixed(logits, labels, soft, alpha)


def teacher_not_detached(
    logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any
) -> Tensor:
    """Lets gradients flow into the teacher."""
    return _mixed(logits, labels, _soft(logits, teacher_logits, tau), alpha)


def softens_in_place(logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any) -> Tensor:
    """Divides the teacher's logits where they lie, so that a second call softens them again."""
    teacher = teacher_logits.detach()
    teacher /= tau
    soft = tau**2 * functional.kl_div(
        (logits / tau).log_softmax(-1), teacher.softmax(-1), reduction="batchmean"
    )
    return _mixed(logits, labels, soft, alpha)


def log_of_softmax(logits: Any, labels: Any, teacher_logits: Any, alpha: Any, tau: Any) -> Tensor:
    """Takes the logarithm of a softmax, which is 0 for confident models."""
    log_p, t = (logits / tau).softmax(-1).log(), (teacher_logits.detach() / tau).softmax(-1)
    return _mixed(logits, labels, tau**2 * (t * (t.log() - log_p)).sum(-1).mean(), alpha)


def last_example_of_the_batch(logits: Any, labels: Any) -> Tensor:
    """Normalises each class over the batch: softmax along the wrong axis."""
    return functional.nll_loss(logits.log_softmax(0), labels)


def class_0_left_out(logits: Any, labels: Any) -> Tensor:
    """Takes 0 for the label of padding."""
    right = logits.log_softmax(-1).gather(1, labels[:, None])[:, 0]
    return -(right * (labels != 0)).mean()


def _fault(loss: Any, name: str, defect: str, killed_by: str) -> Fault:
    def alarms(seed: int) -> tuple[str, ...]:
        result = checked_loss(loss).run(killed_by)
        return (killed_by,) if result.status is Status.FAILED else ()

    return Fault(name, "loss", defect, killed_by, alarms)


FAULTS: tuple[Fault, ...] = tuple(
    _fault(*row)
    for row in (
        (tau_squared_twice, "tau squared twice", "scale of the soft term", "tau_squared_once"),
        (tau_squared_dropped, "tau squared dropped", "scale of the soft term", "tau_squared_once"),
        (mean_over_classes, "mean over classes", "reduction='mean'", "sums_over_classes"),
        (
            teacher_alone_softened,
            "one side softened",
            "temperature of one side",
            "sides_tempered_alike",
        ),
        (
            hard_term_softened,
            "hard term softened",
            "temperature of the hard term",
            "hard_term_untempered",
        ),
        (divergence_swapped, "divergence swapped", "reverse KL", "from_teacher_to_student"),
        (
            softmax_twice,
            "teacher's probabilities for logits",
            "softmax of probabilities",
            "one_softmax",
        ),
        (
            cross_entropy_of_probabilities,
            "student's probabilities for logits",
            "softmax of probabilities",
            "one_softmax",
        ),
        (
            sum_for_the_soft_term,
            "soft term summed, hard term averaged",
            "reduction",
            "one_reduction",
        ),
        (
            divided_by_the_batch_twice,
            "soft term divided by the batch twice",
            "reduction",
            "one_reduction",
        ),
        (
            smoothing_over_the_others,
            "smoothing over K - 1 classes",
            "smoothing",
            "smooths_over_all_classes",
        ),
        (in_bits, "loss in bits", "unit", "in_nats"),
        (
            squares_of_probabilities,
            "squared differences of probabilities",
            "MSE called KD",
            "terms_of_the_paper",
        ),
        (
            temperature_ignored,
            "temperature ignored",
            "option without effect",
            "settings_have_an_effect",
        ),
        (
            scaled_but_at_alpha_1,
            "tau squared lost at alpha = 1",
            "branch at an edge",
            "same_at_edges",
        ),
        (
            teacher_not_detached,
            "gradient to the teacher",
            "teacher not detached",
            "no_gradient_to_the_teacher",
        ),
        (
            softens_in_place,
            "teacher's logits softened in place",
            "inputs altered",
            "inputs_unchanged",
        ),
        (
            log_of_softmax,
            "logarithm of a softmax",
            "infinite for confident models",
            "extreme_logits",
        ),
        (last_example_of_the_batch, "softmax over the batch", "wrong axis", "batch_independence"),
        (class_0_left_out, "class 0 taken for padding", "ignored index is a class", "class_order"),
    )
)


def _sound(seed: int) -> tuple[str, ...]:
    """Losses of torch and of ours by turns, with settings of the seed's own."""
    rng = np.random.default_rng(seed)
    alpha, tau = round(rng.uniform(0.05, 0.95), 3), float(rng.integers(2, 6))
    sound: list[tuple[Any, dict[str, float]]] = [
        (nn.CrossEntropyLoss(label_smoothing=alpha), {}),
        (distillation, {"temperature": tau}),
        (label_smoothing, {}),
        (distillation, {"alpha": alpha}),
    ]
    loss, settings = sound[seed % len(sound)]
    return alarms_of(checked_loss(loss, arguments=settings).report())


CONTROLS = (Control("label smoothing and distillation", "loss", _sound),)
