"""A judged claim: what is stored of it, shown of it, and enough to judge it again elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kdcheck.claims import Arm, Claim, Paper
from kdcheck.verdict import Verdict

FORMAT = 4
"""Raised when a field of :class:`Judged` changes its meaning or goes; readers refuse another."""


@dataclass(frozen=True)
class Missing:
    """A run that is not to be had: which one it would be, and why it could not be trained."""

    arm: Arm
    task: str
    seed: int
    reason: str

    def __str__(self) -> str:
        return f"{self.arm.key} on {self.task} with seed {self.seed}: {self.reason}"


@dataclass(frozen=True)
class RunTable:
    """Which run is which arm on which task with which seed."""

    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: Mapping[Arm, Mapping[str, Mapping[int, str]]]
    """Arm, task, seed: the digest."""
    missing: tuple[Missing, ...] = ()
    """In the place of runs, those that could not be trained."""

    def without(self, reason: Callable[[str], str | None]) -> RunTable:
        """The table without the runs for which there is a reason, by digest, why they are missing."""
        runs: dict[Arm, dict[str, dict[int, str]]] = {}
        missing = []
        for arm, tasks in self.runs.items():
            kept = runs.setdefault(arm, {})
            for task, seeds in tasks.items():
                for seed, digest in seeds.items():
                    if (why := reason(digest)) is None:
                        kept.setdefault(task, {})[seed] = digest
                    else:
                        missing.append(Missing(arm, task, seed, why))
        return replace(self, runs=runs, missing=tuple(missing)) if missing else self

    def has(self, arm: Arm, task: str, seed: int) -> bool:
        """Whether there is such a run."""
        return seed in self.runs[arm].get(task, {})

    def digest(self, arm: Arm, task: str, seed: int) -> str:
        """Digest of a run."""
        return self.runs[arm][task][seed]

    def of(self, arm: Arm) -> Iterator[str]:
        """Digests of the runs of an arm."""
        return (digest for seeds in self.runs[arm].values() for digest in seeds.values())

    def digests(self) -> tuple[str, ...]:
        """Digests of all runs, sorted."""
        found = (seeds.values() for tasks in self.runs.values() for seeds in tasks.values())
        return tuple(sorted({digest for each in found for digest in each}))

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "tasks": list(self.tasks),
            "seeds": list(self.seeds),
            "runs": [
                {
                    "arm": arm.to_dict(),
                    "tasks": {
                        t: {str(s): d for s, d in seeds.items()} for t, seeds in tasks.items()
                    },
                }
                for arm, tasks in sorted(self.runs.items(), key=lambda item: item[0].key)
            ],
        } | (
            {"missing": [vars(e) | {"arm": e.arm.to_dict()} for e in self.missing]}
            if self.missing
            else {}
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunTable:
        """The table that :meth:`to_dict` wrote."""
        runs = {
            Arm.from_dict(row["arm"]): {
                task: {int(seed): digest for seed, digest in seeds.items()}
                for task, seeds in row["tasks"].items()
            }
            for row in values["runs"]
        }
        missing = tuple(
            Missing(**{**row, "arm": Arm.from_dict(row["arm"])})
            for row in values.get("missing", ())  # of most tables no run is
        )
        return cls(tuple(values["tasks"]), tuple(values["seeds"]), runs, missing)


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict and the runs it rests on."""

    claim: Claim
    verdict: Verdict
    table: RunTable
    deviations: tuple[str, ...]
    """Where the evidence departs from the paper, one sentence each."""
    lock: str = ""
    """Digest of the section of the lock that it was held against; empty without one."""
    study: Mapping[str, Any] = field(default_factory=dict)
    """What was run, as a section of a lock without its claims: settings, data, encoders, plan, seeds."""
    beside: tuple[str, ...] = ()
    """Ids of the claims that it was judged beside, its own among them, where it is exploratory."""
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By task, what a reader of a figure must know of its data: see :mod:`kdcheck.study.marks`."""
    shown: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Figures that stood in the file for readers, and that follow from the rest of it."""

    @property
    def scale(self) -> str:
        """Name of the scale it was judged at."""
        return self.verdict.criterion.scale

    @property
    def data_said(self) -> tuple[str, ...]:
        """What a reader must know of the rows, a sentence for each mark of each task."""
        return tuple(
            f"{task}, {mark}: {text}"
            for task, facts in self.data.items()
            for mark, text in facts["marks"].items()
        )

    @property
    def family(self) -> tuple[str, str]:
        """Paper and scale: the claims that it was judged with."""
        return self.claim.paper.name, self.scale

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the paper, being the same for a whole family, is kept beside them."""
        return {
            "format": FORMAT,
            "claim": self.claim.to_dict(),
            "contrast_text": self.claim.measures.text,
            "verdict": self.verdict.to_dict(),
            "table": self.table.to_dict(),
            "deviations": list(self.deviations),
            "lock": self.lock,
            "study": self.study,
            "beside": list(self.beside),
            "data": self.data,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], paper: Paper) -> Judged:
        """The judged claim that :meth:`to_dict` wrote, of that paper."""
        return cls(
            claim=Claim.from_dict(values["claim"], paper),
            verdict=Verdict.from_dict(values["verdict"]),
            table=RunTable.from_dict(values["table"]),
            deviations=tuple(values["deviations"]),
            lock=values["lock"],
            study=values["study"],
            beside=tuple(values["beside"]),
            data=values.get("data", {}),
            shown=_shown(values),
        )

    @property
    def follows(self) -> dict[str, Any]:
        """What :attr:`shown` must be."""
        return _shown(self.to_dict())


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    verdict = values["verdict"]
    derived = {"criterion_digest": verdict["criterion_digest"], **verdict["derived"]}
    return {"contrast_text": values["contrast_text"], **derived}


def selected(
    claims: Iterable[Judged], paper: str | None = None, scale: str | None = None
) -> tuple[Judged, ...]:
    """The claims of a paper and scale, or of any, by paper, scale and id."""
    found = [
        each
        for each in claims
        if paper in (None, each.claim.paper.name) and scale in (None, each.scale)
    ]
    return tuple(sorted(found, key=lambda each: (*each.family, each.claim.id)))
