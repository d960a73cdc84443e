"""Train one recipe, and its teacher first if it has one; print its metrics.

A recipe is a TOML file with the fields of kdcheck.recipe.Recipe, an [objective] and, for distillation,
a [teacher] table that holds what differs from the student. Flags change single fields; without a file
they make the recipe. Digests of task and encoder are filled in. Whatever is trained goes into the
evidence store and is not trained again. Stopped, the same command resumes.

Fields: task task_digest train_rows validation_rows test_rows encoder encoder_digest max_length dropout
head_dropout objective teacher teacher_temperature teacher_shuffled learning_rate epochs batch_size
schedule schedule_epochs weight_decay beta_1 beta_2 epsilon clip_norm precision tf32 deterministic threads
seed evaluations_per_epoch curve_rows engine_version

Example:
  kdcheck train --task tweets --encoder tiny-1 --objective ls --alpha 0.1 --set train_rows=2000
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.cli._recipe import fields_of, resolve
from kdcheck.errors import OptionError
from kdcheck.places import FOLDERS, Places, check_writable

if TYPE_CHECKING:
    from kdcheck.evidence.evidence import EvaluationPoint, Evidence
    from kdcheck.evidence.store import Store
    from kdcheck.recipe import Recipe
    from kdcheck.study.resources import Resources

HELP = "train one recipe and print its metrics"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe by file or by field, and where things are."""
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
    where.add_argument("--store", metavar="PLACE", help="evidence store (default .kdcheck/store)")
    where.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of GLUE files")
    where.add_argument("--model-dir", type=Path, metavar="DIR", help="folder of encoders")
    where.add_argument("--cache-dir", type=Path, metavar="DIR", help="where fetched files are kept")
    where.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 (default: cuda if any)")
    where.add_argument(
        "--workdir", type=Path, metavar="DIR", help="checkpoints (default: beside the store)"
    )
    where.add_argument("--output", type=Path, metavar="DIR", help="leave metrics and logits here")
    where.add_argument("--export", type=Path, metavar="DIR", help="leave the trained model here")


def run(args: argparse.Namespace) -> int:
    """Train what the store lacks of a recipe and its teachers; 0, or 130 when stopped by Ctrl-C.

    Raises:
        OptionError: a field is missing or malformed, or results cannot be left where they are wanted.
        KdcheckError: the recipe contradicts itself, or cannot be trained here.
    """
    from kdcheck.evidence.bundle import export_bundle
    from kdcheck.evidence.store import Store
    from kdcheck.study.resources import Resources

    folders = {name: getattr(args, name) for name in FOLDERS}
    places = Places.resolve(store=args.store, work=args.workdir, **folders)
    resources = Resources(places)
    recipe = resolve(fields_of(args), resources)
    _check_places(args)
    store = Store.create(places.store)
    _check_export(args.export, recipe, store)
    try:
        _train(recipe, args, places, store, resources)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command resumes from {places.work}", file=sys.stderr)
        return 130
    _print_metrics(store.get(recipe.digest))
    if args.output:
        export_bundle(store, args.output, [recipe.digest], trajectory=True)
        print(f"metrics and logits: {args.output}")
    if args.export:
        print(f"model: {args.export}")
    return 0


def _train(
    recipe: Recipe, args: argparse.Namespace, places: Places, store: Store, resources: Resources
) -> None:
    """Teachers first, by the same work as a study, in this process."""
    from kdcheck.study.progress import Display
    from kdcheck.study.work import Job, Order, Worker, work

    finished = store.digests()
    lineage = tuple(recipe.lineage())
    for each in lineage:
        print(each.summary())
        if each.digest in finished:
            print(f"  trained before: store {store.location}")
        else:
            _print_facts(each, resources, args.device)
    *teachers, student = lineage
    orders = [Order(each, role="train", teaches=True) for each in teachers]
    orders.append(Order(student, role="train", model_folder=args.export))
    wanted = {each.digest for each in lineage}
    with Display(wanted, finished, places.work, stream=sys.stderr) as display:
        job, worker = Job(tuple(orders), places), Worker("main", args.device)
        # Asked for by name, so also what has failed before.
        store.retry(wanted, session=store.session)
        work(job, store, worker, resources=resources, report=display.update)
    if worker.failed:
        raise worker.failed[0]


