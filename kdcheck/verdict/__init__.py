"""Verdicts: pre-registered criteria judged from paired differences, with stated error rates."""

from kdcheck.verdict.criterion import Criterion, Plan
from kdcheck.verdict.decide import judge, judge_family
from kdcheck.verdict.guards import Fault
from kdcheck.verdict.intervals import Interval
from kdcheck.verdict.measured import Measured, TaskEffects
from kdcheck.verdict.published import Comparison, compare_with_published
from kdcheck.verdict.verdict import TaskResult, Verdict
from kdcheck.verdict.words import Word

__all__ = [
    "Comparison",
    "Criterion",
    "Fault",
    "Interval",
    "Measured",
    "Plan",
    "TaskEffects",
    "TaskResult",
    "Verdict",
    "Word",
    "compare_with_published",
    "judge",
    "judge_family",
]
