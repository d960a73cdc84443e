"""A bundle: evidence as a folder of small files that needs no MLflow to be read.

It has relative paths and sha256 sums throughout, and the same evidence gives the same bytes, so it
can be committed, mailed and compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from kdcheck.border import MOST_BYTES, MOST_TEXT, json_of, read_inside
from kdcheck.claims import Reading
from kdcheck.errors import EvidenceError
from kdcheck.evidence.evidence import Evidence, Predictions
from kdcheck.evidence.files import (
    FORMAT,
    MANIFEST,
    SealedFiles,
    check_inside,
    check_lock,
    read_checked,
    read_claim,
    read_validation,
    seal,
    write_claim,
    write_evidence,
    write_json,
)
from kdcheck.evidence.judged import Judged, selected
from kdcheck.evidence.layout import DAMAGED
from kdcheck.evidence.shapes import Contents, departure
from kdcheck.evidence.source import EvidenceSource
from kdcheck.metrics import METRICS

CONTENTS = {MANIFEST, "trainings", "claims", "locks"}
"""What lies in the folder of a bundle; anything else is not ours to delete."""
WANTED = "a bundle of kdcheck"
NEXT_STEP = "Give the folder that holds manifest.json, or export the bundle again."


def export_bundle(
    source: EvidenceSource,
    folder: Path,
    digests: Iterable[str] | None = None,
    *,
    trajectory: bool = False,
) -> Path:
    """Write trainings, and the claims that rest on no others, into a new bundle.

    The folder appears when it is complete; an older bundle of the same name is replaced then. Logits
    of the points before the last, many times as large, go along where one of the claims reads them,
    and a teacher where one compares its students with it.
    """
    wanted = sorted(source.digests() if digests is None else set(digests))
    try:
        check_replaceable(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".kdcheck-") as temporary:
            new = Path(temporary) / "new"
            _write(source, new, wanted, trajectory=trajectory)
            if folder.exists():
                folder.rename(Path(temporary) / "old")
            new.rename(folder)
    except OSError as error:
        next_step = "Name a folder that you may write to, on a disk with room."
        raise EvidenceError(f"bundle {folder}", str(error), WANTED, next_step) from error
    return folder


def check_replaceable(folder: Path) -> None:
    """Refuse a place for a bundle that holds anything but an older bundle."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        Bundle(folder)
    except EvidenceError as error:
        raise _taken(folder, f"no bundle in its place ({error.got})") from error
    if others := sorted({path.name for path in folder.iterdir()} - CONTENTS):
        raise _taken(folder, f"other files beside the bundle ({', '.join(others)})")


def _taken(folder: Path, got: str) -> EvidenceError:
    wanted = "a new folder, or an older bundle to replace"
    return EvidenceError(f"bundle {folder}", got, wanted, "Name another folder.")


def _write(source: EvidenceSource, new: Path, digests: list[str], *, trajectory: bool) -> None:
    covered = [each for each in source.claims() if set(digests).issuperset(each.table.digests())]
    with_curves = curves_read(covered)
    digests = sorted({*digests, *_teachers_read(covered, source)})
    trainings: dict[str, dict[str, str]] = {}
    claims: list[dict[str, str]] = []
    new.mkdir(mode=0o755)
    for digest in digests:
        # Sixteen digits are unique enough for a name and short enough for any file system.
        place, whole = f"trainings/{digest[:16]}", trajectory or digest in with_curves
        write_evidence(new / place, source.get(digest, trajectory=whole), trajectory=whole)
        trainings[digest] = {"folder": place, "manifest": seal(new / place)}
    for number, judged in enumerate(covered):
        place = f"claims/{number:03d}"
        write_claim(new / place, judged)
        claims.append({"folder": place, "manifest": seal(new / place)})
    # Once each, however many claims share it; a section is sealed by the digest that is its name.
    locks = sorted({each.lock for each in covered if each.lock})
    for digest in locks:
        write_json(new / _lock_file(digest), source.lock(digest))
    contents = {"format": FORMAT, "trainings": trainings, "claims": claims, "locks": locks}
    write_json(new / MANIFEST, contents)


def _lock_file(digest: str) -> str:
    return f"locks/{digest}.json"


def curves_read(claims: Iterable[Judged]) -> set[str]:
    """Digests of the runs of which some claim reads more than the last evaluation point."""
    return _runs_with(claims, lambda reading: reading.point != "last")


