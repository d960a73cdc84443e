"""The recipe that a command line names: from a file, from flags, or from both."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    objective = fields.setdefault("objective", {})
    objective.setdefault("name", "erm")
    for name in ("alpha", "temperature"):
        if getattr(args, name) is not None:
            objective[name] = getattr(args, name)
    if args.teacher_encoder:
        fields.setdefault("teacher", {})["encoder"] = args.teacher_encoder
    for text in args.set:
        _set(fields, text)
    return fields


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        wanted, next_step = "a readable TOML file", "See kdcheck train --help."
        raise OptionError(f"recipe {path}", str(error), wanted, next_step) from error


def _set(fields: dict[str, Any], text: str) -> None:
    """Take in FIELD=VALUE, the value as in TOML or a bare word."""
    name, equals, value = text.partition("=")
    *tables, field = name.split(".")
    if not equals or not field:
        raise OptionError("--set", repr(text), "FIELD=VALUE", "For example --set batch_size=16.")
    for table in tables:
        fields = fields.setdefault(table, {})
    try:
        fields[field] = tomllib.loads(f"x = {value}")["x"]
    except ValueError:
        fields[field] = value


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
