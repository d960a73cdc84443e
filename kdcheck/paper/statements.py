"""The paper's claims in our own words, and what else its figures must satisfy."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from kdcheck.errors import InputError

KINDS = ("stated", "expected")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One sentence that the audit decides or declares undecidable.

    Source: the place in ``where``.

    >>> statement("ls_raises_entropy").where
    'sections 3 and 4, Tables 2, 4, 8, 10'
    """

    id: str
    says: str
    """What is claimed, in our words."""
    where: str
    """Section and tables."""
    kind: str
    """``stated``: the paper says so. ``expected``: it follows from theory, GLUE or the paper's own
    method, and figures that contradict it need an explanation."""
    undecidable: str = ""
    """Why no table can decide it; empty where a check of the audit does."""


@cache
def all_statements() -> tuple[Statement, ...]:
    """All statements, in the order of the audit.

    Source: ``statements.toml``; each names its own place.

    >>> len({s.id for s in all_statements()}) == len(all_statements())
    True
    """
    file = resources.files("kdcheck.paper") / "statements.toml"
    entries = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(Statement(id=name, **entry) for name, entry in entries.items())


def statement(name: str) -> Statement:
    """The statement of that id.

    Raises:
        InputError: there is none.

    Source: ``statements.toml``.

    >>> statement("grid_sizes").kind
    'stated'
    """
    for found in all_statements():
        if found.id == name:
            return found
    raise InputError(
        "paper", f"statement {name!r}", "the id of a statement", "kdcheck audit lists them all."
    )
