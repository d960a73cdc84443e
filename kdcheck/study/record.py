"""What is stored of a judged claim: enough to show it, and to judge it again elsewhere."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from kdcheck.claims import Claim, Margin
from kdcheck.evidence.record import Evidence
from kdcheck.evidence.source import ClaimRecord, EvidenceSource
from kdcheck.study import measures
from kdcheck.study.graph import Graph, Question
from kdcheck.study.judging import measure, still_changed
from kdcheck.study.measures import Measure
from kdcheck.verdict import Criterion, Verdict, judge_family

if TYPE_CHECKING:
    from kdcheck.evidence.store import Store


class _Readable(Protocol):
    """Where evidence can be had by digest."""

    def get(self, digest: str) -> Evidence:
        """Evidence of one training."""
        ...


FILE = "judged.json"
FORMAT = 1
LONGEST_NOTE = 7900
"""Characters; MLflow cuts tags at 8,000 without a word."""


@dataclass(frozen=True)
class StoredRuns:
    """Which run is which arm, as stored with a claim.

    Source: none.

    >>> StoredRuns(("mrpc",), (0,), {"erm/smaller": {"mrpc": {"0": "ab"}}}).digest(
    ...     "erm/smaller", "mrpc", 0)
    'ab'
    """

    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: Mapping[str, Mapping[str, Mapping[str, str]]]

    def digest(self, arm: str, task: str, seed: int) -> str:
        """Digest of a run."""
        return self.runs[arm][task][str(seed)]


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict, its contrast and the runs it rests on.

    Source: a card of the report.

    >>> sorted(Judged.__dataclass_fields__)
    ['claim', 'contrast', 'deviations', 'runs', 'scale', 'verdict']
    """

    claim: Claim
    contrast: Measure
    verdict: Verdict
    runs: StoredRuns
    scale: str
    deviations: tuple[str, ...]
    """Where the evidence departs from the paper, one sentence each."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` reads them back."""
        return {
            "format": FORMAT,
            "claim": dataclasses.asdict(self.claim),
            "contrast": self.contrast.to_dict(),
            "contrast_text": self.contrast.text,
            "verdict": self.verdict.to_dict(),
            "tasks": list(self.runs.tasks),
            "seeds": list(self.runs.seeds),
            "runs": {arm: dict(tasks) for arm, tasks in self.runs.runs.items()},
            "scale": self.scale,
            "deviations": list(self.deviations),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Judged:
        """The claim that :meth:`to_dict` wrote."""
        claim = Claim(**values["claim"] | {"margin": Margin(**values["claim"]["margin"])})
        return cls(
            claim=claim,
            contrast=measures.from_dict(values["contrast"]),
            verdict=Verdict.from_dict(values["verdict"]),
            runs=StoredRuns(tuple(values["tasks"]), tuple(values["seeds"]), values["runs"]),
            scale=values["scale"],
            deviations=tuple(values["deviations"]),
        )

    def digests(self) -> tuple[str, ...]:
        """Digests of every run it rests on."""
        found = {d for tasks in self.runs.runs.values() for seeds in tasks.values()
                 for d in seeds.values()}  # fmt: skip
        return tuple(sorted(found))


def judged(question: Question, verdict: Verdict, graph: Graph, classes: Iterable[int]) -> Judged:
    """Put together what is stored of a claim.

    Args:
        question: the claim and its contrast.
        verdict: on it.
        graph: which run is which arm.
        classes: K of each task, for the scope note of binary tasks.

    Returns:
        The claim with its verdict.

    Source: none.

    >>> from kdcheck.study.samples import SampleStore, sample_graph, sample_question
    >>> from kdcheck.study.judging import judge_all
    >>> question, graph = sample_question(), sample_graph()
    >>> verdict = judge_all([question], graph, SampleStore().get)[question.claim.id]
    >>> judged(question, verdict, graph, classes=[2]).deviations[0].partition(",")[0]
    'Every task has two classes'
    """
    runs = {
        arm: {
            task: {str(seed): graph.digest(arm, task, seed) for seed in graph.seeds}
            for task in graph.tasks
        }
        for arm in sorted(question.contrast.arms())
    }
    deviations = list(graph.scale.deviations)
    if set(classes) == {2}:
        deviations.append(
            "Every task has two classes, where a teacher has no structure among wrong answers to "
            "pass on: KD sets the confidence of each example and nothing else."
        )
    stored = StoredRuns(graph.tasks, graph.seeds, runs)
    return Judged(
        question.claim, question.contrast, verdict, stored, graph.scale.name, tuple(deviations)
    )


def store_claim(judged_claim: Judged, store: Store) -> None:
    """Record a judged claim in the store, with links to every run it rests on.

    Raises:
        EvidenceError: it could not be stored.

    Source: none.

    >>> from kdcheck.study.samples import SampleStore, sample_judged
    >>> store = SampleStore()
    >>> store_claim(sample_judged(), store)
    >>> store.claims()[0].tags
    {'verdict': 'SUPPORTED', 'where': 'Table 2', 'unit': 'nats'}
    """
    claim, verdict = judged_claim.claim, judged_claim.verdict
    store.tag_claims({digest: [claim.id] for digest in judged_claim.digests()})
    record = ClaimRecord(
        claim_id=claim.id,
        scale=judged_claim.scale,
        evidence=judged_claim.digests(),
        note=note(judged_claim, store),
        tags={"verdict": verdict.word.value, "where": claim.where, "unit": claim.margin.unit},
        metrics=_metrics(verdict),
        params={
            "margin": f"{claim.margin.size:g} {claim.margin.unit}".strip(),
            "because": claim.because,
            "holds": f"on {claim.holds} task",
            "contrast": judged_claim.contrast.text[:5000],
            "criterion": verdict.criterion.digest,
        },
    )
    body = json.dumps(judged_claim.to_dict(), sort_keys=True, indent=1).encode()
    store.record_claim(record, {FILE: body})


def note(judged_claim: Judged, store: Store) -> str:
    """The description of a claim's run in the MLflow UI: its first three lines show at once.

    Source: none.

    >>> from kdcheck.study.samples import SampleStore, sample_judged
    >>> print(note(sample_judged(), SampleStore()).partition("\\n")[0])
    ## Label smoothing makes a classifier less sure.
    """
    claim, verdict = judged_claim.claim, judged_claim.verdict
    rows = [
        f"| {task.name} | {task.effect:+.4f} | {task.interval.low:+.4f} | "
        f"{task.interval.high:+.4f} |"
        for task in verdict.tasks
    ]
    links = [
        f"- {arm}, {task}: " + ", ".join(
            f"[seed {seed}]({store.run_url(digest)})" for seed, digest in seeds.items()
        )
        for arm, tasks in judged_claim.runs.runs.items()
        for task, seeds in tasks.items()
    ]  # fmt: skip
    parts = [
        f"## {claim.says}",
        f"**{verdict.word} at {judged_claim.scale} scale.** {verdict.reason}",
        f"{claim.where}. {f'In the paper: {claim.paper}' if claim.paper else ''}",
        "\n".join(
            [
                f"| task | effect ({claim.margin.unit or 'no unit'}) | low | high |",
                "| --- | ---: | ---: | ---: |",
                *rows,
            ]
        ),
        f"Contrast: `{judged_claim.contrast.text}`, margin {claim.margin.size:g}: {claim.because}.",
        "Deviations from the paper:\n" + "\n".join(f"- {each}" for each in judged_claim.deviations),
        f"[Curves of these runs]({store.trainings_url(claim.id, chart=True)})",
        "\n".join(links),
    ]
    text = "\n\n".join(parts)
    if len(text) < LONGEST_NOTE:
        return text
    all_of_them = f"[All {len(judged_claim.digests())} runs]({store.trainings_url(claim.id)})"
    return "\n\n".join([*parts[:-1], all_of_them])


def _metrics(verdict: Verdict) -> dict[str, float]:
    metrics = {"n_seeds": float(verdict.seeds)}
    if verdict.effect is not None and verdict.seeds >= 2:
        interval = verdict.interval()
        metrics |= {"effect": verdict.effect, "ci_low": interval.low, "ci_high": interval.high}
    return metrics


def stored_claims(
    source: EvidenceSource, scale: str | None = None, *, but: Container[str] = ()
) -> list[Judged]:
    """Every judged claim of a store or bundle, by id.

    Args:
        source: a store or a bundle.
        scale: only claims of that scale.
        but: ids of claims to leave out.

    Returns:
        The claims with their stored verdicts.

    Source: none.

    >>> from kdcheck.study.samples import SampleStore, sample_judged
    >>> store = SampleStore()
    >>> store_claim(sample_judged(), store)
    >>> stored_claims(store) == [sample_judged()], stored_claims(store, scale="paper")
    (True, [])
    """
    found = [
        Judged.from_dict(json.loads(source.claim_file(record, FILE)))
        for record in source.claims()
        if scale in (None, record.scale) and record.claim_id not in but
    ]
    return sorted(found, key=lambda each: (each.scale, each.claim.id))


def judge_again(claims: Iterable[Judged], source: _Readable) -> dict[str, Verdict]:
    """Recompute the verdicts of one scale's claims from stored posteriors, without training.

    Args:
        claims: as stored, of one scale; judged as one family, as they were.
        source: where their runs are.

    Returns:
        By claim id.

    Raises:
        EvidenceError: a run is missing or damaged.

    Source: none.

    >>> from kdcheck.study.samples import SampleStore, sample_judged
    >>> again = judge_again([sample_judged()], SampleStore())["ls_raises_entropy"]
    >>> again == sample_judged().verdict
    True
    """
    asked = list(claims)
    criteria = [Criterion.from_dict(each.verdict.criterion.to_dict()) for each in asked]
    evidence = lru_cache(maxsize=None)(source.get)
    return judge_family(
        criteria,
        {each.claim.id: measure(each.contrast, each.runs, evidence) for each in asked},
        registered_digests=still_changed(each.verdict for each in asked),
    )
