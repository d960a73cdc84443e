"""Where a command line has evidence from: a store, or a bundle instead."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kdcheck.errors import OptionError
from kdcheck.places import Places

if TYPE_CHECKING:
    from kdcheck.evidence.source import EvidenceSource


def add_store(parser: argparse._ActionsContainer) -> None:
    """The option ``--store``."""
    text = "folder of the store, or the address of a tracking server "
    text += "(default: $KDCHECK_STORE, $MLFLOW_TRACKING_URI or .kdcheck/store)"
    parser.add_argument("--store", metavar="PLACE", help=text)


def pinned(name: str) -> str:
    """Whether kdcheck ships what the files of a name must be."""
    from kdcheck import pins

    if pins.shipped(name):
        return "as pinned"
    return "unpinned: --pin would write its revision and sha256 into the pins that kdcheck ships"


def source_of(bundle: Path | None, store: str | None) -> EvidenceSource:
    """The bundle that is named, or else the store, by default as the environment says.

    Raises:
        EvidenceError: it is not there or cannot be used.
        OptionError: both are named.
    """
    if bundle is not None and store is not None:
        step = "Leave one of the two out."
        raise OptionError(f"--store {store}", f"the bundle {bundle} as well", "one place", step)
    if bundle is not None:
        from kdcheck.evidence.bundle import Bundle

        return Bundle(bundle)
    from kdcheck.evidence.store import Store

    return Store.open(Places.resolve(store=store).store)
