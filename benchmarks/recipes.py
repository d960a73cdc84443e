"""CPU seconds of whole trainings of the embedded scale: this checkout against another, in turn.

    python benchmarks/recipes.py --against ../kdcheck-before [--rounds 3]

Each checkout has a process of its own; within each round every recipe is trained by one and by the
other, and the order changes from round to round. Whether both trained to the same bits is printed too.
CPU seconds of such a process hold its training and its looks, and nothing of loading or tokenising.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kdcheck.claims import Arm
from kdcheck.engine.loop import train
from kdcheck.evidence.evidence import Predictions
from kdcheck.paper.arms import ERM, LS, REVERSE_KD, SELF_KD, STANDARD_KD, shuffled
from kdcheck.paper.publication import PAPER
from kdcheck.places import Places
from kdcheck.recipe import Recipe
from kdcheck.study.graph import recipe_of
from kdcheck.study.resources import Resources, ScaleDigests
from kdcheck.study.scale import load

HERE = Path(__file__).parents[1]
SEED = 1000
ARMS = (
    *(ERM("smaller"), ERM("larger"), LS("smaller"), LS("larger")),
    *(STANDARD_KD, SELF_KD, REVERSE_KD, shuffled(SELF_KD)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, required=True, help="root of another checkout")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    trainers = {"now": Trainer(HERE), "before": Trainer(arguments.against)}
    recipes = trainers["now"].recipes
    assert recipes == trainers["before"].recipes
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in recipes}
    for round_ in range(arguments.rounds):
        order = list(trainers)[:: 1 if round_ % 2 else -1]
        for index, name in enumerate(recipes):
            taken[name].append({which: trainers[which].train(index) for which in order})
    report(taken)


class Trainer:
    """A process that trains recipes with the code of one checkout."""

    def __init__(self, root: Path) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(root),
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=root,
        )
        self.recipes: list[str] = self._read()

    def train(self, index: int) -> dict[str, Any]:
        """Train one recipe: its CPU seconds, and the digest of its weights."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{index}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = self._read()
        return answer

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def report(taken: dict[str, list[dict[str, Any]]]) -> None:
    print(f"{'CPU seconds, medians':44s}{'before':>8s}{'now':>8s}{'now / before':>14s}  same bits")
    sums = {"before": 0.0, "now": 0.0}
    for name, rounds in taken.items():
        median = {
            which: statistics.median(each[which]["seconds"] for each in rounds) for which in sums
        }
        sums = {which: sums[which] + median[which] for which in sums}
        ratio = statistics.median(
            each["now"]["seconds"] / each["before"]["seconds"] for each in rounds
        )
        digests = {each[which]["digest"] for each in rounds for which in sums}
        same = "yes" if len(digests) == 1 else "NO"
        print(f"{name:44s}{median['before']:8.2f}{median['now']:8.2f}{ratio:14.3f}  {same}")
    whole = sums["now"] / sums["before"]
    print(f"{'all':44s}{sums['before']:8.2f}{sums['now']:8.2f}{whole:14.3f}")


def serve() -> None:
    """Train the recipes whose numbers come on standard input; a teacher comes before its students."""
    resources = Resources(Places.resolve())
    recipes = embedded_recipes(resources)
    names = [f"{recipe.task} {arm.key}" for arm, recipe in recipes]
    inputs = [resources.inputs_of(recipe) for _, recipe in recipes]
    taught: dict[str, Predictions] = {}
    print(json.dumps(names), flush=True)
    for line in sys.stdin:
        _, recipe = recipes[int(line)]
        teacher = recipe.teacher and taught[recipe.teacher.digest]
        teaches = recipe.teacher is None
        began = time.process_time()
        final = train(recipe, inputs[int(line)], teacher=teacher, predict_train=teaches).final
        seconds = time.process_time() - began
        if teaches:
            taught[recipe.digest] = final.predictions["train"]
        print(json.dumps({"seconds": seconds, "digest": final.weights_digest}), flush=True)


def embedded_recipes(resources: Resources) -> list[tuple[Arm, Recipe]]:
    scale = load("embedded", PAPER)
    digests = ScaleDigests(scale, resources)
    return [
        (arm, recipe_of(arm, scale, task, SEED, digests)) for task in scale.tasks for arm in ARMS
    ]


if __name__ == "__main__":
    serve() if "--worker" in sys.argv else main()
