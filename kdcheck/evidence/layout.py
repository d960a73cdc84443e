"""How a recipe, its evidence and a claim lie in MLflow: names, parameters, tags and metrics."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from kdcheck.claims import WORDINGS
from kdcheck.errors import EvidenceError
from kdcheck.evidence.evidence import Evidence
from kdcheck.evidence.judged import Judged
from kdcheck.recipe import Recipe

if TYPE_CHECKING:
    from mlflow.entities import Run

T = TypeVar("T")

TRAININGS = "kdcheck/trainings"
CLAIMS = "kdcheck/claims"

SEAL = "kdcheck.manifest"
"""Tag with the sha256 of the manifest over the run's files."""
REASON = "kdcheck.reason"
"""Tag that says why a run failed or was killed."""
COST = "total/"
"""Prefix of cost metrics: a section of charts that comes after ``test``, not first."""
ATTEMPT = "kdcheck.attempt"
"""Tag that changes each time a training is taken up."""
DEATHS = "kdcheck.deaths"
"""Tag that counts the processes that died of a training while others of their session lived on."""
RETRIED = "kdcheck.retried"
"""Tag with the session that last asked for a failed training to be tried again."""
LOCK = "kdcheck.lock"
"""Tag of claim runs: digest of the section of the lock that the claim was held against."""
CURRENT = "current"
"""Tag of claim runs: ``true`` for the newest record of a claim at a scale."""

DAMAGED = "Delete this run (kdcheck ui, or the folder of the bundle) and run again."

# MLflow cuts longer values without a word.
MAX_PARAMETER, MAX_TAG = 6000, 8000
METRICS_PER_BATCH = 1000
TAGS_PER_BATCH = 100


def told(run: Run, name: str) -> str:
    """A tag of a run, or a parameter: whoever has the UI may have changed it, or taken it away.

    Raises:
        EvidenceError: there is none of that name.
    """
    value = run.data.tags.get(name, run.data.params.get(name))
    if value is None:
        who, wanted = f"run {run.info.run_id}", "the run as kdcheck wrote it"
        raise EvidenceError(who, f"no tag or parameter {name}", wanted, DAMAGED)
    return str(value)


def seed_of(run: Run) -> int:
    """The seed of a training.

    Raises:
        EvidenceError: there is none, or it is no number.
    """
    text = told(run, "seed")
    try:
        return int(text)
    except ValueError as error:
        who, wanted = f"run {run.info.run_id}", "a number"
        raise EvidenceError(who, f"the seed {text[:60]!r}", wanted, DAMAGED) from error


def parameters(recipe: Recipe) -> dict[str, str]:
    """The recipe's fields as MLflow parameters; the objective's are ``objective.alpha``, ..."""
    flat: dict[str, str] = {}
    left_out = dict.fromkeys(field.name for field in dataclasses.fields(recipe))
    for name, value in (left_out | recipe.canonical()).items():
        parts = value.items() if isinstance(value, Mapping) else ()
        flat |= {f"{name}.{part}": _shown(inner) for part, inner in parts}
        if not isinstance(value, Mapping):
            flat[name] = _shown(value)
    flat["objective"] = flat.pop("objective.name")
    return _checked_lengths(flat, MAX_PARAMETER, "parameter")


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def recipe_tags(recipe: Recipe, *, role: str, claims: Iterable[str]) -> dict[str, str]:
    """Tags of a training: what it is, and which claims it serves."""
    tags = {
        "digest": recipe.digest,
        "prefix_digest": recipe.prefix_digest or "none",
        "role": role,
        "task": recipe.task,
        "encoder": recipe.encoder,
        "objective": recipe.objective.name,
        "seed": str(recipe.seed),
        "teacher": recipe.teacher.digest if recipe.teacher else "none",
        "mlflow.runName": f"{recipe.objective.name} {recipe.task} {role} {recipe.seed}",
        "mlflow.source.name": "kdcheck",
        "mlflow.note.content": recipe.summary(),
    }
    return _checked_lengths(tags | claim_tags(claims), MAX_TAG, "tag")


