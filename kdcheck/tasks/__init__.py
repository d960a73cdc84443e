"""Tasks: what a model is trained and judged on, from the hub, a folder or PyPI files."""

from __future__ import annotations

import difflib
from pathlib import Path

from kdcheck.errors import TaskError
from kdcheck.fetch import cache_root
from kdcheck.tasks import folder, glue, packaged
from kdcheck.tasks.corpora import PACKAGED
from kdcheck.tasks.hub import HubSource
from kdcheck.tasks.split import SPLITS, Split
from kdcheck.tasks.task import Origin, Task

__all__ = ["SPLITS", "Origin", "Split", "Task", "load_task", "task_names"]


def task_names(data_dir: Path | None = None) -> list[str]:
    """Every name that :func:`load_task` knows, those that a folder declares last."""
    known = [*glue.GLUE, *PACKAGED]
    declared = folder.declared_names(data_dir) if data_dir else []
    return [*known, *(name for name in declared if name not in known)]


def load_task(name: str, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Task:
    """A task by name, every example checked.

    ``mrpc``, ``qnli``, ``sst2`` and ``mnli`` come from the folder if one is given, else from the
    hub; ``tweets``, ``snippets``, ``plots`` and ``sts`` from PyPI files, fetched once; any other
    name is a folder with a ``task.toml``.

    Args:
        name: the task.
        data_dir: folder with one folder per task.
        cache_dir: where fetched tasks are kept; ``$KDCHECK_CACHE`` or ``~/.cache/kdcheck`` if None.

    Returns:
        The task, its three splits in memory.

    Raises:
        TaskError: the name is unknown, or a file or a row cannot be used.
        LabelError: a label is outside the classes.
        FetchError: a file cannot be fetched or is not what is pinned.

    Source: Appendix A.1 and Table 6 for the paper's four tasks.

    >>> load_task("mrcp")
    Traceback (most recent call last):
        ...
    kdcheck.errors.TaskError: load_task: got 'mrcp'; wanted one of mrpc, qnli, sst2, mnli, tweets, \
snippets, plots, sts. Did you mean 'mrpc'?
    """
    if name in PACKAGED:
        return packaged.load(PACKAGED[name], cache_root(cache_dir))
    if name in glue.GLUE:
        source = folder.FolderSource(data_dir) if data_dir else HubSource()
        return glue.assemble(glue.GLUE[name], source)
    if data_dir and name in folder.declared_names(data_dir):
        return folder.load_declared(data_dir, name)
    known = task_names(data_dir)
    close = difflib.get_close_matches(name, known, n=1)
    raise TaskError(
        "load_task",
        repr(name),
        f"one of {', '.join(known)}",
        f"Did you mean {close[0]!r}?"
        if close
        else "A task of your own needs --data-dir and a task.toml.",
    )
