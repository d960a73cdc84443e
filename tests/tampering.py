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

import numpy as np

from kdcheck import metrics
from kdcheck.claims import Arm, Claim, nats
from kdcheck.evidence.bundle import Bundle, export_bundle
from kdcheck.evidence.evidence import EvaluationPoint, Evidence, Predictions
from kdcheck.evidence.files import (
    CLAIM,
    MANIFEST,
    digest_of,
    seal,
    write_claim,
    write_evidence,
    write_json,
)
from kdcheck.evidence.judged import Judged, selected
from kdcheck.places import Places
from kdcheck.recipe import Recipe
from kdcheck.study.judging import criterion_of
from kdcheck.study.lock import Lock, facts_of, section_of
from kdcheck.study.recheck import verify
from kdcheck.study.registering import Known, register
from kdcheck.study.resources import Resources, ScaleDigests
from kdcheck.study.scale import Scale
from kdcheck.study.session import Session
from kdcheck.study.work import Worker, work
from kdcheck.verdict import Criterion, Plan, Word
from tests.study_doubles import (
    ERM_LARGE,
    ERM_SMALL,
    KD,
    LS_SMALL,
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
    planned(lambda study: study.read("teacher_agreement", KD) - 0.1, "agrees"),
)
LATE = entropy_gap(LS_SMALL, KD, "late")
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

    def encoders(self) -> dict[str, set[str]]:
        return {}

    def failures(self) -> dict[str, Any]:
        return {}

    def leave(self) -> None:
        """Nobody else trains for it."""

    def lock(self, digest: str) -> Mapping[str, Any]:
        return self.sections[digest]

    def record_claim(self, judged: Judged, lock: Mapping[str, Any] | None = None) -> None:
        self.judged[judged.claim.id] = judged
        if lock is not None:
            self.sections[judged.lock] = lock


