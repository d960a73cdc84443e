"""One execution of a study: plan the graph, train what is missing, judge, record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from kdcheck.claims import Claim
from kdcheck.errors import ClaimError, InputError
from kdcheck.evidence.judged import Judged
from kdcheck.places import Places
from kdcheck.study.graph import Graph, build
from kdcheck.study.judging import REGISTERED_SEEDS, criterion_of, judge_all
from kdcheck.study.resources import Resources, ScaleDigests
from kdcheck.study.scale import Scale
from kdcheck.study.work import Job
from kdcheck.verdict import Plan, Verdict, Word
from kdcheck.verdict.guards import IdenticalDifferences, SeedIgnored

if TYPE_CHECKING:
    from kdcheck.evidence.store import Store

UNTIL_DECIDED = "until-decided"
Train = Callable[[Job, "Store"], None]
AT_TWO_CLASSES = (
    "Every task has two classes, where a teacher has no structure among wrong answers to pass on: KD "
    "sets the confidence of each example and nothing else."
)


class Session:
    """One execution of a study: everything between a set of claims and their verdicts, at one scale.

    Args:
        claims: planned, of one paper; judged as one family.
        scale: tasks and hyper-parameters.
        seeds: how many of the registered seeds, or ``until-decided`` to stop at the first planned
            look at which every claim is decided.
        places: store, data, encoders and work folder.
        is_worker: whether it is one of several processes of one execution, as under pytest-xdist.

    Raises:
        ClaimError: two claims of one id, or of two papers.
        InputError: more seeds than are registered.
    """

    def __init__(
        self,
        claims: Sequence[Claim],
        scale: Scale,
        seeds: str,
        places: Places,
        *,
        is_worker: bool = False,
    ) -> None:
        _check_family(claims)
        self.claims, self.places, self._is_worker = tuple(claims), places, is_worker
        self.counts = seed_counts(seeds)
        self._resources = Resources(places)
        self._digests = ScaleDigests(scale, self._resources)
        self.scale = replace(scale, deviations=(*scale.deviations, *self._digests.notes))
        self.family = (claims[0].paper.name, scale.name)
        self.graph = self._graph(self.counts[0])

    def _graph(self, count: int) -> Graph:
        return build(self.claims, self.scale, REGISTERED_SEEDS[:count], self._digests)

    @cached_property
    def store(self) -> Store:
        """The evidence store, made if there is none; what dead processes left RUNNING is marked."""
        from kdcheck.evidence.store import Store

        store = Store.create(self.places.store)
        # On a server nothing locks: a worker could mark a run that another is taking up just then.
        if not self._is_worker:
            store.reap()
        return store

    def train(self, train: Train) -> None:
        """Train what is missing, look by look if the session runs until all is decided.

        Args:
            train: carries out a job and returns when all of it is in the store.
        """
        self._register()
        for count in self.counts:
            if len(self.graph.seeds) != count:
                self.graph = self._graph(count)
            self.__dict__.pop("verdicts", None)
            if self.missing():
                train(self.job(), self.store)
                self._finished = self.store.digests()
            if count == self.counts[-1] or self._all_decided():
                break
        self._judge_the_others_again()

    def job(self) -> Job:
        """The present graph as work."""
        return Job.of(self.graph, self.places)

    def missing(self) -> int:
        """Number of runs of the present graph that the store lacks."""
        return len(set(self.graph.recipes) - self._finished)

    @cached_property
    def verdicts(self) -> Mapping[str, Verdict]:
        """By claim id, from the evidence in the store; the family is every claim that it holds."""
        registered = self.store.registered_criteria(self.family)
        beside = [each.verdict for each in self.others]
        return judge_all(
            self.claims, self.graph, self.store.get, registered=registered, beside=beside
        )

    @cached_property
    def others(self) -> list[Judged]:
        """Judged claims of the family that the store holds and this session does not ask for."""
        asked = {claim.id for claim in self.claims}
        paper, scale = self.family
        stored = self.store.claims(paper=paper, scale=scale)
        return [each for each in stored if each.claim.id not in asked]

    def judged(self, claim: Claim) -> Judged:
        """A claim of this session with its verdict, and the runs it rests on."""
        deviations = self.scale.deviations
        if {self._digests.classes(task) for task in self.scale.tasks} == {2}:
            deviations = (*deviations, AT_TWO_CLASSES)
        table = self.graph.table(claim.measures)
        return Judged(claim, self.verdicts[claim.id], table, deviations)

    @cached_property
    def _finished(self) -> set[str]:
        return self.store.digests()

    def _all_decided(self) -> bool:
        asked = [self.verdicts[claim.id] for claim in self.claims]
        # More seeds may end these faults: the few that there are happened to agree.
        agreeing = (SeedIgnored, IdenticalDifferences)
        return not any(v.word is Word.UNDECIDED or isinstance(v.fault, agreeing) for v in asked)

    def _judge_the_others_again(self) -> None:
        """Record what this session's claims change for the rest of their family."""
        for each in self.others:
            verdict = self.verdicts[each.claim.id]
            if verdict != each.verdict:
                self.store.record_claim(replace(each, verdict=verdict))

    def _register(self) -> None:
        """Write down each criterion before its first run; later ones are held against it.

        A run of other settings counts too: else a new setting that changes nothing would let a
        margin be moved.
        """
        begun = self.store.begun_claims(self.scale.tasks)
        digests = {claim.id: criterion_of(claim, self.scale).digest for claim in self.claims}
        earlier = self.store.registered_criteria(self.family)
        kept = {claim: digest for claim, digest in earlier.items() if claim in begun}
        self.store.register_criteria(self.family, {**digests, **kept})


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


def seed_counts(seeds: str) -> tuple[int, ...]:
    """The numbers of seeds that a session goes through: that number, or the planned looks.

    Raises:
        InputError: neither, or more seeds than are registered.
    """
    if seeds == UNTIL_DECIDED:
        return Plan().looks
    if not seeds.isdigit() or not 1 <= int(seeds) <= len(REGISTERED_SEEDS):
        wanted = f"a number from 1 to {len(REGISTERED_SEEDS)}, or {UNTIL_DECIDED}"
        next_step = "More seeds than are registered would be a new criterion."
        raise InputError("seeds", repr(seeds), wanted, next_step)
    return (int(seeds),)
