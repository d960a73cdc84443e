"""Judging stored claims again: readings from posteriors, verdicts from readings, nothing trained.

Everything is held against the lock that the claims were judged under: each claim against its entry,
each run against its slot. A word is only as good as the runs that it is said to rest on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType
from typing import Any

from kdcheck.errors import EvidenceError, InputError
from kdcheck.evidence.bundle import curves_read
from kdcheck.evidence.evidence import Evidence
from kdcheck.evidence.judged import Judged
from kdcheck.evidence.source import EvidenceSource
from kdcheck.recipe import Recipe
from kdcheck.study.compare import with_itself, with_verdict
from kdcheck.study.examine import Examiner, check_metrics
from kdcheck.study.judging import measure
from kdcheck.study.lock import Lock, Section, entry_of
from kdcheck.study.readings import Readings
from kdcheck.study.slots import Slots, missing
from kdcheck.study.standing import Standing, judge_under
from kdcheck.verdict import Criterion, Measured, Verdict
from kdcheck.verdict.words import REHEARSED

NEXT_STEP = "It was altered, or another version of kdcheck wrote it; judge again: pytest claims/."
NOT_ITS_RUNS = "Its runs are not those that its study asks for."


@dataclass(frozen=True)
class Check:
    """A claim's stored verdict beside the one recomputed from its evidence."""

    paper: str
    scale: str
    stored: Verdict
    again: Verdict
    differences: tuple[str, ...]
    """What is not as stored, or not as the lock has it: a sentence's part each."""

    @property
    def same(self) -> bool:
        """Whether all of it is as stored and as registered."""
        return not self.differences


def verify(source: EvidenceSource, lock: Lock | None = None) -> Iterator[Check]:
    """Recompute every verdict of a store or bundle from its posteriors, family by family.

    Args:
        source: a store or a bundle, with the sections of the lock that its claims name.
        lock: what is registered, from elsewhere: as of version control. The sections of the source
            must be in it.

    Raises:
        EvidenceError: no claim is stored, or evidence is missing, damaged or altered.
        InputError: a section cannot be read.
    """
    claims = source.claims()
    if not claims:
        raise EvidenceError(
            "verify", "no judged claim", "at least one", "Run pytest claims/ on that store first."
        )

    def judged_together(each: Judged) -> tuple[str, str, str]:
        # Under one lock the name of a scale decides nothing: a copy of it makes no family.
        return each.claim.paper.name, each.lock, "" if each.lock else each.scale

    ordered = sorted(claims, key=judged_together)
    for (_, digest, _), group in groupby(ordered, key=judged_together):
        yield from _Family(source, tuple(group), _held_against(source, digest, lock)).checks()


@dataclass(frozen=True)
class _Held:
    """What a family is held against, and what is wrong with that."""

    section: Section | None
    scale: str | None = None
    """How a lock that was given calls its scale."""
    said: tuple[str, ...] = ()


def _held_against(source: EvidenceSource, digest: str, lock: Lock | None) -> _Held:
    """The section that claims name or, where a lock was given that lacks it, the one most like it."""
    own = Section.from_dict(source.lock(digest)) if digest else None
    if lock is None or own is None:
        return _Held(own)
    if digest in lock.families:
        lost = sorted(set(own.earlier) - lock.digests)
        said = tuple(f"the file has lost the earlier attempt {each[:8]}" for each in lost)
        return _Held(own, lock.names.get(digest), said)
    how = "was replaced" if digest in lock.history else "is not in the file"
    said = (f"judged under the lock {digest[:8]}, which {how}",)
    return _Held(lock.nearest(own, "") or own, None, said)


