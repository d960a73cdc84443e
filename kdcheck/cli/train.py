"""Train one recipe, and its teacher first if it has one; print its metrics.

A recipe is a TOML file with the fields of kdcheck.recipe.Recipe, an [objective] and, for distillation,
a [teacher] table that holds what differs from the student. Flags change single fields; without a file
they make the recipe. Digests of task and encoder are filled in. Stopped, the same command resumes.

Fields: task task_digest train_rows validation_rows test_rows encoder encoder_digest max_length dropout
head_dropout objective teacher teacher_temperature learning_rate epochs batch_size schedule schedule_epochs
weight_decay beta_1 beta_2 epsilon clip_norm precision tf32 deterministic threads seed
evaluations_per_epoch curve_rows engine_version

Example:
  kdcheck train --task tweets --encoder tiny-1 --objective ls --alpha 0.1 --set train_rows=2000
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcheck.errors import OptionError
from kdcheck.places import check_writable

if TYPE_CHECKING:
    import torch

    from kdcheck.engine.inputs import Inputs
    from kdcheck.evidence.evidence import Evidence, Predictions
    from kdcheck.recipe import Recipe
    from kdcheck.study.resources import Resources

HELP = "train one recipe and print its metrics"
WORKDIR = Path(".kdcheck/train")
METRICS = {
    "accuracy": "accuracy",
    "entropy": "mean_entropy_nats",
    "nll": "nll_nats",
    "brier": "brier",
    "ece": "ece",
}
"""Heading and name of each metric that is printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe by file or by field, and where things are.

    Source: none.

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["--task", "tweets", "--alpha", "0.1"]).alpha
    0.1
    """
    parser.add_argument("recipe", nargs="?", type=Path, metavar="RECIPE.toml", help="a recipe file")
    what = parser.add_argument_group("fields of the recipe")
    what.add_argument("--task", metavar="NAME", help="see kdcheck data list")
    what.add_argument("--encoder", metavar="NAME", help="as minilm-5, or a folder of --model-dir")
    what.add_argument("--objective", metavar="NAME", help="erm, ls, kd, ... (default erm)")
    what.add_argument("--alpha", type=float, metavar="A", help="weight of the soft term, 0 to 1")
    what.add_argument("--temperature", type=float, metavar="T", help="of the soft term")
    what.add_argument(
        "--teacher-encoder", metavar="NAME", help="a teacher like the student, by ERM"
    )
    what.add_argument("--learning-rate", type=float, metavar="R", help="peak rate (default 5e-5)")
    what.add_argument("--epochs", type=int, metavar="N", help="passes over the data (default 4)")
    what.add_argument("--seed", type=int, metavar="N", help="of all randomness (default 0)")
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="any other field, as batch_size=16 or teacher.epochs=3; may be repeated",
    )
    where = parser.add_argument_group("places")
    where.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of GLUE files")
    where.add_argument("--model-dir", type=Path, metavar="DIR", help="folder of encoders")
    where.add_argument("--cache-dir", type=Path, metavar="DIR", help="where fetched files are kept")
    where.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 (default: cuda if any)")
    where.add_argument(
        "--workdir",
        type=Path,
        default=WORKDIR,
        metavar="DIR",
        help=f"checkpoints and teachers (default {WORKDIR})",
    )
    where.add_argument("--output", type=Path, metavar="DIR", help="leave metrics and logits here")
    where.add_argument("--export", type=Path, metavar="DIR", help="leave the trained model here")


def run(args: argparse.Namespace) -> int:
    """Train teachers, then the recipe; 0, or 130 when stopped by Ctrl-C.

    Raises:
        OptionError: a field is missing or malformed, or results cannot be left where they are wanted.
        KdcheckError: the recipe contradicts itself, or cannot be trained here.

    Source: none.

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> run(parser.parse_args(["--encoder", "tiny-1"]))
    Traceback (most recent call last):
        ...
    kdcheck.errors.OptionError: kdcheck train: got no task; wanted the name of the task. Give \
