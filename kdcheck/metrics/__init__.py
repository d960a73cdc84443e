"""Metrics of posteriors, and the one table of them: a new metric is a function and a row."""

from kdcheck.metrics.posteriors import (
    accuracy,
    agreement,
    brier,
    entropy_correlation,
    expected_calibration_error,
    mean_entropy,
    mean_kl_from_teacher,
    nll,
)
from kdcheck.metrics.table import METRICS, Metric, Seen, add, summary

__all__ = [
    "METRICS",
    "Metric",
    "Seen",
    "accuracy",
    "add",
    "agreement",
    "brier",
    "entropy_correlation",
    "expected_calibration_error",
    "mean_entropy",
    "mean_kl_from_teacher",
    "nll",
    "summary",
]
