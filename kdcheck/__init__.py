"""kdcheck: re-run the experiments behind a paper's claims and say which of them hold.

``import kdcheck as kd`` is enough: ``kd.claim``, ``kd.Recipe``, ``kd.train``, ``kd.verdict`` and the other
names of ``kd.__all__`` are loaded when they are first asked for.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_MODULES = (
    *("errors", "information", "metrics", "objectives", "paper", "report", "testing", "theory"),
    "verdict",
)
_HOME = {
    **dict.fromkeys(("Arm", "Paper", "claim", "nats", "plain", "points"), "kdcheck.claims"),
    "Recipe": "kdcheck.recipe",
    "check_objective": "kdcheck.conform.loss",
    "check_trainer": "kdcheck.conform.trainer",
    "load_encoder": "kdcheck.encoders",
    "load_task": "kdcheck.tasks",
    "prepare": "kdcheck.engine.inputs",
    "train": "kdcheck.engine.loop",
}
"""Where the names are from that are no modules; ``__init__.pyi`` tells type checkers the same."""

__all__ = ["__version__", *_MODULES, *_HOME]  # noqa: PLE0604 - they are strings


def __getattr__(name: str) -> object:
    """Load what is asked for, so that ``import kdcheck`` loads neither torch nor numpy (PEP 562)."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"kdcheck.{name}")
    raise AttributeError(f"module 'kdcheck' has no attribute {name!r}; see kdcheck.__all__")


def __dir__() -> list[str]:
    return sorted(__all__)
