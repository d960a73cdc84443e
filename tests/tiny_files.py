"""A task and encoders as the files that a user would bring, made from :mod:`kdcheck.testing`."""

from __future__ import annotations

from pathlib import Path

from kdcheck.testing import tiny_encoder, tiny_task


def write_task(folder: Path, *, classes: int = 2, test: int = 60, seed: int = 0) -> None:
    """Three splits and ``task.toml``."""
    task = tiny_task(train=64, validation=16, test=test, classes=classes, seed=seed)
    folder.mkdir(parents=True)
    for name in ("train", "validation", "test"):
        split = task.split(name)
        rows = [
            f"{text}\t{label}" for (text,), label in zip(split.texts, split.labels, strict=True)
        ]
        (folder / f"{name}.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    facts = {"source": "a test", "licence": "CC0", "citation": "none"}
    lines = [f"{key} = {value!r}" for key, value in facts.items()]
    (folder / "task.toml").write_text(
        "\n".join([f"classes = {list(task.classes)}", "text_columns = ['text']", *lines]) + "\n"
    )


def write_encoder(folder: Path, layers: int) -> None:
    """Weights, configuration and tokenizer."""
    import safetensors.torch

    encoder = tiny_encoder(layers=layers)
    model = encoder.build(num_classes=2, seed=0)
    folder.mkdir(parents=True)
    weights = {name: value.contiguous() for name, value in model.base_model.state_dict().items()}
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    encoder.config.to_json_file(folder / "config.json")
    encoder.tokenizer.save(str(folder / "tokenizer.json"))