--task or a recipe file.
    """
    from kdcheck.engine.settings import pick_device
    from kdcheck.study.resources import Resources

    resources = Resources(
        data_dir=args.data_dir, model_dir=args.model_dir, cache_dir=args.cache_dir
    )
    recipe = resolve(fields_of(args), resources)
    _check_places(args.output, args.export)
    place = _Place(resources, pick_device(args.device), args.workdir)
    try:
        teacher = None
        for each in recipe.lineage():
            last = each is recipe
            evidence = place.train(
                each,
                teacher,
                keep=not last,
                output=args.output if last else None,
                export=args.export if last else None,
            )
            teacher = evidence.final.predictions.get("train")
    except KeyboardInterrupt:
        print(f"\nstopped; the same command resumes from {args.workdir}", file=sys.stderr)
        return 130
    _print_metrics(evidence)
    if args.output:
        print(f"metrics and logits: {args.output}")
    if args.export:
        print(f"model: {args.export}")
    return 0


def fields_of(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of the recipe: the file's, else the defaults; then the flags over them.

    Raises:
        OptionError: a file that cannot be read, or a ``--set`` that is no FIELD=VALUE.

    Source: none.

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> fields_of(parser.parse_args(["--objective", "ls", "--alpha", "0.1", "--set", "batch_size=16"]))
    {'learning_rate': 5e-05, 'epochs': 4, 'seed': 0, 'objective': {'name': 'ls', 'alpha': 0.1}, \
'batch_size': 16}
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
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(
            f"recipe {path}", str(error), "a readable TOML file", "See kdcheck train --help."
        ) from error


def _set(fields: dict[str, Any], text: str) -> None:
    """Take in FIELD=VALUE, the value as in TOML or a bare word."""
    import tomllib

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

    Args:
        fields: of the recipe, by name.
        resources: where task and encoder are found.

    Returns:
        The recipe, its teacher's inside.

    Raises:
        OptionError: no name of a task or an encoder.
        KdcheckError: they cannot be found, do not fit, or the recipe contradicts itself.

    Source: section 4 for the teacher.

    >>> from kdcheck.study.resources import Resources
    >>> resolve({"task": "tweets", "encoder": 7}, Resources())
    Traceback (most recent call last):
        ...
    kdcheck.errors.OptionError: kdcheck train: got 7; wanted the name of the encoder. Give \
--encoder or a recipe file.
    """
    from kdcheck.encoders import check_pair
    from kdcheck.recipe import Recipe

    for name in ("task", "encoder"):
        if not isinstance(fields.get(name), str):
            raise OptionError(
                "kdcheck train",
                f"{fields[name]!r}" if name in fields else f"no {name}",
                f"the name of the {name}",
                f"Give --{name} or a recipe file.",
            )
    rows = [fields.get(f"{split}_rows") for split in ("train", "validation", "test")]
    encoder = resources.load_encoder(fields["encoder"])
    digests = {
        "task_digest": resources.load_task(fields["task"], *rows).digest,
        "encoder_digest": encoder.digest,
    }
    given = digests | fields
    if isinstance(fields.get("teacher"), dict):
        own = {"objective": {"name": "erm"}, "teacher": None, "teacher_temperature": 1.0}
        inherited = {k: v for k, v in fields.items() if k not in ("encoder_digest", "task_digest")}
        given["teacher"] = teacher = resolve(inherited | own | fields["teacher"], resources)
        for note in check_pair(resources.load_encoder(teacher.encoder), encoder):
            print(f"note: {note}")
        given["teacher"] = teacher.to_dict()
    return Recipe.from_dict(given)


@dataclass(frozen=True)
class _Place:
    """Where recipes are trained."""

    resources: Resources
    device: torch.device
    workdir: Path

    def train(
        self,
        recipe: Recipe,
        teacher: Predictions | None,
        *,
        keep: bool,
        output: Path | None,
        export: Path | None,
    ) -> Evidence:
        """Train one recipe, or read it back if it was kept; one to be kept is a teacher."""
        from kdcheck.engine.loop import train
        from kdcheck.evidence.bundle import Bundle

        print(recipe.summary())
        kept = self.workdir / f"teacher-{recipe.digest[:16]}"
        if keep and kept.exists():
            print(f"  trained before: {kept}")
            return Bundle(kept).get(recipe.digest)
        inputs = self.resources.inputs_of(recipe)
        _print_facts(recipe, inputs, self.device)
        checkpoints = self.workdir / f"run-{recipe.digest[:16]}"
        with _Bar() as bar:
            evidence = train(
                recipe,
                inputs,
                teacher=teacher,
                device=self.device,
                workdir=checkpoints,
                predict_train=keep,
                model_folder=export,
                progress=bar,
            )
        for folder in (kept if keep else None, output):
            if folder is not None:
                _write(evidence, folder)
        # Only now: until the results are on disk, these are all that is left of the training.
        shutil.rmtree(checkpoints, ignore_errors=True)
        return evidence


