"""Faulty trainers: a sound loop with one step gone wrong."""

# N rows, K classes, M test rows

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcheck.conform.trainer import Job
from kdcheck.conform.trainer.tiny_rows import CLASSES, Rows
from kdcheck.zoo.sound_loop import Batch, Indices, SoundLoop


class TeacherInTrainMode(SoundLoop):
    """Forgets ``teacher.eval()``."""

    def prepare(self, teacher: nn.Module) -> nn.Module:
        return teacher.train()


class TeacherLearns(SoundLoop):
    """Gives the optimiser the teacher's parameters, too, and lets gradients reach them."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        if self.teacher is not None:
            self.optimizer.add_param_group({"params": list(self.teacher.parameters())})

    def teacher_logits(self, batch: Batch, rows: Indices, logits_NK: Tensor) -> Tensor:
        assert self.teacher is not None
        return self.ask(self.teacher, batch)


class TeacherIsTheStudent(SoundLoop):
    """Trains the very object that it was given as the teacher."""

    def make_student(self) -> nn.Module:
        return self.job.make_student() if self.job.teacher is None else self.job.teacher


class SoftenedAgainstItself(SoundLoop):
    """Takes the student's own logits for the teacher's."""

    def teacher_logits(self, batch: Batch, rows: Indices, logits_NK: Tensor) -> Tensor:
        super().teacher_logits(batch, rows, logits_NK)
        return logits_NK.detach()


class CachedByBatchOrder(SoundLoop):
    """Asks the teacher once, row by row, and takes its answers as batches come in another order."""

    def teacher_logits(self, batch: Batch, rows: Indices, logits_NK: Tensor) -> Tensor:
        size = self.job.batch_size
        at = self.step * size % len(self.job.train)
        places = [(at + i) % len(self.job.train) for i in range(len(rows))]
        return super().teacher_logits(self.batch(self.job.train, places), places, logits_NK)


class LabelMapPermuted(SoundLoop):
    """Teacher and student number the classes differently."""

    def teacher_logits(self, batch: Batch, rows: Indices, logits_NK: Tensor) -> Tensor:
        return super().teacher_logits(batch, rows, logits_NK).roll(1, dims=-1)


class TokenTypesDropped(SoundLoop):
    """Shows the teacher, which reads token types, a batch without them."""

    def teacher_logits(self, batch: Batch, rows: Indices, logits_NK: Tensor) -> Tensor:
        kept = {name: values for name, values in batch.items() if name != "token_type_ids"}
        return super().teacher_logits(kept, rows, logits_NK)


class SeedIgnored(SoundLoop):
    """Sets a seed, and always the same one."""

    def begin(self) -> nn.Module:
        torch.manual_seed(42)
        return self.make_student()

    def epochs(self) -> list[list[Indices]]:
        torch.manual_seed(42)
        count, size = len(self.job.train), self.job.batch_size
        orders = [torch.randperm(count).tolist() for _ in range(self.job.epochs)]
        return [[order[at : at + size] for at in range(0, count, size)] for order in orders]


class SeedAfterTheStudent(SoundLoop):
    """Makes the student before it sets the seed."""

    def begin(self) -> nn.Module:
        student = self.make_student()
        torch.manual_seed(self.job.seed)
        return student


class EvaluationDraws(SoundLoop):
    """Evaluates on a random half of the rows, drawn from the generator of training."""

    def evaluate(self) -> Tensor:
        half = torch.randperm(len(self.job.validation))[: len(self.job.validation) // 2].tolist()
        return self.predict(_part(self.job.validation, half))


class StaysInEvalMode(SoundLoop):
    """Goes to eval mode for an evaluation, and never back."""

    def learn(self, rows: Indices) -> None:
        self.student.train(
            self.step < max(self.job.evaluate_every, 1) or not self.job.evaluate_every
        )
        super().learn(rows)


class PaddedDuplicates(SoundLoop):
    """Fills the last batch up with rows that were there before, as distributed samplers do."""

    def epochs(self) -> list[list[Indices]]:
        size = self.job.batch_size
        return [
            [rows + steps[0][: size - len(rows)] for rows in steps] for steps in super().epochs()
        ]


class ScheduleNotReset(SoundLoop):
    """Counts steps for its schedule over all trainings of the process."""

    taken: ClassVar[list[int]] = []

    def set_rate(self) -> None:
        self.taken.append(self.step)
        rate = self.job.learning_rate / (1 + len(self.taken) / 20)
        self.optimizer.param_groups[0]["lr"] = rate


class ResumeSkipsABatch(SoundLoop):
    """Saves the number of the next step and goes on with the one after it."""

    def load(self, path: Path) -> None:
        super().load(path)
        self.step += 1


class ResumeForgetsTheOptimiser(SoundLoop):
    """Keeps weights and step, and starts Adam's averages anew."""

    def state(self) -> dict[str, Any]:
        kept = super().state()
        del kept["optimizer"]
        return kept


