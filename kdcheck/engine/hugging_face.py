"""A trained classifier as a folder that the Hugging Face library reads."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

from kdcheck.encoders import restore_vocabulary
from kdcheck.encoders.encoder import WORD_EMBEDDINGS
from kdcheck.engine.inputs import Inputs
from kdcheck.errors import EvidenceError


def export(model: nn.Module, inputs: Inputs, folder: Path) -> None:
    """Write configuration, weights and tokenizer to a new folder, which appears whole or not at all.

    Embedding rows that no example used are put back as they were pre-trained, which is what they
    would be: their gradient was zero.
    """
    trained: Any = model
    config = copy.deepcopy(trained.config)
    config.vocab_size = inputs.encoder.config.vocab_size
    config.pad_token_id = inputs.encoder.config.pad_token_id
    config.id2label = dict(enumerate(inputs.task.classes))
    config.label2id = {name: label for label, name in config.id2label.items()}
    config.architectures = [type(model).__name__]
    table = f"{trained.base_model_prefix}.{WORD_EMBEDDINGS}"
    weights = {name: value.detach().cpu() for name, value in model.named_parameters()}
    weights[table] = restore_vocabulary(weights[table], inputs.vocabulary, inputs.encoder)
    check_is_new(folder)
    temporary = folder.with_name(f".writing-{folder.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        config.save_pretrained(temporary)
        safetensors.torch.save_file(
            {name: value.contiguous() for name, value in weights.items()},
            temporary / "model.safetensors",
            metadata={"format": "pt"},
        )
        inputs.encoder.tokenizer.save(str(temporary / "tokenizer.json"))
        temporary.rename(folder)
    except (OSError, safetensors.SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise _unwritable(folder, str(error)) from error


def check_is_new(folder: Path) -> None:
    """Refuse a folder that holds something; asked before training, not after."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise _unwritable(folder, "something else in its place")


def _unwritable(folder: Path, got: str) -> EvidenceError:
    who = f"model folder {folder}"
    wanted = "a new folder that can be written"
    return EvidenceError(who, got, wanted, "Choose another folder, or free some space.")
