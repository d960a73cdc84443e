"""Claims without a run of pytest around them: collected, planned, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from kdcheck.claims import Claim
from kdcheck.errors import InputError
from kdcheck.plugin.config import is_claim
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


class _Planner:
    """A plugin of pytest that plans what was collected."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.lock: Path | None = None
        self.refused = ""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        items = [item for item in session.items if is_claim(item)]
        if session.testsfailed or not items:
            return
        try:
            one_paper(items)
            self.claims = [plan(item) for item in items]
        except pytest.UsageError as error:
            self.refused = str(error)
        self.lock = lock_path(items, session.config.rootpath)


def plan_paths(paths: Sequence[str], scale: str = "") -> tuple[list[Claim], Path]:
    """Every claim in some folders or files, planned, and where its lock lies.

    Claims of a paper without scales of its own need one to be named.

    Raises:
        InputError: no claim is found, or one cannot be imported or planned.
    """
    planner, said = _Planner(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        pytest.main([*paths, *OPTIONS, *(["--scale", scale] if scale else [])], plugins=[planner])
    if planner.refused:
        raise InputError(WHO, planner.refused, "claims that can be planned", "Correct that claim.")
    if not planner.claims or planner.lock is None:
        step = f"Look at pytest --collect-only {' '.join(paths)}."
        last = " / ".join(said.getvalue().strip().splitlines()[-3:])
        raise InputError(WHO, last or "none", f"claims in {' '.join(paths)}", step)
    return planner.claims, planner.lock
