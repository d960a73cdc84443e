"""The lowest versions: what pyproject.toml declares is what tox installs and tests."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tomllib

import pytest

from tests.lowest import CONSTRAINTS, PROJECT, ROOT, constraints

DECLARED = PROJECT.read_text(encoding="utf-8")
BOUNDS = {
    "lowest": [str(CONSTRAINTS)],
    "newest": [],
    "newest-cpu": [str(ROOT / "constraints-cpu.txt")],
}
"""The constraints that pip is to have in each kind of environment."""


def test_the_constraints_are_the_lower_bounds_of_pyproject() -> None:
    assert CONSTRAINTS.read_text(encoding="utf-8") == constraints(DECLARED), (
        "run python -m tests.lowest"
    )


def test_a_bound_that_is_raised_in_pyproject_alone_would_be_noticed() -> None:
    raised = constraints(DECLARED.replace('"torch>=2.', '"torch>=12.'))
    assert raised != CONSTRAINTS.read_text(encoding="utf-8")
    assert "\ntorch==12." in raised


def test_requirements_of_the_package_and_of_every_extra_are_pinned_at_their_bound() -> None:
    project = """
        [project]
        dependencies = ["numpy>=2.1"]
        optional-dependencies.test = ["ruff>=0.16"]
        optional-dependencies.docs = ["pytest-xdist>=3.6.1", "flit_core>=3.11,<4"]
    """
    comment, *pins = constraints(project).splitlines()
    assert comment.startswith("# ")
    assert pins == ["numpy==2.1", "ruff==0.16", "pytest-xdist==3.6.1", "flit_core==3.11"]


@pytest.mark.parametrize(
    "loose", ["torch", "torch<3", "torch==2.6", "torch>2.6", "torch>=2.6; python_version<'4'"]
)
def test_a_requirement_that_is_not_one_lower_bound_is_refused_by_name(loose: str) -> None:
    with pytest.raises(ValueError, match="name>=version") as refusal:
        constraints(f'[project]\ndependencies = ["numpy>=2.1", "{loose}"]')
    assert loose in str(refusal.value)
    assert "numpy" not in str(refusal.value)


def tox_settings(names: list[str]) -> dict[str, configparser.SectionProxy]:
    """What tox itself reads of the environments in tox.ini."""
    command = [sys.executable, "-m", "tox", "config", "-e", ",".join(names)]
    keys = ["-k", "base_python", "set_env", "commands"]
    told = subprocess.run([*command, *keys], cwd=ROOT, capture_output=True, text=True, check=True)
    settings = configparser.RawConfigParser()
    settings.read_string(told.stdout)
    return {name: settings[f"testenv:{name}"] for name in names}


def test_tox_has_lowest_and_newest_for_every_python_that_is_declared() -> None:
    classifiers = tomllib.loads(DECLARED)["project"]["classifiers"]
    versions = [text.rpartition(" ")[2] for text in classifiers if ":: 3." in text]
    pythons = ["py" + version.replace(".", "") for version in versions]
    assert pythons == ["py311", "py312", "py313"]
    settings = tox_settings([f"{python}-{bound}" for python in pythons for bound in BOUNDS])
    for name, setting in settings.items():
        python, bound = name.split("-", maxsplit=1)
        assert (setting["base_python"], setting["commands"]) == (python, "python -m tests.check")
        assert re.findall("PIP_CONSTRAINT=(.*)", setting["set_env"]) == BOUNDS[bound], name


def test_the_file_by_which_tox_tells_editors_of_its_environment_is_ignored() -> None:
    """tox 4.67 leaves ``.venv`` as a file (PEP 832); a folder alone was ignored once."""
    asked = ["git", "check-ignore", "--quiet", "docs/.venv"]
    assert subprocess.run(asked, cwd=ROOT, check=False).returncode == 0
