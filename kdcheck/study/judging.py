"""From evidence to verdicts: what each claim's contrast gives per task and seed, judged as a family."""

# Shapes: N examples, K classes.

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

from kdcheck.evidence.record import Evidence
from kdcheck.study.graph import Graph, Question
from kdcheck.study.measures import AT_TEMPERATURE, FLOOR, Measure, Read, Values
from kdcheck.study.scale import Scale
from kdcheck.theory import smoothing_entropy_floor
from kdcheck.verdict import Criterion, Measured, TaskEffects, Verdict, judge_family
from kdcheck.verdict.guards import CriterionChanged

DEGENERATE_SHARE = 0.995
"""A run that puts this share of test examples in one class tells nothing of its method."""
REGISTERED_SEEDS = tuple(range(10))
"""Seeds in the order in which they count; a study runs the first so many."""

Evidences = Callable[[str], Evidence]


class Runs(Protocol):
    """Which run is which arm on which task with which seed: a graph, or what was stored of one.

    Source: none.

    >>> from kdcheck.study.samples import sample_graph
    >>> runs: Runs = sample_graph()
    >>> runs.tasks, runs.seeds, len(runs.digest("erm/smaller", "invented", 0))
    (('invented',), (0, 1, 2), 64)
    """

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        ...

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that were run."""
        ...

    def digest(self, arm: str, task: str, seed: int) -> str:
        """Digest of a run."""
        ...


class EvidenceView:
    """What a measure may see of one run: metrics by name, and their curves.

    Source: none.

    >>> EvidenceView.__init__.__name__
    '__init__'
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def metric(self, name: str) -> float:
        """A metric of the finished model, or the floor that its label smoothing implies."""
        if name == FLOOR:
            alpha = float(self._evidence.recipe.objective.as_dict()["alpha"])
            classes = self._evidence.final.predictions["test"].logits_NK.shape[1]
            return smoothing_entropy_floor(alpha, classes)
        plain, _, temperature = name.partition(AT_TEMPERATURE)
        if temperature:
            split = plain.partition("/")[0]
            logits_NK = self._evidence.final.predictions[split].logits_NK.astype(np.float64)
            return mean_entropy(logits_NK / float(temperature))
        return self._evidence.final.values[name]

    def curve(self, name: str) -> Values:
        """The same metric at every evaluation point."""
        return np.array([point.values[name] for point in self._evidence.points])

    @property
    def is_degenerate(self) -> bool:
        """Whether the finished model puts (almost) every test example in one class."""
        predicted_N = self._evidence.final.predictions["test"].logits_NK.argmax(axis=1)
        return bool(np.bincount(predicted_N).max() >= DEGENERATE_SHARE * len(predicted_N))


def mean_entropy(logits_NK: Values) -> float:
    """Mean posterior entropy from logits, in nats, without torch.

    Args:
        logits_NK: shape (N, K), float64.

    Returns:
        Nats, from 0 to log K.

    Source: H(p) of section 3, averaged as in Table 2.

    >>> round(mean_entropy(np.zeros((2, 4))), 4)
    1.3863
    """
    shifted_NK = logits_NK - logits_NK.max(axis=1, keepdims=True)
    log_p_NK = shifted_NK - np.log(np.exp(shifted_NK).sum(axis=1, keepdims=True))
    return float(-(np.exp(log_p_NK) * log_p_NK).sum(axis=1).mean())


def criterion_of(question: Question, scale: Scale) -> Criterion:
    """The criterion that a claim registers at a scale.

    Args:
        question: the claim and its contrast.
        scale: whose tasks it is judged on.

    Returns:
        What decides the verdict, with a digest that a later change would alter.

    Source: the claim's own section and tables.

    >>> from kdcheck.study.samples import sample_question, sample_scale
    >>> criterion = criterion_of(sample_question(), sample_scale())
    >>> criterion.tasks, criterion.margin, criterion.unit
    (('invented',), 0.05, 'nats')
    """
    claim = question.claim
    return Criterion(
        claim=claim.id,
        tasks=scale.tasks,
        margin=claim.margin.size,
        because=claim.because,
        unit=claim.margin.unit,
        contrast=question.contrast.text,
        direction=claim.direction,
        says=claim.says,
        holds=claim.holds,
        scale=scale.name,
        seeds=REGISTERED_SEEDS,
    )


