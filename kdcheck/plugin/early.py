"""Workers of a session that is still to be planned: what they import is imported meanwhile."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from kdcheck.errors import KdcheckError
from kdcheck.plugin.config import EXECUTOR, places_of, xdist_worker
from kdcheck.study.local import LocalExecutor

if TYPE_CHECKING:
    import pytest


def import_ahead(config: pytest.Config) -> None:
    """Begin, where claims were collected that will surely be trained: into a store that is new.

    With -k or -m they may still be left out.
    """
    may_be_left_out = config.getoption("-k") or config.getoption("-m") or config.option.collectonly
    if may_be_left_out or config.getoption("--workers") == 0 or xdist_worker(config):
        return
    try:
        places = places_of(config)
        is_new = places.store.is_new
    except (KdcheckError, OSError):  # told when the session is planned
        return
    if is_new:
        executor = LocalExecutor(places.work, config.getoption("--workers"))
        with suppress(
            OSError
        ):  # no process to be had: workers will say so, if they cannot start either
            executor.import_ahead()
        config.stash[EXECUTOR] = executor
