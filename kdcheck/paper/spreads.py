"""Spreads over seeds of the paper's claims at the embedded scale, for plans of what is not run yet."""

from __future__ import annotations

from pathlib import Path

EMBEDDED = Path(__file__).with_name("spreads.json")
"""Written by ``python -m kdcheck.planning.bought STORE``."""
