"""The examples of the engine's page run as they stand."""

from __future__ import annotations

from pathlib import Path

from tests.tools import follow

PAGE = Path(__file__).parents[1] / "docs" / "engine.md"


def test_the_examples_of_the_page_run_one_after_the_other():
    names: dict[str, object] = {"__name__": PAGE.name}
    programs = [code for language, code in follow.blocks(PAGE) if language == "python"]
    *_, (accuracy, digest) = [follow.run_python(code, names, PAGE.name) for code in programs]
    assert 0 <= accuracy <= 1
    assert len(digest) == 64
