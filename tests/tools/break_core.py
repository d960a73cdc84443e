"""Break the core by hand, one mistake at a time, and name the test that notices.

Each break edits a temporary copy of the package and runs the core's tests there until the first
failure. Run it from the root of the repository; it takes a few minutes and prints Markdown:

    python tests/tools/break_core.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE_TESTS = [
    "tests/properties/test_equations.py",
    "tests/properties/test_gradients.py",
    "tests/properties/test_entropy_flow.py",
    "tests/properties/test_invariances.py",
    "tests/properties/test_bad_input.py",
    "tests/test_information.py",
    "tests/test_objectives.py",
    "tests/test_metrics.py",
    "tests/test_theory.py",
    "tests/test_checks.py",
]


@dataclass(frozen=True)
class Break:
    name: str
    file: str
    old: str
    new: str


INFORMATION, METRICS, THEORY = "information.py", "metrics/posteriors.py", "theory.py"
MEMBERS, TARGETS = "objectives/members.py", "objectives/targets.py"
SOFT = "soft_N = (xlogy(soft_NK, soft_NK) - soft_NK * log_p_NK).sum(dim=1)"
MIXED = "return (1.0 - self.alpha) * hard_N + self.alpha * scale * soft_N"
KL = "return (xlogy(first, first) - xlogy(first, second)).sum(dim=-1)"
ENTROPY = "return entr(widen(posteriors_NK)).sum(dim=-1)"

# The twelve of the issue, each at every place where the core could make it.
TWELVE = [
    Break(
        "KL arguments swapped, in the objectives",
        MEMBERS,
        SOFT,
        "p_NK = log_p_NK.exp(); soft_N = (p_NK * log_p_NK - xlogy(p_NK, soft_NK)).sum(dim=1)",
    ),
    Break(
        "KL arguments swapped, in `kl_divergence`",
        INFORMATION,
        KL,
        "return (xlogy(second, second) - xlogy(second, first)).sum(dim=-1)",
    ),
    Break(
        "KL arguments swapped, in `kl_divergence_from_logits`",
        INFORMATION,
        "(log_a_NK.exp() * (log_a_NK - log_b_NK))",
        "(log_b_NK.exp() * (log_b_NK - log_a_NK))",
    ),
    Break(
        "tau^2 dropped",
        MEMBERS,
        "scale = self.temperature**2 if self.tau_squared else 1.0",
        "scale = 1.0",
    ),
    Break(
        "tau on the teacher's side only",
        MEMBERS,
        "log_p_NK = (logits_NK / self.temperature).log_softmax(dim=1)",
        "log_p_NK = logits_NK.log_softmax(dim=1)",
    ),
    Break(
        "tau on the student's side only",
        MEMBERS,
        "(widen(teacher_logits_NK) / self.temperature).softmax(dim=1)",
        "widen(teacher_logits_NK).softmax(dim=1)",
    ),
    Break(
        "alpha and 1 - alpha swapped",
        MEMBERS,
        MIXED,
        "return self.alpha * hard_N + (1.0 - self.alpha) * scale * soft_N",
    ),
    Break(
        "alpha and 1 - alpha swapped, in `target_view`",
        TARGETS,
        "(1.0 - alpha) * one_hot_like(logits_NK, labels_N) + alpha * soft_NK",
        "alpha * one_hot_like(logits_NK, labels_N) + (1.0 - alpha) * soft_NK",
    ),
    Break(
        "smoothing over K - 1 classes",
        MEMBERS,
        "return torch.full_like(logits_NK, 1.0 / logits_NK.shape[1])",
        "return (1.0 - one_hot_like(logits_NK, labels_N)) / (logits_NK.shape[-1] - 1)",
    ),
    Break(
        "smoothing over K - 1 classes, in the floor",
        THEORY,
        "return 1.0 - alpha + alpha / classes, alpha / classes",
        "return 1.0 - alpha, alpha / (classes - 1)",
    ),
    Break(
        "log base 2, in `entropy`",
        INFORMATION,
        ENTROPY,
        "return entr(widen(posteriors_NK)).sum(dim=-1) / np.log(2.0)",
    ),
    Break("log base 2, in the objectives", MEMBERS, SOFT, SOFT + " / 0.6931471805599453"),
    Break(
        "log base 2, in `nll`",
        METRICS,
        "return float(-np.log(of_label(p_NK, labels_N)).mean())",
        "return float(-np.log2(of_label(p_NK, labels_N)).mean())",
    ),
    Break(
        "mean over K instead of sum, in the objectives",
        MEMBERS,
        SOFT,
        SOFT.replace("sum(dim", "mean(dim"),
    ),
    Break(
        "mean over K instead of sum, in `kl_divergence`",
        INFORMATION,
        KL,
        KL.replace("sum(dim", "mean(dim"),
    ),
    Break(
        "mean over K instead of sum, in `entropy`",
        INFORMATION,
        ENTROPY,
        ENTROPY.replace("sum(dim", "mean(dim"),
    ),
    Break(
        "softmax taken twice, in the objectives",
        MEMBERS,
        "soft_NK = self.soft_target(logits_NK, labels_N, teacher_logits_NK).detach()",
        "soft_NK = self.soft_target(logits_NK, labels_N, teacher_logits_NK).detach(); "
        "logits_NK = logits_NK.softmax(dim=-1)",
    ),
    Break(
        "softmax taken twice, in `log_posteriors`",
        INFORMATION,
        "return (widen(logits_NK) / temperature).log_softmax(dim=-1)",
        "return (widen(logits_NK) / temperature).softmax(dim=-1).log_softmax(dim=-1)",
    ),
    Break(
        "entropy of the mean posterior instead of mean entropy",
        METRICS,
        "return float(-_xlogy(p_NK, p_NK).sum(axis=1).mean()) + 0.0",
        "return float(-_xlogy(p_NK.mean(axis=0), p_NK.mean(axis=0)).sum())",
    ),
    Break(
        "teacher not detached",
        MEMBERS,
        "soft_NK = self.soft_target(logits_NK, labels_N, teacher_logits_NK).detach()",
        "soft_NK = self.soft_target(logits_NK, labels_N, teacher_logits_NK)",
    ),
    Break(
        "entropy without the 0 log 0 guard",
        INFORMATION,
        ENTROPY,
        "return -(widen(posteriors_NK) * widen(posteriors_NK).log()).sum(dim=-1)",
    ),
    Break(
        "entropy of the target without the 0 log 0 guard",
        MEMBERS,
        "xlogy(soft_NK, soft_NK)",
        "soft_NK * soft_NK.log()",
    ),
    Break(
        "entropy without the 0 log 0 guard, in the rates",
        THEORY,
        "np.log(np.where(p_NK > 0, p_NK, 1.0))",
        "np.log(p_NK)",
    ),
    Break(
        "label-smoothing constant added to the gradient",
        MEMBERS,
        MIXED,
        MIXED + " + self.alpha * one_hot_like(logits_NK, labels_N).shape[-1] * "
        "(logits_NK - logits_NK.detach()).sum(dim=-1)",
    ),
    Break(
        "label-smoothing constant added to the gradient, in `mixture_gradient`",
        THEORY,
        "gradient: Floats = (1.0 - alpha) * hard_part + alpha * scale * soft_part",
        "gradient: Floats = (1.0 - alpha) * hard_part + alpha * scale * soft_part"
        " + alpha * math.log(logits.shape[1])",
    ),
]

# Class bodies run once, at import, where mutation testing does not reach.
CLASS_BODIES = [
    Break("ERM smooths a little", MEMBERS, "    alpha = 0.0\n", "    alpha = 0.1\n"),
    Break("tau^2 off by default in `Distillation`", MEMBERS,
          'tau_squared: bool = True\n    """Whether the divergence is multiplied by tau^2. The paper',
          'tau_squared: bool = False\n    """Whether the divergence is multiplied by tau^2. The paper'),
    Break("tau^2 off by default in `VirtualTeacher`", MEMBERS,
          'tau_squared: bool = True\n    """Whether the divergence is multiplied by tau^2."""',
          'tau_squared: bool = False\n    """Whether the divergence is multiplied by tau^2."""'),
    Break("tau = 2 in mixtures without a temperature", MEMBERS,
          '    temperature: float = 1.0\n    """tau, on both sides of the soft term',
          '    temperature: float = 2.0\n    """tau, on both sides of the soft term'),
    Break("tau = 2 by default in `Distillation`", MEMBERS,
          '    temperature: float = 1.0\n    """tau, on both sides of the divergence; the hard',
          '    temperature: float = 2.0\n    """tau, on both sides of the divergence; the hard'),
    Break("another virtual teacher by default", MEMBERS,
          "    correct_probability: float = 0.99\n", "    correct_probability: float = 0.9\n"),
    Break("LS under another name", MEMBERS, 'name = "ls"', 'name = "label_smoothing"'),
    Break("KD that needs no teacher", MEMBERS,
          'name = "kd"\n    needs_teacher = True', 'name = "kd"\n    needs_teacher = False'),
    Break("an objective that can be changed", MEMBERS,
          "@dataclass(frozen=True)\nclass LabelSmoothing", "@dataclass\nclass LabelSmoothing"),
    Break("the constant of KD misnamed", MEMBERS, '"alpha H(p^t)"', '"alpha log K"'),
]  # fmt: skip


