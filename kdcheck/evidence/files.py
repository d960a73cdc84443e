"""Evidence as files: parquet and JSON in a folder, sealed by a manifest of sha256 sums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from kdcheck.border import json_of
from kdcheck.claims import Paper
from kdcheck.errors import EvidenceError, KdcheckError
from kdcheck.evidence import parquet
from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.evidence.judged import FORMAT as JUDGED_FORMAT
from kdcheck.evidence.judged import Judged
from kdcheck.evidence.layout import DAMAGED
from kdcheck.evidence.shapes import FILES, departure
from kdcheck.places import stays_inside
from kdcheck.recipe import Recipe

FORMAT = 2
"""Version of the layout; readers refuse another."""
MANIFEST = "manifest.json"
TRAJECTORY = "posteriors/trajectory.parquet"
CLAIM, PAPER, LOCK = "judged.json", "paper.json", "lock.json"
TEST_SAMPLE = "test_sample"
"""The sample of test text that a curve follows."""
UNREADABLE = (KdcheckError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What our own classes say of values of the right shape that mean nothing to them."""


class SealedFiles:
    """Files that are checked against their manifest as they are read; its seal is kept elsewhere."""

    def __init__(self, read: Callable[[str], bytes], seal: str, who: str) -> None:
        self._read = read
        self.who = who
        self._sums = {MANIFEST: seal}
        manifest = self.parsed(MANIFEST)
        found = manifest.get("format") if isinstance(manifest, dict) else None
        if found != FORMAT:
            raise EvidenceError(
                who,
                f"evidence of format {found!r}",
                f"format {FORMAT}",
                "Read it with the version of kdcheck that wrote it.",
            )
        for name in self.shaped(MANIFEST, manifest)["files"]:
            check_inside(who, name)
        self._sums.update(manifest["files"])

    @property
    def names(self) -> list[str]:
        """Names of the files, sorted, without the manifest."""
        return sorted(self._sums.keys() - {MANIFEST})

    def read(self, name: str) -> bytes:
        """Content of one file."""
        wanted = self._sums.get(name)
        if wanted is None:
            raise self._damaged(f"no file {name} in the manifest", f"one of {self.names}")
        try:
            content = self._read(name)
        except (FileNotFoundError, NotADirectoryError, KeyError) as error:
            raise self._damaged(f"no file {name}", "the file as it was written") from error
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            got = f"{name} with sha256 {found[:12]} ({len(content)} bytes)"
            raise self._damaged(got, f"sha256 {wanted[:12]}, as it was written")
        return content

    def read_json(self, name: str) -> Any:
        """Content of one JSON file, of the shape that a file of that name has."""
        return self.shaped(name, self.parsed(name))

    def parsed(self, name: str) -> Any:
        """Content of one JSON file, whatever it is: its format is to be asked first."""
        try:
            return json_of(self.read(name))
        except ValueError as error:
            raise self._damaged(f"{name} with {error}", "JSON as it was written") from error

    def shaped(self, name: str, values: Any) -> Any:
        """The values of a JSON file, unless they are not of its shape."""
        if told := departure(FILES[name], values):
            raise self._damaged(f"{name}, {told}", "values of the kinds that kdcheck writes")
        return values

    def _damaged(self, got: str, wanted: str) -> EvidenceError:
        return EvidenceError(self.who, got, wanted, DAMAGED)


def check_inside(who: str, name: str) -> None:
    """Refuse a name in a received manifest that leads out: a copy would be written there."""
    if not stays_inside(name):
        next_step = "Do not use this evidence: no version of kdcheck wrote that name."
        raise EvidenceError(who, f"the name {name!r}", "names inside its folder", next_step)