class _Family:
    """The claims of a source that are held against one section of a lock, or against none."""

    def __init__(
        self,
        source: EvidenceSource,
        claims: tuple[Judged, ...],
        held: _Held,
    ) -> None:
        self._source, self._claims, self._held = source, claims, held
        self._section = held.section
        self._with_curves = curves_read(claims)
        self._examiner = Examiner(held.section)
        self._runs: dict[str, Evidence] = {}
        self._faults: dict[str, tuple[str, ...]] = {}
        self._readings = Readings(self._evidence)
        self._studies: dict[str, Slots] = {}
        self._judged: dict[tuple[Any, ...], dict[str, Verdict]] = {}
        self._standing = {id(each): self._stands(each) for each in claims}
        self._misfiled = {id(each): tuple(self._out_of_place(each)) for each in claims}
        self._measured = {id(each): self._measure(each) for each in claims}

    def checks(self) -> Iterator[Check]:
        """Each claim, stored and judged again."""
        for scale, group in groupby(self._claims, key=lambda each: each.scale):
            present = tuple(group)
            again = self._again(present)
            for each in present:
                found = again[each.claim.id]
                told = tuple(dict.fromkeys(self._differences(each, found)))
                yield Check(each.claim.paper.name, scale, each.verdict, found, told)

    def _differences(self, stored: Judged, again: Verdict) -> Iterator[str]:
        yield from self._held.said
        if REHEARSED in again.exploratory:
            yield "a rehearsal, which is evidence of nothing"
        if self._held.scale not in (None, stored.scale) and not self._reasons(stored):
            yield f"at the scale {stored.scale!r}, which the file calls {self._held.scale!r}"
        yield from with_itself(stored, self._criterion(stored))
        yield from self._misfiled[id(stored)]
        for digest in stored.table.digests():
            self._evidence(digest)  # where a run beside it failed, nothing has read it so far
            yield from self._faults[digest]
        told = list(with_verdict(stored.verdict, again))
        if told and (gone := self._replaced_since(stored)):
            yield f"judged beside {', '.join(gone)}, of which another session has judged anew since"
        yield from told

    # What was run

    def _evidence(self, digest: str, *, trajectory: bool = False) -> Evidence:
        if digest not in self._runs:
            whole = trajectory or digest in self._with_curves
            found = self._source.get(digest, trajectory=whole)
            check_metrics(found)
            self._faults[digest] = self._examiner.faults(found)
            self._runs[digest] = found
        return self._runs[digest]

    def _recipe(self, digest: str) -> Recipe:
        return self._evidence(digest).recipe

    def _stands(self, stored: Judged) -> Standing:
        """What was run for a claim, held against the section."""
        claims = {stored.claim.id: entry_of(stored.claim)}
        try:
            present = Section.from_dict({**stored.study, "claims": claims})
            present.scale  # noqa: B018 - made here, where a record that lacks something can be named
        except (KeyError, TypeError, InputError) as error:
            got, wanted = f"a record of what was run that cannot be read ({error})", "a whole one"
            raise EvidenceError(f"claim {stored.claim.id!r}", got, wanted, NEXT_STEP) from error
        return Standing(present, self._section)

    def _out_of_place(self, stored: Judged) -> Iterator[str]:
        if absent := missing(stored.table):
            got = f"no run of {absent[0]}"
            wanted = "a run of each arm on each task with each seed"
            raise EvidenceError(f"claim {stored.claim.id!r}", got, wanted, NEXT_STEP)
        present = self._standing[id(stored)].present
        key = replace(present, claims={}).digest
        slots = self._studies.setdefault(key, Slots(present))
        return slots.misfiled(stored.table, self._recipe)

    def _measure(self, stored: Judged) -> Measured:
        may_collapse = self._standing[id(stored)].present.scale.may_collapse
        return measure(stored.claim.measures, stored.table, self._readings, may_collapse)

    # Standing

    def _criterion(self, stored: Judged) -> Criterion:
        """What a claim is judged by: what it says, with the registered plan where that was followed."""
        standing = self._standing[id(stored)]
        criterion = standing.present.criterion(stored.claim.id, stored.scale)
        if self._section is None or standing.common:
            return criterion
        return replace(criterion, plan=self._section.plan)

    def _reasons(self, stored: Judged) -> tuple[str, ...]:
        """Why a claim is not as registered."""
        standing = self._standing[id(stored)]
        found = (*standing.own[stored.claim.id], *standing.common)
        return (*found, NOT_ITS_RUNS) if self._misfiled[id(stored)] else found

    def _is_registered(self, stored: Judged) -> bool:
        """Whether what was measured for a claim is what its registered self asks for."""
        standing = self._standing[id(stored)]
        return standing.measures_registered(stored.claim.id) and not self._misfiled[id(stored)]

    # Verdicts

    def _again(self, present: Sequence[Judged]) -> dict[str, Verdict]:
        """The verdicts of the claims at one scale, with their standing."""
        as_registered = {
            each.claim.id: self._measured[id(each)]
            for each in (*self._claims, *present)
            if self._is_registered(each)
        }
        registered = [each for each in present if not self._reasons(each)]
        found = self._judge(registered, as_registered) if registered else {}
        part = self._part(len(as_registered))
        again = {}
        for each in present:
            name, reasons = each.claim.id, self._reasons(each)
            verdict = self._judge(self._beside(each, present))[name] if reasons else found[name]
            reasons += () if self._standing[id(each)].common else part
            # Reasons that only the store could know, as other locks that it has seen, are believed.
            known = dict.fromkeys((*reasons, *each.verdict.exploratory))
            again[name] = replace(verdict, exploratory=tuple(known))
        return again

    def _beside(self, stored: Judged, present: Sequence[Judged]) -> tuple[Judged, ...]:
        """Of the claims that it says it was judged beside, those that are here and could have been."""
        plan = self._criterion(stored).plan
        return tuple(
            each
            for each in present
            if each is stored
            or (each.claim.id in stored.beside and self._criterion(each).plan == plan)
        )

    def _replaced_since(self, stored: Judged) -> list[str]:
        """Claims that it was judged beside and whose records are of another session, or gone."""
        if not self._reasons(stored):
            return []
        here = {each.claim.id: each for each in self._claims if each.scale == stored.scale}
        mine = ((), stored.beside)
        return [name for name in stored.beside if name not in here or here[name].beside not in mine]

    def _judge(
        self, claims: Sequence[Judged], as_registered: Mapping[str, Measured] = MappingProxyType({})
    ) -> dict[str, Verdict]:
        """The registered family by what was measured of it, or else these claims beside it."""
        key = (tuple(map(id, claims)), *as_registered)
        if key not in self._judged:
            self._judged[key] = judge_under(
                self._section,
                [self._criterion(each) for each in claims],
                {each.claim.id: self._measured[id(each)] for each in claims},
                as_registered=as_registered,
                differing={each.claim.id: self._reasons(each) for each in claims},
            )
        return self._judged[key]

    def _part(self, run: int) -> tuple[str, ...]:
        """Why a part of the family is not the family, if it is one."""
        registered = len(self._section.claims) if self._section else run
        return () if run == registered else (f"{run} of {registered} registered claims were run.",)