def measure(contrast: Measure, runs: Runs, evidence: Evidences) -> Measured:
    """A claim's contrast on every task with every seed.

    Args:
        contrast: what is computed from the runs of one task and seed.
        runs: which run is which arm on which task with which seed.
        evidence: from digest to evidence.

    Returns:
        Effects, raw readings for the guards, and runs that are degenerate.

    Source: decision 0005: one seed of the whole pipeline is one replication.

    >>> from kdcheck.study.samples import SampleStore, sample_graph, sample_question
    >>> measured = measure(sample_question().contrast, sample_graph(), SampleStore().get)
    >>> [round(effect, 2) for effect in measured.tasks["invented"].effects]
    [0.51, 0.48, 0.49]
    """
    return Measured(
        tasks={task: _effects_on(contrast, runs, task, evidence) for task in runs.tasks},
        seeds_expected=len(runs.seeds),
    )


def _effects_on(contrast: Measure, runs: Runs, task: str, evidence: Evidences) -> TaskEffects:
    seeded = (read for read in contrast.reads() if read.name != FLOOR)
    reads = sorted(seeded, key=lambda read: read.text)
    effects: list[float] = []
    arms: dict[str, list[float]] = {read.text: [] for read in reads}
    degenerate: set[str] = set()
    for seed in runs.seeds:
        views = {
            arm: EvidenceView(evidence(runs.digest(arm, task, seed))) for arm in contrast.arms()
        }
        effects.append(float(contrast.value(views.__getitem__)))
        for read in reads:
            arms[read.text].append(_raw(read, views[read.arm]))
        degenerate |= {f"{arm} seed {seed}" for arm, view in views.items() if view.is_degenerate}
    return TaskEffects(
        seeds=runs.seeds,
        effects=tuple(effects),
        arms={name: tuple(values) for name, values in arms.items()},
        degenerate_runs=tuple(sorted(degenerate)),
    )


def _raw(read: Read, view: EvidenceView) -> float:
    return float(view.curve(read.name).mean()) if read.curve else view.metric(read.name)


def judge_all(
    questions: Iterable[Question],
    graph: Graph,
    evidence: Evidences,
    *,
    registered: Mapping[str, str] | None = None,
    beside: Sequence[Verdict] = (),
) -> dict[str, Verdict]:
    """Verdicts on all claims of a study, judged as one family.

    Args:
        questions: claims with their contrasts.
        graph: which run is which arm.
        evidence: from digest to evidence; each is asked for once.
        registered: digests of the criteria as stored before the first run, by claim id.
        beside: verdicts on other claims of the same scale, as stored; they belong to the family,
            so that asking for one claim alone does not make it easier.

    Returns:
        By claim id, those judged beside it too.

    Source: Holm over the family, docs/verdicts.md.

    >>> from kdcheck.study.samples import SampleStore, sample_graph, sample_question
    >>> verdicts = judge_all([sample_question()], sample_graph(), SampleStore().get)
    >>> {claim: verdict.word.value for claim, verdict in verdicts.items()}
    {'ls_raises_entropy': 'SUPPORTED'}
    """
    asked = list(questions)
    cached = lru_cache(maxsize=None)(evidence)
    measured: dict[str, Measured | None] = {
        question.claim.id: measure(question.contrast, graph, cached) for question in asked
    }
    return judge_family(
        [
            *(criterion_of(question, graph.scale) for question in asked),
            *(verdict.criterion for verdict in beside),
        ],
        measured | {verdict.criterion.claim: verdict.measured for verdict in beside},
        registered_digests={**(registered or {}), **still_changed(beside)},
    )


def still_changed(stored: Iterable[Verdict]) -> dict[str, str]:
    """For claims whose criterion was found changed, a digest that it is not.

    What was registered before their first run is not stored with them, only that it was another.

    Source: none.

    >>> still_changed([])
    {}
    """
    return {
        verdict.criterion.claim: "another"
        for verdict in stored
        if isinstance(verdict.fault, CriterionChanged)
    }
