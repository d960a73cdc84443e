"""A plain training loop as a trainer to check: seeds, rows and the last reading are taken care of."""

# M test rows, K classes

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from kdcheck.conform.trainer.job import Job, Trainer

Batches = Iterable[dict[str, Tensor]]
Loop = Callable[[Job, nn.Module, Batches], None]
"""Trains the student on the batches, which give a new order of the rows each time they are gone through."""


def plain_loop(loop: Loop) -> Trainer:
    """A trainer made of a loop that trains the student it is given.

    The seed is set, the student made and shuffled batches are at hand; after the loop the test rows are
    read once, in eval mode. What the loop leaves undone of a job's options is noticed by the checks.

    Args:
        loop: ``loop(job, student, batches)``. Goes ``job.epochs`` times through the batches, with
            ``job.learning_rate``, and learns by ``job.method``, ``job.alpha`` and ``job.temperature``
            from ``job.teacher``.

    Returns:
        A trainer for :func:`~kdcheck.check_trainer`.

    Source: docs/guides/check-your-trainer.md.

    >>> from kdcheck.conform.trainer import check_trainer
    >>> def learns_nothing(job, student, batches):
    ...     pass
    >>> "teacher_in_eval_mode" in check_trainer(plain_loop(learns_nothing)).verdict
    True
    """

    @functools.wraps(loop)
    def trainer(job: Job) -> Tensor:
        torch.manual_seed(job.seed)
        student = job.make_student()
        order = torch.Generator().manual_seed(job.seed)
        batches = DataLoader(
            job.train,
            batch_size=job.batch_size,
            shuffle=True,
            generator=order,
            collate_fn=job.collate,
        )
        loop(job, student, batches)
        return _posteriors(student, job)

    return trainer


def _posteriors(student: nn.Module, job: Job) -> Tensor:
    student.eval()
    test = DataLoader(job.test, batch_size=job.batch_size, collate_fn=job.collate)
    with torch.no_grad():
        parts = [
            student(**{name: values for name, values in batch.items() if name != "labels"}).logits
            for batch in test
        ]
    return torch.cat(parts).softmax(-1)
