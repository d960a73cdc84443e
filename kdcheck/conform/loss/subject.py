"""A stranger's loss, called under our names: whatever its arguments, their order and their forms are."""

# Shapes: N examples, K classes.

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from kdcheck.conform.loss.formulas import Case
from kdcheck.errors import ConformError

FORMS: Mapping[str, tuple[str, ...]] = {
    "student": ("logits", "log-probabilities", "probabilities", "model output"),
    "teacher": ("logits", "probabilities", "log-probabilities", "model output"),
    "labels": ("class ids", "one-hot"),
}
"""What each tensor may be handed over as, the likeliest first."""
LAYOUTS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "(N, K)": lambda x: x,
    "(N, 1, K)": lambda x: x[:, None],
    "(N, K, 1, 1)": lambda x: x[..., None, None],
}
"""Where the classes lie: a batch, a batch of sequences, a batch of images."""
NUMBERS = ("alpha", "beta", "tau")
OUTPUTS = ("loss", "total_loss", "total", "kd_loss", "distillation_loss", "loss_kd")


class Output(dict[str, Any]):
    """What a model of the Hugging Face library returns: a mapping with attributes and places."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, key: str | int) -> Any:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


class Settings(SimpleNamespace):
    """Settings handed over in one object, read as attributes or as items."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


@dataclass(frozen=True)
class Slot:
    """Where one of our values goes: into the constructor, an attribute, or the call."""

    place: str
    """``construct``, ``attribute`` or ``call``."""
    key: str | int
    """A name, or a position of the call; ``settings.alpha`` is ``alpha`` of an object ``settings``."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss with the decision of what goes where.

    Calling it with a :class:`Case` gives the value and the gradients, at float64 unless told otherwise.
    """

    name: str
    target: Any
    """A function, a class, or an object that can be called."""
    slots: Mapping[str, Slot]
    forms: Mapping[str, str]
    layout: str = "(N, K)"
    construct: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the constructor that stay as they are."""
    call: Mapping[str | int, Any] = field(default_factory=dict)
    """Arguments of the call that stay as they are."""
    _built: dict[Any, Any] = field(default_factory=dict, compare=False)

    def has(self, role: str) -> bool:
        """Whether the loss takes this: ``teacher``, ``labels``, ``alpha``, ``beta``, ``tau``."""
        return role in self.slots

    def own_name(self, role: str) -> str:
        """How the loss itself calls it."""
        key = self.slots[role].key
        return f"argument {key}" if isinstance(key, int) else key

    def raw(self, student: Tensor, teacher: Tensor, labels: Tensor, case: Case) -> Any:
        """What the loss returns for these tensors, with the settings of the case."""
        values: dict[str, Any] = {name: getattr(case, name) for name in NUMBERS}
        values["classes"] = student.shape[-1]
        lay = LAYOUTS[self.layout]
        values["student"] = _as_form(student, self.forms.get("student", "logits"), lay)
        values["teacher"] = _as_form(teacher, self.forms.get("teacher", "logits"), lay)
        values["labels"] = self._labels(labels, student, lay)
        positional, named = self._arguments(values)
        try:
            return self._callable(values, student.dtype)(*positional, **named)
        except SystemExit as error:  # which would end kdcheck, with a code of its own
            raise RuntimeError(f"exit with {error.code}") from error

    def _labels(self, labels: Tensor, student: Tensor, lay: Callable[[Tensor], Tensor]) -> Tensor:
        if self.forms.get("labels") == "one-hot":
            return lay(one_hot(labels.long(), student.shape[-1]).to(student.dtype))
        return labels.reshape(-1, *[1] * (lay(student).dim() - 2))

    def _callable(self, values: Mapping[str, Any], dtype: torch.dtype) -> Callable[..., Any]:
        """The function, or the object that stands for it at these settings."""
        moving = {
            role: (slot, values[role]) for role, slot in self.slots.items() if slot.place != "call"
        }
        if not moving and not isinstance(self.target, (type, torch.nn.Module)):
            return self.target  # type: ignore[no-any-return]
        key = (dtype, *((role, value) for role, (_, value) in moving.items()))
        if key not in self._built:
            self._built[key] = self._build(moving, dtype)
        return self._built[key]  # type: ignore[no-any-return]

    def _build(self, moving: Mapping[str, tuple[Slot, Any]], dtype: torch.dtype) -> Any:
        of_place = {
            place: {slot.key: value for slot, value in moving.values() if slot.place == place}
            for place in ("construct", "attribute")
        }
        if isinstance(self.target, type):
            made = self.target(**_nested({**self.construct, **of_place["construct"]}))
        else:
            made = copy.deepcopy(self.target)
        for name, value in of_place["attribute"].items():
            _set(made, str(name), value)
        if isinstance(made, torch.nn.Module):
            made = made.to(dtype)
        return made if callable(made) else made.per_example

    def _arguments(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        given = dict(self.call)
        given |= {s.key: values[role] for role, s in self.slots.items() if s.place == "call"}
        positions = sorted(key for key in given if isinstance(key, int))
        if positions != list(range(len(positions))):
            wanted = f"all of them from 0 to {positions[-1]}"
            step = "Say the others with --map ROLE=POSITION or --arg POSITION=VALUE."
            raise ConformError(self.name, f"positions {positions}", wanted, step)
        named = {str(key): value for key, value in given.items() if not isinstance(key, int)}
        return [given[p] for p in positions], _nested(named)

    def tensors(self, case: Case, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
        """Student, teacher and labels of a case; the student's wants a gradient."""
        student = torch.tensor(case.student_NK.copy(), dtype=dtype, requires_grad=True)
        teacher = torch.tensor(
            case.teacher_NK.copy(), dtype=dtype
        )  # torch takes no negative strides
        return student, teacher, torch.tensor(case.labels_N.copy())

    def output(self, student: Tensor, teacher: Tensor, labels: Tensor, case: Case) -> Tensor:
        """The tensor of losses that the call returns, whatever it is wrapped into."""
        return tensor_of(self.raw(student, teacher, labels, case), self.name)

    def total(self, case: Case, dtype: torch.dtype = torch.float64) -> float:
        """The sum of what the loss returns: one number for the batch."""
        student, teacher, labels = self.tensors(case, dtype)
        with torch.no_grad():
            return float(self.output(student, teacher, labels, case).double().sum())

    def gradient(self, case: Case, dtype: torch.dtype = torch.float64) -> np.ndarray[Any, Any]:
        """The gradient of the total by the student's logits, shape (N, K)."""
        student, teacher, labels = self.tensors(case, dtype)
        total = self.output(student, teacher, labels, case).sum()
        if not total.requires_grad:
            return np.zeros(student.shape)
        (gradient,) = torch.autograd.grad(total, student, allow_unused=True)
        return np.zeros(student.shape) if gradient is None else gradient.double().numpy()


