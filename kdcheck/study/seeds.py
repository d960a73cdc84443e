"""The numbers of seeds that a session goes through."""

from __future__ import annotations

from kdcheck.errors import InputError
from kdcheck.verdict import Plan

UNTIL_DECIDED = "until-decided"


def seed_counts(seeds: str, plan: Plan) -> tuple[int, ...]:
    """The numbers of seeds that a session goes through: that number, or the planned looks.

    Raises:
        InputError: neither, or more seeds than are planned.
    """
    most = plan.looks[-1]
    if seeds == UNTIL_DECIDED:
        return plan.looks
    if not seeds.isdigit() or not 1 <= int(seeds) <= most:
        wanted = f"a number from 1 to {most}, or {UNTIL_DECIDED}"
        next_step = "More seeds than are planned would be a new criterion."
        raise InputError("seeds", repr(seeds), wanted, next_step)
    return (int(seeds),)
