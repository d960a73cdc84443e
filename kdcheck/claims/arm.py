"""An arm: a way of training that claims compare, before task and seed are chosen."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kdcheck.errors import ClaimError

SIZES = ("smaller", "larger")
NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Arm:
    """A method, the size of the model it trains, who teaches it, and on whose budget.

    Raises:
        ClaimError: a method or size that is no plain name, or a temperature or shuffling without a
            teacher.

    Source: what claims about training methods compare.

    >>> taught = Arm("kd", "smaller", teacher=Arm("ls", "larger"))
    >>> taught.key, taught.on_budget_of(Arm("erm", "larger")).key
    ('kd/smaller<-ls/larger', 'kd/smaller<-ls/larger|budget of erm/larger')
    """

    method: str
    """Name of the method in the scale file."""
    size: str
    """``smaller`` or ``larger`` of the scale's encoder pair."""
    teacher: Arm | None = None
    """Who teaches, if anyone."""
    teacher_temperature: float = 1.0
    """What the teacher's logits are divided by beforehand; its accuracy stays."""
    teacher_shuffled: bool = False
    """Whether the teacher's confidences are shuffled among examples that it predicts alike."""
    budget: Arm | None = None
    """The arm whose learning rate and epochs this one is given, instead of its own."""

    def __post_init__(self) -> None:
        for name in (self.method, self.size):
            # The key is injective since names hold none of its signs.
            if not isinstance(name, str) or not NAME.fullmatch(name):
                wanted = "letters, digits, _ . and - alone"
                raise ClaimError("arm", repr(name), wanted, "Rename the method in the scale file.")
        warmth = float(self.teacher_temperature)
        object.__setattr__(self, "teacher_temperature", warmth)
        if not 0.0 < warmth < math.inf or (self.teacher is None and warmth != 1.0):
            wanted = "a number above 0, and 1 where nobody teaches"
            step = "The teacher's logits are divided by it: arm.taught_by(teacher, temperature=2)."
            raise ClaimError(f"arm {self.method}/{self.size}", f"{warmth:g}", wanted, step)
        if self.teacher_shuffled and self.teacher is None:
            got, wanted = "a shuffled teacher where nobody teaches", "a teacher to be shuffled"
            step = "Name it: arm.taught_by(teacher, shuffled=True)."
            raise ClaimError(f"arm {self.method}/{self.size}", got, wanted, step)

    @property
    def key(self) -> str:
        """A unique name, for tables and tags; made from the parts and never taken apart."""
        parts = [f"{self.method}/{self.size}"]
        if self.teacher is not None:
            parts.append(f"<-{'shuffled ' * self.teacher_shuffled}{self.teacher.in_brackets}")
        if self.teacher_temperature != 1.0:
            parts.append(f"@{self.teacher_temperature!r}".removesuffix(".0"))
        if self.budget is not None:
            parts.append(f"|budget of {self.budget.in_brackets}")
        return "".join(parts)

    @property
    def in_brackets(self) -> str:
        """The key inside another's: in brackets unless it is a plain method and size."""
        plain = self.teacher is None and self.budget is None
        return self.key if plain else f"({self.key})"

    def taught_by(self, teacher: Arm, *, temperature: float = 1.0, shuffled: bool = False) -> Arm:
        """The same method with another teacher, or the same one made surer, less sure, or ignorant."""
        return replace(
            self, teacher=teacher, teacher_temperature=temperature, teacher_shuffled=shuffled
        )

    def on_budget_of(self, other: Arm) -> Arm:
        """The same method with the learning rate and epochs of another arm."""
        return replace(self, budget=other)

    def lineage(self) -> Iterator[Arm]:
        """This arm and whoever must be trained before it, the farthest teacher first."""
        if self.teacher is not None:
            yield from self.teacher.lineage()
        yield self

    def to_dict(self) -> dict[str, Any]:
        """JSON values, what is left at its default left out; :meth:`from_dict` reads them back."""
        values: dict[str, Any] = {"method": self.method, "size": self.size}
        values |= {
            name: arm.to_dict()
            for name in ("teacher", "budget")
            if (arm := getattr(self, name)) is not None
        }
        if self.teacher_temperature != 1.0:
            values["teacher_temperature"] = self.teacher_temperature
        if self.teacher_shuffled:
            values["teacher_shuffled"] = True
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Arm:
        """The arm that :meth:`to_dict` wrote."""
        nested = {n: cls.from_dict(values[n]) for n in ("teacher", "budget") if n in values}
        return cls(**{**values, **nested})
