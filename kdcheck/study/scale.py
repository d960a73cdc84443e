"""A scale: tasks, encoder pair, hyper-parameters per method, seeds. A TOML file, read and checked."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdcheck.border import read_toml
from kdcheck.claims import OWN, SIZES, Arm, Paper
from kdcheck.errors import InputError
from kdcheck.recipe import Recipe

NEXT_STEP = "Correct the scale file; docs/guides/scales.md lists every field."
DECIDED_ELSEWHERE = {
    "task", "task_digest", "train_rows", "validation_rows", "test_rows", "encoder",
    "encoder_digest", "objective", "teacher", "teacher_temperature", "teacher_shuffled", "seed",
    "engine_version",
}  # fmt: skip
TRAINING_FIELDS = {f.name for f in dataclasses.fields(Recipe)} - DECIDED_ELSEWHERE
MOST_SEEDS = 1000
"""Seeds from there up are for tuning."""
TEXTS = ("tasks", "deviations", "may_collapse")
"""Fields that are lists of texts."""
BUDGET_FIELDS = ("learning_rate", "epochs")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What one scale fixes; it says itself where it departs from the paper."""

    name: str
    """Its name; every verdict carries it."""
    pair: str | tuple[str, str]
    """Name of the encoder pair, or the names of its two encoders, the larger one first."""
    tasks: tuple[str, ...]
    """Names of its tasks."""
    seeds: int
    """Seeds that are run by default."""
    first_seed: int = 0
    """The first of them; seeds from 1000 up are for tuning."""
    training: Mapping[str, Any]
    """Recipe fields that all its runs share; ``tasks`` inside for what those of one task share."""
    methods: Mapping[str, Mapping[str, Any]]
    """Per method and size: objective, learning rate, epochs; ``tasks`` inside for exceptions."""
    rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Per task: how many examples of each split are used, where not all."""
    deviations: tuple[str, ...] = ()
    """Where it departs from the paper, one sentence each."""
    needs_cuda: bool = False
    """Whether it runs on CUDA alone."""
    may_collapse: tuple[str, ...] = ()
    """Methods made bad on purpose: that a run of one, or of its student, collapses is no fault."""
    rehearsal: bool = False
    """Whether it only tries the machinery; no file says so, :func:`kdcheck.study.rehearsal.rehearsal_of` does."""

    def content(self, arms: Iterable[Arm]) -> dict[str, Any]:
        """What decides the runs of some arms besides data, encoders and seeds, as JSON values.

        Neither its name, which decides nothing, nor methods that no arm uses; defaults are filled
        in, so that leaving one out and writing it down are one content.
        """
        used = {(part.method, part.size) for arm in arms for part in _parts(arm)}
        methods: dict[str, dict[str, Any]] = {}
        for method, size in sorted(used):
            methods.setdefault(method, {})[size] = self.methods.get(method, {}).get(size)
        defaults = {
            f.name: f.default
            for f in dataclasses.fields(Recipe)
            if f.name in TRAINING_FIELDS and f.default is not dataclasses.MISSING
        }
        content: dict[str, Any] = {"training": defaults | dict(self.training), "methods": methods}
        content |= {"may_collapse": sorted(set(self.may_collapse) & methods.keys())}
        content |= {"rows": {task: self.rows[task] for task in self.tasks if task in self.rows}}
        content |= {"rehearsal": True} if self.rehearsal else {}
        # A copy, and lists where a test may have given tuples: as the file of a lock gives them back.
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain

    def settings(self, arm: Arm, task: str) -> dict[str, Any]:
        """The recipe fields of an arm on a task: shared ones, its method's, the task's own."""
        stored = self.methods.get(arm.method, {}).get(arm.size)
        if stored is None:
            known = sorted(f"{m}/{s}" for m, sizes in self.methods.items() for s in sizes)
            got, wanted = f"no method {arm.method}/{arm.size}", f"one of {', '.join(known)}"
            step = "Add its hyper-parameters to the scale file."
            raise InputError(f"scale {self.name!r}", got, wanted, step)
        method = dict(stored)
        shared, own = dict(self.training), method.pop("tasks", {}).get(task, {})
        of_task = shared.pop("tasks", {}).get(task, {})
        settings = {**shared, **of_task, **method, **own}
        # An objective's parameters may be given for one task alone, where each has its best.
        settings["objective"] = {**method["objective"], **own.get("objective", {})}
        if arm.budget is not None:
            lender = self.settings(arm.budget, task)
            settings |= {name: lender[name] for name in BUDGET_FIELDS}
        return settings


def _parts(arm: Arm) -> Iterator[Arm]:
    """The arm, whoever teaches it, and whoever lends a budget to one of them."""
    for each in arm.lineage():
        yield each
        if each.budget is not None:
            yield from _parts(each.budget)


def load(name_or_path: str, paper: Paper = OWN) -> Scale:
    """Read a scale that a paper brings, or a file of your own.

    Args:
        name_or_path: name of one of the paper's scales, or the path of a TOML file.
        paper: whose scales are known by name.

    Raises:
        InputError: no such scale, or a field that is missing, unknown or out of range.
    """
    path = Path(name_or_path)
    if name_or_path in shipped_names(paper):
        path = Path(paper.scales, f"{name_or_path}.toml")
    elif path.suffix != ".toml" or not path.is_file():
        known = ", ".join(shipped_names(paper))
        wanted = f"{f'one of {known}, or ' if known else ''}the path of a .toml file"
        step = "Check the spelling, or the path"
        step += (
            "." if known else ": claims of no paper have scales of their own alone; name paper=..."
        )
        raise InputError("scale", repr(name_or_path), wanted, step)
    try:
        values = read_toml(path)
    except (OSError, ValueError) as error:
        raise InputError(f"scale {name_or_path!r}", str(error), "TOML", NEXT_STEP) from error
    return _checked(values)


def shipped_names(paper: Paper) -> list[str]:
    """Names of the scales that a paper brings."""
    return list(paper.scale_names) if paper.scales else []


def _checked(values: dict[str, Any]) -> Scale:
    who = f"scale {values.get('name')!r}"
    _check_kinds(who, values)
    tasks, methods = values.get("tasks", []), _methods(values)
    known = {f.name for f in dataclasses.fields(Scale)} - {"rehearsal"}
    required = {"name", "pair", "tasks", "seeds", "training", "methods"}
    strange = {place for place, size, own in methods if size not in SIZES or "objective" not in own}
    # Tables for tasks that the scale does not have would have no effect.
    exceptions = {
        f"{place}.tasks.{k}": k for place, _, own in methods for k in own.get("tasks", {})
    }
    exceptions |= {f"rows.{task}": task for task in values.get("rows", {})}
    shared = {k: v for k, v in values.get("training", {}).items() if k != "tasks"}
    of_tasks: dict[str, dict[str, Any]] = values.get("training", {}).get("tasks", {})
    exceptions |= {f"training.tasks.{task}": task for task in of_tasks}
    for wrong, wanted in (
        (set(values) - known, f"only {', '.join(sorted(known))}"),
        (required - set(values), "every required field"),
        (
            {*shared, *(name for own in of_tasks.values() for name in own)} - TRAINING_FIELDS,
            f"recipe fields, of {', '.join(sorted(TRAINING_FIELDS))}",
        ),
        (strange, f"methods of {' or '.join(SIZES)} with an objective each"),
        (
            set(values.get("may_collapse", ())) - values.get("methods", {}).keys(),
            f"methods of the scale in may_collapse, of {', '.join(values.get('methods', {}))}",
        ),
        (
            {place for place, task in exceptions.items() if task not in tasks},
            f"exceptions of the scale's tasks, {', '.join(tasks)}",
        ),
    ):
        if wrong:
            got = ", ".join(name or repr(name) for name in sorted(wrong))
            raise InputError(who, got, wanted, NEXT_STEP)
    lists = {name: tuple(values.get(name, ())) for name in TEXTS}
    pair = values["pair"]
    return Scale(**values | lists | {"pair": pair if isinstance(pair, str) else tuple(pair)})


def _methods(values: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """Each table of a method: where it is, its size, and what is in it."""
    return [
        (f"methods.{method}.{size}", size, own)
        for method, sizes in values.get("methods", {}).items()
        for size, own in sizes.items()
    ]


def _check_kinds(who: str, values: Mapping[str, Any]) -> None:
    """Each field of the kind that it must have, tables in tables included."""
    for name, value in values.items():
        if name in KINDS and not KINDS[name][1](value):
            raise InputError(who, f"{name} = {value!r}", KINDS[name][0], NEXT_STEP)
    of_tasks = _table(who, "training.tasks", values.get("training", {}).get("tasks", {}))
    for task, table in of_tasks.items():
        _table(who, f"training.tasks.{task}", table)
    for where, _, own in _methods(values):
        exceptions = _table(who, f"{where}.tasks", _table(who, where, own).get("tasks", {}))
        for part, table in {
            where: own,
            **{f"{where}.tasks.{k}": exceptions[k] for k in exceptions},
        }.items():
            objective = _table(who, part, table).get("objective", {})
            _table(who, f"{part}.objective", objective, 'a table, as { name = "erm" }')


def _table(who: str, where: str, value: Any, wanted: str = "a table") -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(who, f"{where} = {value!r}", wanted, NEXT_STEP)
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_tables(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())


KINDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "name": (
        "letters, digits, spaces and . _ - alone: it names a family in tags",
        lambda value: _is_text(value) and re.fullmatch(r"[\w. -]+", value) is not None,
    ),
    "pair": (
        "the name of a pair, or a list of two encoders, the larger one first",
        lambda value: _is_text(value) or (_are_texts(value) and len(set(value)) == len(value) == 2),
    ),
    "tasks": ("a list of at least one name", lambda value: _are_texts(value) and bool(value)),
    "deviations": ("a list of texts", _are_texts),
    "may_collapse": ("a list of methods", _are_texts),
    "seeds": (
        f"a whole number from 1 to {MOST_SEEDS}",
        lambda value: type(value) is int and 1 <= value <= MOST_SEEDS,
    ),
    "first_seed": (
        "a whole number from 0 up",
        lambda value: type(value) is int and value >= 0,
    ),
    "needs_cuda": ("true or false", lambda value: isinstance(value, bool)),
    "training": ("a table", lambda value: isinstance(value, dict)),
    "methods": ("tables [methods.METHOD.SIZE]", _are_tables),
    "rows": ("tables [rows.TASK]", _are_tables),
}
"""Per field of a scale file, what it must be and how that is seen."""
