"""Draw a random sample of a room's mutants, run it through mutmut, and print the share that was killed.

All mutants of these rooms would take days on two cores; a sample gives the share with an interval. Each is tried
with the quickest of the tests that reach its function, half a minute of them; what those leave has survived. It works
on a copy of the tracked files; give --keep a folder to go on from, since the map from functions to tests takes longest.
Tests that were changed since that map was made must pass: mutmut's second run of the unchanged code is left out.
Run it from the root of the repository, with mutmut installed:

    python tests/tools/sample_mutants.py verdict --tries 100 --seed 0
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from scipy.stats import binomtest

ROOT = Path(__file__).parents[2]
# mutmut with three changes. Its run of the clean tests before every sample is left out: it takes as long as the map, which
# needs all of them to pass as well. Of the tests it knows to reach a function, and of those of their files, which may
# share what one of them made, it tries the quickest first, as many as take so many seconds. A function that only other
# processes call is in no map: the tests that are named after its module stand in, since a mutant reaches those processes.
MUTMUT = """\
import os, sys
from itertools import accumulate
import mutmut.__main__ as main
from mutmut.state import state
from mutmut.workers.isolation import ForkServerRunner

submit, load = ForkServerRunner.submit, main.collect_or_load_stats

def load_all(*given, **named):
    load(*given, **named)
    for mutant in filter(lambda name: "__mutmut_" in name, sys.argv):
        function = main.mangled_name_from_mutant_name(mutant)
        module = f"_{function.split('.')[-2]}.py::"
        named_after = {test for test in state().duration_by_test if module in test}
        if not state().tests_by_mangled_function_name.get(function):
            state().tests_by_mangled_function_name[function] = named_after

def submit_quickest(self, name, tests, *limits):
    seconds = state().duration_by_test
    files = {test.partition("::")[0] for test in tests}
    beside = (test for test in seconds if test.partition("::")[0] in files)
    wanted = sorted(beside, key=seconds.__getitem__)
    spent = accumulate(seconds[test] for test in wanted)
    within = max(sum(each <= float(os.environ["SECONDS_EACH"]) for each in spent), 1)
    # Seconds of CPU, and half of it by the clock: mutmut's own limits are for the tests that it would have run.
    limit = 60 + 8 * int(sum(map(seconds.__getitem__, wanted[:within])))
    submit(self, name, wanted[:within], limit, *limits[1:])

