"""A recipe: everything that decides one training run, frozen, with a digest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple, get_args, get_type_hints

from kdcheck import objectives
from kdcheck.checks import check_temperature
from kdcheck.errors import RecipeError
from kdcheck.objectives import ERM, Objective, SelfTraining

ENGINE_VERSION = "3"
"""Raised whenever a change to the engine changes what a recipe gives, to the last bit."""

SCHEDULES = ("linear", "linear_over_longest", "constant")
PRECISIONS = ("float32", "bfloat16", "float16", "float64")
COUNTS = ("max_length", "epochs", "batch_size", "threads", "curve_rows")
MOST = {
    "max_length": 2**16,
    "epochs": 10_000,
    "batch_size": 2**20,
    "threads": 256,
    "curve_rows": 2**31,
    "evaluations_per_epoch": 10_000,
    "dropout": 0.99,  # a mask has 16 bits: much nearer to 1, rounding keeps nothing at all
    "head_dropout": 0.99,
}
"""The most of some fields: beyond lie slips of the pen, and runs that hang or crash."""
NEXT_STEP = "Correct the field in the recipe file or the call; kdcheck train --help lists all."


class Rows(NamedTuple):
    """Which rows of a task a recipe uses; equal for two that use the same."""

    train: int | None
    """How many the seed draws; none: all."""
    validation: int | None
    test: int | None
    seed: int | None
    """None where no training rows are drawn."""

    @property
    def text(self) -> str:
        """The rows as people write them."""
        sizes = ", ".join(
            f"{'all' if size is None else size} {name}"
            for name, size in zip(("train", "validation", "test"), self, strict=False)
        )
        return sizes if self.seed is None else f"{sizes}, drawn by seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run, decided in full. Two equal digests mean the same posteriors.

    Bitwise, that holds on one machine, one build of torch and one thread count; between machines
    compare within a tolerance.

    Raises:
        RecipeError: a field is out of range, or two fields contradict each other.

    Source: section 4 (setup), Table 1 and appendix A.1; what the paper leaves open is listed by
    ``kdcheck.paper.open_settings``.

    >>> recipe = Recipe(
    ...     task="mrpc", task_digest="t", encoder="tiny-2", encoder_digest="e",
    ...     objective=ERM(), learning_rate=5e-5, epochs=4, seed=0,
    ... )
    >>> recipe.short
    'd39374d4'
    """

    task: str
    """Name of the task."""
    task_digest: str
    """Digest of the whole task: classes, ids, texts and labels of all three splits, before any cut."""
    train_rows: int | None = None
    """Number of training examples that the seed draws; none: all."""
    validation_rows: int | None = None
    """Number of validation examples, the same ones for every seed; none: all."""
    test_rows: int | None = None
    """Number of test examples, the same ones for every seed; none: all."""
    encoder: str
    """Name of the pre-trained encoder."""
    encoder_digest: str
    """Digest of its weights, configuration and vocabulary."""
    max_length: int = 128
    """Longest text in tokens, special ones included; longer ones are cut, and counted."""
    dropout: float = 0.1
    """Dropout probability in hidden layers, attention and, unless it has its own, the head."""
    head_dropout: float | None = None
    """Dropout probability in the head; none: the same."""
    objective: Objective
    """The loss, with its parameters and conventions."""
    teacher: Recipe | None = None
    """The run whose posteriors the objective needs: of the same seed, hence of the same rows."""
    teacher_temperature: float = 1.0
    """What the teacher's logits are divided by beforehand: its confidence at equal accuracy."""
    teacher_shuffled: bool = False
    """Whether the teacher's posteriors are permuted among training examples of which it predicts the
    same class: a control that keeps its predictions and knows no example."""
    learning_rate: float
    """Peak learning rate of AdamW."""
    epochs: int
    """Passes over the training split."""
    batch_size: int = 32
    """Examples per step."""
    schedule: str = "linear"
    """``linear``: to zero over the run's own epochs; ``linear_over_longest``: to zero over
    ``schedule_epochs``; ``constant``. None has a warm-up."""
    schedule_epochs: int | None = None
    """Epochs of the longest run, for ``linear_over_longest`` alone."""
    weight_decay: float = 0.0
    """Decoupled weight decay, on every parameter."""
    beta_1: float = 0.9
    """AdamW's decay of the first moment."""
    beta_2: float = 0.999
    """AdamW's decay of the second moment."""
    epsilon: float = 1e-8
    """AdamW's epsilon."""
    clip_norm: float = 1.0
    """Largest norm of the whole gradient."""
    precision: str = "float32"
    """``float32``, ``bfloat16`` or ``float16`` (autocast), or ``float64``."""
    tf32: bool = False
    """Whether CUDA may multiply float32 matrices in TF32."""
    deterministic: bool = True
    """Whether only deterministic kernels may run."""
    threads: int = 1
    """CPU threads; another count adds in another order and changes the last bits."""
    seed: int
    """Seed of the training rows, where fewer than all are drawn, and of every stream of the run."""
    evaluations_per_epoch: int = 1
    """Looks per epoch, evenly spaced, the last at its end; 0: one look, at the end of training."""
    curve_rows: int = 512
    """Training and test examples that the looks before the end see: samples, the same in all runs."""
    engine_version: str = ENGINE_VERSION
    """Version of the engine's arithmetic."""

    def __post_init__(self) -> None:
        for name in COUNTS:
            self._require(_is_count(getattr(self, name)), name, "an integer of at least 1")
        for name in ("train_rows", "validation_rows", "test_rows"):
            value = getattr(self, name)
            wanted = "an integer of at least 1, or none for all rows"
            self._require(value is None or _is_count(value), name, wanted)
        looks = self.evaluations_per_epoch
        is_number = type(looks) is int and looks >= 0
        self._require(is_number, "evaluations_per_epoch", "an integer of at least 0")
        self._require(
            type(self.seed) is int and 0 <= self.seed < 2**32,
            "seed",
            "an integer from 0 to 2**32 - 1",
        )
        for name in ("learning_rate", "epsilon", "clip_norm"):
            value = getattr(self, name)
            self._require(math.isfinite(value) and value > 0, name, "a finite number above 0")
        for name in ("dropout", "beta_1", "beta_2"):
            self._require(0 <= getattr(self, name) < 1, name, "a number in [0, 1)")
        in_head = self.head_dropout is None or 0 <= self.head_dropout < 1
        self._require(in_head, "head_dropout", "a number in [0, 1), or none")
        for name, most in MOST.items():
            self._require((getattr(self, name) or 0) <= most, name, f"at most {most}")
        self._require(
            0 <= self.weight_decay < math.inf, "weight_decay", "a finite number of at least 0"
        )
        self._require(self.schedule in SCHEDULES, "schedule", f"one of {', '.join(SCHEDULES)}")
        self._require(self.precision in PRECISIONS, "precision", f"one of {', '.join(PRECISIONS)}")
        self._check_schedule()
        self._check_teacher()

    def _check_schedule(self) -> None:
        if self.schedule == "linear_over_longest":
            longest = self.schedule_epochs
            wanted = f"at least epochs = {self.epochs} with schedule linear_over_longest"
            self._require(longest is not None and longest >= self.epochs, "schedule_epochs", wanted)
        else:
            wanted = f"none with schedule {self.schedule}, where it would have no effect"
            self._require(self.schedule_epochs is None, "schedule_epochs", wanted)

    def _check_teacher(self) -> None:
        check_temperature(self.teacher_temperature, who="recipe, teacher")
        teacher, name = self.teacher, self.objective.name
        if teacher is None:
            wanted = f"a recipe, which objective {name!r} needs"
            self._require(not self.objective.needs_teacher, "teacher", wanted)
            wanted = "1 without a teacher, where it would have no effect"
            self._require(self.teacher_temperature == 1.0, "teacher_temperature", wanted)
            wanted = "false without a teacher, where it would have no effect"
            self._require(self.teacher_shuffled is False, "teacher_shuffled", wanted)
            return
        wanted = f"none with objective {name!r}, where it would have no effect"
        self._require(self.objective.needs_teacher, "teacher", wanted)
        wanted = f"a teacher of the same task content, {self.task} {self.task_digest[:8]}"
        self._require(teacher.task_digest == self.task_digest, "teacher", wanted)
        rows = "all" if self.train_rows is None else self.train_rows
        wanted = f"a teacher of the same training rows: seed {self.seed}, train_rows {rows}"
        same = (teacher.seed, teacher.train_rows) == (self.seed, self.train_rows)
        self._require(same, "teacher", wanted)
        if isinstance(self.objective, SelfTraining):
            self._require(
                teacher.encoder_digest == self.encoder_digest
                and isinstance(teacher.objective, ERM),
                "teacher",
                f"an ERM run of the student's own encoder {self.encoder!r} for self-training",
            )

    def _require(self, holds: bool, name: str, wanted: str) -> None:
        if not holds:
            got = getattr(self, name)
            shown = f"recipe {got.short}" if isinstance(got, Recipe) else repr(got)
            raise RecipeError(f"recipe, {name}", shown, wanted, NEXT_STEP)

    def canonical(self) -> dict[str, Any]:
        """What the digest covers, as JSON values; the teacher stands there by its digest."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        # 0 and 0.0 are one weight decay and must become one JSON text, hence one digest.
        values |= {name: float(v) for name in _FLOATS if (v := values[name]) is not None}
        values["objective"] = self.objective.as_dict()
        values["teacher"] = self.teacher.digest if self.teacher else None
        return values

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical form, 64 hexadecimal digits."""
        return _sha256_of(self.canonical())

    @property
    def short(self) -> str:
        """First eight digits of the digest."""
        return self.digest[:8]

    @cached_property
    def prefix_digest(self) -> str | None:
        """Equal for recipes that differ in epochs alone and share their first steps; else none.

        Under ``linear`` the rate of the first step depends on the number of epochs, so nothing is
        shared.
        """
        if self.schedule == "linear":
            return None
        values = self.canonical()
        del values["epochs"]
        return _sha256_of(values)

    @property
    def rows(self) -> Rows:
        """Which rows of the task it uses."""
        drawn_by = None if self.train_rows is None else self.seed
        return Rows(self.train_rows, self.validation_rows, self.test_rows, drawn_by)

    def lineage(self) -> Iterator[Recipe]:
        """This recipe and its teachers, the farthest teacher first."""
        if self.teacher is not None:
            yield from self.teacher.lineage()
        yield self

    def summary(self) -> str:
        """What decides the run, on one line."""
        parameters = {k: v for k, v in self.objective.as_dict().items() if k != "name"}
        settings = "".join(f" {name}={value}" for name, value in parameters.items())
        taught = f" from {self.teacher.encoder} {self.teacher.short}" if self.teacher else ""
        taught += ", shuffled" if self.teacher_shuffled else ""
        return (
            f"{self.task} {self.encoder} {self.objective.name}{settings}{taught} "
            f"lr={self.learning_rate:g} epochs={self.epochs} seed={self.seed} | "
            f"{self.batch_size} a step, {self.schedule} | {self.precision} | recipe {self.short}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Every field as JSON values, the teacher in full; :meth:`from_dict` reads it back."""
        teacher = self.teacher.to_dict() if self.teacher else None
        return self.canonical() | {"teacher": teacher}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Make a recipe from the mapping that :meth:`to_dict` gives.

        Raises:
            RecipeError: an unknown or missing field, or one out of range.
            ParameterError: an objective that cannot be made.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            wanted = f"only {', '.join(sorted(known))}"
            raise RecipeError("recipe", f"the field {unknown[0]!r}", wanted, NEXT_STEP)
        fields = dict(values)
        if isinstance(fields.get("objective"), Mapping):
            fields["objective"] = objectives.from_dict(fields["objective"])
        if isinstance(fields.get("teacher"), Mapping):
            fields["teacher"] = cls.from_dict(fields["teacher"])
        _check_types(fields)
        # As a float it is written and read again; 10**30 as an integer is another number.
        fields |= {n: float(v) for n in _FLOATS if isinstance(v := fields.get(n), int)}
        try:
            return cls(**fields)
        except TypeError as error:
            raise RecipeError("recipe", str(error), "every required field", NEXT_STEP) from error


_FLOATS = tuple(f.name for f in dataclasses.fields(Recipe) if f.type in ("float", "float | None"))


def _check_types(fields: Mapping[str, Any]) -> None:
    for name, allowed in _allowed_types().items():
        if name not in fields:
            continue
        value = fields[name]
        # An integer of TOML or JSON may be larger than any float.
        is_float = isinstance(value, int) and abs(value) <= sys.float_info.max
        fits = isinstance(value, allowed) or (float in allowed and is_float)
        if not fits or (isinstance(value, bool) and bool not in allowed):
            wanted = " or ".join(t.__name__ for t in allowed)
            raise RecipeError(f"recipe, {name}", f"{value!r}", wanted, NEXT_STEP)


@cache
def _allowed_types() -> dict[str, tuple[Any, ...]]:
    """Types by field; annotations are text that takes half a millisecond to evaluate."""
    hints = get_type_hints(Recipe).items()
    return {name: get_args(annotation) or (annotation,) for name, annotation in hints}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _sha256_of(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
