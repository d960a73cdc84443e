"""Chromium without a window, for tests of pages; those that need it skip where there is none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    # Whatever a page asks of another machine fails, as it does offline.
    *("--disable-quic", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
)

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH")


def browse(folder: Path, address: str, *arguments: str) -> str:
    """Run the browser once on a page, with a profile in ``folder``; its standard output."""
    assert BROWSER is not None
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments, address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout
