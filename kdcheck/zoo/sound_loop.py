"""A sound training loop in small steps, each of which a fault of the zoo gets wrong."""

# N rows, K classes, M test rows

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcheck.conform.trainer import Job
from kdcheck.conform.trainer.tiny_rows import Rows

Batch = dict[str, Tensor]
Indices = list[int]


class SoundLoop:
    """Trains as a job says; one object does one job. Calling the class is the trainer."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.student = self.begin()
        self.teacher = self.prepare(job.teacher) if job.teacher is not None else None
        self.optimizer = torch.optim.AdamW(self.student.parameters(), lr=job.learning_rate)
        self.step = 0

    @classmethod
    def train(cls, job: Job) -> Tensor:
        """Posteriors of the test rows, shape (M, K)."""
        return cls(job).run()

    def run(self) -> Tensor:
        """Train, then read the test rows once."""
        if self.job.resume:
            self.load(self.job.folder / "checkpoint.pt")
        for rows in self.steps():
            self.student.train()
            self.set_rate()
            self.learn(rows)
            self.step += 1
            if self.job.evaluate_every and self.step % self.job.evaluate_every == 0:
                self.evaluate()
            if self.step == self.job.stop_after:
                self.save(self.job.folder / "checkpoint.pt")
                break
        return self.predict(self.job.test)

    # Models

    def begin(self) -> nn.Module:
        """A student whose first weights come from the seed."""
        torch.manual_seed(self.job.seed)
        return self.make_student()

    def make_student(self) -> nn.Module:
        """A new one."""
        return self.job.make_student()

    def prepare(self, teacher: nn.Module) -> nn.Module:
        """The teacher as it will be asked."""
        return teacher.eval()

    # Which rows, and when

    def epochs(self) -> list[list[Indices]]:
        """Rows of every step of every epoch, of a stream of their own."""
        stream = torch.Generator().manual_seed(self.job.seed)
        count, size = len(self.job.train), self.job.batch_size
        return [
            [order[at : at + size] for at in range(0, count, size)]
            for order in (
                torch.randperm(count, generator=stream).tolist() for _ in range(self.job.epochs)
            )
        ]

    def steps(self) -> Iterator[Indices]:
        """Rows of the steps that are left."""
        yield from [rows for epoch in self.epochs() for rows in epoch][self.step :]

    def set_rate(self) -> None:
        """Linear to zero over all steps of the job."""
        total = self.job.epochs * math.ceil(len(self.job.train) / self.job.batch_size)
        self.optimizer.param_groups[0]["lr"] = self.job.learning_rate * (1 - self.step / total)

    def batch(self, rows: Rows, indices: Indices) -> Batch:
        """Padded rows."""
        return self.job.collate([rows[at] for at in indices])

    # One step

    def learn(self, rows: Indices) -> None:
        """Gradients of the whole step, then the step."""
        self.optimizer.zero_grad()
        for part in self.parts(rows):
            loss_N = self.loss(self.batch(self.job.train, part), part)
            self.share(loss_N, len(rows)).backward()
        self.optimizer.step()

    def parts(self, rows: Indices) -> list[Indices]:
        """The rows of a step in parts of equal size, but for the last."""
        size = math.ceil(self.job.batch_size / self.job.parts)
        return [rows[at : at + size] for at in range(0, len(rows), size)]

    def share(self, loss_N: Tensor, rows_of_step: int) -> Tensor:
        """What a part adds to the mean over the whole step."""
        return loss_N.sum() / rows_of_step

    def loss(self, batch: Batch, rows: Indices) -> Tensor:
        """One loss per row, shape (N,)."""
        with self.precision():
            logits_NK = self.ask(self.student, batch)
        logits_NK = logits_NK.float()
        hard_N = functional.cross_entropy(logits_NK, batch["labels"], reduction="none")
        alpha = self.job.alpha
        if self.job.method == "erm":
            return hard_N
        if self.job.method == "ls":
            return functional.cross_entropy(
                logits_NK, batch["labels"], reduction="none", label_smoothing=alpha
            )
        soft_N = self.divergence(self.teacher_logits(batch, rows, logits_NK), logits_NK)
        return (1 - alpha) * hard_N + alpha * soft_N

    def divergence(self, teacher_NK: Tensor, logits_NK: Tensor) -> Tensor:
        """tau^2 D_KL(teacher, student) of each row."""
        tau = self.job.temperature
        log_p_NK, log_t_NK = ((z / tau).log_softmax(-1) for z in (logits_NK, teacher_NK))
        return tau**2 * (log_t_NK.exp() * (log_t_NK - log_p_NK)).sum(-1)

    def teacher_logits(self, batch: Batch, rows: Indices, logits_NK: Tensor) -> Tensor:  # noqa: ARG002
        """Of the same rows; faults also look at their numbers, or at the student's logits."""
        assert self.teacher is not None  # a distillation has one
        with torch.no_grad():
            return self.ask(self.teacher, batch).float()

    def ask(self, model: nn.Module, batch: Batch) -> Tensor:
        """Logits of a batch."""
        inputs = {name: values for name, values in batch.items() if name != "labels"}
        logits: Tensor = model(**inputs).logits
        return logits

    def precision(self) -> Any:
        """Autocast where the job asks for half precision."""
        half = self.job.precision == "bfloat16"
        return torch.autocast("cpu", torch.bfloat16, enabled=half)

    # Asking the student

    def evaluate(self) -> Tensor:
        """Posteriors of the validation rows."""
        return self.predict(self.job.validation)

    def predict(self, rows: Rows) -> Tensor:
        """Posteriors of a split in its order, in eval mode."""
        self.student.eval()
        with torch.no_grad():
            parts = [
                self.ask(self.student, self.batch(rows, indices)) for indices in self.parts_of(rows)
            ]
        return torch.cat(parts).softmax(-1)

    def parts_of(self, rows: Rows) -> list[Indices]:
        """Row numbers of a split, in its order, by batches."""
        size = self.job.batch_size
        return [list(range(len(rows)))[at : at + size] for at in range(0, len(rows), size)]

    # Going on

    def save(self, path: Path) -> None:
        """Everything that the next step depends on."""
        torch.save(self.state(), path)

    def state(self) -> dict[str, Any]:
        """Weights, optimiser, step and the generator that dropout draws from."""
        return {
            "student": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "generator": torch.get_rng_state(),
        }

    def load(self, path: Path) -> None:
        """What ``save`` wrote."""
        state = torch.load(path)
        self.student.load_state_dict(state["student"])
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        torch.set_rng_state(state["generator"])
