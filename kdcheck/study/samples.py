"""An invented study of two arms, judged by the real code, for examples. Nothing was trained."""

# Shapes: N examples, K classes.

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from kdcheck.claims import Claim, nats
from kdcheck.evidence.record import EvaluationPoint, Evidence, Predictions
from kdcheck.evidence.source import ClaimRecord
from kdcheck.paper.arms import ERM, LS
from kdcheck.recipe import Recipe
from kdcheck.study.graph import Graph, Question, build
from kdcheck.study.judging import judge_all, mean_entropy
from kdcheck.study.measures import Read
from kdcheck.study.record import Judged, judged
from kdcheck.study.scale import Scale

CLASSES = 3
SURENESS = {"erm": 4.0, "ls": 2.0}
"""How far the logit of the right class stands above the others, by objective."""


class SampleDigests:
    """Digests that are names, of data and weights that do not exist.

    Source: none.

    >>> SampleDigests().encoder_name("smaller")
    'tiny-1'
    """

    notes: tuple[str, ...] = ()
    """What differs between the two encoders: nothing."""

    def task(self, name: str) -> str:
        """Digest of a task."""
        return f"content of {name}"

    def encoder(self, size: str) -> str:
        """Digest of an encoder."""
        return f"weights of {size}"

    def encoder_name(self, size: str) -> str:
        """Name of an encoder."""
        return {"smaller": "tiny-1", "larger": "tiny-2"}[size]


def sample_question() -> Question:
    """That label smoothing raises the entropy.

    Source: Table 2.

    >>> sample_question().contrast.text
    'mean_entropy_nats(ls/smaller) - mean_entropy_nats(erm/smaller)'
    """
    claim = Claim(
        id="ls_raises_entropy",
        says="Label smoothing makes a classifier less sure.",
        where="Table 2",
        holds="every",
        margin=nats(0.05),
        because="the smallest gap of Table 2 is six times as large",
    )
    arms = (LS("smaller"), ERM("smaller"))
    more, less = (Read(arm.key, "test/mean_entropy_nats") for arm in arms)
    return Question(claim, more - less, {arm.key: arm for arm in arms})


def sample_scale() -> Scale:
    """A scale of one task that does not exist.

    Source: none.

    >>> sample_scale().tasks
    ('invented',)
    """
    budget = {"learning_rate": 5e-5, "epochs": 4}
    methods = {
        "erm": {"smaller": {"objective": {"name": "erm"}, **budget}},
        "ls": {"smaller": {"objective": {"name": "ls", "alpha": 0.3}, **budget}},
    }
    return Scale(
        name="invented", pair="tiny", tasks=("invented",), seeds=3, training={}, methods=methods
    )


def sample_graph() -> Graph:
    """Both arms of :func:`sample_question`, with three seeds each.

    Source: none.

    >>> len(sample_graph().recipes)
    6
    """
    return build([sample_question()], sample_scale(), (0, 1, 2), SampleDigests())


@dataclass
class SampleStore:
    """Invented runs of :func:`sample_graph`, and what was recorded of claims, in memory.

    Source: none.

    >>> digest = sample_graph().digest("ls/smaller", "invented", seed=0)
    >>> SampleStore().get(digest).recipe.objective.name
    'ls'
    """

    graph: Graph = field(default_factory=sample_graph)
    records: list[ClaimRecord] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def digests(self) -> set[str]:
        """Digests of all runs."""
        return set(self.graph.recipes)

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:  # noqa: ARG002
        """A run that was made up, the same each time."""
        return _made_up(self.graph.recipes[digest])

    def metrics(self, digests: Iterable[str]) -> dict[str, Mapping[str, float]]:
        """Final metrics by digest."""
        return {digest: self.get(digest).final.values for digest in digests}

    def claims(self) -> tuple[ClaimRecord, ...]:
        """What was recorded."""
        return tuple(self.records)

    def claim_file(self, record: ClaimRecord, name: str) -> bytes:  # noqa: ARG002
        """A file of the claim that was recorded last."""
        return self.files[name]

    def tag_claims(self, claims: Mapping[str, Iterable[str]]) -> None:
        """Runs carry no tags here."""

    def record_claim(self, record: ClaimRecord, files: Mapping[str, bytes]) -> None:
        """Keep a record and its files."""
        self.records.append(record)
        self.files.update(files)

    def run_url(self, digest: str) -> str:
        """An address that leads nowhere."""
        return f"#/runs/{digest[:8]}"

    def trainings_url(self, claim_id: str, *, chart: bool = False) -> str:  # noqa: ARG002
        """An address that leads nowhere."""
        return f"#/trainings/{claim_id}"


def _made_up(recipe: Recipe) -> Evidence:
    # Not from the digest: examples should outlive a new version of the engine.
    chance = np.random.default_rng([recipe.seed, *recipe.objective.name.encode()])
    labels_N = np.arange(12) % CLASSES
    logits_NK = np.eye(CLASSES)[labels_N] * SURENESS[recipe.objective.name]
    logits_NK += 0.1 * chance.normal(size=logits_NK.shape)
    test = Predictions(
        ids=tuple(f"test-{row}" for row in range(len(labels_N))),
        labels_N=labels_N,
        logits_NK=logits_NK.astype(np.float32),
    )
    values = {
        "test/mean_entropy_nats": mean_entropy(test.logits_NK.astype(np.float64)),
        "test/accuracy": 1.0,
    }
    point = EvaluationPoint(
        step=40, epoch=4.0, predictions={"test": test}, values=values, weights_digest=""
    )
    cost = {"seconds": 1.5, "steps": 40.0, "train_tokens": 4096.0}
    return Evidence(recipe=recipe, points=(point,), cost=cost, environment={"device": "cpu"})


def sample_judged() -> Judged:
    """:func:`sample_question`, judged on the runs of :class:`SampleStore`.

    Source: none.

    >>> sample_judged().verdict.word.value
    'SUPPORTED'
    """
    question, graph = sample_question(), sample_graph()
    verdicts = judge_all([question], graph, SampleStore().get)
    return judged(question, verdicts[question.claim.id], graph, [CLASSES])
