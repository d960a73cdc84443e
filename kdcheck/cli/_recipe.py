"""The recipe that a command line names: from a file, from flags, or from both."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcheck.border import read_toml, toml_of
from kdcheck.errors import OptionError

if TYPE_CHECKING:
    from kdcheck.recipe import Recipe
    from kdcheck.study.resources import Resources


def fields_of(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of the recipe: the file's, else the defaults; then the flags over them.

    Raises:
        OptionError: a file that cannot be read, or a ``--set`` that is no FIELD=VALUE.
    """
    fields: dict[str, Any] = {"learning_rate": 5e-5, "epochs": 4, "seed": 0, "objective": {}}
    if args.recipe:
        fields = _read(args.recipe)
    for name in ("task", "encoder", "learning_rate", "epochs", "seed"):
        if getattr(args, name) is not None:
            fields[name] = getattr(args, name)
    if args.objective:
        fields["objective"] = {"name": args.objective}
    for name in ("objective", "teacher"):
        _require_table(fields, name)
    objective = fields.setdefault("objective", {})
    objective.setdefault("name", "erm")
    for name in ("alpha", "temperature"):
        if getattr(args, name) is not None:
            objective[name] = getattr(args, name)
    if args.teacher_encoder:
        fields.setdefault("teacher", {})["encoder"] = args.teacher_encoder
    given = {name for option, name in FLAGS.items() if getattr(args, option) is not None}
    for text in args.set:
        name = _set(fields, text)
        if name in given:
            got, step = f"{name} a second time", "Leave one of the two out."
            raise OptionError(f"--set {text}", got, "each field once", step)
        given.add(name)
    return fields


FLAGS = {
    **{name: name for name in ("task", "encoder", "learning_rate", "epochs", "seed")},
    **{name: f"objective.{name}" for name in ("alpha", "temperature")},
    "objective": "objective.name",
    "teacher_encoder": "teacher.encoder",
}
"""Options and the fields that they fill."""


def _require_table(fields: dict[str, Any], name: str) -> None:
    if not isinstance(fields.get(name, {}), dict):
        example = f"[{name}] with {'name' if name == 'objective' else 'encoder'} = ... in it"
        step = "See kdcheck train --help."
        raise OptionError(f"recipe, {name}", repr(fields[name]), f"a table, as {example}", step)


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except (OSError, ValueError) as error:
        wanted, next_step = "a readable TOML file", "See kdcheck train --help."
        raise OptionError(f"recipe {path}", str(error), wanted, next_step) from error


def _set(fields: dict[str, Any], text: str) -> str:
    """Take in FIELD=VALUE, the value as in TOML or a bare word; return the name of the field."""
    name, equals, value = text.partition("=")
    *tables, field = name.split(".")
    if not equals or not field:
        raise OptionError("--set", repr(text), "FIELD=VALUE", "For example --set batch_size=16.")
    for table in tables:
        inner: Any = fields.setdefault(table, {})
        if not isinstance(inner, dict):
            step = f"Give {table} by itself, or leave it out of the recipe."
            raise OptionError(f"--set {text}", f"{table} = {inner!r}", f"{table} as a table", step)
        fields = inner
    try:
        found = toml_of(f"x = {value}".encode())
    except ValueError:
        found = {}
    fields[field] = found["x"] if found.keys() == {"x"} else value  # else a bare word
    return name


def resolve(fields: dict[str, Any], resources: Resources) -> Recipe:
    """The recipe that the fields name, with the digests of what is there now.

    A teacher has every field of its student that its own table does not name; its objective is ERM.

    Raises:
        OptionError: no name of a task or an encoder.
        KdcheckError: they cannot be found, do not fit, or the recipe contradicts itself.
    """
    from kdcheck.encoders import check_pair
    from kdcheck.recipe import Recipe

    for name in ("task", "encoder"):
        if not isinstance(fields.get(name), str):
            got = f"{fields[name]!r}" if name in fields else f"no {name}"
            next_step = f"Give --{name} or a recipe file."
            raise OptionError("kdcheck train", got, f"the name of the {name}", next_step)
    encoder = resources.load_encoder(fields["encoder"])
    task = resources.load_task(fields["task"])
    given = {"task_digest": task.digest, "encoder_digest": encoder.digest} | fields
    if isinstance(fields.get("teacher"), dict):
        own: dict[str, Any] = {"objective": {"name": "erm"}, "teacher": None}
        own |= {"teacher_temperature": 1.0, "teacher_shuffled": False}
        inherited = {k: v for k, v in fields.items() if k not in ("encoder_digest", "task_digest")}
        given["teacher"] = teacher = resolve(inherited | own | fields["teacher"], resources)
        for note in check_pair(resources.load_encoder(teacher.encoder), encoder):
            print(f"note: {note}")
        given["teacher"] = teacher.to_dict()
    return Recipe.from_dict(given)
