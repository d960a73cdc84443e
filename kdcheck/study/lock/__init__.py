"""The lock: a file that registers families of claims, with all that decides their verdicts."""

from kdcheck.study.lock.families import FILE, Lock, read
from kdcheck.study.lock.section import (
    WORDS,
    Past,
    Section,
    TaskFacts,
    entry_of,
    expected_recipe,
    facts_of,
    labels_digest,
    section_of,
)

__all__ = [
    "FILE",
    "WORDS",
    "Lock",
    "Past",
    "Section",
    "TaskFacts",
    "entry_of",
    "expected_recipe",
    "facts_of",
    "labels_digest",
    "read",
    "section_of",
]
