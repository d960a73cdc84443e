"""Losses as other people write them: conventions of papers and packages, and mistakes of tired colleagues."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it


def kl(teacher, student, tau, reduction="batchmean"):
    """What packages call the KD term: F.kl_div of tempered logits, without tau squared."""
    log_p, q = (student / tau).log_softmax(-1), (teacher / tau).softmax(-1)
    return F.kl_div(log_p, q.detach(), reduction=reduction)


# Conventions


def hinton(student_logits, teacher_logits, labels, T=4.0, alpha=0.9):
    soft = kl(teacher_logits, student_logits, T) * T * T
    return alpha * soft + (1 - alpha) * F.cross_entropy(student_logits, labels)


def alpha_weighs_the_hard_term(outputs, labels, teacher_outputs, lambd, T):
    return lambd * F.cross_entropy(outputs, labels) + (1 - lambd) * T**2 * kl(
        teacher_outputs, outputs, T
    )


def both_weights_free(logits_s, logits_t, gt, temperature=4.0, *, kd_weight=1.0, ce_weight=1.0):
    soft = kl(logits_t, logits_s, temperature) * temperature**2
    return {"loss": ce_weight * F.cross_entropy(logits_s, gt) + kd_weight * soft, "kd": soft}


def muller_smoothing(x, target, smoothing=0.1):
    hot = F.one_hot(target, x.shape[-1]).to(x.dtype)
    mixed = (1 - smoothing) * hot + smoothing / x.shape[-1]
    return -(mixed * x.log_softmax(-1)).sum(-1)


class SmoothingOverOthers(nn.Module):
    def __init__(self, num_classes, epsilon=0.1):
        super().__init__()
        self.num_classes, self.epsilon = num_classes, epsilon

    def forward(self, pred, target):
        spread = torch.full_like(pred, self.epsilon / (self.num_classes - 1))
        mixed = spread.scatter(1, target[:, None], 1 - self.epsilon)
        return -(mixed * pred.log_softmax(-1)).sum(-1).mean()


def smoothing_by_divergence(logits, target, eps=0.1):
    mixed = torch.full_like(logits, eps / (logits.shape[-1] - 1))
    mixed = mixed.scatter(1, target[:, None], 1 - eps)
    return F.kl_div(logits.log_softmax(-1), mixed, reduction="batchmean")


def decoupled(logits_student, logits_teacher, target, alpha=1.0, beta=8.0, temperature=4.0):
    """Zhao et al. 2022."""
    log_p = (logits_student / temperature).log_softmax(-1)
    log_q = (logits_teacher / temperature).log_softmax(-1).detach()
    label = F.one_hot(target, log_p.shape[-1]).bool()

    def split(log):
        top = log.exp()[label]
        rest = log.masked_fill(label, -1e9).log_softmax(-1)
        return torch.stack([top, 1 - top], -1).log(), rest

    (p_2, p_rest), (q_2, q_rest) = split(log_p), split(log_q)
    tckd = (q_2.exp() * (q_2 - p_2)).sum(-1).mean()
    nckd = (q_rest.exp() * (q_rest - p_rest)).sum(-1).mean()
    return (alpha * tckd + beta * nckd) * temperature**2


def reverse_kl(student_logits, teacher_logits):
    """Gu et al. 2024 (MiniLLM), of one token."""
    log_p, log_q = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q.detach())).sum(-1).mean()


def jensen_shannon(student, teacher, temperature=1.0):
    """Agarwal et al. 2024 (GKD) at weight 1/2."""
    p, q = (student / temperature).softmax(-1), (teacher / temperature).softmax(-1).detach()
    m = (p + q) / 2
    halves = [(x * (x / m).log()).sum(-1) for x in (p, q)]
    return sum(halves).mean() / 2


def mse_of_logits(student_logits, teacher_logits):
    """Ba and Caruana 2014; Kim et al. 2021."""
    return F.mse_loss(student_logits, teacher_logits.detach())


def mse_of_probabilities(logits, soft_targets):
    return ((logits.softmax(-1) - soft_targets) ** 2).sum(-1).mean()


def dist(y_s, y_t, beta=1.0, gamma=1.0):
    """Huang et al. 2022."""
    p, q = y_s.softmax(-1), y_t.softmax(-1).detach()

    def apart(a, b):
        a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
        return 1 - F.cosine_similarity(a, b, dim=-1).mean()

    return beta * apart(p, q) + gamma * apart(p.t(), q.t())


def virtual_teacher(outputs, labels, alpha=0.95):
    """Yuan et al. 2020 (Tf-KD reg) at temperature 1."""
    classes = outputs.shape[-1]
    made = torch.full_like(outputs, 0.1 / (classes - 1)).scatter(1, labels[:, None], 0.9)
    soft = F.kl_div(outputs.log_softmax(-1), made, reduction="batchmean")
    return (1 - alpha) * F.cross_entropy(outputs, labels) + alpha * soft


def confidence_penalty(logits, labels, beta=0.1):
    """Pereyra et al. 2017."""
    log_p = logits.log_softmax(-1)
    return F.nll_loss(log_p, labels) + beta * (log_p.exp() * log_p).sum(-1).mean()


def built_in_temperature(student_logits, teacher_logits, labels):
    soft = 16 * kl(teacher_logits, student_logits, 4.0)
    return 0.3 * F.cross_entropy(student_logits, labels) + 0.7 * soft


def takes_posteriors(log_probs, teacher_probs):
    return F.kl_div(log_probs, teacher_probs, reduction="batchmean")


def takes_settings(outputs, labels, teacher_outputs, params):
    tau, alpha = params.temperature, params.alpha
    soft = alpha * tau * tau * kl(teacher_outputs, outputs, tau)
    return soft + F.cross_entropy(outputs, labels) * (1.0 - alpha), soft


class KeepsSettings:
    def __init__(self, alpha=0.5, tau=2.0):
        self.alpha, self.tau = alpha, tau

    def __call__(self, student, teacher, labels):
        return hinton(student, teacher, labels, self.tau, self.alpha)


def sequences(student_logits, teacher_logits, labels, alpha, temperature):
    """Logits of shape (batch, length, vocabulary), as language models have them."""
    batch, length, classes = student_logits.shape
    flat = [x.reshape(batch * length, classes) for x in (student_logits, teacher_logits)]
    return hinton(*flat, labels.reshape(-1), temperature, alpha)


def in_bits(student, teacher, labels, alpha=0.5, T=2.0):
    hard = -F.one_hot(labels, student.shape[-1]) * student.softmax(-1).log2()
    soft = -(teacher / T).softmax(-1).detach() * (student / T).softmax(-1).log2()
    return ((1 - alpha) * hard + alpha * T * T * soft).sum(-1).mean()


def sharpness(student, teacher, labels, alpha, temperature):
    """Multiplies by what it calls temperature."""
    soft = kl(teacher * temperature, student * temperature, 1.0) / temperature**2
    return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)


def strange(student_logits, teacher_logits):
    return (student_logits.abs() * teacher_logits.abs()).sum(-1).pow(1.3).mean()


# Mistakes


def tau_squared_twice(student, teacher, labels, alpha, T):
    return alpha * T**4 * kl(teacher, student, T) + (1 - alpha) * F.cross_entropy(student, labels)


def tau_squared_dropped(student, teacher, labels, alpha, T):
    return alpha * kl(teacher, student, T) + (1 - alpha) * F.cross_entropy(student, labels)


def averaged_over_classes(student, teacher, labels, alpha, T):
    soft = T * T * kl(teacher, student, T, reduction="mean")
    return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)


def soft_term_summed(student, teacher, labels, alpha, T):
    soft = T * T * kl(teacher, student, T, reduction="sum")
    return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)


def divided_by_n_twice(student, teacher, labels, alpha, T):
    return hinton(student, teacher, labels, T, alpha) / len(student)


def only_teacher_softened(student, teacher, labels, alpha, T):
    q = (teacher / T).softmax(-1).detach()
    soft = T * T * F.kl_div(student.log_softmax(-1), q, reduction="batchmean")
    return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)


def only_student_softened(student, teacher, labels, alpha, T):
    q = teacher.softmax(-1).detach()
    soft = T * T * F.kl_div((student / T).log_softmax(-1), q, reduction="batchmean")
    return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)


def hard_term_softened(student, teacher, labels, alpha, T):
    soft = T * T * kl(teacher, student, T)
    return alpha * soft + (1 - alpha) * F.cross_entropy(student / T, labels)


def divergence_swapped(student, teacher, labels, alpha, T):
    log_q, p = (teacher / T).log_softmax(-1).detach(), (student / T).softmax(-1)
    soft = T * T * F.kl_div(log_q, p, reduction="batchmean")
    return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)


def softmax_twice(student, teacher, labels, alpha, T):
    soft = T * T * kl(teacher, student, T)
    return alpha * soft + (1 - alpha) * F.cross_entropy(student.softmax(-1), labels)


def probabilities_as_logits(student, teacher, labels, alpha, T):
    return hinton(student, teacher.softmax(-1), labels, T, alpha)


def log_softmax_forgotten(student_logits, teacher_logits):
    q = teacher_logits.softmax(-1).detach()
    return F.kl_div(student_logits, q, reduction="batchmean")


def student_detached(student, teacher, labels, alpha, T):
    soft = T * T * kl(teacher, student.detach(), T)
    return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)


def no_gradient_at_all(student, teacher, labels, alpha, T):
    return hinton(student, teacher, labels, T, alpha).detach()


def teacher_learns(student, teacher, labels, alpha, T):
    log_p, q = (student / T).log_softmax(-1), (teacher / T).softmax(-1)
    soft = T * T * F.kl_div(log_p, q, reduction="batchmean")
    return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)


def tempers_in_place(student, teacher, labels, alpha, T):
    hard = F.cross_entropy(student, labels)
    teacher /= T
    soft = T * T * kl(teacher, student / T, 1.0)
    return alpha * soft + (1 - alpha) * hard


def logarithm_of_softmax(student, teacher, labels, alpha, T):
    p, q = (student / T).softmax(-1), (teacher / T).softmax(-1).detach()
    soft = T * T * (q * (q.log() - p.log())).sum(-1).mean()
    return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)


def epsilon_lost_in_half_precision(student, teacher, T=2.0):
    p, q = (student / T).softmax(-1), (teacher / T).softmax(-1).detach()
    return T * T * (q * ((q + 1e-8).log() - (p + 1e-8).log())).sum(-1).mean()


def other_at_alpha_1(student, teacher, labels, alpha, T):
    if alpha == 1:
        return kl(teacher, student, T)
    return hinton(student, teacher, labels, T, alpha)


def temperature_ignored(student, teacher, labels, alpha, T):
    return hinton(student, teacher, labels, 1.0, alpha)


def by_chance(student, teacher, labels, alpha, T):
    noise = 1e-6 * torch.rand(())
    return hinton(student, teacher, labels, T, alpha) + noise


def last_class_for_minus_1(student, labels):
    return -student.log_softmax(-1)[torch.arange(len(labels)), labels].mean()


def normalised_by_batch(student, teacher):
    return kl(teacher, student - student.mean(0), 1.0)


def favours_class_0(student, labels):
    weight = torch.ones(student.shape[-1], dtype=student.dtype)
    weight[0] = 2.0
    return F.cross_entropy(student, labels, weight=weight, reduction="sum") / len(labels)


def below_nothing(student, teacher, labels, alpha, T):
    return hinton(student, teacher, labels, T, alpha) - 5.0


def weighs_by_place(student, teacher):
    place_N = 1.0 / torch.arange(1, len(student) + 1)
    return (place_N * kl(teacher, student, 1.0, "none").sum(-1)).mean()


def divided_by_the_root_of_n(student, teacher, labels, alpha, T):
    return hinton(student, teacher, labels, T, alpha) * len(student) ** 0.5


def keeps_alpha_off_its_ends(student, teacher, labels, alpha, T):
    return hinton(student, teacher, labels, T, min(max(alpha, 0.01), 0.99))


def drops_teachers_without_opinion(student, teacher, labels, alpha, T):
    if teacher.std() < 1e-6:
        return (1 - alpha) * F.cross_entropy(student, labels)
    return hinton(student, teacher, labels, T, alpha)


def drops_teachers_that_are_sure(student, teacher, labels, alpha, T):
    if teacher.softmax(-1).amax() > 1 - 1e-9:
        return (1 - alpha) * F.cross_entropy(student, labels)
    return hinton(student, teacher, labels, T, alpha)


def narrow_labels_for_targets(student, labels):
    if labels.dtype is not torch.int64:
        return -(labels.double()[:, None] * student.log_softmax(-1)).sum(-1).mean()
    return F.cross_entropy(student, labels)


def bent_at_equality(student, teacher):
    return (student - teacher).abs().pow(1.5).sum(-1).mean()


def flat_in_memory(student, teacher):
    return (student.view(-1) - teacher.view(-1)).pow(2).sum() / len(student)


def reverse_kl_above_one(student, teacher):
    return reverse_kl(student, teacher) + 1.0


def plain_cross_entropy(logits, labels):
    return F.cross_entropy(logits, labels)


def of_the_teacher_alone(student_logits, teacher_logits):
    return -(teacher_logits.softmax(-1) * teacher_logits.log_softmax(-1)).sum(-1).mean()
