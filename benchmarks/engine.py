"""Training rows a second: the engine against two Hugging Face Trainers and against a bare loop.

All distil the 6-layer MiniLM into five of its layers on the same real rows in the same order, in turn
within each round; printed are medians over rounds, and medians over rounds of the ratio of rates.

    python benchmarks/engine.py --data-dir DATA --tasks sst2 mrpc

A  Trainer, the teacher run at each step, texts padded to 128    (baselines/trainers.py)
B  Trainer, teacher logits kept, padded to the longest of a batch, no logging
C  a bare loop over prepared batches of the engine's own packed model    (baselines/bare_loop.py)
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from baselines.bare_loop import train_bare
from baselines.common import Work
from baselines.trainers import train_plainly, train_tuned
from torch import nn

from kdcheck.encoders import Encoder, load_encoder
from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.engine.loop import train
from kdcheck.engine.predict import predict
from kdcheck.engine.schedule import Schedule
from kdcheck.evidence.evidence import Predictions
from kdcheck.objectives import ERM, Distillation
from kdcheck.recipe import Recipe
from kdcheck.tasks import Task, load_task

WANTED = {"A": {"sst2": 10.0, "mrpc": 3.5}, "B": {"sst2": 2.2, "mrpc": 1.3}, "C": {}}
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=["sst2", "mrpc"])
    parser.add_argument("--steps", type=int, default=20, help="steps of each run (default 20)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default 5)")
    parser.add_argument(
        "--threads", type=int, default=1, help="default 1: of two cores each has a run"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for task in args.tasks:
        work, teacher = prepare_work(task, args)
        seconds = measure(variants(work, teacher), args.repeats)
        report(task, work, seconds, args.threads)


def prepare_work(name: str, args: argparse.Namespace) -> tuple[Work, Predictions]:
    """The first steps of one epoch, with the vocabulary of the whole task."""
    task = load_task(name, data_dir=args.data_dir)
    large, small = load_encoder("minilm-6"), load_encoder("minilm-5")
    rows = args.steps * 32
    part = task.subset(train=rows, validation=32, test=32)
    cut = {encoder.name: cut_inputs(task, part, encoder) for encoder in (large, small)}
    recipe = Recipe(
        task=name,
        task_digest=part.digest,
        encoder="minilm-6",
        encoder_digest=large.digest,
        objective=ERM(),
        learning_rate=5e-5,
        epochs=1,
        threads=args.threads,
        seed=0,
    )
    teacher = predict(cut["minilm-6"].build(recipe), cut["minilm-6"], "train", device=CPU)
    student = replace(
        recipe,
        encoder="minilm-5",
        encoder_digest=small.digest,
        objective=Distillation(alpha=0.5),
        teacher=recipe,
    )
    schedule = Schedule(student, rows)
    work = Work(
        recipe=student,
        inputs=cut["minilm-5"],
        batches=[schedule.rows(step) for step in range(args.steps)],
        labels_N=torch.tensor(part.train.labels),
        teacher_logits_NK=torch.from_numpy(teacher.logits_NK),
        teacher=large.build(num_classes=part.num_classes, seed=0).eval(),
    )
    return work, teacher


def cut_inputs(task: Task, part: Task, encoder: Encoder) -> Inputs:
    """Rows of the part; embedding rows of the whole task, as in a run of it."""
    whole = prepare(task, encoder, 128)
    vocabulary = {"vocabulary": whole.vocabulary, "row_of_token": whole.row_of_token}
    return replace(prepare(part, encoder, 128), **vocabulary)


def variants(work: Work, teacher: Predictions) -> dict[str, Callable[[], float]]:
    """Seconds of training, by name; models are built before the clock starts."""

    def library() -> nn.Module:
        return work.inputs.encoder.build(num_classes=work.inputs.task.num_classes, seed=0)

    def engine() -> float:
        cost = train(work.recipe, work.inputs, teacher=teacher, device=CPU).cost
        return cost["seconds"] - cost["evaluation_seconds"]

    return {
        "engine": engine,
        "A": lambda: train_plainly(library(), work),
        "B": lambda: train_tuned(library(), work),
        "C": lambda: train_bare(work.inputs.build(work.recipe), work),
    }


def measure(runs: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run in each round; the first round, for warming up, is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(repeats + 1):
        for name, run in runs.items():
            with contextlib.redirect_stdout(io.StringIO()):  # the Trainer prints
                taken = run()
            if round_:
                seconds[name].append(taken)
    return seconds


def report(task: str, work: Work, seconds: dict[str, list[float]], threads: int) -> None:
    lengths_N = work.inputs.tokenized["train"].lengths
    rows = sum(map(len, work.batches))
    print(
        f"\n{task}: {len(work.batches)} steps of {work.recipe.batch_size}, {threads} threads, "
        f"medians of {len(seconds['engine'])}, {lengths_N.mean():.1f} tokens a row"
    )
    for name, times in seconds.items():
        pairs = zip(times, seconds["engine"], strict=True)
        ratio = statistics.median(other / own for other, own in pairs)
        wanted = WANTED.get(name, {}).get(task, 0.97)
        aim = "" if name == "engine" else f"   engine / {name} = {ratio:5.2f} (wanted {wanted})"
        print(f"{name:8s}{rows / statistics.median(times):9.1f} rows/s{aim}")
    peak = gemm_peak()
    reached = flops(work.inputs, work) / statistics.median(seconds["engine"])
    print(f"GEMM peak {peak / 1e9:.1f} GFLOP/s; the engine reaches {reached / peak:.0%} of it")


def flops(inputs: Inputs, work: Work) -> float:
    """Multiply-adds of all steps, twice: linear layers and attention, forward and backward."""
    config = inputs.encoder.config
    width, layers = config.hidden_size, config.num_hidden_layers
    lengths = inputs.tokenized["train"].lengths[np.concatenate(work.batches)].astype(float)
    per_token = 2 * (4 * width**2 + 2 * width * config.intermediate_size)
    forward = layers * (per_token * lengths.sum() + 4 * width * (lengths**2).sum())
    return 3 * forward


def gemm_peak(size: int = 1024, repeats: int = 7) -> float:
    """FLOP a second of the best of several square products in float32."""
    left, right = torch.rand(size, size), torch.rand(size, size)
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


if __name__ == "__main__":
    main()
