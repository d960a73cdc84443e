"""One execution of a study: plan the graph, train what is missing, judge, record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.errors import ClaimError, InputError
from kdcheck.study.graph import Graph, Question, build
from kdcheck.study.judging import REGISTERED_SEEDS, criterion_of, judge_all
from kdcheck.study.resources import Resources, ScaleDigests
from kdcheck.study.scale import Scale
from kdcheck.study.work import Job
from kdcheck.verdict import Plan, Verdict, Word
from kdcheck.verdict.guards import IdenticalDifferences, SeedIgnored

if TYPE_CHECKING:
    from kdcheck.evidence.store import Store
    from kdcheck.study.record import Judged

UNTIL_DECIDED = "until-decided"
Train = Callable[[Job, "Store"], None]


@dataclass(frozen=True)
class Where:
    """Where a session reads and writes.

    Source: none.

    >>> Where(store="s", folder=Path("w")).data_dir is None
    True
    """

    store: str
    folder: Path
    data_dir: Path | None = None
    model_dir: Path | None = None
    cache_dir: Path | None = None


class Session:
    """Everything between a set of claims and their verdicts, at one scale.

    Args:
        questions: claims with their contrasts, judged as one family.
        scale: tasks and hyper-parameters.
        seeds: how many of the registered seeds, or ``until-decided`` to stop at the first planned
            look at which every claim is decided.
        where: store and folders.
        is_worker: whether it is one of several processes of one execution, as under pytest-xdist.

    Raises:
        ClaimError: two claims of one id.
        InputError: more seeds than are registered.

    Source: docs/verdicts.md.

    >>> Session.__init__.__name__
    '__init__'
    """

    def __init__(
        self,
        questions: Sequence[Question],
        scale: Scale,
        seeds: str,
        where: Where,
        *,
        is_worker: bool = False,
    ) -> None:
        ids = [question.claim.id for question in questions]
        twice = sorted({claim for claim in ids if ids.count(claim) > 1})
        if twice:
            raise ClaimError(
                "study", f"claim {twice[0]!r} twice", "each id once", "Rename one of them."
            )
        self.questions = tuple(questions)
        self.where = where
        self._is_worker = is_worker
        self.counts = seed_counts(seeds)
        self._resources = Resources(
            data_dir=where.data_dir, model_dir=where.model_dir, cache_dir=where.cache_dir
        )
        self._digests = ScaleDigests(scale, self._resources)
        self.scale = replace(scale, deviations=(*scale.deviations, *self._digests.notes))
        self.graph = self._graph(self.counts[0])

    def _graph(self, count: int) -> Graph:
        return build(self.questions, self.scale, REGISTERED_SEEDS[:count], self._digests)

    @cached_property
    def store(self) -> Store:
        """The evidence store, made if there is none; what dead processes left RUNNING is marked."""
        from kdcheck.evidence.store import Store

        store = Store.create(self.where.store)
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
        paths = dataclasses.asdict(self.where)
        return Job.of(self.graph, **paths)

    def missing(self) -> int:
        """Number of runs of the present graph that the store lacks."""
        return len(set(self.graph.recipes) - self._finished)

    @cached_property
    def verdicts(self) -> Mapping[str, Verdict]:
        """By claim id, from the evidence in the store; the family is every claim that it holds."""
        registered = self.store.registered_criteria(self.scale.name)
        return judge_all(
            self.questions,
            self.graph,
            self.store.get,
            registered=registered,
            beside=[each.verdict for each in self.others],
        )

    @cached_property
    def others(self) -> list[Judged]:
        """Judged claims of the scale that the store holds and this session does not ask for."""
        from kdcheck.study.record import stored_claims

        asked = {question.claim.id for question in self.questions}
        return stored_claims(self.store, self.scale.name, but=asked)

    def num_classes(self, task: str) -> int:
        """K of one of the scale's tasks."""
        return self._digests.classes(task)

    @cached_property
    def _finished(self) -> set[str]:
        return self.store.digests()

    def _all_decided(self) -> bool:
        asked = [self.verdicts[question.claim.id] for question in self.questions]
        # More seeds may end these faults: the few that there are happened to agree.
        agreeing = (SeedIgnored, IdenticalDifferences)
        return not any(
            verdict.word is Word.UNDECIDED or isinstance(verdict.fault, agreeing)
            for verdict in asked
        )

    def _judge_the_others_again(self) -> None:
        """Record what this session's claims change for the rest of their family."""
        from kdcheck.study.record import store_claim

        for each in self.others:
            verdict = self.verdicts[each.claim.id]
            if verdict != each.verdict:
                store_claim(replace(each, verdict=verdict), self.store)

    def _register(self) -> None:
        """Write down each criterion before its first run; later ones are held against it.

        A run of other settings counts too: else a new setting that changes nothing would let a
        margin be moved.
        """
        begun = self.store.begun_claims(self.scale.tasks)
        digests = {q.claim.id: criterion_of(q, self.scale).digest for q in self.questions}
        earlier = self.store.registered_criteria(self.scale.name)
        kept = {claim: digest for claim, digest in earlier.items() if claim in begun}
        self.store.register_criteria(self.scale.name, {**digests, **kept})


def seed_counts(seeds: str) -> tuple[int, ...]:
    """The numbers of seeds that a session goes through.

    Args:
        seeds: a number, or ``until-decided``.

    Returns:
        That number, or the planned looks.

    Raises:
        InputError: neither, or more seeds than are registered.

    Source: planned looks, docs/verdicts.md.

    >>> seed_counts("5"), seed_counts("until-decided")
    ((5,), (3, 5, 7, 10))
    """
    if seeds == UNTIL_DECIDED:
        return Plan().looks
    if not seeds.isdigit() or not 1 <= int(seeds) <= len(REGISTERED_SEEDS):
        raise InputError(
            "seeds",
            repr(seeds),
            f"a number from 1 to {len(REGISTERED_SEEDS)}, or {UNTIL_DECIDED}",
            "More seeds than are registered would be a new criterion.",
        )
    return (int(seeds),)
