"""Rows a second of a training step: packed with a trimmed vocabulary, against padded to the longest.

Every variant trains the smaller MiniLM on the same batches of real rows, in turn within each round;
printed are medians over rounds, and the median over rounds of the ratio to the padded baseline,
which is the library's own module with its own dropout, attention and whole word-embedding table.

    python benchmarks/packing.py --data-dir DATA --task sst2 --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kdcheck.encoders import Encoder, Tokenized, load_encoder
from kdcheck.engine import attention
from kdcheck.engine.dropout import replace_dropout
from kdcheck.engine.inputs import Inputs, prepare
from kdcheck.engine.packing import pack, packed_logits, use_packing
from kdcheck.tasks import load_task

Logits = Callable[[np.ndarray], Tensor]


def padded_logits(model: nn.Module, tokenized: Tokenized, rows_B: np.ndarray) -> Tensor:
    lengths_B = tokenized.lengths[rows_B]
    mask_BL = np.arange(lengths_B.max()) < lengths_B[:, None]
    ids_BL, types_BL = (np.zeros(mask_BL.shape, dtype=np.int64) for _ in range(2))
    ids_BL[mask_BL] = np.concatenate([tokenized.ids[row] for row in rows_B])
    types_BL[mask_BL] = np.concatenate([tokenized.types[row] for row in rows_B])
    return model(
        input_ids=torch.from_numpy(ids_BL),
        token_type_ids=torch.from_numpy(types_BL),
        attention_mask=torch.from_numpy(mask_BL.astype(np.int64)),
    ).logits


def padded(encoder: Encoder, inputs: Inputs) -> tuple[nn.Module, Logits]:
    model = encoder.build(num_classes=inputs.task.num_classes, seed=0)
    return model, lambda rows_B: padded_logits(model, inputs.tokenized["train"], rows_B)


def packed(encoder: Encoder, inputs: Inputs, *, trimmed: bool = True) -> tuple[nn.Module, Logits]:
    size = encoder.config.vocab_size
    model = encoder.build(
        num_classes=inputs.task.num_classes,
        seed=0,
        vocabulary=inputs.vocabulary if trimmed else np.arange(size),
    )
    use_packing(replace_dropout(model))
    row_of_token = inputs.row_of_token if trimmed else np.arange(size)

    def logits(rows_B: np.ndarray) -> Tensor:
        return packed_logits(model, pack(inputs.tokenized["train"], rows_B, row_of_token))

    return model, logits


def stepper(model: nn.Module, logits: Logits, labels_N: Tensor) -> Callable[[np.ndarray], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.0, fused=True)

    def step(rows_B: np.ndarray) -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(logits(rows_B), labels_N[rows_B]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def measure(
    steps: dict[str, Callable[[np.ndarray], None]], batches: list[np.ndarray], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each variant in each round; the first, for warming up, is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(rounds + 1):
        for name, step in steps.items():
            began = time.perf_counter()
            for rows_B in batches:
                step(rows_B)
            if round_:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def in_one_layout(step: Callable[[np.ndarray], None]) -> Callable[[np.ndarray], None]:
    def with_wide_groups(rows_B: np.ndarray) -> None:
        before, attention.GROUP_WIDTH = attention.GROUP_WIDTH, 1_000_000
        try:
            step(rows_B)
        finally:
            attention.GROUP_WIDTH = before

    return with_wide_groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--encoder", default="minilm-5")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    encoder = load_encoder(args.encoder)
    inputs = prepare(load_task(args.task, data_dir=args.data_dir), encoder, 128)
    labels_N = torch.tensor(inputs.task.train.labels)
    order = np.random.default_rng(0).permutation(len(inputs.task.train))
    batches = list(order[: args.steps * args.batch_size].reshape(args.steps, args.batch_size))

    variants = {
        "padded to the longest": padded(encoder, inputs),
        "packed, whole vocabulary": packed(encoder, inputs, trimmed=False),
        "packed, one layout": packed(encoder, inputs),
        "packed": packed(encoder, inputs),
    }
    steps = {name: stepper(*made, labels_N) for name, made in variants.items()}
    steps["packed, one layout"] = in_one_layout(steps["packed, one layout"])
    seconds = measure(steps, batches, args.rounds)

    lengths_N = inputs.tokenized["train"].lengths
    real = sum(lengths_N[rows_B].sum() for rows_B in batches)
    with_padding = sum(lengths_N[rows_B].max() * len(rows_B) for rows_B in batches)
    print(
        f"{args.task}, {args.encoder}, batches of {args.batch_size}, {args.threads} threads, ",
        end="",
    )
    print(
        f"{len(inputs.vocabulary):,} of {encoder.config.vocab_size:,} vocabulary rows in use, ",
        end="",
    )
    print(f"{with_padding / real:.2f} padded tokens per real one")
    for name, times in seconds.items():
        rate = args.steps * args.batch_size / statistics.median(times)
        pairs = zip(seconds["padded to the longest"], times, strict=True)
        ratio = statistics.median(base / own for base, own in pairs)
        print(f"{name:26s} {rate:8.1f} rows/s   {ratio:5.2f} x")


if __name__ == "__main__":
    main()
