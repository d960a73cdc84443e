"""The lowest versions that pyproject.toml declares, as constraints for pip.

``python -m tests.lowest`` writes them to constraints-lowest.txt; a test compares the two.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT, CONSTRAINTS = ROOT / "pyproject.toml", ROOT / "constraints-lowest.txt"
BOUND = re.compile(r"([\w-]+)>=([\d.]+)(?:,<[\d.]+)?")
HEAD = "# The lowest versions of pyproject.toml, for tox -e py311-lowest: python -m tests.lowest wrote it.\n"


def constraints(project: str) -> str:
    """One pin for each requirement of the project and its extras, each at its lower bound."""
    declared = tomllib.loads(project)["project"]
    extras = declared.get("optional-dependencies", {}).values()
    requirements = sum(extras, start=declared["dependencies"])
    bounds = {requirement: BOUND.fullmatch(requirement) for requirement in requirements}
    loose = [requirement for requirement, bound in bounds.items() if bound is None]
    if loose:
        raise ValueError(
            f"requirements {loose}: each is to read name>=version or name>=version,<version"
        )
    return HEAD + "".join(f"{bound[1]}=={bound[2]}\n" for bound in bounds.values() if bound)


if __name__ == "__main__":
    CONSTRAINTS.write_text(constraints(PROJECT.read_text(encoding="utf-8")), encoding="utf-8")
