"""Does a trainer do what its users think? Relations between trainings that differ in one thing."""

from kdcheck.conform.trainer.adapter_hugging_face import hugging_face
from kdcheck.conform.trainer.adapter_loop import plain_loop
from kdcheck.conform.trainer.job import Job, Trainer
from kdcheck.conform.trainer.trying import check_trainer

__all__ = ["Job", "Trainer", "check_trainer", "hugging_face", "plain_loop"]
