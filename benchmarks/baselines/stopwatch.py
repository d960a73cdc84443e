"""A pytest plugin that times the parts of a claims run: ``-p baselines.stopwatch``.

Seconds by part go to the JSON file that ``KDCHECK_STOPWATCH`` names. Parts lie within one another,
as training within work; whoever reads the file takes the inner ones off.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SECONDS: Counter[str] = Counter()


def timed(action: Callable[..., Any], part: str) -> Callable[..., Any]:
    """The same function, with its seconds added up."""

    def measured(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return action(*arguments, **options)
        finally:
            SECONDS[part] += time.perf_counter() - began

    return measured


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish() -> None:
    """Put the stopwatch around each part, before anything is planned."""
    from kdcheck.engine import loop
    from kdcheck.evidence.store import Store
    from kdcheck.plugin import outcome, training
    from kdcheck.study import session
    from kdcheck.study.resources import Resources

    Store.create = timed(Store.create, "create")
    Resources.inputs_of = timed(Resources.inputs_of, "inputs")
    for owner, name, part in (
        (training, "work", "work"),
        (loop, "train", "train"),
        (session, "judge_all", "judge_all"),
        (outcome, "judge_item", "judge_item"),
        (outcome, "_write_page", "page"),
    ):
        setattr(owner, name, timed(getattr(owner, name), part))


def pytest_unconfigure() -> None:
    """Leave the seconds to whoever started this run."""
    Path(os.environ["KDCHECK_STOPWATCH"]).write_text(json.dumps(SECONDS), encoding="utf-8")
