"""A scale: tasks, encoder pair, hyper-parameters per method, seeds. A TOML file, read and checked."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from kdcheck.errors import InputError
from kdcheck.recipe import Recipe
from kdcheck.study.arms import SIZES, Arm

NEXT_STEP = "Correct the scale file; docs/guides/scales.md lists every field."
DECIDED_ELSEWHERE = {
    "task", "task_digest", "train_rows", "validation_rows", "test_rows", "encoder",
    "encoder_digest", "objective", "teacher", "teacher_temperature", "seed", "engine_version",
}  # fmt: skip
TRAINING_FIELDS = {f.name for f in dataclasses.fields(Recipe)} - DECIDED_ELSEWHERE
BUDGET_FIELDS = ("learning_rate", "epochs")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What one scale fixes.

    Source: section 4, Table 1, Tables 7 and 12 for ``paper``; the other scales say where they
    depart from it.

    >>> scale = load("embedded")
    >>> scale.name, scale.pair
    ('embedded', 'tiny')
    """

    name: str
    """Its name; every verdict carries it."""
    pair: str
    """Name of the encoder pair."""
    tasks: tuple[str, ...]
    """Names of its tasks."""
    seeds: int
    """Seeds that are run by default."""
    training: Mapping[str, Any]
    """Recipe fields that all its runs share."""
    methods: Mapping[str, Mapping[str, Any]]
    """Per method and size: objective, learning rate, epochs; ``tasks`` inside for exceptions."""
    rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Per task: how many examples of each split are used, where not all."""
    deviations: tuple[str, ...] = ()
    """Where it departs from the paper, one sentence each."""
    needs_cuda: bool = False
    """Whether it runs on CUDA alone."""

    def settings(self, arm: Arm, task: str) -> dict[str, Any]:
        """The recipe fields of an arm on a task: shared ones, its method's, the task's own.

        Raises:
            InputError: the scale has no such method for that size.
        """
        try:
            method = dict(self.methods[arm.method][arm.size])
        except KeyError:
            known = sorted(f"{m}/{s}" for m, sizes in self.methods.items() for s in sizes)
            raise InputError(
                f"scale {self.name!r}",
                f"no method {arm.method}/{arm.size}",
                f"one of {', '.join(known)}",
                "Add its hyper-parameters to the scale file.",
            ) from None
        own = method.pop("tasks", {}).get(task, {})
        settings = {**self.training, **method, **own}
        # An objective's parameters may be given for one task alone, as Table 7 does for alpha.
        settings["objective"] = {**method["objective"], **own.get("objective", {})}
        if arm.budget is not None:
            lender = self.settings(arm.budget, task)
            settings |= {name: lender[name] for name in BUDGET_FIELDS}
        return settings


def load(name_or_path: str) -> Scale:
    """Read a scale that ships with kdcheck, or a file of your own.

    Args:
        name_or_path: ``embedded``, ``mini``, ``paper``, or the path of a TOML file.

    Returns:
        The scale, checked.

    Raises:
        InputError: no such scale, or a field that is missing, unknown or out of range.

    Source: none.

    >>> load("embedded").seeds >= 5
    True
    """
    shipped = resources.files("kdcheck") / "scales" / f"{name_or_path}.toml"
    path = Path(name_or_path)
    if shipped.is_file():
        text = shipped.read_text(encoding="utf-8")
    elif path.suffix == ".toml" and path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        raise InputError(
            "scale",
            repr(name_or_path),
            f"one of {', '.join(shipped_names())}, or the path of a .toml file",
            "Check the spelling or the path.",
        )
    try:
        return _checked(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"scale {name_or_path!r}", str(error), "TOML", NEXT_STEP) from error


def shipped_names() -> list[str]:
    """Names of the scales that ship with kdcheck.

    Source: none.

    >>> "embedded" in shipped_names()
    True
    """
    folder = resources.files("kdcheck") / "scales"
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def _checked(values: dict[str, Any]) -> Scale:
    who = f"scale {values.get('name')!r}"
    known = {f.name for f in dataclasses.fields(Scale)}
    required = {"name", "pair", "tasks", "seeds", "training", "methods"}
    for wrong, wanted in (
        (sorted(set(values) - known), f"only {', '.join(sorted(known))}"),
        (sorted(required - set(values)), "every required field"),
        (
            sorted(set(values.get("training", {})) - TRAINING_FIELDS),
            f"recipe fields, of {', '.join(sorted(TRAINING_FIELDS))}",
        ),
        (
            sorted(
                f"{method}.{size}"
                for method, sizes in values.get("methods", {}).items()
                for size, own in sizes.items()
                if size not in SIZES or "objective" not in own
            ),
            f"methods of {' or '.join(SIZES)} with an objective each",
        ),
    ):
        if wrong:
            raise InputError(who, f"{', '.join(wrong)}", wanted, NEXT_STEP)
    lists = {name: tuple(values.get(name, ())) for name in ("tasks", "deviations")}
    return Scale(**values | lists)
