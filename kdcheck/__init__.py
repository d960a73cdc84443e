"""kdcheck: re-run the experiments behind a paper's claims and say which of them hold."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdcheck import errors, information, metrics, objectives, paper, theory

__version__ = "0.1.0"
__all__ = ["__version__", "errors", "information", "metrics", "objectives", "paper", "theory"]


def __getattr__(name: str) -> object:
    """Load a public module on first use, so that ``import kdcheck`` does not load torch (PEP 562)."""
    if name in __all__:
        return importlib.import_module(f"kdcheck.{name}")
    raise AttributeError(f"module 'kdcheck' has no attribute {name!r}; see kdcheck.__all__")


def __dir__() -> list[str]:
    return sorted(__all__)