def tiny_scale(**changes: Any) -> Scale:
    """Two tasks and the methods of the claims, small enough for seconds and large enough to learn."""
    rates = {"erm": 1e-2, "ls": 12e-3, "kd": 9e-3}
    objectives = {"erm": {"name": "erm"}, "ls": {"name": "ls", "alpha": 0.6}}
    values: dict[str, Any] = {
        "name": "small",
        "pair": ("my-bert", "my-small-bert"),
        "tasks": TASKS,
        "seeds": 3,
        "first_seed": 2,
        "training": {
            "batch_size": 8,
            "max_length": 32,
            "curve_rows": 16,
            "evaluations_per_epoch": 0,
            "dropout": 0.02,
        },
        "rows": {"fish": {"train": 56}},
        "methods": {
            method: {
                size: {
                    "objective": objectives.get(method, {"name": "kd", "alpha": 0.7}),
                    "learning_rate": rate * (1.0 if size == "smaller" else 0.6),
                    "epochs": 8 if size == "smaller" else 7,
                    "evaluations_per_epoch": int(method == "ls"),
                    "tasks": {"words": {"learning_rate": rate / 4}},
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


def real_study(
    folder: Path, claims: tuple[Claim, ...] = CLAIMS, scale: Scale | None = None
) -> Study:
    """Register, train and judge claims, and one more that nobody registered."""
    scale = scale or tiny_scale()
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
    lock = locked(claims, scale, places)
    store = SessionStore()
    session = Session((*claims, LATE), scale, str(scale.seeds), places, lock=lock)
    session.__dict__["store"] = store
    session.train(lambda job, _: work(job, store, Worker("w0")))  # type: ignore[arg-type]
    for claim in session.claims:
        session.record(session.judged(claim))
    return Study(export_bundle(store, folder / "bundle"), lock, places)


def locked(claims: tuple[Claim, ...], scale: Scale, places: Places) -> Lock:
    """The lock that kdcheck lock would write, were it the second attempt at the data."""
    resources = Resources(places)
    digests = ScaleDigests(scale, resources)
    plan = Plan.of(scale.seeds)
    seeds = tuple(range(scale.first_seed, scale.first_seed + plan.looks[-1]))
    first, second = (
        section_of(
            tried,
            scale,
            digests,
            lambda task: facts_of(resources.load_task(task), scale.rows.get(task, {})),
            seeds,
            plan,
        )
        for tried in (claims[1:], claims)
    )
    before = register(Lock(), first, scale.name).lock
    return register(before, second, scale.name, Known({first.digest: first})).lock


class Forgery:
    """A copy of a bundle in the hands of somebody who can seal it again."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.folder = Path(shutil.copytree(study.bundle, folder))
        self._contents = json.loads((self.folder / MANIFEST).read_bytes())
        self._changed: set[str] = set()
        self._place = {
            json.loads((self.folder / entry["folder"] / CLAIM).read_bytes())["claim"]["id"]: entry
            for entry in self._contents["claims"]
        }

    @property
    def bundle(self) -> Bundle:
        """The bundle, every changed folder sealed again."""
        entries = (*self._contents["trainings"].values(), *self._contents["claims"])
        for entry in entries:
            if entry["folder"] in self._changed:
                entry["manifest"] = seal(self.folder / entry["folder"])
        self._changed.clear()
        write_json(self.folder / MANIFEST, self._contents)
        return Bundle(self.folder)

    @property
    def claims(self) -> dict[str, Judged]:
        """By id."""
        return {each.claim.id: each for each in self.bundle.claims()}

    def put(self, *claims: Judged) -> None:
        """Write claims in place of those of the same ids."""
        for each in claims:
            write_claim(self._open(self._place[each.claim.id]), each)

    def change(self, claim: str = "", **changes: Any) -> None:
        """Change a claim, its margin say, or all of them, and the criteria with them."""
        for each in self.claims.values():
            if claim in ("", each.claim.id):
                changed = replace(each.claim, **changes)
                plan = each.verdict.criterion.plan
                criterion = replace(criterion_of(changed, tiny_scale()), plan=plan)
                self.put(with_criterion(replace(each, claim=changed), criterion))

    def edit(self, name: str, change: Callable[[dict[str, Any]], object], of: str = CLAIM) -> None:
        """Change a file of a claim, as it stands there."""
        edit(self._open(self._place[name]) / of, change)

    def drop(self, claim: str) -> None:
        self._contents["claims"].remove(self._place.pop(claim))

    def run(self, arm: Arm, seed: int, task: str = "fish", claim: str = "") -> str:
        """Digest of the run in a slot."""
        tables = [each.table for name, each in self.claims.items() if claim in ("", name)]
        return next(t for t in tables if arm in t.runs).digest(arm, task, seed)

    def training(self, digest: str) -> Path:
        """Folder of a run, to be changed."""
        return self._open(self._contents["trainings"][digest])

    def _open(self, entry: Mapping[str, str]) -> Path:
        self._changed.add(entry["folder"])
        return self.folder / entry["folder"]

    def evidence(self, digest: str, change: Callable[[Evidence], Evidence]) -> None:
        """Change what a run left, its metrics with it."""
        evidence = change(self.bundle.get(digest, trajectory=self._has_curves(digest)))
        points = [
            replace(point, values={**point.values, **figures(point)}) for point in evidence.points
        ]
        changed = replace(evidence, points=tuple(points))
        folder, new = self.training(digest), changed.recipe.digest
        write_evidence(folder, changed, trajectory=self._has_curves(digest))
        self._contents["trainings"][new] = self._contents["trainings"].pop(digest)
        if new != digest:
            self.file(digest, new)

    def file(
        self, old: str, new: str, *claims: str, slot: tuple[Arm, str, int] | None = None
    ) -> None:
        """Let tables name another run, everywhere or in one slot."""
        for each in self.claims.values():
            if not claims or each.claim.id in claims:
                runs = {
                    arm: {
                        task: {
                            seed: new if d == old and slot in (None, (arm, task, seed)) else d
                            for seed, d in seeds.items()
                        }
                        for task, seeds in tasks.items()
                    }
                    for arm, tasks in each.table.runs.items()
                }
                self.put(replace(each, table=replace(each.table, runs=runs)))

    def section(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the section of the lock, whose digest is then another; the claims name it."""
        [digest] = self._contents["locks"]
        path = self.folder / "locks" / f"{digest}.json"
        edit(path, change)
        new = digest_of(json.loads(path.read_bytes()))
        path.rename(path.with_name(f"{new}.json"))
        self._contents["locks"] = [new]
        self.put(*(replace(each, lock=new) for each in self.claims.values()))

    def judge_again(self) -> None:
        """Store the verdicts that verify itself finds, by the criterion and with the standing wished for."""
        before = self.claims
        for check in list(verify(self.bundle)):
            stored = before[check.stored.criterion.claim]
            wished = {name: getattr(stored.verdict, name) for name in ("criterion", "exploratory")}
            self.put(replace(stored, verdict=replace(check.again, **wished)))

    def _has_curves(self, digest: str) -> bool:
        return (self.training(digest) / "posteriors" / "trajectory.parquet").exists()


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file."""
    values = json.loads(path.read_bytes())
    change(values)
    write_json(path, values)


def figures(point: EvaluationPoint) -> dict[str, float]:
    """The metrics that the logits of a point give."""
    return {
        f"{split}/{name}": value
        for split, part in point.predictions.items()
        for name, value in metrics.summary(part.logits_NK, part.labels_N).items()
    }


def with_criterion(judged: Judged, criterion: Criterion) -> Judged:
    return replace(judged, verdict=replace(judged.verdict, criterion=criterion))


# Ways to tamper. Those that judge again end with verdicts that follow from what was forged.


def another_seed(forged: Forgery) -> None:
    """A run of seed 2 is filed as seed 4."""
    two, four = (forged.run(LS_SMALL, seed) for seed in (2, 4))
    forged.file(four, two)
    forged.judge_again()


def another_arm(forged: Forgery) -> None:
    """A claim on KD rests on runs of LS that are filed as ERM."""
    for task in TASKS:
        for seed in (2, 3, 4):
            erm, ls = (forged.run(arm, seed, task) for arm in (ERM_SMALL, LS_SMALL))
            forged.file(erm, ls, "kd_raises")
    forged.judge_again()


def moved_margin(forged: Forgery) -> None:
    forged.change("ls_raises", margin=nats(0.0))
    forged.judge_again()


def another_plan(forged: Forgery) -> None:
    """One look that has the whole error rate."""
    plan = Plan(looks=(3,), weights=(1.0,))
    for each in forged.claims.values():
        forged.put(with_criterion(each, replace(each.verdict.criterion, plan=plan)))
    forged.judge_again()


def swapped_tasks(forged: Forgery) -> None:
    """The runs of each task are filed under the other."""
    for each in forged.claims.values():
        runs = {
            arm: dict(zip(reversed(TASKS), (tasks[t] for t in TASKS), strict=True))
            for arm, tasks in each.table.runs.items()
        }
        forged.put(replace(each, table=replace(each.table, runs=runs)))
    forged.judge_again()


def another_sentence(forged: Forgery) -> None:
    forged.change("ls_raises", says="Label smoothing lowers entropy.")


def rewritten_labels(forged: Forgery) -> None:
    """Test labels that make every run right, the same ones in all runs of the task."""
    truth: dict[str, int] = {}
    for task, seed in ((task, seed) for task in TASKS for seed in (2, 3, 4)):
        for arm in (ERM_SMALL, ERM_LARGE, LS_SMALL, KD):
            forged.evidence(forged.run(arm, seed, task), lambda run: relabelled(run, truth))
    forged.judge_again()


def relabelled(run: Evidence, truth: dict[str, int]) -> Evidence:
    """Labels of a run as its first colleague predicted them."""

    def part(split: str, seen: Predictions) -> Predictions:
        if not split.startswith("test"):
            return seen
        guess = seen.logits_NK.argmax(axis=1).tolist()
        names = [f"{run.recipe.task} {example}" for example in seen.ids]
        labels = [truth.setdefault(name, label) for name, label in zip(names, guess, strict=True)]
        return replace(seen, labels_N=np.array(labels))

    return on_points(run, part)


def on_points(run: Evidence, part: Callable[[str, Predictions], Predictions]) -> Evidence:
    """A run with its logits and labels changed, at every look."""
    return replace(
        run,
        points=tuple(
            replace(point, predictions={s: part(s, p) for s, p in point.predictions.items()})
            for point in run.points
        ),
    )


def another_word(forged: Forgery) -> None:
    judged = forged.claims["ls_raises"]
    forged.put(replace(judged, verdict=replace(judged.verdict, word=Word.SUPPORTED)))


def flipped_bit(forged: Forgery) -> None:
    """A bit of a file that is not sealed again."""
    folder = forged.folder / "trainings" / forged.run(LS_SMALL, 3)[:16]
    file = folder / "posteriors" / "test.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def another_metric(forged: Forgery) -> None:
    digest = forged.run(ERM_SMALL, 3)
    edit(
        forged.training(digest) / "points.json",
        lambda body: body["points"][-1]["values"].update({"test/accuracy": 0.99}),
    )


def another_effect(forged: Forgery) -> None:
    """One effect, and whatever follows from it for readers."""

    def change(body: dict[str, Any]) -> None:
        body["verdict"]["measured"]["tasks"]["fish"]["effects"][1] += 1e-3

    forged.edit("ls_raises", change)
    forged.put(forged.claims["ls_raises"])


def dropped_claim(forged: Forgery) -> None:
    forged.drop("falls")
    forged.judge_again()


def renamed_scale(forged: Forgery) -> None:
    """All claims at a scale of another name."""
    for each in forged.claims.values():
        forged.put(with_criterion(each, replace(each.verdict.criterion, scale="grand")))


def split_scale(forged: Forgery) -> None:
    """One claim at a scale of another name, where it would be a family of one."""
    judged = forged.claims["ls_raises"]
    alone = replace(judged.verdict, family_size=1, rivals=dict.fromkeys(judged.verdict.rivals, 1))
    criterion = replace(judged.verdict.criterion, scale="grand")
    forged.put(with_criterion(replace(judged, verdict=alone), criterion))


def smaller_p(forged: Forgery) -> None:
    judged = forged.claims["ls_raises"]
    p = {word: value / 2 for word, value in judged.verdict.adjusted_p.items()}
    forged.put(replace(judged, verdict=replace(judged.verdict, adjusted_p=p)))


def smaller_family(forged: Forgery) -> None:
    judged = forged.claims["ls_raises"]
    forged.put(replace(judged, verdict=replace(judged.verdict, family_size=2)))


def no_reasons(forged: Forgery) -> None:
    """A claim that was not registered, as confirmatory."""
    judged = forged.claims["late"]
    forged.put(replace(judged, verdict=replace(judged.verdict, exploratory=())))


def run_twice(forged: Forgery) -> None:
    """One run as two seeds of an arm, in the record of the verdict too."""
    two, three = (forged.run(ERM_SMALL, seed, "words") for seed in (2, 3))
    forged.file(three, two, "ls_raises")
    forged.judge_again()


def logits_of_another_seed(forged: Forgery) -> None:
    """What seed 2 left, as the evidence of seed 4."""
    two, four = (forged.run(LS_SMALL, seed, "words") for seed in (2, 4))
    left = forged.bundle.get(two, trajectory=True)
    forged.evidence(four, lambda run: replace(left, recipe=run.recipe))
    forged.judge_again()


def edited_section(forged: Forgery) -> None:
    """A smaller margin in the section, its digest, the claim and its verdict."""
    forged.section(lambda body: body["claims"]["ls_raises"].update(margin=0.0))
    moved_margin(forged)


def dropped_attempts(forged: Forgery) -> None:
    """The second attempt at the data, as the first with all of the error rate."""
    forged.section(lambda body: body.update(earlier=[], plan={**body["plan"], "attempt": 1}))
    for each in forged.claims.values():
        plan = replace(each.verdict.criterion.plan, attempt=1)
        forged.put(with_criterion(each, replace(each.verdict.criterion, plan=plan)))
    forged.judge_again()


def dropped_claim_and_entry(forged: Forgery) -> None:
    """A claim that is gone from the section too."""
    forged.section(lambda body: body["claims"].pop("falls"))
    forged.drop("falls")
    forged.judge_again()


def another_encoder(forged: Forgery) -> None:
    """The section and every study say that another encoder was used."""
    other = "f" * 64
    forged.section(lambda body: body["encoders"]["smaller"].update(digest=other))
    for each in forged.claims.values():
        encoders = each.study["encoders"]
        smaller = {**encoders["smaller"], "digest": other}
        study = {**each.study, "encoders": {**encoders, "smaller": smaller}}
        forged.put(replace(each, study=study))


def another_recipe(forged: Forgery) -> None:
    """A run that says it was trained at another rate, under the digest that this makes."""
    digest = forged.run(LS_SMALL, 3)
    forged.evidence(
        digest, lambda run: replace(run, recipe=replace(run.recipe, learning_rate=1e-3))
    )
    forged.judge_again()


def edited_curve(forged: Forgery) -> None:
    """Earlier logits of a run whose curve a claim reads, without its metrics."""
    digest = forged.run(LS_SMALL, 3)

    def change(body: dict[str, Any]) -> None:
        body["points"][0]["values"]["test_sample/mean_entropy_nats"] += 0.2

    edit(forged.training(digest) / "points.json", change)


def unseen_curve(forged: Forgery) -> None:
    """A metric of training, of which no logits are kept."""

    def change(body: dict[str, Any]) -> None:
        body["points"][-1]["values"]["train/loss_nats"] += 0.2

    edit(forged.training(forged.run(ERM_SMALL, 3)) / "points.json", change)


def another_teacher(forged: Forgery) -> None:
    """A student that says it was taught by the smaller model."""
    teacher = forged.bundle.get(forged.run(ERM_SMALL, 3)).recipe
    forged.evidence(
        forged.run(KD, 3), lambda run: replace(run, recipe=replace(run.recipe, teacher=teacher))
    )
    forged.judge_again()


def no_premises(forged: Forgery) -> None:
    forged.change("kd_raises", rests_on=())
    forged.judge_again()


def other_direction(forged: Forgery) -> None:
    forged.change("larger_is_surer", direction="not_below")
    forged.judge_again()


def picked_seeds(forged: Forgery) -> None:
    """Seeds in another order, so that others come first."""
    for each in forged.claims.values():
        seeds = each.verdict.criterion.seeds
        criterion = replace(each.verdict.criterion, seeds=seeds[::-1])
        forged.put(with_criterion(each, criterion))
    forged.judge_again()


def figures_for_readers(forged: Forgery) -> None:
    """The interval that the file shows, which kdcheck itself never reads."""
    forged.edit("agrees", lambda body: body["verdict"]["derived"].update(interval_95=[0.35, 0.37]))


def another_study(forged: Forgery) -> None:
    """A claim that says it was run on other settings than it was."""

    def change(body: dict[str, Any]) -> None:
        body["study"]["settings"]["methods"]["ls"]["smaller"]["epochs"] = 9

    forged.edit("ls_raises", change)


def surer_logits(forged: Forgery) -> None:
    """Logits that nobody's weights give, with all that follows from them."""
    for task, seed in ((task, seed) for task in TASKS for seed in (2, 3, 4)):
        forged.evidence(
            forged.run(LS_SMALL, seed, task),
            lambda run: on_points(run, lambda _, p: replace(p, logits_NK=p.logits_NK / 2)),
        )
    forged.judge_again()


def another_place(forged: Forgery) -> None:
    """Where in the paper the sentence stands."""
    judged = forged.claims["agrees"]
    forged.put(replace(judged, claim=replace(judged.claim, where="section 99")))


def no_deviations(forged: Forgery) -> None:
    judged = forged.claims["agrees"]
    forged.put(replace(judged, deviations=("None at all.",)))
