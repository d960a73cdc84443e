"""Does a student's entropy follow its teacher's? Cells of one table beside those of another."""

from __future__ import annotations

from dataclasses import dataclass

from kdcheck.paper.audit.finding import HOLDS, SUSPICIOUS, Judgement, decides, signed
from kdcheck.paper.tables import LABELS, TASKS, Cell, Tables

STUDENTS = {
    "standard_kd": ("smaller", "larger"),
    "self_kd": ("smaller", "smaller"),
    "reverse_kd": ("larger", "smaller"),
}
"""Method -> size of the student, size of the teacher."""


@dataclass(frozen=True, kw_only=True)
class Triple:
    """A student's entropy, its own under ERM, and its teacher's.

    Source: Tables 2 and 4, or 8 and 10.

    >>> from kdcheck.paper import load_tables
    >>> triples(load_tables(), tuned=False)[5].outside
    -0.0384
    """

    student: Cell
    own: Cell
    teacher: Cell

    @property
    def outside(self) -> float:
        """Nats by which the student lies above (+) or below (-) both; 0 if between them."""
        low, high = sorted((self.own.value, self.teacher.value))
        value = self.student.value
        return round(max(value - high, 0.0) + min(value - low, 0.0), 6)

    @property
    def against(self) -> bool:
        """Whether it moved from its own entropy the other way than towards its teacher's."""
        pull = self.teacher.value - self.own.value
        return pull * (self.student.value - self.own.value) < 0

    def __str__(self) -> str:
        return (
            f"Table {self.student.table} {LABELS[self.student.column]} {LABELS[self.student.row]} "
            f"{self.student.printed} (own {self.own.printed}, teacher {self.teacher.printed}) "
            f"{signed(self.outside, 'nats')}"
        )


def triples(tables: Tables, *, tuned: bool) -> list[Triple]:
    """All twelve students of one experiment, task by task.

    Source: Tables 2 and 4, or 8 and 10.

    >>> from kdcheck.paper import load_tables
    >>> len(triples(load_tables(), tuned=True))
    12
    """
    return [
        Triple(
            student=tables.entropy(task, method, size, tuned=tuned),
            own=tables.entropy(task, "erm", size, tuned=tuned),
            teacher=tables.entropy(task, "erm", teacher, tuned=tuned),
        )
        for task in TASKS
        for method, (size, teacher) in STUDENTS.items()
    ]


@decides("student_follows_teacher")
def _student_follows_teacher(tables: Tables) -> Judgement:
    every = [*triples(tables, tuned=False), *triples(tables, tuned=True)]
    # Three printed figures are compared, so rounding may explain twice a half-width.
    outside = [t for t in every if abs(t.outside) > 2 * t.student.half_width]
    own_kind = [t for t in outside if t.student.row == "self_kd"]
    against = [t for t in every if t.against]
    below = [t for t in outside if t.outside < 0]
    worst = max((abs(t.outside) for t in outside), default=0.0)
    return Judgement(
        outcome=SUSPICIOUS if outside else HOLDS,
        by_how_much=f"{len(outside)} of {len(every)} students lie outside the range of their own "
        f"and their teacher's entropy, {len(below)} of them below it; {len(own_kind)} are self-KD, "
        f"whose teacher is no surer than ERM; {len(against)} move away from their teacher. "
        "Something besides the teacher moves entropy: the process, its epochs, or the seed",
        margin=-worst,
        unit="nats",
        cells=tuple(dict.fromkeys(c for t in outside for c in (t.student, t.own, t.teacher))),
        details=tuple(map(str, outside)),
    )
