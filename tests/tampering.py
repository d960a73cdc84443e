"""A small real study as a bundle with its lock, and the ways in which somebody could tamper with it.

Whoever tampers here knows kdcheck: files are sealed again, figures are made to follow, and verdicts are
judged anew from what was forged.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kdcheck.claims import Claim, nats
from kdcheck.evidence.bundle import Bundle, export_bundle
from kdcheck.evidence.evidence import Evidence
from kdcheck.evidence.files import MANIFEST, digest_of, read_claim, seal, write_claim, write_json
from kdcheck.evidence.judged import Judged, selected
from kdcheck.places import Places
from kdcheck.recipe import Recipe
from kdcheck.study.lock import Lock, facts_of, section_of
from kdcheck.study.recheck import verify
from kdcheck.study.registering import register
from kdcheck.study.resources import Resources, ScaleDigests
from kdcheck.study.scale import Scale
from kdcheck.study.session import Session
from kdcheck.study.work import Worker, work
from kdcheck.verdict import Plan
from tests.study_doubles import (
    ERM_LARGE,
    ERM_SMALL,
    KD,
    LS_SMALL,
    SELF,
    entropy_gap,
    planned,
)
from tests.tiny_files import write_encoder, write_task

TASKS = ("fish", "words")
PREMISE = entropy_gap(ERM_SMALL, ERM_LARGE, "larger_is_surer")
CLAIMS = (
    PREMISE,
    entropy_gap(LS_SMALL, ERM_SMALL, "ls_raises", margin=nats(0.01)),
    entropy_gap(KD, ERM_SMALL, "kd_raises", rests_on=("larger_is_surer",)),
    planned(
        lambda study: (
            study.first(study.entropy_curve(LS_SMALL, split="test_sample"))
            - study.entropy(LS_SMALL, split="test_sample")
        ),
        "falls",
    ),
    planned(lambda study: study.read("teacher_agreement", KD) - 0.5, "agrees"),
)
LATE = entropy_gap(SELF, ERM_SMALL, "late")
"""A claim that the lock does not register."""


@dataclass
class SessionStore:
    """What a session needs of a store, without MLflow."""

    kept: dict[str, Evidence] = field(default_factory=dict)
    judged: dict[str, Judged] = field(default_factory=dict)
    sections: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def digests(self) -> set[str]:
        return set(self.kept)

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        return self.kept[digest]

    def begin(self, recipe: Recipe, **_: Any) -> Recipe:
        return recipe

    def finish(self, begun: Recipe, evidence: Evidence) -> None:
        self.kept[begun.digest] = evidence

    def claims(self, *, paper: str | None = None, scale: str | None = None) -> tuple[Judged, ...]:
        return selected(self.judged.values(), paper, scale)

    def locks(self) -> set[str]:
        return set(self.sections)

    def lock(self, digest: str) -> Mapping[str, Any]:
        return self.sections[digest]

    def record_claim(self, judged: Judged, lock: Mapping[str, Any] | None = None) -> None:
        self.judged[judged.claim.id] = judged
        if lock is not None:
            self.sections[judged.lock] = lock


def tiny_scale(**changes: Any) -> Scale:
    """Two tasks and the methods of the claims, small enough for seconds and large enough to learn."""
    rates = {"erm": 1e-2, "ls": 12e-3, "kd": 9e-3, "own_kd": 8e-3}
    objectives = {"erm": {"name": "erm"}, "ls": {"name": "ls", "alpha": 0.6}}
    values: dict[str, Any] = {
        "name": "small",
        "pair": ("my-bert", "my-small-bert"),
        "tasks": TASKS,
        "seeds": 3,
        "first_seed": 4,
        "training": {"batch_size": 8, "max_length": 32, "curve_rows": 16, "evaluations_per_epoch": 0},
        "rows": {"fish": {"train": 56}},
        "methods": {
            method: {
                size: {
                    "objective": objectives.get(method, {"name": "kd", "alpha": 0.7}),
                    "learning_rate": rate,
                    "epochs": 8 if size == "smaller" else 7,
                    "evaluations_per_epoch": int(method == "ls"),
                    "tasks": {"words": {"learning_rate": rate / 3}},
                }
                for size in ("smaller", "larger")
            }
            for method, rate in rates.items()
        },
    }
    return Scale(**values | changes)


@dataclass(frozen=True)
class Study:
    """The real study: its bundle, its lock, and where its data are."""

    bundle: Path
    lock: Lock
    places: Places


def real_study(folder: Path) -> Study:
    """Register, train and judge the claims, and one more that nobody registered."""
    for name, classes, seed in (("fish", 3, 1), ("words", 2, 0)):
        write_task(folder / "data" / name, classes=classes, seed=seed)
    for name, layers in (("my-bert", 2), ("my-small-bert", 1)):
        write_encoder(folder / "models" / name, layers)
    places = Places.resolve(
        store=folder / "store",
        work=folder / "work",
        data_dir=folder / "data",
        model_dir=folder / "models",
    )
    lock = locked(CLAIMS, tiny_scale(), places)
    store = SessionStore()
    session = Session((*CLAIMS, LATE), tiny_scale(), "3", places, lock=lock)
    session.__dict__["store"] = store
    session.train(lambda job, _: work(job, store, Worker("w0")))  # type: ignore[arg-type]
    for claim in session.claims:
        session.record(session.judged(claim))
    return Study(export_bundle(store, folder / "bundle"), lock, places)


def locked(claims: tuple[Claim, ...], scale: Scale, places: Places) -> Lock:
    """The lock that kdcheck lock would write."""
    resources = Resources(places)
    digests = ScaleDigests(scale, resources)
    plan = Plan.of(scale.seeds)
    seeds = tuple(range(scale.first_seed, scale.first_seed + plan.looks[-1]))
    section = section_of(
        claims,
        scale,
        digests,
        lambda task: facts_of(resources.load_task(task), scale.rows.get(task, {})),
        seeds,
        plan,
    )
    return register(Lock(), section, scale.name).lock


class Forgery:
    """A copy of a bundle in the hands of somebody who can seal it again."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.lock = study.lock
        self.folder = Path(shutil.copytree(study.bundle, folder))
        self._contents = json.loads((self.folder / MANIFEST).read_bytes())

    @property
    def bundle(self) -> Bundle:
        return Bundle(self.folder)

    def claims(self) -> dict[str, Judged]:
        """By id."""
        return {each.claim.id: each for each in self.bundle.claims()}

    def put(self, *claims: Judged) -> None:
        """Write claims in place of those of the same ids."""
        places = {
            read.claim.id: entry
            for entry, read in zip(self._contents["claims"], self._in_order(), strict=True)
        }
        for each in claims:
            write_claim(self.folder / places[each.claim.id]["folder"], each)
        self.seal()

    def edit(self, claim: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the record of a claim as it stands in its file."""
        for entry, read in zip(self._contents["claims"], self._in_order(), strict=True):
            if read.claim.id == claim:
                path = self.folder / entry["folder"] / "judged.json"
                values = json.loads(path.read_bytes())
                change(values)
                write_json(path, values)
        self.seal()

    def drop(self, claim: str) -> None:
        kept = [
            entry
            for entry, read in zip(self._contents["claims"], self._in_order(), strict=True)
            if read.claim.id != claim
        ]
        self._contents["claims"] = kept
        self.seal()

    def training(self, digest: str) -> Path:
        """Folder of a run."""
        return self.folder / str(self._contents["trainings"][digest]["folder"])

    def file_as(self, digest: str, new: str) -> None:
        """File a run under another digest."""
        self._contents["trainings"][new] = self._contents["trainings"].pop(digest)
        self.seal()

    def section(self, change: Callable[[dict[str, Any]], object]) -> str:
        """Change the section of the lock, whose digest is then another; the claims name it."""
        [digest] = self._contents["locks"]
        old = self.folder / "locks" / f"{digest}.json"
        values = json.loads(old.read_bytes())
        change(values)
        new = digest_of(values)
        old.unlink()
        write_json(self.folder / "locks" / f"{new}.json", values)
        self._contents["locks"] = [new]
        self.seal()
        self.put(*(replace(each, lock=new) for each in self.claims().values()))
        return new

    def judge_again(self) -> None:
        """Store the verdicts that verify itself finds, with the standing that is wished for."""
        before = self.claims()
        for check in verify(self.bundle):
            claim = check.stored.criterion.claim
            wished = before[claim].verdict.exploratory
            self.put(replace(before[claim], verdict=replace(check.again, exploratory=wished)))

    def seal(self) -> None:
        for entry in (*self._contents["trainings"].values(), *self._contents["claims"]):
            entry["manifest"] = seal(self.folder / entry["folder"])
        write_json(self.folder / MANIFEST, self._contents)

    def _in_order(self) -> list[Judged]:
        return [read_claim(self.bundle._open(entry)) for entry in self._contents["claims"]]
