"""What a run of pytest was asked for, and what its hooks hand to each other in its stash."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kdcheck.errors import KdcheckError
from kdcheck.places import OWN, Places

if TYPE_CHECKING:
    from kdcheck.study.local import LocalExecutor
    from kdcheck.study.session import Session

SESSION: pytest.StashKey[Session] = pytest.StashKey()
EXECUTOR: pytest.StashKey[LocalExecutor] = pytest.StashKey()
WORD = pytest.StashKey[str]()
NO_PAGE = pytest.StashKey[bool]()
LEFT_OUT = pytest.StashKey[bool]()
"""Set where a claim was deselected, by -k, -m, --deselect or --lf."""
REFUSED = pytest.StashKey[str]()
"""Why a worker of pytest-xdist could not plan or train."""
PROPERTY = "kdcheck"
"""Names the row of the verdict table among the properties of a report."""


def places_of(config: pytest.Config) -> Places:
    """Where everything is: as the options say, else the environment, else pytest's root folder.

    A rehearsal has a store of its own, whatever the environment says.
    """
    store = config.getoption("--store")
    if store is None and config.getoption("--rehearse"):
        store = config.rootpath / OWN / "rehearsal" / "store"
    return Places.resolve(
        store=store,
        data_dir=config.getoption("--data-dir"),
        model_dir=config.getoption("--model-dir"),
        root=config.rootpath,
    )


def page_of(config: pytest.Config) -> Path:
    """The page of the report."""
    page: Path = config.getoption("--report") or config.rootpath / "kdcheck-report.html"
    return page


def xdist_worker(config: pytest.Config) -> str | None:
    """Name of this worker of pytest-xdist; none in its controller and without it."""
    # Not from the environment: a pytest that a worker's test starts is no worker itself.
    workerinput: dict[str, str] | None = getattr(config, "workerinput", None)
    return workerinput["workerid"] if workerinput else None


def execution_of(config: pytest.Config) -> str:
    """A name of this run of pytest, the same in each of its workers and in no other run."""
    workerinput: dict[str, str] | None = getattr(config, "workerinput", None)
    return workerinput["testrunuid"] if workerinput else uuid.uuid4().hex


def is_claim(item: Any) -> bool:
    """Whether a test declares a claim."""
    return hasattr(getattr(item, "obj", None), "__kdcheck_claim__")


def or_usage_error(make: Any, *arguments: Any) -> Any:
    """What a call gives; an error of ours, or a place that fails it, is one of the command line's use."""
    try:
        return make(*arguments)
    except KdcheckError as error:
        raise pytest.UsageError(f"kdcheck: {error}") from error
    except OSError as error:
        step = "Look at the rights and the room of that place; what is finished is kept."
        raise pytest.UsageError(
            f"kdcheck: got {error}; wanted to read and write. {step}"
        ) from error
