"""A sentence of the paper, or about it: a documented function that returns its contrast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from kdcheck.claims.contrast import Contrast
from kdcheck.claims.declare import Direction

Kind = Literal["stated", "expected", "ours"]
Holds = Literal[
    "on every task",
    "on most tasks",
    "on some task",
    "on most tasks and methods",
    "on average over tasks",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Statement:
    """What is said, where, and the contrast that decides it on our runs and on the tables alike.

    Call it for the contrast, with the case if it has several.

    Source: the place in ``where``.

    >>> from kdcheck.paper.statements.entropies import ls_raises_entropy
    >>> ls_raises_entropy("larger").text, ls_raises_entropy.where
    ('mean_entropy_nats(ls/larger) - mean_entropy_nats(erm/larger)', 'section 4, Tables 2 and 4')
    """

    id: str
    says: str
    """The sentence, in our words."""
    where: str
    """Section and tables."""
    kind: Kind
    """``stated`` by the paper; ``expected`` of its figures by theory, GLUE or its own method;
    ``ours``: a test of our making of what it says, for which it has no figures."""
    holds: Holds = "on every task"
    """The quantifier; the last two are over all cases together."""
    over: tuple[str, ...] = ()
    """Its cases, if it has several."""
    direction: Direction = "above"
    beyond: float = 0.0
    """What the contrast must exceed, or not fall below, for a word such as "far" or "about"."""
    unit: str = "nats"
    """Of the contrast: ``nats``, ``points`` or ``times``."""
    tasks: int | None = None
    """On how many tasks, where the paper says a number."""
    but: tuple[str, ...] | None = None
    """The tasks that the paper names as exceptions."""
    open_words: bool = False
    """Whether its words leave room, so that figures against it are suspicious and no more."""
    note: str = ""
    """What a reader of a finding should know besides."""
    undecidable: str = ""
    """Why no table can decide it."""
    contrast: Callable[..., Contrast | None]

    def __call__(self, *case: str) -> Contrast:
        """The contrast, its claimed direction positive."""
        found = self.contrast(*case)
        assert found is not None, f"statement {self.id!r} has no contrast"
        return found

    def contrasts(self) -> dict[str, Contrast]:
        """By case, which is empty where there is but one; nothing where no contrast decides it."""
        if self.over:
            found = {case: self.contrast(case) for case in self.over}
        else:
            found = {"": self.contrast()}
        return {case: contrast for case, contrast in found.items() if contrast is not None}


def _declaring(kind: Kind) -> Callable[..., Callable[[Callable[..., Contrast | None]], Statement]]:
    def declare(where: str, **how: Any) -> Callable[[Callable[..., Contrast | None]], Statement]:
        def make(function: Callable[..., Contrast | None]) -> Statement:
            says = " ".join((function.__doc__ or "").split())
            name = function.__name__
            return Statement(id=name, says=says, where=where, kind=kind, contrast=function, **how)

        return make

    return declare


# Decorators: the function's name is the id, its docstring the sentence.
stated = _declaring("stated")
expected = _declaring("expected")
ours = _declaring("ours")