class ResumeForgetsTheGenerator(SoundLoop):
    """Goes on with the dropout masks of the first steps."""

    def load(self, path: Path) -> None:
        state = torch.get_rng_state()
        super().load(path)
        torch.set_rng_state(state)


class TestIsTrain(SoundLoop):
    """Takes the training rows for the test."""

    def predict(self, rows: Rows) -> Tensor:
        same = rows is self.job.test
        return (
            super().predict(_part(self.job.train, list(range(len(rows)))))
            if same
            else super().predict(rows)
        )


class BestOnTest(SoundLoop):
    """Looks at the test after every step and keeps the best."""

    def run(self) -> Tensor:
        seen: list[Tensor] = []
        for rows in self.steps():
            self.student.train()
            self.learn(rows)
            self.step += 1
            seen.append(self.predict(self.job.test))
        labels_M = torch.tensor(self.job.test.labels)
        return max(seen, key=lambda p_MK: float((p_MK.argmax(-1) == labels_M).float().mean()))


class TrainsOnValidation(SoundLoop):
    """Adds the validation rows to the training rows once their work is done."""

    def learn(self, rows: Indices) -> None:
        super().learn(rows)
        if self.step == self.job.epochs:
            batch = self.batch(self.job.validation, [0, 1, 2])
            self.optimizer.zero_grad()
            functional.cross_entropy(self.ask(self.student, batch), batch["labels"]).backward()
            self.optimizer.step()


class MeanOfMeans(SoundLoop):
    """Averages the means of the parts of a step, though the last part may be a small one."""

    def learn(self, rows: Indices) -> None:
        self.optimizer.zero_grad()
        parts = self.parts(rows)
        for part in parts:
            (self.loss(self.batch(self.job.train, part), part).mean() / len(parts)).backward()
        self.optimizer.step()


class StepsForEachPart(SoundLoop):
    """Takes an optimiser's step for each part, though the gradients were to be accumulated."""

    def learn(self, rows: Indices) -> None:
        for part in self.parts(rows):
            super().learn(part)

    def parts(self, rows: Indices) -> list[Indices]:
        return super().parts(rows) if len(rows) > self.job.batch_size // self.job.parts else [rows]


class WeightsInHalfPrecision(SoundLoop):
    """Keeps the weights themselves in sixteen bits, which small updates do not reach."""

    def make_student(self) -> nn.Module:
        student = super().make_student()
        return student.bfloat16() if self.job.precision == "bfloat16" else student


class PaddingInTheMean(SoundLoop):
    """Does not pass the attention mask on."""

    def ask(self, model: nn.Module, batch: Batch) -> Tensor:
        return super().ask(model, batch | {"attention_mask": torch.ones_like(batch["input_ids"])})


class ClassZeroIgnored(SoundLoop):
    """Takes the label 0 for padding and leaves its rows out of the hard term."""

    def loss(self, batch: Batch, rows: Indices) -> Tensor:
        return super().loss(batch, rows) * (batch["labels"] != 0)


class DistillationInAnotherOrder(SoundLoop):
    """Shuffles anew for the distillation, with a seed that plain training does not use."""

    def epochs(self) -> list[list[Indices]]:
        steps = super().epochs()
        return [epoch[::-1] for epoch in steps] if self.job.method == "kd" else steps


class MeanOverClasses(SoundLoop):
    """Takes the mean of the divergence's terms over the classes: ``reduction="mean"``."""

    def divergence(self, teacher_NK: Tensor, logits_NK: Tensor) -> Tensor:
        return super().divergence(teacher_NK, logits_NK) / CLASSES


class AlphaOfTheHardTerm(SoundLoop):
    """Weighs the hard term by alpha, though the soft one was meant."""

    def loss(self, batch: Batch, rows: Indices) -> Tensor:
        if self.job.method != "kd":
            return super().loss(batch, rows)
        logits_NK = self.ask(self.student, batch)
        hard_N = functional.cross_entropy(logits_NK, batch["labels"], reduction="none")
        soft_N = self.divergence(self.teacher_logits(batch, rows, logits_NK), logits_NK)
        return self.job.alpha * hard_N + (1 - self.job.alpha) * soft_N


class AnswersInTrainMode(SoundLoop):
    """Reads the test with dropout on."""

    def predict(self, rows: Rows) -> Tensor:
        self.student.train()
        with torch.no_grad():
            parts = [self.ask(self.student, self.batch(rows, part)) for part in self.parts_of(rows)]
        return torch.cat(parts).softmax(-1)


class SortedByLength(SoundLoop):
    """Reads the test sorted by length, and hands the posteriors back in that order."""

    def predict(self, rows: Rows) -> Tensor:
        order = sorted(range(len(rows)), key=lambda at: -len(rows.contents[at]))
        return super().predict(_part(rows, order))


def _part(rows: Rows, places: Indices) -> Rows:
    return Rows([rows.contents[at] for at in places], [rows.labels[at] for at in places])
