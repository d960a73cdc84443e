"""One list of what the paper says and what its figures must satisfy; claims and audit read it."""

from __future__ import annotations

from functools import cache

from kdcheck.errors import InputError
from kdcheck.paper.statements import accuracies, causes, entropies, facts
from kdcheck.paper.statements.statement import Statement

__all__ = ["Statement", "all_statements", "statement"]

MODULES = (entropies, accuracies, causes, facts)


@cache
def all_statements() -> tuple[Statement, ...]:
    """All statements, in the order of the modules.

    Source: each statement names its own place.

    >>> len({said.id for said in all_statements()}) == len(all_statements())
    True
    """
    values = (value for module in MODULES for value in vars(module).values())
    return tuple(dict.fromkeys(value for value in values if isinstance(value, Statement)))


def statement(name: str) -> Statement:
    """The statement of that id.

    Raises:
        InputError: there is none.

    Source: each statement names its own place.

    >>> statement("grid_sizes").kind
    'stated'
    """
    for found in all_statements():
        if found.id == name:
            return found
    wanted = "the id of a statement"
    raise InputError("paper", f"statement {name!r}", wanted, "kdcheck audit lists them all.")
