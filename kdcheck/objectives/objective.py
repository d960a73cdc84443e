"""What an objective is, and how one is found by its name."""

# Shapes: N examples, K classes.

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from kdcheck.errors import ParameterError

Scalar = str | float | bool
_REGISTRY: dict[str, type[Objective]] = {}


class Objective(ABC):
    """A training objective. Subclass it as a frozen dataclass to add one; the name registers it.

    ``per_example`` does no checks and never waits for the device: the training loop checks labels
    once when data is loaded, and the loss after it is computed.

    >>> from kdcheck.objectives import LabelSmoothing
    >>> LabelSmoothing(alpha=0.1).as_dict()
    {'name': 'ls', 'alpha': 0.1}
    """

    name: ClassVar[str]
    needs_teacher: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if not hasattr(cls, "name"):  # a base such as Mixture, not an objective
            return
        taken = _REGISTRY.get(cls.name)
        # A slotted dataclass is made twice, the second time without its full qualified name; a
        # notebook cell that is run again makes its class anew. Two objectives differ in these.
        if taken and (taken.__module__, taken.__name__) != (cls.__module__, cls.__name__):
            wanted, step = "a name of its own", "Recipes are told apart by it: pick another."
            got = f"the name {cls.name!r}, which belongs to {taken.__module__}.{taken.__name__}"
            raise ParameterError(f"objective {cls.__module__}.{cls.__name__}", got, wanted, step)
        _REGISTRY[cls.name] = cls

    @abstractmethod
    def per_example(
        self, logits_NK: Tensor, labels_N: Tensor, teacher_logits_NK: Tensor | None = None
    ) -> Tensor:
        """One loss per example, in nats, shape (N,); gradients reach ``logits_NK`` alone."""

    def as_dict(self) -> dict[str, Scalar]:
        """The name and every parameter as JSON scalars; :func:`from_dict` reads it back."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        values = {f.name: _plain(getattr(self, f.name)) for f in fields}
        return {"name": self.name, **values}


def _plain(value: Any) -> Scalar:
    # 1, 1.0 and numpy's 1.0 are one alpha and must become one JSON text, hence one digest.
    return value if isinstance(value, (bool, str)) else float(value)


def registered() -> dict[str, type[Objective]]:
    """All objectives by name, those of other packages included.

    >>> import kdcheck.objectives
    >>> sorted(registered())[:3]
    ['confidence_penalty', 'erm', 'instance_smoothing']
    """
    return dict(_REGISTRY)


def from_dict(values: Mapping[str, Any]) -> Objective:
    """Make an objective from the mapping that :meth:`Objective.as_dict` gives.

    Args:
        values: ``name`` and the parameters of that objective; left-out ones take their default.

    Returns:
        The objective, its parameters checked.

    Raises:
        ParameterError: an unknown name or parameter; the message lists the known ones.

    >>> from_dict({"name": "kd", "alpha": 0.5})
    Distillation(alpha=0.5, temperature=1.0, tau_squared=True)
    """
    parameters = dict(values)
    name = parameters.pop("name", None)
    cls = _REGISTRY.get(str(name))
    if cls is None:
        wanted = f"one of {', '.join(sorted(_REGISTRY))}"
        step = "Check the spelling, or load the module that defines it: kdcheck --load FILE ..."
        raise ParameterError("objective", f"the name {name!r}", wanted, step)
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        wanted = f"only {', '.join(known) or 'its name'}"
        step = "Remove it: it would have no effect."
        raise ParameterError(f"objective {name!r}", f"the parameter {unknown[0]!r}", wanted, step)
    try:
        return cls(**parameters)
    except TypeError as error:
        raise ParameterError(
            f"objective {name!r}", str(error), f"values for {', '.join(known)}", "Add them."
        ) from error