def seal(folder: Path) -> str:
    """Write the manifest over every file in ``folder`` and return the manifest's sha256."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    sums = {name: _sum_of(folder / name) for name in names if name != MANIFEST}
    return write_json(folder / MANIFEST, {"format": FORMAT, "files": sums})


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.sha256).hexdigest()


def write_json(path: Path, values: Any, *, indent: int | None = 1) -> str:
    """Write JSON with sorted keys, the same bytes for the same values; return its sha256.

    Without an indent a large file takes a tenth of the time.
    """
    text = json.dumps(values, sort_keys=True, indent=indent, ensure_ascii=False, allow_nan=False)
    content = f"{text}\n".encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def digest_of(values: Any) -> str:
    """sha256 of JSON values, however they are laid out in a file."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_evidence(folder: Path, evidence: Evidence, *, trajectory: bool = True) -> None:
    """Write evidence, the same bytes for the same; the trajectory is the logits of earlier points."""
    check_evidence(evidence)
    write_json(folder / "recipe.json", evidence.recipe.to_dict())
    write_json(folder / "environment.json", dict(evidence.environment))
    write_json(folder / "cost.json", dict(evidence.cost))
    points = [
        {
            "step": point.step,
            "epoch": point.epoch,
            "values": dict(point.values),
            "weights_digest": point.weights_digest,
        }
        for point in evidence.points
    ]
    write_json(folder / "points.json", {"points": points, "notes": list(evidence.notes)})
    for split, predictions in sorted(evidence.final.predictions.items()):
        parquet.write_predictions(folder / f"posteriors/{split}.parquet", predictions)
    if trajectory and evidence.points[1:]:
        parquet.write_trajectory(folder / TRAJECTORY, evidence.points[:-1])


def check_evidence_of(recipe: Recipe, evidence: Evidence) -> None:
    """Refuse evidence of another recipe, or of no use."""
    if evidence.recipe.digest != recipe.digest:
        who, got = f"finish recipe {recipe.short}", f"evidence of recipe {evidence.recipe.short}"
        raise EvidenceError(who, got, "its own", "Pass the evidence of the run that was begun.")
    check_evidence(evidence)


def check_evidence(evidence: Evidence) -> None:
    """Refuse evidence that could not be read back as it is or that a verdict could not use."""
    who = f"evidence of recipe {evidence.recipe.short}"
    _check_points(who, evidence)
    _check_test_logits(evidence, who)
    numbers = {f"cost {name}": value for name, value in evidence.cost.items()}
    for point in evidence.points:
        named = point.values.items()
        numbers |= {f"{name} at step {point.step}": value for name, value in named}
        for split, predictions in point.predictions.items():
            if not np.isfinite(predictions.logits_NK).all():
                numbers[f"logits of {split} at step {point.step}"] = np.nan
    for name, value in numbers.items():
        if not np.isfinite(value):
            raise EvidenceError(
                who,
                f"{name} = {value}",
                "finite numbers",
                "The run diverged; lower the learning rate, or leave a metric out that this "
                "split does not have.",
            )


def _check_points(who: str, evidence: Evidence) -> None:
    steps = [point.step for point in evidence.points]
    if not steps or any(b <= a for a, b in pairwise(steps)):
        wanted = "at least one evaluation point, steps rising"
        raise EvidenceError(who, f"points at steps {steps}", wanted, "Record each point once.")
    if not evidence.final.predictions:
        got = f"no logits at the last step, {steps[-1]}"
        raise EvidenceError(who, got, "logits of at least one split", "Evaluate at the end.")


def read_evidence(sealed: SealedFiles, *, trajectory: bool = False) -> Evidence:
    """Read back what :func:`write_evidence` wrote, on demand with the logits of earlier points."""
    splits = [
        name.removeprefix("posteriors/").removesuffix(".parquet")
        for name in sealed.names
        if name.startswith("posteriors/") and name != TRAJECTORY
    ]
    record = sealed.read_json("points.json")
    by_step: Mapping[int, Mapping[str, Predictions]] = {}
    if trajectory and record["points"][1:]:
        _require_trajectory(sealed, record["points"])
        by_step = parquet.read_trajectory(sealed.read(TRAJECTORY), f"{sealed.who}, {TRAJECTORY}")
    final = parquet.Decoded({s: sealed.read(f"posteriors/{s}.parquet") for s in splits}, sealed.who)
    values = record["points"]
    points = [
        EvaluationPoint(**point, predictions=by_step.get(point["step"], {}))
        for point in values[:-1]
    ]
    points.append(EvaluationPoint(**values[-1], predictions=final))
    evidence = Evidence(
        recipe=Recipe.from_dict(sealed.read_json("recipe.json")),
        points=tuple(points),
        cost=sealed.read_json("cost.json"),
        environment=sealed.read_json("environment.json"),
        notes=tuple(record["notes"]),
    )
    _check_points(sealed.who, evidence)
    return evidence


def read_validation(sealed: SealedFiles) -> Predictions:
    """Logits on the validation split: all that selection may see. No file with test logits is opened."""
    return parquet.read_predictions(sealed.read("posteriors/validation.parquet"))


