"""What stands in the zoo: a fault with the check that kills it, or a clean control of the same kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kdcheck.conform.results import Report, Status

BROKE = "It ended in"
"""How the detail of a check begins whose subject raised."""
Alarms = Callable[[int], tuple[str, ...]]
"""Names of the checks that raise an alarm, for a seed of all that is random."""


@dataclass(frozen=True)
class Fault:
    """A small faulty thing.

    Args:
        name: what is wrong, in a few words.
        kind: ``loss``, ``metric``, ``trainer`` or ``study``.
        defect: the class of defects, as it is met in published code and papers.
        killed_by: name of the check that must raise the alarm.
        alarms: runs that check, at least, on the faulty thing.
    """

    name: str
    kind: str
    defect: str
    killed_by: str
    alarms: Alarms

    def is_killed(self, seed: int = 0) -> bool:
        """Whether the named check raises the alarm."""
        return self.killed_by in self.alarms(seed)


@dataclass(frozen=True)
class Control:
    """A sound thing, of which no check may raise an alarm.

    Args:
        name: what it is.
        kind: as of the faults.
        alarms: runs every check of its kind.
    """

    name: str
    kind: str
    alarms: Alarms


def alarms_of(report: Report) -> tuple[str, ...]:
    """Names of the checks that failed; one in which the faulty thing broke down says so beside its name.

    So a fault that only raises, through a slip in the zoo, is killed by no check.
    """
    failed = [each for each in report.results if each.status is Status.FAILED]
    return tuple(
        f"{each.name}: {each.detail}" if each.detail.startswith(BROKE) else each.name
        for each in failed
    )
