"""One execution of a study: plan the graph, train what is missing, judge, record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from kdcheck.claims import Claim
from kdcheck.errors import ClaimError
from kdcheck.evidence.failure import why_lost
from kdcheck.evidence.judged import Judged, RunTable
from kdcheck.evidence.source import ReadOnce
from kdcheck.places import Places
from kdcheck.plural import plural
from kdcheck.recipe import Recipe
from kdcheck.study.ahead import Asked
from kdcheck.study.graph import Graph, build
from kdcheck.study.judging import criterion_of, measure
from kdcheck.study.lock import Lock, Section, TaskFacts, expected_recipe, section_of
from kdcheck.study.marks import facts_of_rows
from kdcheck.study.readings import Readings
from kdcheck.study.resources import Resources, ScaleDigests, check_unchanged
from kdcheck.study.scale import Scale
from kdcheck.study.seeds import seed_counts
from kdcheck.study.standing import NO_LOCK, Standing, judge_under
from kdcheck.study.work import Job
from kdcheck.verdict import Criterion, Measured, Plan, Verdict, Word
from kdcheck.verdict.guards import IdenticalDifferences, SeedIgnored
from kdcheck.verdict.words import REHEARSED

if TYPE_CHECKING:
    from kdcheck.evidence.store import Store

Train = Callable[[Job, "Store"], None]
FAILED = (Word.REFUTED, Word.EQUIVALENT, Word.INVALID)
"""Words of a premise after which more seeds do not make testable what rests on it."""
AT_TWO_CLASSES = (
    "Every task has two classes, where a teacher has no structure among wrong answers to pass on: KD "
    "sets the confidence of each example and nothing else."
)


class Session:
    """One execution of a study: everything between a set of claims and their verdicts, at one scale.

    Args:
        claims: planned, of one paper.
        scale: tasks and hyper-parameters.
        seeds: how many of the plan's seeds, or ``until-decided`` to go through its looks, each time
            with the claims that are still open.
        places: store, data, encoders and work folder.
        lock: what is registered; verdicts on anything else are exploratory.
        first_seed: where the seeds begin, instead of where the scale says.
        is_worker: whether it is one of several processes of one execution, as under pytest-xdist.
        retry_failed: name of this execution, if what has failed before is to be tried again.
        resources: of the same places, where some are loaded already.

    Raises:
        ClaimError: two claims of one id, or of two papers.
        InputError: more seeds than the plan has.
    """

    def __init__(
        self,
        claims: Sequence[Claim],
        scale: Scale,
        seeds: str,
        places: Places,
        *,
        lock: Lock | None = None,
        first_seed: int | None = None,
        is_worker: bool = False,
        retry_failed: str = "",
        resources: Resources | None = None,
    ) -> None:
        _check_family(claims)
        self.claims, self.places, self._is_worker = tuple(claims), places, is_worker
        self._retry = retry_failed
        self.lock = lock or Lock()
        first = scale.first_seed if first_seed is None else first_seed
        self.plan = Plan.of(scale.seeds)
        self.seeds = tuple(range(first, first + self.plan.looks[-1]))
        """In the order in which they count; a look takes the first so many."""
        self.counts = seed_counts(seeds, self.plan)
        self._resources = resources or Resources(places)
        self._digests = ScaleDigests(scale, self._resources)
        self.scale = replace(scale, deviations=(*scale.deviations, *self._digests.notes))
        self.family = (claims[0].paper.name, scale.name)
        self._tables: dict[str, RunTable] = {}
        self._recipes: dict[str, Recipe] = {}
        self._asked = Asked()
        self.graph = self._graph(self.claims, self.counts[0])
        self.standing = self._held_against_the_lock()
        if self.section and not self.standing.common:
            self.plan = self.section.plan

    def _graph(self, claims: Iterable[Claim], count: int) -> Graph:
        """What some claims need at a look; the others keep the runs that they have."""
        asked = list(claims)
        graph = build(asked, self.scale, self.seeds[:count], self._digests)
        self._tables |= {claim.id: graph.table(claim.measures) for claim in asked}
        self._recipes |= graph.recipes
        for claim in asked:
            self._asked.add(claim.measures, self._tables[claim.id])
        return graph

    def _held_against_the_lock(self) -> Standing:
        def facts(task: str) -> TaskFacts:
            return TaskFacts(digest=self._digests.task(task), classes=self._digests.classes(task))

        present = section_of(self.claims, self.scale, self._digests, facts, self.seeds, self.plan)
        # A rehearsal is held against nothing: no lock could register it.
        registered = None if self.scale.rehearsal else self.lock.nearest(present, self.scale.name)
        return Standing(present, registered)

    @property
    def section(self) -> Section | None:
        """The family that the lock registers for these claims, or the one most like it."""
        return self.standing.registered

    @property
    def registration(self) -> str:
        """What the lock makes of this session, on one line."""
        section = self.section
        if self.scale.rehearsal:
            return f"REHEARSAL. {REHEARSED}"
        if section is None:
            return f"EXPLORATORY. {NO_LOCK}"
        known = f"{plural(len(section.claims), 'claim')}, attempt {section.attempt}"
        text = f"lock {section.digest[:8]}, {known}"
        if common := self.standing.common:
            return f"EXPLORATORY beside {text}. {' '.join(common)}"
        here = len(section.claims.keys() & {claim.id for claim in self.claims})
        return f"{text}; {here} of them here and {len(self.others)} more in the store"

    @cached_property
    def store(self) -> Store:
        """The evidence store, made if there is none; what dead processes left RUNNING is marked."""
        from kdcheck.evidence.store import Store

        store = Store.create(self.places.store, rehearsal=self.scale.rehearsal)
        # On a server nothing locks: a worker could mark a run that another is taking up just then.
        if not self._is_worker:
            store.reap()
        return store

    def train(self, train: Train) -> None:
        """Train what is missing, look by look if the session runs until all is decided.

        Args:
            train: carries out a job and returns when all of it is in the store.
        """
        for count in self.counts:
            if count != self.counts[0]:
                self.graph = self._graph(self._open(), count)
            if self._retry:
                self.store.retry(self.graph.recipes, self._retry)
            self._forget("verdicts")
            self._forget("lost")
            if self.missing():
                train(self.job(), self.store)
                self._finished = self.store.digests()
                self._forget("lost")
            if count == self.counts[-1] or not self._open():
                break
        self._record_the_others_again()

    def read_ahead(self, finished: Iterable[str]) -> None:
        """Read runs that are finished while others train; nothing is judged."""
        self._asked.take(finished, self._readings)

    def job(self) -> Job:
        """The present graph as work."""
        return Job.of(self.graph, self.places)

    def missing(self) -> int:
        """Number of runs of the present graph that the store lacks and that can be trained."""
        return len(set(self.graph.recipes) - self._finished - self.lost.keys())

    @cached_property
    def lost(self) -> Mapping[str, str]:
        """By digest, runs that cannot be had, and why: they failed before, or a teacher of theirs did."""
        failures = self.store.failures()
        wanted = {d: recipe for d, recipe in self._recipes.items() if d not in self._finished}
        why = {digest: why_lost(recipe, failures) for digest, recipe in wanted.items()}
        return {digest: reason for digest, reason in why.items() if reason is not None}

    def failures(self) -> list[str]:
        """Arm, task and seed of each run that claims need and that cannot be had, and why."""
        missing = (each for claim in self.claims for each in self._table(claim).missing)
        return list(dict.fromkeys(map(str, missing)))

    def _forget(self, name: str) -> None:
        """Have a cached property computed anew."""
        self.__dict__.pop(name, None)

    def _table(self, claim: Claim) -> RunTable:
        """Which run is which for a claim, without those that cannot be had."""
        return self._tables[claim.id].without(self.lost.get)

    @cached_property
    def verdicts(self) -> Mapping[str, Verdict]:
        """By claim id, from the evidence in the store: of the registered family and of these claims."""
        measured = self._measured()
        as_registered = {
            claim: found
            for claim, found in measured.items()
            if self.standing.measures_registered(claim)
        }
        for each in self.others:
            assert each.verdict.measured is not None, "such a claim is no stand-in"
            as_registered[each.claim.id] = each.verdict.measured
        common, own = self.standing.common, self.standing.own
        verdicts = judge_under(
            self.section,
            [self._criterion(claim) for claim in self.claims],
            measured,
            as_registered=as_registered,
            differing={claim.id: (*common, *own[claim.id]) for claim in self.claims},
        )
        shared = (*common, *self._part(as_registered), *self._unknown_locks())
        return {
            claim: replace(verdict, exploratory=(*own.get(claim, ()), *shared))
            for claim, verdict in verdicts.items()
        }

    def _measured(self) -> dict[str, Measured]:
        collapse = self.scale.may_collapse
        return {
            each.id: measure(each.measures, self._table(each), self._readings, collapse)
            for each in self.claims
        }

    def _criterion(self, claim: Claim) -> Criterion:
        return replace(criterion_of(claim, self.scale), plan=self.plan, seeds=self.seeds)

    @cached_property
    def evidence(self) -> ReadOnce:
        """The store for readers: what verdicts were made of is not read again for the page."""
        return ReadOnce(self.store, lambda: self._finished, self._asked.has_curve)

    @cached_property
    def _readings(self) -> Readings:
        return Readings(self.evidence.get)

    def _part(self, measured: Mapping[str, Measured]) -> tuple[str, ...]:
        """Why a part of the family is not the family, if it is one."""
        if self.section is None or self.standing.common:
            return ()
        run, registered = len(measured), len(self.section.claims)
        return () if run == registered else (f"{run} of {registered} registered claims were run.",)

    def _unknown_locks(self) -> tuple[str, ...]:
        """Sections for the same data under which the store has verdicts, and that the lock hides."""
        if self.section is None:
            return ()
        hidden = [
            digest[:8]
            for digest in sorted(self.store.locks() - self.lock.digests)
            if Section.from_dict(self.store.lock(digest)).same_data(self.section)
        ]
        return tuple(
            f"The store has verdicts on the same data under the lock {each}, which this one hides."
            for each in hidden
        )

    @cached_property
    def others(self) -> list[Judged]:
        """Claims of the registered family that are not asked for now and that the store has measured."""
        if self.section is None or self.standing.common:
            return []
        asked = {claim.id for claim in self.claims}
        stored = [
            each for each in self.store.claims(paper=self.family[0]) if each.claim.id not in asked
        ]
        found = {each.claim.id: each for each in stored if self._is_as_registered(each)}
        return list(found.values())

    def _is_as_registered(self, stored: Judged) -> bool:
        """Whether a stored claim is judged by the criterion and on the runs that the lock registers."""
        section, claim, verdict = self.section, stored.claim.id, stored.verdict
        if section is None or claim not in section.claims or verdict.measured is None:
            return False
        if verdict.criterion != section.criterion(claim, stored.scale):
            return False
        expected = cache(lambda arm, task, seed: expected_recipe(section, arm, task, seed).digest)
        return all(
            digest == expected(arm, task, seed)
            for arm, tasks in stored.table.runs.items()
            for task, seeds in tasks.items()
            for seed, digest in seeds.items()
        )

    def judged(self, claim: Claim) -> Judged:
        """A claim of this session with its verdict, and the runs it rests on."""
        deviations = self.scale.deviations
        if {self._digests.classes(task) for task in self.scale.tasks} == {2}:
            deviations = (*deviations, AT_TWO_CLASSES)
        table = self._table(claim)
        lock = self.section.digest if self.section else ""
        standing = self.standing
        differs = bool(standing.common or standing.own[claim.id])
        # As registered it is the section's own, so that whoever else is asked for changes no record.
        of = standing.present if differs or self.section is None else self.section
        beside = tuple(each.id for each in self.claims) if differs else ()
        data = {task: self._data(task, table) for task in self.scale.tasks}
        found = self.verdicts[claim.id]
        return Judged(claim, found, table, deviations, lock, of.study, beside, data)

    def _data(self, task: str, table: RunTable) -> dict[str, Any]:
        """What a reader must know of the rows of a task in the runs of a claim."""
        runs = [digest for tasks in table.runs.values() for digest in tasks.get(task, {}).values()]
        longest = max((self._readings.max_length(digest) for digest in runs), default=0)
        truncated = map(self._readings.truncated, runs)
        return facts_of_rows(
            self._digests.whole(task), self.scale.rows.get(task, {}), truncated, longest
        )

    def record(self, judged: Judged) -> None:
        """Store a judged claim, and the section that it was held against beside it."""
        self.store.record_claim(judged, self._registered)

    @cached_property
    def _registered(self) -> Mapping[str, Any] | None:
        return self.section.to_dict() if self.section else None

    @cached_property
    def _finished(self) -> set[str]:
        finished = self.store.digests()
        check_unchanged(self._digests, self.store.encoders())
        return finished

    def _open(self) -> list[Claim]:
        """Claims of this session that more seeds may decide, in their order."""
        return [claim for claim in self.claims if self._is_open(self.verdicts[claim.id])]

    def _is_open(self, verdict: Verdict) -> bool:
        if verdict.word is Word.NOT_TESTABLE:
            words = {self.verdicts[p].word for p in self._premises(verdict) if p in self.verdicts}
            return words.isdisjoint(FAILED) and Word.UNDECIDED in words
        # More seeds may end these faults: the few that there are happened to agree.
        agreeing = isinstance(verdict.fault, (SeedIgnored, IdenticalDifferences))
        return verdict.word is Word.UNDECIDED or agreeing

    def _premises(self, verdict: Verdict) -> set[str]:
        """Ids of all claims that a verdict rests on, those of its premises too."""
        found: set[str] = set()
        left = list(verdict.criterion.rests_on)
        while left:
            premise = left.pop()
            if premise not in found:
                found.add(premise)
                known = self.verdicts.get(premise)
                left += known.criterion.rests_on if known else ()
        return found

    def _record_the_others_again(self) -> None:
        """Record what this session changes for claims of its family that it does not ask for."""
        for each in self.others:
            found = self.verdicts[each.claim.id]
            verdict = replace(found, criterion=replace(found.criterion, scale=each.scale))
            if verdict != each.verdict:
                self.record(
                    replace(each, verdict=verdict, lock=self.section.digest if self.section else "")
                )
        self._mark_those_of_another_lock()

    def _mark_those_of_another_lock(self) -> None:
        """Say of claims of this paper and scale that the present lock does not hold them."""
        paper, scale = self.family
        here = {claim.id for claim in self.claims} | {each.claim.id for each in self.others}
        lock = self.section.digest if self.section else ""
        for each in self.store.claims(paper=paper, scale=scale) if lock else ():
            if each.claim.id in here or each.lock == lock:
                continue
            under = f"the lock {each.lock[:8]}" if each.lock else "no lock"
            reason = f"It was judged under {under}, and the claims beside it under another."
            if reason not in each.verdict.exploratory:
                told = replace(each.verdict, exploratory=(*each.verdict.exploratory, reason))
                section = self.store.lock(each.lock) if each.lock else None
                self.store.record_claim(replace(each, verdict=told), section)


def _check_family(claims: Sequence[Claim]) -> None:
    papers = sorted({claim.paper.name for claim in claims})
    if len(papers) > 1:
        got, wanted = f"claims of {' and '.join(papers)}", "claims of one paper"
        raise ClaimError("study", got, wanted, "Run the claims of each paper by themselves.")
    ids = [claim.id for claim in claims]
    twice = sorted({claim for claim in ids if ids.count(claim) > 1})
    if twice:
        got = f"claim {twice[0]!r} twice"
        raise ClaimError("study", got, "each id once", "Rename one of them.")
