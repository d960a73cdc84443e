"""The library's ``Trainer``, or a subclass of it, as a trainer to check."""

# M test rows, K classes

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from kdcheck.conform.trainer.job import Job
from kdcheck.conform.trainer.job import Trainer as AnyTrainer
from kdcheck.errors import InputError

Build = Callable[..., Any]


def hugging_face(build: Build, **arguments: Any) -> AnyTrainer:
    """A trainer made of a function that builds the library's ``Trainer``, or one of your own subclass.

    Args:
        build: ``build(job, **usual)`` returns a ``Trainer``; ``usual`` holds ``args``, ``model_init``,
            ``train_dataset``, ``eval_dataset`` and ``data_collator``, to be passed on. Alpha, the temperature
            and the teacher are the job's. Of ``usual["args"]`` label smoothing is set for ``ls`` jobs.
        arguments: more ``TrainingArguments``, such as ``lr_scheduler_type="constant"``.

    Returns:
        A trainer for :func:`~kdcheck.check_trainer`.

    Raises:
        InputError: ``accelerate``, which the library's ``Trainer`` needs, is not installed.

    Source: docs/guides/check-your-trainer.md.
    """
    if find_spec("accelerate") is None:
        wanted = "the library's Trainer, which needs accelerate"
        step = "Install it: pip install 'transformers[torch]'."
        raise InputError("hugging_face", "no accelerate", wanted, step)

    @functools.wraps(build)
    def trainer(job: Job) -> Tensor:
        from transformers import PrinterCallback

        made = build(job, **_usual(job, arguments))
        made.pop_callback(PrinterCallback)  # dozens of tiny runs need no word each
        if job.stop_after:
            made.add_callback(_stopping_after(job.stop_after))
        made.train(resume_from_checkpoint=True if job.resume else None)
        logits_MK = torch.from_numpy(made.predict(job.test).predictions)
        return logits_MK.float().softmax(-1)

    return trainer


def _usual(job: Job, arguments: dict[str, Any]) -> dict[str, Any]:
    from transformers import TrainingArguments

    evaluating = (
        {"eval_strategy": "steps", "eval_steps": job.evaluate_every} if job.evaluate_every else {}
    )
    settings = {
        "output_dir": str(job.folder),
        "seed": job.seed,
        "num_train_epochs": job.epochs,
        "per_device_train_batch_size": job.batch_size // job.parts,
        "per_device_eval_batch_size": job.batch_size,
        "gradient_accumulation_steps": job.parts,
        "learning_rate": job.learning_rate,
        "label_smoothing_factor": job.alpha if job.method == "ls" else 0.0,
        "bf16": job.precision == "bfloat16",
        "use_cpu": True,
        "remove_unused_columns": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_strategy": "no",
    }
    return {
        "args": TrainingArguments(**(settings | evaluating | arguments)),
        "model_init": job.make_student,
        "train_dataset": job.train,
        "eval_dataset": job.validation,
        "data_collator": job.collate,
    }


def _stopping_after(steps: int) -> Any:
    """A callback that saves and stops, with the schedule of the whole run."""
    from transformers import TrainerCallback

    class Stopping(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if state.global_step >= steps:
                control.should_save = control.should_training_stop = True

    return Stopping()
