"""Register a family of claims before its first run: write claims.lock beside the claims.

Claims are collected by pytest and planned, and nothing is trained. Verdicts of what the lock registers
are CONFIRMATORY, all others EXPLORATORY. A family that is changed after its evidence was seen is a
further attempt, and each attempt has a tenth of the error rate of the one before.

Example:
    kdcheck lock claims --scale embedded --scale mini
    kdcheck lock --check
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.cli._source import add_store
from kdcheck.errors import InputError
from kdcheck.plural import plural

if TYPE_CHECKING:
    from kdcheck.claims import Claim
    from kdcheck.places import Places
    from kdcheck.study.lock import Lock, Section
    from kdcheck.study.registering import Change, Known
    from kdcheck.study.scale import Scale

HELP = "register claims, margins, settings, data and seeds before the first run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "paths",
        nargs="*",
        default=["claims"],
        metavar="PATH",
        help="folders or files of claims, as for pytest (default: claims)",
    )
    text = "a scale of the paper or a TOML file, once or more; default: as the paper says"
    parser.add_argument("--scale", action="append", metavar="NAME", help=text)
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of GLUE files")
    parser.add_argument("--model-dir", type=Path, metavar="DIR", help="folder of encoders")
    parser.add_argument("--lock", type=Path, metavar="FILE", help="default: beside the claims")
    text = "write nothing; exit with 1 if the lock would change"
    parser.add_argument("--check", action="store_true", help=text)
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    """Write the lock and say what changed; with ``--check`` 1 if it would change.

    Raises:
        KdcheckError: the claims cannot be planned, or the lock cannot be read.
        InputError: no claim, or claims of two papers.
    """
    from kdcheck.plugin.collecting import plan_paths
    from kdcheck.study.lock import read
    from kdcheck.study.registering import register
    from kdcheck.study.scale import load

    folders = {"store": args.store, "data_dir": args.data_dir, "model_dir": args.model_dir}
    found = plan_paths(args.paths, scale=(args.scale or [None])[0], **folders)
    path, places = args.lock or found.lock, found.places
    before = lock = read(path)
    known = _known(places)
    for name in args.scale or [found.scale]:
        scale = load(name, found.claims[0].paper)
        change = register(lock, _section(found.claims, scale, places), scale.name, known)
        print("\n".join(_report(change, scale.name, places)))
        lock = change.lock
    if lock.text == before.text:
        print(f"{path}: as it was")
        return 0
    if args.check:
        print(f"{path}: not up to date; kdcheck lock would write it")
        return 1
    _write(path, lock)
    print(f"{path}: written; commit it before the first run")
    return 0


def _section(claims: Sequence[Claim], scale: Scale, places: Places) -> Section:
    """The family with everything that a lock knows of it; the graph is built to check the claims."""
    from kdcheck.study.graph import build
    from kdcheck.study.lock import facts_of, section_of
    from kdcheck.study.resources import Resources, ScaleDigests
    from kdcheck.verdict import Plan, judge_family

    resources = Resources(places)
    digests = ScaleDigests(scale, resources)
    plan = Plan.of(scale.seeds)
    seeds = tuple(range(scale.first_seed, scale.first_seed + plan.looks[-1]))
    build(claims, scale, seeds[:1], digests)
    section = section_of(
        claims,
        scale,
        digests,
        lambda task: facts_of(resources.load_task(task), scale.rows.get(task, {})),
        seeds,
        plan,
    )
    # Judged without a measurement, which refuses what no verdict could be given on.
    judge_family([section.criterion(claim, scale.name) for claim in section.claims], {})
    return section


def _known(places: Places) -> Known:
    """What the store has seen; nothing, where there is none yet."""
    from kdcheck.evidence.store import Store
    from kdcheck.study.lock import Section
    from kdcheck.study.registering import NOTHING_KNOWN, Known

    if places.store.is_new:
        return NOTHING_KNOWN
    store = Store.open(places.store)
    sections = {digest: Section.from_dict(store.lock(digest)) for digest in store.locks()}
    return Known(sections, frozenset(store.trained()))


def _report(change: Change, scale: str, places: Places) -> list[str]:
    from kdcheck.verdict import Word

    section, plan = change.section, change.section.plan
    looks = ", ".join(map(str, plan.looks))
    known = f"{plural(len(section.claims), 'claim')} on {plural(len(section.tasks), 'task')}"
    seeds = f"seeds {section.seeds[0]} to {section.seeds[-1]}, looks at {looks}"
    spent = f"{plan.rate(Word.SUPPORTED):.3g} of each error rate of {plan.supported:g}"
    lines = [f"{scale}: family {section.digest[:8]}, {known}, {seeds}"]
    lines.append(f"  attempt {section.attempt}: may spend {spent}")
    if section.earlier:
        lines.append(f"  after {', '.join(digest[:8] for digest in section.earlier)}")
    lines += [f"  {each}" for each in change.said] or ["  registered already, and as it is"]
    if change.said and places.store.is_new:
        lines.append(
            f"  no store at {places.store}: evidence elsewhere would make it a further attempt"
        )
    return lines


def _write(path: Path, lock: Lock) -> None:
    try:
        path.write_text(lock.text, encoding="utf-8")
    except OSError as error:
        got, wanted = f"{path} ({error.strerror})", "a file that can be written"
        raise InputError("--lock", got, wanted, "Name a file in a folder that exists.") from error
