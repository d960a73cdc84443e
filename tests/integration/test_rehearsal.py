"""The whole paper scale, rehearsed as docs/guides/paper-scale.md has it, on rows of GLUE."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdcheck.evidence.store import Store
from kdcheck.study.readings import Readings
from kdcheck.verdict.guards import DegenerateRun

GLUE = os.environ.get("KDCHECK_GLUE")
ROOT = Path(__file__).resolve().parents[2]
SUBSETS = {"qnli", "mnli"}
"""Tasks of which that folder has a part."""


@pytest.mark.skipif(
    not (GLUE and os.environ.get("KDCHECK_SLOW")),
    reason="trains 345 runs in minutes; set KDCHECK_SLOW=1 and KDCHECK_GLUE to a folder of GLUE files",
)
def test_the_paper_scale_is_rehearsed_whole_and_learns_from_short_texts(tmp_path: Path) -> None:
    command = "-m pytest claims --scale paper --rehearse -q -p no:cacheprovider"
    places = ("--data-dir", str(GLUE), "--store", str(tmp_path / "store"))
    done = subprocess.run(
        [sys.executable, *command.split(), *places, "--report", str(tmp_path / "page.html")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout
    store = Store.open(tmp_path / "store")
    claims, readings = store.claims(), Readings(store.get)
    assert {each.verdict.standing for each in claims} == {"REHEARSAL"}
    runs = [store.get(digest).recipe for digest in store.digests()]
    collapsed = {r.digest for r in runs if r.task == "sst2" and readings.is_degenerate(r.digest)}
    assert collapsed == set(), "no guard had to be lifted where texts are short"
    faults = [each.verdict.fault for each in claims if each.verdict.fault]
    assert not [fault for fault in faults if "sst2" in fault.detail]
    assert not [fault for fault in faults if isinstance(fault, DegenerateRun)]
    _check_tables(tmp_path / "page-tables")


def _check_tables(folder: Path) -> None:
    """Every table and figure is there, no cell waits, and each says what it must not be read without."""
    figures = {path.name for path in folder.glob("figure-*.svg")}
    assert figures == {f"figure-{number}.svg" for number in range(1, 5)}
    assert not any("waits for" in path.read_text(encoding="utf-8") for path in folder.iterdir())
    text = (folder / "tables.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["table"] for row in rows} >= {str(number) for number in range(1, 13)}
    assert all(row["ours"] and "rehearsal" in row["marks"] for row in rows)
    of_subsets = [
        row
        for row in rows
        if {row["column"], row["line"].split(",")[0].lower()} & SUBSETS  # a column, or a line
    ]
    assert len(of_subsets) > 100
    assert all("subset" in row["marks"] for row in of_subsets)
