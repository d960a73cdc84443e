"""All that stands in the zoo, looked at: which faults are killed, and whether a control raises an alarm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields

from kdcheck.zoo import faulty_losses, faulty_metrics, faulty_rules, faulty_studies, faulty_trainers
from kdcheck.zoo.entry import Control, Fault

_MODULES = (faulty_losses, faulty_metrics, faulty_trainers, faulty_studies, faulty_rules)
FAULTS: tuple[Fault, ...] = tuple(fault for module in _MODULES for fault in module.FAULTS)
CONTROLS: tuple[Control, ...] = tuple(each for module in _MODULES for each in module.CONTROLS)
KINDS = ("loss", "metric", "trainer", "study")


@dataclass(frozen=True)
class Seen:
    """A fault, and whether its check killed it; or a control, and the alarms that it raised."""

    kind: str
    name: str
    defect: str
    check: str
    """The check that must kill a fault; of a control, those that raised an alarm."""
    outcome: str
    """``killed``, ``SURVIVED``, ``no alarm`` or ``ALARM``."""

    @property
    def is_right(self) -> bool:
        """Whether it is as it should be."""
        return self.outcome in ("killed", "no alarm")


def visit(kinds: Sequence[str] = KINDS, *, repeat: int = 1) -> Iterator[Seen]:
    """Every fault with seed 0, then every control with seeds 0 to ``repeat - 1``.

    Args:
        kinds: ``loss``, ``metric``, ``trainer``, ``study``.
        repeat: how often a control is looked at, each time with data of its own.

    >>> [seen.outcome for seen in visit(["study"])][:2]
    ['killed', 'killed']
    """
    for fault in FAULTS:
        if fault.kind in kinds:
            outcome = "killed" if fault.is_killed() else "SURVIVED"
            yield Seen(fault.kind, fault.name, fault.defect, fault.killed_by, outcome)
    for control in CONTROLS:
        if control.kind in kinds:
            yield _alarms(control, repeat)


def _alarms(control: Control, repeat: int) -> Seen:
    alarms = [check for seed in range(repeat) for check in control.alarms(seed)]
    what = f"clean control, {repeat} repetitions" if repeat > 1 else "clean control"
    told = ", ".join(sorted(set(alarms)))
    return Seen(control.kind, control.name, what, told, "ALARM" if alarms else "no alarm")


def summary(seen: Sequence[Seen], repeat: int) -> str:
    """The last line: killed k of N, and what the controls did."""
    faults = [each for each in seen if each.outcome in ("killed", "SURVIVED")]
    controls = [each for each in seen if each not in faults]
    killed = sum(each.is_right for each in faults)
    alarmed = sum(not each.is_right for each in controls)
    return (
        f"killed {killed} of {len(faults)}; {alarmed} of {len(controls)} clean controls raised an "
        f"alarm in {repeat} random repetition{'s' if repeat > 1 else ''}"
    )


def table(seen: Iterable[Seen], form: str) -> str:
    """Rows as aligned columns, or as Markdown."""
    rows = [tuple(asdict(each).values()) for each in seen]
    head = tuple(field.name for field in fields(Seen))
    if form == "markdown":
        lines = [head, ("---",) * len(head), *rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *rows)
    )