def claim_tags(claims: Iterable[str]) -> dict[str, str]:
    """Tags that tie a training to the claims it is evidence for."""
    ids = sorted(set(claims))
    tags = {"claims": ", ".join(ids)} if ids else {}
    tags |= {claim_tag(claim_id): "evidence" for claim_id in ids}
    return _checked_lengths(tags, MAX_TAG, "tag")


def claim_tag(claim_id: str) -> str:
    """Name of the tag for one claim; MLflow allows no brackets there."""
    return "claim." + re.sub(r"[^\w.-]+", ".", claim_id, flags=re.ASCII).strip(".")


def judged_tags(judged: Judged, note: str) -> dict[str, str]:
    """Tags of a claim's run: what the UI filters by, and its description."""
    claim, word, standing = judged.claim, judged.verdict.word.value, judged.verdict.standing
    # Filters by verdict must not find what is no evidence.
    filed = f"REHEARSAL {word}" if standing == "REHEARSAL" else word
    paper, scale = judged.family
    shown = f"{word} {standing}" if judged.verdict.exploratory else word
    tags = {
        "claim": claim.id,
        "paper": paper,
        "scale": scale,
        "verdict": filed,
        "standing": standing,
        "theme": claim.theme,
        "where": claim.where,
        "unit": claim.margin.unit,
        "data": "; ".join(
            f"{task}: {', '.join(facts['marks'])}"
            for task, facts in judged.data.items()
            if facts["marks"]
        ),
        "mlflow.runName": f"{claim.id} {shown}",
        "mlflow.source.name": "kdcheck",
        "mlflow.note.content": note,
    }
    return _checked_lengths(tags, MAX_TAG, f"claim {claim.id}, tag")


def judged_parameters(judged: Judged) -> dict[str, str]:
    """The criterion of a judged claim, as parameters of its run."""
    claim = judged.claim
    params = {
        "margin": f"{claim.margin.size:g} {claim.margin.unit}".strip(),
        "because": claim.because,
        "holds": WORDINGS[claim.holds],
        "contrast": claim.measures.text[:5000],
        "criterion": judged.verdict.criterion.digest,
    }
    return _checked_lengths(params, MAX_PARAMETER, f"claim {claim.id}, parameter")


def judged_metrics(judged: Judged) -> list[tuple[str, float, int]]:
    """What the UI sorts claims by, as (name, value, step)."""
    verdict = judged.verdict
    metrics = {"n_seeds": float(verdict.seeds)}
    if verdict.effect is not None and verdict.seeds >= 2:
        interval = verdict.interval()
        metrics |= {"effect": verdict.effect, "ci_low": interval.low, "ci_high": interval.high}
    _check_finite(metrics, f"claim {judged.claim.id}")
    return [(name, value, 0) for name, value in metrics.items()]


def metric_rows(evidence: Evidence) -> list[tuple[str, float, int]]:
    """All metrics as (name, value, step): the curves, and the cost as totals at the last step."""
    rows = [(n, v, p.step) for p in evidence.points for n, v in p.values.items()]
    last = evidence.final.step
    rows += [(f"{COST}{name}", value, last) for name, value in evidence.cost.items()]
    _check_finite({name: value for name, value, _ in rows}, f"recipe {evidence.recipe.short}")
    return rows


def _check_finite(metrics: Mapping[str, float], who: str) -> None:
    """Refuse NaN, and infinity, which MLflow would store as 1.8e308."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise EvidenceError(
                f"{who}, metric {name!r}", f"{value}", "a finite number", "Leave it out instead."
            )


def _checked_lengths(values: Mapping[str, str], longest: int, kind: str) -> dict[str, str]:
    """The values, unless one is so long that MLflow would cut it."""
    for name, value in values.items():
        if len(value) > longest:
            raise EvidenceError(
                f"{kind} {name!r}",
                f"{len(value)} characters",
                f"at most {longest}, since MLflow cuts the rest off",
                "Put it in a file of the run and keep a digest of it here.",
            )
    return dict(values)


def chunks(values: Sequence[T], size: int) -> list[Sequence[T]]:
    """The values in pieces of at most ``size``."""
    return [values[start : start + size] for start in range(0, len(values), size)]