class _Bar:
    """A bar on stderr while somebody is watching."""

    def __enter__(self) -> Callable[[int, int], None]:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._bar.start()
        self._steps = self._bar.add_task("training", total=None)
        return lambda step, total: self._bar.update(self._steps, completed=step, total=total)

    def __exit__(self, *error: object) -> None:
        self._bar.stop()


def _print_facts(recipe: Recipe, inputs: Inputs, device: torch.device) -> None:
    """What decides the run and is not in its summary, before step 0."""
    from kdcheck.engine.schedule import Schedule
    from kdcheck.engine.settings import environment

    task, schedule = inputs.task, Schedule(recipe, len(inputs.task.train))
    sizes = " / ".join(f"{len(task.split(s)):,}" for s in ("train", "validation", "test"))
    told = environment(recipe, device)
    tokens = inputs.tokenized["train"].lengths
    vocabulary = f"{len(inputs.vocabulary):,} of {inputs.encoder.config.vocab_size:,}"
    threads = "1 thread" if recipe.threads == 1 else f"{recipe.threads} threads"
    print(
        f"  task     {sizes} rows (train / validation / test), {', '.join(task.classes)}; "
        f"content {task.digest[:8]}\n"
        f"  encoder  {vocabulary} tokens in use, {tokens.mean():.1f} tokens a row; "
        f"content {inputs.encoder.digest[:8]}\n"
        f"  steps    {schedule.total_steps:,}, {len(schedule.evaluation_steps)} evaluations\n"
        f"  device   {told['device']} ({told['device_name']}), {threads}, torch {told['torch']}, "
        f"{'' if recipe.deterministic else 'not '}deterministic",
        flush=True,
    )


def _print_metrics(evidence: Evidence) -> None:
    print(f"\n{'':>7}{'train':>10}  {'test':<52}{'validation':>10}")
    print(f"{'epoch':>7}{'loss':>10}{''.join(f'{name:>10}' for name in METRICS)}{'accuracy':>14}")
    for point in evidence.points:
        values = [point.values[f"test/{name}"] for name in METRICS.values()]
        test = "".join(f"{value:>10.4f}" for value in values)
        loss, validation = point.values["train/loss_nats"], point.values["validation/accuracy"]
        print(f"{point.epoch:>7.4g}{loss:>10.4f}{test}{validation:>14.4f}")
    cost = evidence.cost
    seconds = max(cost["seconds"] - cost["evaluation_seconds"], 1e-9)
    print(
        f"\nloss, entropy and nll in nats; {cost['train_rows'] / seconds:,.0f} training rows a "
        f"second, {cost['seconds']:.1f} s in all"
    )
    for note in evidence.notes:
        print(f"note: {note}")


def _check_places(output: Path | None, export: Path | None) -> None:
    """Before hours of training, not after: whether results can be left where they are wanted."""
    from kdcheck.engine.hugging_face import check_is_new
    from kdcheck.evidence.bundle import check_replaceable

    for option, place, check in (
        ("--output", output, check_replaceable),
        ("--export", export, check_is_new),
    ):
        if place is not None:
            check_writable(option, place)
            check(place)


@dataclass(frozen=True)
class _One:
    """A source of evidence that has one run."""

    evidence: Evidence

    def digests(self) -> set[str]:
        return {self.evidence.recipe.digest}

    def get(self, _digest: str, *, trajectory: bool = False) -> Evidence:  # noqa: ARG002
        return self.evidence

    def metrics(self, digests: Iterable[str]) -> dict[str, Mapping[str, float]]:
        return dict.fromkeys(digests, self.evidence.final.values)

    def claims(self) -> tuple[()]:
        return ()

    def claim_file(self, _record: object, name: str) -> bytes:
        raise KeyError(name)


def _write(evidence: Evidence, folder: Path) -> None:
    from kdcheck.evidence.bundle import export_bundle

    export_bundle(_One(evidence), folder, trajectory=True)
