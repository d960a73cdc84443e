"""A small study whose runs are made up and whose judging is real, for tests of the report."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from kdcheck.study.measures import Read
from kdcheck.study.record import Judged, StoredRuns, judged

from kdcheck.claims import Arm, Claim, nats, points
from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.paper.arms import ERM, LS, SELF_KD, STANDARD_KD
from kdcheck.recipe import Recipe
from kdcheck.report import build
from kdcheck.study.graph import Graph, Question
from kdcheck.study.graph import build as build_graph
from kdcheck.study.judging import judge_all
from kdcheck.study.scale import Scale, load
from kdcheck.verdict import Measured, Verdict, judge

CLASSES = {"tweets": 3, "snippets": 2, "mrpc": 2, "sst2": 2, "qnli": 2, "mnli": 3}
ENTROPY, ACCURACY = "test/mean_entropy_nats", "test/accuracy"
# Entropy and accuracy at the end of training, by method; the larger model is surer and better.
ENDS = {
    "erm": (0.30, 0.80), "ls": (0.78, 0.802), "standard_kd": (0.22, 0.811),
    "self_kd": (0.295, 0.806), "reverse_kd": (0.33, 0.82), "virtual_teacher": (0.70, 0.80),
    "tuned_standard_kd": (0.21, 0.812), "tuned_self_kd": (0.28, 0.806),
    "tuned_reverse_kd": (0.32, 0.82), "self_training": (0.27, 0.804),
    "erm_stopped_early": (0.55, 0.76), "erm_poorly_trained": (0.6, 0.7),
}  # fmt: skip
SPREAD = 0.006
"""Standard deviation over seeds, of entropies and accuracies alike."""


class NamedDigests:
    """Digests that are names: nothing is loaded."""

    def task(self, name: str) -> str:
        return f"task-{name}"

    def encoder(self, size: str) -> str:
        return f"encoder-{size}"

    def encoder_name(self, size: str) -> str:
        return {"larger": "tiny-4", "smaller": "tiny-2"}[size]


@dataclass
class MadeUp:
    """An evidence source that makes every run of a graph up, the same each time."""

    graph: Graph
    ends: Mapping[str, tuple[float, float]] = field(default_factory=lambda: ENDS)

    def digests(self) -> set[str]:
        return set(self.graph.recipes)

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        recipe = self.graph.recipes[digest]
        method = self.graph.roles[digest].partition("/")[0]
        return made_up(recipe, *self.ends[method])


def made_up(recipe: Recipe, entropy: float, accuracy: float) -> Evidence:
    """Evidence whose entropy falls to its end and whose accuracy rises to its own."""
    chance = np.random.default_rng(zlib.crc32(recipe.digest.encode()))
    sure = 0.06 if recipe.encoder == "tiny-4" else 0.0
    classes = CLASSES[recipe.task]
    start, steps = np.log(classes), recipe.epochs * recipe.evaluations_per_epoch
    end = entropy - sure + SPREAD * chance.standard_normal()
    reached = accuracy + sure / 3 + SPREAD * chance.standard_normal()
    looks = []
    for look in range(1, steps + 1):
        share = float(np.exp(-5 * look / steps))
        level = end + (start - end) * 0.8 * share
        values = {
            ENTROPY: level,
            ACCURACY: reached - 0.3 * share,
            "train_sample/mean_entropy_nats": 0.9 * level,
        }
        epoch = look / recipe.evaluations_per_epoch
        looks.append(EvaluationPoint(step=10 * look, epoch=epoch, predictions={},
                                     values=values, weights_digest=""))  # fmt: skip
    looks[-1] = replace(looks[-1], predictions={"test": _predictions(classes)})
    return Evidence(
        recipe=recipe,
        points=tuple(looks),
        cost={"seconds": 3.5, "steps": 10.0 * steps, "train_tokens": 64_000.0},
        environment={"device": "cpu", "torch": "2.13.0"},
        notes=("3 texts were longer than 64 tokens and were cut",),
    )


def _predictions(classes: int) -> Predictions:
    logits_NK = np.eye(classes, dtype=np.float32)[np.arange(6) % classes]
    return Predictions(
        ids=tuple("abcdef"), labels_N=np.zeros(6, dtype=np.int64), logits_NK=logits_NK
    )


def entropy_gap(claim_id: str, more: Arm, less: Arm, **changes: object) -> Question:
    """A claim that one arm is less sure than another."""
    return question(claim_id, ENTROPY, more, less, **changes)


def question(claim_id: str, metric: str, more: Arm, less: Arm, **changes: object) -> Question:
    fields = {
        "says": f"{more.method} has more {metric.partition('/')[2]} than {less.method}.",
        "where": "section 4, Table 2",
        "holds": "every",
        "margin": nats(0.05),
        "because": "a third of the smallest gap",
        "paper": "+0.29 to +0.58 nats in Table 2",
    }
    claim = Claim(id=claim_id, **(fields | changes))  # type: ignore[arg-type]
    contrast = Read(more.key, metric) - Read(less.key, metric)
    return Question(claim, contrast, {arm.key: arm for arm in (more, less)})


QUESTIONS = (
    entropy_gap("ls_raises_entropy[smaller]", LS("smaller"), ERM("smaller")),
    entropy_gap("kd_raises_entropy", STANDARD_KD, ERM("smaller")),
    entropy_gap("self_kd_lowers_entropy", ERM("smaller"), SELF_KD, margin=nats(0.004)),
    question("kd_beats_erm", ACCURACY, STANDARD_KD, ERM("smaller"), margin=points(0.001)),
)
"""SUPPORTED, REFUTED, and two that so few seeds may leave open."""


def study(
    questions: Sequence[Question] = QUESTIONS,
    *,
    scale: Scale | None = None,
    seeds: int = 5,
    ends: Mapping[str, tuple[float, float]] = ENDS,
) -> tuple[list[Judged], MadeUp]:
    """Judge the questions on made-up runs of a scale, by the code that judges real ones."""
    chosen = scale or load("embedded")
    graph = build_graph(questions, chosen, tuple(range(seeds)), NamedDigests())
    source = MadeUp(graph, ends)
    verdicts = judge_all(questions, graph, source.get)
    classes = [CLASSES[task] for task in chosen.tasks]
    return [judged(q, verdicts[q.claim.id], graph, classes) for q in questions], source


def record(**arguments: object) -> dict[str, object]:
    """The record of such a study."""
    return build(*study(**arguments))  # type: ignore[arg-type]


def judge_anew(each: Judged, measured: Measured) -> Verdict:
    """The verdict on other measurements by the same criterion."""
    return judge(each.verdict.criterion, measured)


def no_runs(each: Judged) -> StoredRuns:
    """For a judgement that is shown without its runs."""
    return StoredRuns(each.runs.tasks, each.runs.seeds, {})