def tensor_of(returned: Any, who: str) -> Tensor:
    """The loss among what was returned: a tensor, a number, or the first loss of a tuple or mapping."""
    if isinstance(returned, Tensor):
        return returned
    if isinstance(returned, (int, float)) and not isinstance(returned, bool):
        return torch.tensor(float(returned), dtype=torch.float64)
    if isinstance(returned, Mapping):
        named = [returned[name] for name in OUTPUTS if isinstance(returned.get(name), Tensor)]
        parts: list[Any] = named or list(returned.values())
    elif isinstance(returned, (tuple, list)):
        parts = list(returned)
    else:
        parts = [getattr(returned, name, None) for name in OUTPUTS]
    tensors = [part for part in parts if isinstance(part, Tensor) and part.is_floating_point()]
    if not tensors:
        got = f"a {type(returned).__name__} without a tensor"
        step = "Wrap it in a function that returns the loss."
        raise ConformError(who, got, "a tensor, or a tuple or mapping with one", step)
    return next((each for each in tensors if each.requires_grad), tensors[0])


def _as_form(logits: Tensor, form: str, lay: Callable[[Tensor], Tensor]) -> Any:
    if form == "log-probabilities":
        return lay(logits.log_softmax(-1))
    if form == "probabilities":
        return lay(logits.softmax(-1))
    return Output(logits=lay(logits)) if form == "model output" else lay(logits)


def _nested(named: Mapping[Any, Any]) -> dict[str, Any]:
    """Dotted names gathered into objects: ``settings.tau`` is ``tau`` of ``settings``."""
    flat = {str(name): value for name, value in named.items() if "." not in str(name)}
    for name, value in named.items():
        head, dot, rest = str(name).partition(".")
        if dot:
            flat.setdefault(head, Settings())
            setattr(flat[head], rest, value)
    return flat


def _set(made: Any, name: str, value: Any) -> None:
    *path, last = name.split(".")
    for part in path:
        made = getattr(made, part)
    setattr(made, last, value)
