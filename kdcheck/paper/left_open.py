"""What the paper leaves open, with our defaults, from ``open_settings.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, kw_only=True)
class OpenSetting:
    """A decision that the paper does not state and a run cannot do without.

    Source: section 4 and appendix A.1, by what they leave out.

    >>> open_settings()[0].name
    'tau_squared'
    """

    name: str
    question: str
    """What the paper leaves open."""
    default: str
    """What kdcheck does unless told otherwise."""
    reason: str


@cache
def open_settings() -> tuple[OpenSetting, ...]:
    """All settings that the paper leaves open.

    Source: section 4 and appendix A.1, by what they leave out.

    >>> [s.default for s in open_settings() if s.name == "weight_decay"]
    ['0']
    """
    file = resources.files("kdcheck.paper") / "open_settings.toml"
    entries = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(OpenSetting(name=name, **entry) for name, entry in entries.items())