def _print_facts(recipe: Recipe, resources: Resources, device: str | None) -> None:
    """What decides the run and is not in its summary, before step 0."""
    from kdcheck.engine.schedule import Schedule
    from kdcheck.engine.settings import environment, pick_device

    inputs = resources.inputs_of(recipe)
    task, schedule = inputs.task, Schedule(recipe, len(inputs.task.train))
    sizes = " / ".join(f"{len(task.split(s)):,}" for s in ("train", "validation", "test"))
    told = environment(recipe, pick_device(device))
    tokens = inputs.tokenized["train"].lengths
    vocabulary = f"{len(inputs.vocabulary):,} of {inputs.encoder.config.vocab_size:,}"
    threads = "1 thread" if recipe.threads == 1 else f"{recipe.threads} threads"
    print(
        f"  task     {sizes} rows (train / validation / test), {', '.join(task.classes)}; "
        f"content {inputs.task_digest[:8]}\n"
        f"  encoder  {vocabulary} tokens in use, {tokens.mean():.1f} tokens a row; "
        f"content {inputs.encoder.digest[:8]}\n"
        f"  steps    {schedule.total_steps:,}, {len(schedule.evaluation_steps)} evaluations\n"
        f"  device   {told['device']} ({told['device_name']}), {threads}, torch {told['torch']}, "
        f"{'' if recipe.deterministic else 'not '}deterministic",
        flush=True,
    )


def _print_metrics(evidence: Evidence) -> None:
    """Each look: loss and the metrics on a sample of test text; then the end, on all of it."""
    from kdcheck.metrics import METRICS

    names = [name for name in METRICS if f"test/{name}" in evidence.final.values]
    looks = [f"test_sample/{name}" for name in names]
    _print_table(evidence.points, ["train/loss_nats", *looks])
    whole = [f"test/{name}" for name in names]
    _print_table(evidence.points[-1:], [*whole, "validation/accuracy"])
    cost = evidence.cost
    seconds = max(cost["seconds"] - cost["evaluation_seconds"], 1e-9)
    rate = f"{cost['train_rows'] / seconds:,.0f} training rows a second"
    print(f"\n{rate}, {cost['seconds']:.1f} s in all")
    for note in evidence.notes:
        print(f"note: {note}")


def _print_table(points: Sequence[EvaluationPoint], values: Sequence[str]) -> None:
    columns = [name.split("/") for name in values]
    # Splits have long names and stand above the first of their columns, which makes room.
    splits = [a * (a != b) for (a, _), (b, _) in zip(columns, [("", ""), *columns], strict=False)]
    widths = [
        max(len(name), len(split), 6) + 2 for (_, name), split in zip(columns, splits, strict=True)
    ]
    print()
    print(_line("", splits, widths))
    print(_line("epoch", [name for _, name in columns], widths))
    for point in points:
        cells = [f"{point.values[name]:.4f}" for name in values]
        print(_line(f"{point.epoch:.4g}", cells, widths))


def _line(first: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    columns = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{first:>7}{''.join(columns)}".rstrip()


def _check_places(args: argparse.Namespace) -> None:
    """Before hours of training, not after: whether there is that device, and room for results."""
    from kdcheck.engine.hugging_face import check_is_new
    from kdcheck.engine.settings import pick_device
    from kdcheck.evidence.bundle import check_replaceable

    pick_device(args.device)
    wanted = (
        ("--output", args.output, check_replaceable),
        ("--export", args.export, check_is_new),
        ("--workdir", args.workdir, _check_folder),
    )
    for option, place, check in wanted:
        if place is not None:
            check_writable(option, place)
            check(place)


def _check_folder(place: Path) -> None:
    if place.exists() and not place.is_dir():
        step = "Name a folder; it is made if there is none."
        raise OptionError(f"--workdir {place}", "a file", "a folder", step)


def _check_export(export: Path | None, recipe: Recipe, store: Store) -> None:
    """The store keeps what a model said, not its weights."""
    if export is not None and recipe.digest in store.digests():
        got = f"recipe {recipe.short}, which store {store.location} has without its weights"
        wanted = "a recipe that is still to be trained"
        next_step = "Name a new store with --store to train it there, or leave --export out."
        raise OptionError(f"--export {export}", got, wanted, next_step)
