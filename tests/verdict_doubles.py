"""A claim that tests of verdicts judge: on one task, with four looks that share alike."""

from __future__ import annotations

from kdcheck.verdict import Criterion, Plan

CRITERION = Criterion(
    claim="ls_raises_entropy",
    tasks=("mrpc",),
    margin=0.05,
    because="the smallest gap of the paper is six times as large",
    unit="nats",
    scale="embedded",
    plan=Plan(looks=(3, 5, 7, 10), weights=(0.25, 0.25, 0.25, 0.25)),
)