ForkServerRunner.submit = submit_quickest
ForkServerRunner.run_clean_tests = lambda self, tests: 0
main.collect_or_load_stats = load_all
main.cli()
"""
PROPERTIES = "tests/properties"
# The tests that hold a room, its own; mutmut knows which reach a function.
TESTS = {
    "objectives": [
        *("tests/test_checks.py", "tests/test_objectives.py", f"{PROPERTIES}/test_equations.py"),
        *(f"{PROPERTIES}/test_gradients.py", f"{PROPERTIES}/test_invariances.py"),
        *(f"{PROPERTIES}/test_entropy_flow.py", f"{PROPERTIES}/test_bad_input.py"),
    ],
    "verdict": ["tests/test_verdict*.py", f"{PROPERTIES}/test_verdict_properties.py"],
    "conform": ["tests/test_conform_*.py", "tests/test_cli_conform.py", "tests/test_zoo.py"],
    "evidence": [
        *("tests/test_evidence_*.py", "tests/test_cli_verify.py", "tests/test_study_outcome.py"),
        *("tests/integration/test_store_runs.py", "tests/integration/test_store_leases.py"),
        *("tests/integration/test_store_faults.py", "tests/integration/test_store_rows.py"),
        "tests/test_engine_evidence.py",
        *("tests/test_hostile_input.py", "tests/test_report_*.py", "tests/test_plugin_terminal.py"),
    ],
    "report": ["tests/test_report_*.py"],
    "study": [
        *("tests/test_study_*.py", "tests/test_cli_lock.py", "tests/test_cli_verify.py"),
        *("tests/test_tampering.py", "tests/integration/test_study_session.py"),
        "tests/test_contrasts.py",
    ],
    "engine": [
        *("tests/test_engine_*.py", "tests/test_adamw.py", "tests/test_dropout.py"),
        *("tests/test_packing.py", "tests/test_blocks.py", "tests/test_casting.py"),
        "tests/integration/test_engine_parity.py",
    ],
}
SETTINGS = """\
[mutmut]
source_paths = kdcheck
process_isolation = forkserver
only_mutate =
    kdcheck/{room}/*
also_copy =
    {also_copy}
pytest_add_cli_args =
    -p
    no:cacheprovider
pytest_add_cli_args_test_selection =
    {tests}
"""


def prepare(folder: Path, room: str) -> None:
    """A copy of the tracked files, with mutmut's settings for one room."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        target = folder / name
        if not target.exists() or target.read_bytes() != (ROOT / name).read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    beside = sorted({name.split("/")[0] for name in listed.stdout.split("\0")} - {"kdcheck", ""})
    tests = sorted(
        str(file.relative_to(ROOT)) for pattern in TESTS[room] for file in ROOT.glob(pattern)
    )
    (folder / "setup.cfg").write_text(
        SETTINGS.format(room=room, also_copy="\n    ".join(beside), tests="\n    ".join(tests))
    )


def names_of_mutants(folder: Path, room: str) -> list[str]:
    """All that mutmut makes of a room, in one order."""
    from mutmut.mutation.file_mutation import mutate_file_contents
    from mutmut.utils.format_utils import get_mutant_name

    return sorted(
        get_mutant_name(file.relative_to(folder), name)
        for file in (folder / "kdcheck" / room).rglob("*.py")
        for name in mutate_file_contents(str(file), file.read_text()).mutant_names
    )


def run_by_mutmut(folder: Path, names: list[str]) -> dict[str, str]:
    """Run mutants by name; what became of each mutant of the room so far, by name."""
    from mutmut.stats import status_by_exit_code

    with (folder / "mutmut.log").open("w") as log:  # it draws spinners
        run = [sys.executable, "-c", MUTMUT, "run", "--max-children", "1", *names]
        if code := subprocess.run(run, stdout=log, check=False).returncode:
            sys.exit(f"mutmut ended with {code}: see {log.name}")
    return {
        name: status_by_exit_code[code]
        for file in (folder / "mutants").rglob("*.meta")
        for name, code in json.loads(file.read_text())["exit_code_by_key"].items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("room", choices=TESTS)
    parser.add_argument("--tries", type=int, default=100, help="mutants to draw (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="which mutants are drawn (default 0)")
    parser.add_argument("--keep", type=Path, help="folder for the copy (default: a temporary one)")
    parser.add_argument("--only", nargs="*", default=[], help="these mutants, and none by chance")
    parser.add_argument("--seconds", default="30", help="of tests for each mutant (default 30)")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder, given.room)
    os.chdir(folder)
    names = names_of_mutants(folder, given.room)
    chance = random.Random(given.seed)  # noqa: S311
    drawn = given.only or chance.sample(names, min(given.tries, len(names)))
    # Tests start other processes too. A folder that is not there when Python starts is never looked into.
    Path("mutants").mkdir(exist_ok=True)
    os.environ |= {"PYTHONPATH": str(folder / "mutants"), "SECONDS_EACH": given.seconds}
    became = run_by_mutmut(folder, drawn)
    # A machine that was busy, or a process that was halted for a while, lets the time run out as well.
    late = [name for name in drawn if became[name] == "timeout"]
    became = run_by_mutmut(folder, late) if late else became
    survivors = [name for name in drawn if became[name] not in {"killed", "timeout"}]
    for name in survivors:
        subprocess.run([sys.executable, "-c", MUTMUT, "show", name], check=True)
    killed, tried = len(drawn) - len(survivors), len(drawn)
    low, high = binomtest(killed, tried).proportion_ci(method="wilson")
    print(
        f"{given.room}: {killed} of {tried} mutants killed = {killed / tried:.1%}, "
        f"95 % interval {low:.1%} to {high:.1%}; drawn of {len(names)} with seed {given.seed}; "
        f"{sum(became[name] == 'timeout' for name in drawn)} of them ran out of time twice"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
