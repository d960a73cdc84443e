"""The examples of the engine's pages run as they stand."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from kdcheck.objectives.objective import _REGISTRY

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", ["engine.md", "guides/add-an-objective.md"])
def test_the_examples_of_a_page_run_one_after_the_other(page):
    blocks = re.findall(
        r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL
    )
    assert blocks
    names: dict[str, object] = {"__name__": page}
    try:
        for block in blocks:
            parsed = ast.parse(block)
            if isinstance(parsed.body[-1], ast.Expr):
                shown = ast.Assign([ast.Name("value", ast.Store())], parsed.body[-1].value)
                parsed.body[-1] = shown
            code = compile(ast.fix_missing_locations(parsed), page, "exec", dont_inherit=True)
            exec(code, names)  # noqa: S102 - our own pages
    finally:
        _REGISTRY.pop("focal", None)  # known to its page alone
    value = names["value"]
    if page == "guides/add-an-objective.md":
        assert value > 0.9, "an objective that learns solves the tiny task"
    else:
        accuracy, digest = value
        assert 0 <= accuracy <= 1
        assert len(digest) == 64
