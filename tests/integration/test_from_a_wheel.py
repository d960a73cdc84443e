"""The guides, followed by somebody who has the wheel and no source: each in a folder that was empty.

Programs that take seconds run always; training and the commands of the pages with KDCHECK_SLOW=1.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.tools import follow

ROOT = Path(__file__).resolve().parents[2]
GUIDES, STARTER = ROOT / "docs" / "guides", ROOT / "kdcheck" / "cli" / "starter"
FIGURE = re.compile(r"\b[0-9a-f]{8}\b|\d+\.\d+")
"""Digests, and numbers whose last digit may be another on another machine."""
COMMANDS: Mapping[str, Mapping[str, int]] = {
    "begin.md": {
        "kdcheck init": 0,
        "kdcheck lock": 0,
        "pytest": 0,
        "kdcheck export evidence": 0,
        "kdcheck verify evidence": 0,
    },
    "add-an-objective.md": {
        "kdcheck init": 0,
        "kdcheck --load focal.py train --task notes --data-dir data --encoder narrow-32 "
        "--learning-rate 3e-3 --objective focal --set objective.gamma=1.0": 0,
        "cat >> small.toml <<'END'": 0,
        "pytest claims/test_focal.py": 0,
    },
    "check-your-own-loss.md": {
        "kdcheck conform torch.nn:CrossEntropyLoss": 0,
        "kdcheck conform my_losses.py:my_loss --arg T=4.0 --json": 1,
        "pytest test_my_losses.py": 1,
    },
    "check-your-trainer.md": {},
    "how-kdcheck-can-be-wrong.md": {"kdcheck zoo": 0},
}
"""By page, its commands and how they end: the loss of one of them fails checks."""
TAKES_HOURS = "kdcheck zoo --kind trainer --repeat 200"


def run(command: list[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user who installed the wheel, and nothing of the source."""
    place = tmp_path_factory.mktemp("outside")
    site, python = place / "site", (sys.executable, "-m")
    run([*python, "flit_core.wheel", "--outdir", str(place)], ROOT)
    install = ("install", "--quiet", "--no-index", "--no-deps", "--target", str(site))
    run([*python, "pip", *install, *map(str, place.glob("*.whl"))], place)
    first = (str(site / "bin"), str(Path(sys.executable).parent))
    path = os.pathsep.join((*first, os.environ["PATH"]))
    return {**os.environ, "PYTHONPATH": str(site), "PATH": path, "OMP_NUM_THREADS": "1"}


def followed(page: str, folder: Path, env: Mapping[str, str], *left_out: str) -> dict[str, Any]:
    """What following a page gave, of which every line was printed that the page shows."""
    arguments = [str(ROOT / "tests" / "tools" / "follow.py"), str(GUIDES / page), *left_out]
    *printed, last = run([sys.executable, *arguments], folder, env).splitlines()
    found: dict[str, Any] = json.loads(last)
    assert Path(found["kdcheck"]).parents[1].name == "site", "it was not the wheel's"
    shown = "".join(code for language, code in follow.blocks(GUIDES / page) if not language)
    wanted = {FIGURE.sub("#", line) for line in shown.splitlines()} - {"...", ""}
    assert wanted <= {FIGURE.sub("#", line) for line in printed}
    return found


def test_init_writes_what_the_wheel_holds(outside: dict[str, str], tmp_path: Path) -> None:
    run(["kdcheck", "init"], tmp_path, outside)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    held = {
        Path(str(path.relative_to(STARTER)).removesuffix(".template")): path.read_bytes()
        for path in STARTER.rglob("*.*")
    }
    assert written == held


@pytest.mark.parametrize(
    "page", ["check-your-own-loss.md", "our-losses-in-your-training.md", "add-an-objective.md"]
)
def test_the_programs_of_a_guide_run(page: str, outside: dict[str, str], tmp_path: Path) -> None:
    found = followed(page, tmp_path, outside, "sh")
    assert False not in found["values"]
    if page == "add-an-objective.md":
        [accuracy] = found["values"]
        assert accuracy > 0.9, "an objective that learns solves the tiny task"


@pytest.mark.skipif(
    not os.environ.get("KDCHECK_SLOW"),
    reason="runs commands and trains, 10 to 100 s a page; set KDCHECK_SLOW=1",
)
@pytest.mark.parametrize("page", COMMANDS)
def test_a_guide_is_followed_with_its_commands(
    page: str, outside: dict[str, str], tmp_path: Path
) -> None:
    found = followed(page, tmp_path, outside, TAKES_HOURS)
    assert found["codes"] == COMMANDS[page]
