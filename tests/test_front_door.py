"""``import kdcheck as kd``: what it offers, what type checkers see of it, and what it costs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import kdcheck as kd

OFFERED = [name for name in kd.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", OFFERED)
def test_each_name_is_there_and_is_what_its_own_module_has(name):
    found = getattr(kd, name)
    home = kd._HOME.get(name)
    wanted = getattr(importlib.import_module(home), name) if home else f"kdcheck.{name}"
    assert found is wanted or found.__name__ == wanted


def test_type_checkers_see_the_same_names():
    stub = ast.parse(Path(kd.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    lines = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    told = {alias.asname: node.module for node in lines for alias in node.names}
    assert told == {name: kd._HOME.get(name, "kdcheck") for name in OFFERED}
    assert dir(kd) == sorted(kd.__all__)


def test_an_unknown_name_is_refused_and_says_where_the_known_ones_are():
    with pytest.raises(AttributeError, match=r"no attribute 'tran'; see kdcheck\.__all__"):
        _ = kd.tran


def test_arithmetic_and_claims_load_no_torch():
    code = "import kdcheck as kd; kd.theory, kd.metrics, kd.claim, kd.verdict; import sys; "
    told = subprocess.run(
        [sys.executable, "-c", code + "print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "False\n"
