"""The test command: format, lint, types, then tests and docstring examples; the same as CI.

Run it as ``python -m tests.check``. Arguments after it go to pytest.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def steps(pytest_arguments: list[str]) -> dict[str, list[str]]:
    """What is run, in order, by name."""
    return {
        "format": ["ruff", "format", "--check", "."],
        "lint": ["ruff", "check", "."],
        "types": ["mypy"],
        "tests": [
            *("pytest", "-q", "-n", "2", "--doctest-modules", "kdcheck", "tests"),
            *pytest_arguments,
        ],
    }


def main() -> int:
    """Run every step, also after one has failed; the exit code is 1 if any did."""
    failed = []
    for name, command in steps(sys.argv[1:]).items():
        started = time.monotonic()
        print(f"== {name}: {' '.join(command)}", flush=True)
        code = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode
        print(f"== {name}: {'failed' if code else 'passed'}, {time.monotonic() - started:.0f} s")
        if code:
            failed.append(name)
    print(f"{len(steps([])) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