def _runs_with(claims: Iterable[Judged], wanted: Callable[[Reading], bool]) -> set[str]:
    """Digests of the runs of which some claim has a reading of that kind."""
    return {
        digest
        for each in claims
        for reading in each.claim.measures.readings()
        if wanted(reading)
        for digest in each.table.of(reading.arm)
    }


def _teachers_read(claims: Iterable[Judged], source: EvidenceSource) -> set[str]:
    """Digests of the runs whose logits some claim compares with those of their students."""
    students = _runs_with(claims, lambda reading: METRICS[reading.metric].needs == "teacher")
    teachers = (source.get(digest).recipe.teacher for digest in students)
    return {teacher.digest for teacher in teachers if teacher is not None}


class Bundle:
    """A bundle, read: an :class:`EvidenceSource` as the store is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            contents = json_of(self._read(MANIFEST))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._refused("no manifest.json in it") from error
        except (OSError, ValueError) as error:
            raise self._refused(f"a manifest.json that cannot be read ({error})") from error
        if not isinstance(contents, dict) or contents.get("format") != FORMAT:
            raise self._refused(f"a manifest.json without format {FORMAT}")
        if told := departure(Contents, contents):
            # So is the manifest of each folder in a bundle, and that of many another program.
            got = f"a manifest.json that lists no trainings, claims and locks: {told}"
            raise self._refused(got)
        self._trainings: Mapping[str, Mapping[str, str]] = contents["trainings"]
        self._claims: list[Mapping[str, str]] = contents["claims"]
        self._locks: list[str] = contents["locks"]
        folders = [entry["folder"] for entry in (*self._trainings.values(), *self._claims)]
        for name in (*folders, *map(_lock_file, self._locks)):
            check_inside(f"bundle {folder}", name)

    def _read(self, name: str) -> bytes:
        """Content of one file; a stranger made the folder, so no link in it is followed."""
        limit = MOST_TEXT if name.endswith(".json") else MOST_BYTES
        return read_inside(self._folder, name, limit=limit)

    def _refused(self, got: str) -> EvidenceError:
        return EvidenceError(f"bundle {self._folder}", got, WANTED, NEXT_STEP)

    def digests(self) -> set[str]:
        """Digests of all trainings in the bundle."""
        return set(self._trainings)

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        """Evidence of one training; see :meth:`EvidenceSource.get`."""
        return read_checked(self._training(digest), digest, trajectory=trajectory)

    def validation(self, digest: str) -> Predictions:
        """Logits of one training on validation text; see :meth:`Store.validation <kdcheck.evidence.store.Store.validation>`."""
        return read_validation(self._training(digest))

    def claims(self, *, paper: str | None = None, scale: str | None = None) -> tuple[Judged, ...]:
        """The claims in the bundle; see :meth:`EvidenceSource.claims`."""
        return selected((read_claim(self._open(entry)) for entry in self._claims), paper, scale)

    def lock(self, digest: str) -> Mapping[str, Any]:
        """The section of a lock; see :meth:`EvidenceSource.lock`."""
        who, name = f"bundle {self._folder}", _lock_file(digest)
        try:
            found = json_of(self._read(name)) if digest in self._locks else None
        except (OSError, ValueError) as error:
            raise EvidenceError(who, f"{name}: {error}", "the file as written", DAMAGED) from error
        if found is None:
            step = "Export the bundle again from the store that has it."
            raise EvidenceError(who, f"no lock {digest[:8]}", "the one that a claim names", step)
        return check_lock(who, found, digest)

    def _training(self, digest: str) -> SealedFiles:
        entry = self._trainings.get(digest)
        if entry is None:
            raise EvidenceError(
                f"bundle {self._folder}",
                f"no training {digest[:8]} among {len(self._trainings)}",
                "one that it holds",
                "Export the bundle again from the store that has it.",
            )
        return self._open(entry)

    def _open(self, entry: Mapping[str, str]) -> SealedFiles:
        place = entry["folder"]
        who = f"bundle {self._folder}, {place}"

        def read(name: str) -> bytes:
            try:
                return self._read(f"{place}/{name}")
            except (FileNotFoundError, NotADirectoryError):
                raise
            except OSError as error:
                raise EvidenceError(who, str(error), "plain files", NEXT_STEP) from error

        return SealedFiles(read, entry["manifest"], who)
