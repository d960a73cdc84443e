"""Which convention the losses of other packages have: the table of docs/conformance-of-losses.md.

The packages are no dependencies of kdcheck. They are installed without their own dependencies, into a
folder of their own, so that torch stays what it is:

    pip install --no-deps --target others timm==1.0.31 textbrewer==0.2.1.post1 torchdistill==1.1.5 \
        segmentation_models_pytorch==0.6.0 trl==1.16.0
    PYTHONPATH=others python benchmarks/real_losses.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import distribution
from typing import Any

from kdcheck.conform import Report
from kdcheck.conform.loss import check_objective
from kdcheck.conform.loss.by_name import named
from kdcheck.errors import ConformError


@dataclass(frozen=True)
class Real:
    """A loss of a package: its module or file, and what has to be said so that it can be called.

    A file is loaded without the packages around it, whose own dependencies are not installed.
    """

    package: str
    file: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    wrapped: Callable[[Any], Any] = lambda loss: loss

    def report(self) -> Report:
        """Check it."""
        is_file = self.file.endswith(".py")
        path = distribution(self.package).locate_file(self.file) if is_file else self.file
        loss = self.wrapped(named(f"{path}:{self.name}"))
        return check_objective(loss, name=self.name, arguments=self.arguments, names=self.names)


def of_torchdistill(cls: Any) -> Any:
    """Its losses read outputs of modules by name, from one mapping for each model."""
    paths = {
        f"{side}_module_{part}": value
        for side in ("student", "teacher")
        for part, value in (("path", "model"), ("io", "output"))
    }

    def loss(student, teacher, targets, alpha, temperature):
        made = cls(**paths, alpha=alpha, temperature=temperature)
        return made({"model": {"output": student}}, {"model": {"output": teacher}}, targets=targets)

    return loss


def dist_of_torchdistill(cls: Any) -> Any:
    """DIST has weights beta and gamma, and tau."""
    paths = {
        f"{side}_module_{part}": value
        for side in ("student", "teacher")
        for part, value in (("path", "model"), ("io", "output"))
    }

    def loss(student, teacher, beta, gamma, tau):
        made = cls(**paths, beta=beta, gamma=gamma, tau=tau)
        return made({"model": {"output": student}}, {"model": {"output": teacher}})

    return loss


LOSSES = (
    Real("torch", "torch.nn", "CrossEntropyLoss"),
    Real("torch", "torch.nn", "KLDivLoss"),
    Real("torch", "torch.nn", "KLDivLoss", {"reduction": "batchmean"}),
    Real("torch", "torch.nn", "MSELoss"),
    Real("transformers", "transformers.trainer_pt_utils", "LabelSmoother"),
    Real("timm", "timm/loss/cross_entropy.py", "LabelSmoothingCrossEntropy"),
    Real("timm", "timm/loss/cross_entropy.py", "SoftTargetCrossEntropy"),
    Real("timm", "timm/loss/binary_cross_entropy.py", "BinaryCrossEntropy"),
    Real("textbrewer", "textbrewer/losses.py", "kd_ce_loss"),
    Real("textbrewer", "textbrewer/losses.py", "kd_mse_loss"),
    Real("torchdistill", "torchdistill/losses/mid_level.py", "KDLoss", wrapped=of_torchdistill),
    Real(
        "torchdistill",
        "torchdistill/losses/mid_level.py",
        "LogitStdKDLoss",
        wrapped=of_torchdistill,
    ),
    Real(
        "torchdistill", "torchdistill/losses/mid_level.py", "DISTLoss", wrapped=dist_of_torchdistill
    ),
    Real(
        "segmentation_models_pytorch",
        "segmentation_models_pytorch/losses/soft_ce.py",
        "SoftCrossEntropyLoss",
    ),
    Real("trl", "trl.experimental.gkd.gkd_trainer", "GKDTrainer.generalized_jsd_loss"),
)


def main() -> int:
    """Print the table as Markdown: of all losses, or of those named."""
    print("| package | loss | convention | to change | checks that fail | s |")
    print("| --- | --- | --- | --- | --- | --- |")
    asked = sys.argv[1:]
    for each in (real for real in LOSSES if not asked or real.name in asked):
        started = time.process_time()
        try:
            report = each.report()
        except ConformError as error:
            print(error, file=sys.stderr, flush=True)
            continue
        took = time.process_time() - started
        failed = ", ".join(f"`{r.name}`" for r in report.results if r.status.value == "failed")
        told = ", ".join(f"{name}={value!r}" for name, value in each.arguments.items())
        version = distribution(each.package).version
        name = f"`{each.name}({told})`" if told else f"`{each.name}`"
        cells = (
            f"{each.package} {version}",
            name,
            report.verdict,
            " ".join(report.to_change),
            failed,
        )
        print(f"| {' | '.join(cells)} | {took:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