def copy_of_the_repository(folder: Path) -> None:
    for name in ("kdcheck", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)


def apply(change: Break, folder: Path) -> None:
    path = folder / "kdcheck" / change.file
    source = path.read_text()
    if source.count(change.old) != 1:
        raise SystemExit(
            f"{change.name}: its text is in {change.file} {source.count(change.old)} times"
        )
    path.write_text(source.replace(change.old, change.new))


def first_failure(folder: Path) -> str | None:
    """The first test that fails in a copy, or None where all pass."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *CORE_TESTS]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    found = re.search(r"^(?:FAILED|ERROR) \S*?([^/\s]+\.py(?:::\w+)?)", done.stdout, re.MULTILINE)
    if done.returncode == 0:
        return None
    return found[1] if found else f"pytest ended with {done.returncode}: {done.stdout[-500:]}"


def noticed_by(change: Break) -> str | None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_of_the_repository(folder)
        apply(change, folder)
        return first_failure(folder)


def main() -> int:
    missed = 0
    for title, changes in (("The twelve breaks", TWELVE), ("Class bodies", CLASS_BODIES)):
        print(f"\n| {title} | first test that failed |\n| --- | --- |")
        for change in changes:
            test = noticed_by(change)
            missed += test is None
            print(f"| {change.name} | {f'`{test}`' if test else '**none**'} |", flush=True)
    return min(missed, 1)


if __name__ == "__main__":
    raise SystemExit(main())