def kept_of_test(evidence: Evidence) -> str:
    """What a run kept of the test split, and for what: a sentence's part for its tag."""
    *before, last = evidence.points
    whole = (
        f"{len(last.predictions['test'].ids)} rows at the end" if "test" in last.predictions else ""
    )
    sampled = [len(p.predictions[TEST_SAMPLE].ids) for p in before if TEST_SAMPLE in p.predictions]
    curve = f"a sample of {max(sampled)} at {len(sampled)} looks before" if sampled else ""
    return ", ".join(filter(None, (whole, curve))) or "none"


def _check_test_logits(evidence: Evidence, who: str) -> None:
    """Before the end a run may look at a sample of test text alone, for its curve."""
    for point in evidence.points[:-1]:
        most = evidence.recipe.curve_rows
        sample = point.predictions.get(TEST_SAMPLE)
        if "test" in point.predictions or (sample is not None and len(sample.ids) > most):
            got = f"logits on the test split at step {point.step}, before the end"
            wanted = f"at most a sample of {most} rows there, for a curve"
            raise EvidenceError(who, got, wanted, "Evaluate on test text when training has ended.")


def _require_trajectory(sealed: SealedFiles, points: Sequence[Any]) -> None:
    if TRAJECTORY not in sealed.names:
        raise EvidenceError(
            "trajectory",
            f"the logits of the last of {len(points)} points only",
            "those of every point",
            "Export the bundle with the trajectory, or read the store it came from.",
        )


def read_checked(sealed: SealedFiles, digest: str, *, trajectory: bool) -> Evidence:
    """:func:`read_evidence`, and its recipe must have the digest asked for."""
    try:
        evidence = read_evidence(sealed, trajectory=trajectory)
        found = evidence.recipe.digest
    except EvidenceError:
        raise
    except UNREADABLE as error:
        # Files that match their sums but not our classes: another version of kdcheck wrote them.
        raise EvidenceError(
            f"evidence of recipe {digest[:8]}",
            f"files that cannot be read: {error}",
            "evidence of this version of kdcheck",
            "Read it with the version that wrote it, or train again into another store.",
        ) from error
    if found != digest:
        raise EvidenceError(
            f"evidence of recipe {digest[:8]}",
            f"files of recipe {found[:8]}",
            "the recipe that its label names",
            DAMAGED,
        )
    return evidence


def write_claim(folder: Path, judged: Judged, lock: Mapping[str, Any] | None = None) -> None:
    """Write a judged claim into an empty folder: beside it its paper, and its section of the lock."""
    write_json(folder / CLAIM, judged.to_dict())
    write_json(folder / PAPER, judged.claim.paper.to_dict(), indent=None)
    if lock is not None:
        write_json(folder / LOCK, lock, indent=None)


def check_lock(who: str, lock: Mapping[str, Any], digest: str) -> Mapping[str, Any]:
    """The section of a lock, unless it is not the one that its digest names."""
    if (found := digest_of(lock)) != digest:
        got, wanted = f"a section {found[:8]} of a lock", f"the section {digest[:8]}"
        raise EvidenceError(who, got, wanted, "It was altered; judge again: pytest claims/.")
    return lock


def read_claim(sealed: SealedFiles) -> Judged:
    """Read back what :func:`write_claim` wrote."""
    who, wanted = f"claim of {sealed.who}", f"a judged claim of format {JUDGED_FORMAT}"
    values = sealed.parsed(CLAIM)
    found = values.get("format") if isinstance(values, dict) else None
    if found != JUDGED_FORMAT:
        step = "Read it with the version of kdcheck that wrote it, or judge again: pytest claims/."
        raise EvidenceError(who, f"one of format {found!r}", wanted, step)
    if told := departure(FILES[CLAIM], values):
        raise EvidenceError(who, f"one that cannot be read: {told}", wanted, DAMAGED)
    try:
        judged = Judged.from_dict(values, Paper.from_dict(sealed.read_json(PAPER)))
    except EvidenceError:
        raise
    except UNREADABLE as error:
        raise EvidenceError(who, f"one that cannot be read: {error!r}", wanted, DAMAGED) from error
    for arm in judged.claim.measures.arms():
        if arm not in judged.table.runs:
            raise EvidenceError(who, f"no row of runs for {arm.key}", wanted, DAMAGED)
    return judged
