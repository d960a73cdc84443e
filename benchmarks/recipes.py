"""CPU seconds of the trainings of the embedded study: this checkout against another, in turn.

    python benchmarks/recipes.py --against ../kdcheck-before [--rounds 2] [--tasks snippets]

Each checkout has a process of its own. In each round, which has a seed and so rows of its own, every
recipe is trained by one and by the other; who comes first changes from round to round. Whether both
trained to the same bits is printed too. What is timed is training with its looks, and nothing of
loading, tokenising or cutting rows.
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
from kdcheck.paper.publication import PAPER
from kdcheck.places import Places
from kdcheck.plugin.collecting import plan_paths
from kdcheck.study.garbage import collect_rarely
from kdcheck.study.graph import build, recipe_of
from kdcheck.study.resources import Resources, ScaleDigests
from kdcheck.study.scale import load

HERE = Path(__file__).parents[1]
SEED = 1000
"""Of the first round; from there up, seeds are for tuning."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, required=True, help="root of another checkout")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tasks", nargs="+", default=load("embedded", PAPER).tasks)
    arguments = parser.parse_args()
    trainers = {"now": Trainer(HERE), "before": Trainer(arguments.against)}
    runs = [(task, arm) for task in arguments.tasks for arm in arms_of_the_study()]
    taken: dict[tuple[str, Arm], list[dict[str, Any]]] = {run: [] for run in runs}
    for round_ in range(arguments.rounds):
        order = list(trainers)[:: 1 if round_ % 2 else -1]
        for task, arm in runs:
            job = {"task": task, "arm": arm.to_dict(), "seed": SEED + round_}
            taken[task, arm].append({which: trainers[which].train(job) for which in order})
    report(taken)


def arms_of_the_study() -> list[Arm]:
    """Each arm that has runs of its own in the embedded study, in the order in which it trains them."""
    claims, scale = plan_paths([str(HERE / "claims")]).claims, load("embedded", PAPER)
    graph = build(claims, scale, (SEED,), ScaleDigests(scale, Resources(Places.resolve())))
    return list(dict.fromkeys(graph.roles[digest] for digest in graph.longest_first()))


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

    def train(self, job: dict[str, Any]) -> dict[str, Any]:
        """CPU seconds of one training, and the digest of its weights."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def report(taken: dict[tuple[str, Arm], list[dict[str, Any]]]) -> None:
    """Medians over rounds; the last line is the answer."""
    print(f"{'CPU seconds, medians':46s}{'before':>8s}{'now':>8s}{'now / before':>14s}  same bits")
    sums = {"before": 0.0, "now": 0.0}
    for (task, arm), rounds in taken.items():
        times = {which: [each[which]["seconds"] for each in rounds] for which in sums}
        median = {which: statistics.median(each) for which, each in times.items()}
        ratio = statistics.median(n / b for n, b in zip(times["now"], times["before"], strict=True))
        sums = {which: sums[which] + sum(times[which]) for which in sums}
        same = all(each["now"]["digest"] == each["before"]["digest"] for each in rounds)
        print(
            f"{task + ' ' + arm.key:46s}{median['before']:8.2f}{median['now']:8.2f}"
            f"{ratio:14.3f}  {'yes' if same else 'NO'}"
        )
    whole = sums["now"] / sums["before"]
    print(f"{'all rounds together':46s}{sums['before']:8.2f}{sums['now']:8.2f}{whole:14.3f}")


def serve() -> None:
    """Train what comes on standard input, a job a line."""
    resources = Resources(Places.resolve())
    scale = load("embedded", PAPER)
    digests = ScaleDigests(scale, resources)
    taught: dict[str, Predictions] = {}
    for line in sys.stdin:
        job = json.loads(line)
        recipe = recipe_of(Arm.from_dict(job["arm"]), scale, job["task"], job["seed"], digests)
        inputs = resources.inputs_of(recipe)
        teacher = recipe.teacher and taught[recipe.teacher.digest]
        began = time.process_time()
        final = train(recipe, inputs, teacher=teacher, predict_train=teacher is None).final
        seconds = time.process_time() - began
        if teacher is None:
            taught[recipe.digest] = final.predictions["train"]
        print(json.dumps({"seconds": seconds, "digest": final.weights_digest}), flush=True)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        collect_rarely()
        serve()
    else:
        main()
