"""Losses that are no function of logits and labels: those inside the Hugging Face ``Trainer``.

``torch.nn.CrossEntropyLoss`` and the Hugging Face ``LabelSmoother`` need no adapter: hand them over as
they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from kdcheck.conform.loss.checking import CheckedLoss, checked_loss
from kdcheck.conform.loss.subject import Output, Settings


class Standing(torch.nn.Module):
    """A stand-in for a model: whatever it is asked, it answers with these logits."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits
        self.config = Settings(num_labels=logits.shape[-1], is_encoder_decoder=False)

    def forward(self, *_inputs: Any, labels: Tensor | None = None, **_named: Any) -> Output:
        """Logits, and the plain loss first where labels are given, as the library's models have it."""
        found = {} if labels is None else {"loss": cross_entropy(self.logits, labels)}
        return Output(**found, logits=self.logits)


def compute_loss_func(
    function: Callable[..., Any], *, expected_failures: Mapping[str, str] | None = None
) -> CheckedLoss:
    """A ``compute_loss_func`` of ``Trainer``, made ready: it is told how many labels the step has.

    Args:
        function: takes outputs, labels and ``num_items_in_batch``.
        expected_failures: by name of the check, why it is known to fail.

    Returns:
        What ``check_objective`` and ``parametrize_with_checks`` take.

    Raises:
        ConformError: it cannot be called as a loss is called.

    >>> def summed(outputs, labels, num_items_in_batch=None):
    ...     logits = outputs.logits
    ...     return cross_entropy(logits, labels, reduction="sum") / num_items_in_batch
    >>> compute_loss_func(summed).report().verdict
    'plain cross-entropy (ERM)'
    """

    def loss(model_output: Any, labels: Tensor) -> Any:
        return function(model_output, labels, num_items_in_batch=labels.numel())

    name = getattr(function, "__name__", type(function).__name__)
    return checked_loss(loss, name=name, expected_failures=expected_failures)


def compute_loss(
    trainer: Any,
    *,
    attributes: Mapping[str, str],
    others: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> CheckedLoss:
    """The ``compute_loss`` of a ``Trainer`` subclass, made ready, without a model, data or a run.

    Args:
        trainer: the subclass, or one of its objects. A class is not constructed: its object has what
            ``attributes`` and ``others`` say, and what ``Trainer.compute_loss`` itself asks for.
        attributes: where it keeps its ``teacher`` (a model), ``alpha``, ``beta`` and ``tau``, as in
            ``{"teacher": "teacher", "alpha": "args.alpha", "tau": "args.temperature"}``.
        others: values of other attributes that it reads, by name.
        expected_failures: by name of the check, why it is known to fail.

    Returns:
        What ``check_objective`` and ``parametrize_with_checks`` take.

    Raises:
        ConformError: it cannot be called as a loss is called.

    >>> class Smoothing:
    ...     def compute_loss(self, model, inputs, return_outputs=False):
    ...         logits = model(**inputs).logits
    ...         return cross_entropy(logits, inputs["labels"], label_smoothing=self.args.eps)
    >>> compute_loss(Smoothing, attributes={"alpha": "args.eps"}).report().verdict
    'Eq. 1 with alpha = args.eps'
    """

    def loss(student: Tensor, labels: Tensor, **given: Any) -> Any:
        made = object.__new__(trainer) if isinstance(trainer, type) else copy.copy(trainer)
        for path, value in {
            **(_OWN if isinstance(trainer, type) else {}),
            **(others or {}),
        }.items():
            _put(made, path, value)
        for role, path in attributes.items():
            value = _read(given, path)
            _put(made, path, Standing(value) if role == "teacher" else value)
        ids = torch.ones(len(labels), 1, dtype=torch.long)
        inputs = {"input_ids": ids, "attention_mask": ids, "labels": labels}
        return made.compute_loss(Standing(student), inputs)

    own = trainer if isinstance(trainer, type) else type(trainer)
    names = {"student": "student", "labels": "labels", **attributes}
    name = f"{own.__name__}.compute_loss"
    return checked_loss(loss, name=name, names=names, expected_failures=expected_failures)


_OWN: Mapping[str, Any] = {
    "label_smoother": None,
    "compute_loss_func": None,
    "model_accepts_loss_kwargs": False,
    "args.average_tokens_across_devices": False,
    "args.past_index": -1,
    "args.n_gpu": 1,
}
"""What ``Trainer.compute_loss`` itself reads."""


def _put(made: Any, path: str, value: Any) -> None:
    """Set an attribute, with the objects on the way to it, which are copies: they may be the trainer's own."""
    *way, last = path.split(".")
    for name in way:
        inner = copy.copy(getattr(made, name)) if hasattr(made, name) else Settings()
        setattr(made, name, inner)
        made = inner
    setattr(made, last, value)


def _read(given: Mapping[str, Any], path: str) -> Any:
    head, *way = path.split(".")
    value = given[head]
    for name in way:
        value = getattr(value, name)
    return value
