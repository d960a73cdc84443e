"""Claims without a run of pytest around them: collected, planned, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kdcheck.claims import Claim
from kdcheck.errors import InputError, KdcheckError
from kdcheck.places import Places
from kdcheck.plugin.config import is_claim, places_of
from kdcheck.plugin.planning import lock_path, one_paper, plan

WHO = "claims"
OPTIONS = (
    "--collect-only",
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:unraisableexception",
    "-W",
    "default",
)
"""Without the plugin that walks over a million objects at the end, to find what nobody looks at here; a
project that makes warnings errors would refuse a plugin of pytest that is imported already."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """Claims, and what a run of pytest on them would be told, by its options or its settings file."""

    claims: Sequence[Claim]
    lock: Path
    """Where their lock lies."""
    scale: str
    """Its name or file; empty where nobody names one."""
    places: Places


class _Planner:
    """A plugin of pytest that plans what was collected."""

    def __init__(self) -> None:
        self.collected: Collected | None = None
        self.refused: Exception | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        items, config = [item for item in session.items if is_claim(item)], session.config
        if session.testsfailed or not items:
            return
        try:
            paper = one_paper(items)
            self.collected = Collected(
                claims=[plan(item) for item in items],
                lock=lock_path(items, config.rootpath),
                scale=config.getoption("--scale") or paper.default_scale,
                places=places_of(config),
            )
        except (pytest.UsageError, KdcheckError) as error:
            self.refused = error  # raised here, pytest would call it an error of its own


def plan_paths(paths: Sequence[str], **asked: Any) -> Collected:
    """Every claim in some folders or files, planned, with what pytest is told of them.

    Args:
        paths: folders or files of claims.
        asked: options of pytest, such as ``data_dir``; what is none is as its settings file says.
            Claims of a paper without scales of its own need ``scale`` here or there.

    Raises:
        InputError: no claim is found, or one cannot be imported or planned.
        EvidenceError: the address of the store cannot be used.
    """
    planner, said = _Planner(), io.StringIO()
    options = [f"--{k.replace('_', '-')}={v}" for k, v in asked.items() if v is not None]
    with redirect_stdout(said), redirect_stderr(said):
        pytest.main([*paths, *OPTIONS, *options], plugins=[planner])
    if isinstance(planner.refused, KdcheckError):
        raise planner.refused
    if planner.refused is not None:
        wanted, step = "claims that can be planned", "Correct that claim."
        raise InputError(WHO, str(planner.refused), wanted, step)
    if planner.collected is None:
        step = f"Look at pytest --collect-only {' '.join(paths)}."
        last = " / ".join(said.getvalue().strip().splitlines()[-3:])
        raise InputError(WHO, last or "none", f"claims in {' '.join(paths)}", step)
    return planner.collected
