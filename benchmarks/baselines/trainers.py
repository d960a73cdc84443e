"""Two subclasses of the Hugging Face Trainer that distil: as usually written, and tuned.

Both time themselves from the first step to the last, without what the Trainer does before and after.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from baselines.common import Work, distillation, padded


def train_plainly(model: nn.Module, work: Work) -> float:
    """A: the teacher runs at each step, every text is padded to the longest length allowed."""
    length = work.recipe.max_length
    rows = [
        {name: value[0] for name, value in padded(work, batch[i : i + 1], length).items()}
        | {"labels": work.labels_N[batch[i]]}
        for batch in work.batches
        for i in range(len(batch))
    ]
    return _train(model, work, rows, _stack, AskingTrainer, logging_steps=10)


def train_tuned(model: nn.Module, work: Work) -> float:
    """B: teacher logits are kept, texts are padded to the longest of a batch, nothing is logged."""
    rows = [{"row": int(row)} for batch in work.batches for row in batch]

    def collate(batch: list[dict[str, int]]) -> dict[str, Tensor]:
        index = torch.tensor([each["row"] for each in batch])
        return padded(work, index.numpy()) | {
            "labels": work.labels_N[index],
            "teacher_logits": work.teacher_logits_NK[index],
        }

    return _train(model, work, rows, collate, KeepingTrainer, logging_strategy="no")


class InOrder(Trainer):
    """Rows come in the order in which they lie."""

    work: Work

    def _get_train_sampler(self, dataset: Any = None) -> torch.utils.data.SequentialSampler:
        return torch.utils.data.SequentialSampler(dataset or self.train_dataset)


class AskingTrainer(InOrder):
    """Asks the teacher at each step."""

    def compute_loss(self, model: nn.Module, inputs: Any, **_: Any) -> Tensor:
        """Eq. 2 with logits that the teacher gives now."""
        labels_B = inputs.pop("labels")
        with torch.no_grad():
            teacher_BK = self.work.teacher(**inputs).logits
        logits_BK = model(**inputs).logits
        return distillation(logits_BK, labels_B, teacher_BK, self.work.recipe.objective.alpha)


class KeepingTrainer(InOrder):
    """Has the teacher's logits beside the labels."""

    def compute_loss(self, model: nn.Module, inputs: Any, **_: Any) -> Tensor:
        """Eq. 2 with logits that lie ready."""
        labels_B, teacher_BK = inputs.pop("labels"), inputs.pop("teacher_logits")
        logits_BK = model(**inputs).logits
        return distillation(logits_BK, labels_B, teacher_BK, self.work.recipe.objective.alpha)


class Stopwatch(TrainerCallback):
    """Seconds from the first step's begin to the last step's end."""

    begun = ended = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start at the first."""
        self.begun = self.begun or time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """The last one stays."""
        self.ended = time.perf_counter()


def _stack(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def _train(
    model: nn.Module, work: Work, rows: Any, collate: Any, kind: type[InOrder], **settings: Any
) -> float:
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=work.recipe.batch_size,
            learning_rate=work.recipe.learning_rate,
            optim="adamw_torch_fused",
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            remove_unused_columns=False,
            **settings,
        )
        trainer = kind(
            model=model,
            args=arguments,
            train_dataset=rows,
            data_collator=collate,
            callbacks=[watch],
        )
        trainer.work = work
        trainer.train()
    return watch.ended - watch.begun
