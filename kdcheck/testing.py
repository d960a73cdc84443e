"""Small real things to test objectives and engines with: a task, encoders, a teacher.

Nothing here is fetched, a run takes a second, and what should come out is known beforehand.
"""

# Shapes: N examples, K classes, V tokens of the vocabulary.

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from kdcheck.encoders import Encoder
from kdcheck.encoders.encoder import WORD_EMBEDDINGS
from kdcheck.evidence.evidence import Predictions
from kdcheck.objectives import ERM
from kdcheck.recipe import Recipe
from kdcheck.tasks import Origin, Split, Task

WORDS_PER_CLASS = 6
NEUTRAL_WORDS = 12
MAX_CLASSES = 6
LONGEST = 16
"""Words of the longest text."""
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_VOCABULARY = (
    *_SPECIAL,
    *(f"c{k}w{i}" for k in range(MAX_CLASSES) for i in range(WORDS_PER_CLASS)),
    *(f"w{i}" for i in range(NEUTRAL_WORDS)),
)


def tiny_task(
    *,
    train: int = 64,
    validation: int = 16,
    test: int = 24,
    classes: int = 2,
    pairs: bool = False,
    seed: int = 0,
) -> Task:
    """A task that a bag of words solves: each text holds words of its class among neutral ones.

    Args:
        train: examples of the training split.
        validation: examples of the validation split.
        test: examples of the test split.
        classes: K, 2 to 6.
        pairs: whether an example has two texts, the class words in the second.
        seed: of the words.

    Returns:
        A task with texts of 2 to 16 words.

    >>> tiny_task(train=4).train.texts[0]
    ('w0 w0 w0 c1w5 w2 w9 c1w3',)
    """
    rng = np.random.default_rng(seed)
    splits = {
        name: _split(name, size, classes, pairs, rng)
        for name, size in (("train", train), ("validation", validation), ("test", test))
    }
    return Task(
        name="tiny",
        classes=tuple(f"c{k}" for k in range(classes)),
        text_columns=("first", "second") if pairs else ("text",),
        origin=Origin(source="kdcheck.testing", licence="Apache-2.0", citation="none"),
        **splits,
    )


def _split(name: str, size: int, classes: int, pairs: bool, rng: np.random.Generator) -> Split:
    labels = tuple(int(label) for label in rng.integers(classes, size=size))
    texts = []
    for label in labels:
        words = [f"w{i}" for i in rng.integers(NEUTRAL_WORDS, size=rng.integers(1, LONGEST - 1))]
        for word in rng.integers(WORDS_PER_CLASS, size=rng.integers(1, 3)):
            words.insert(int(rng.integers(len(words) + 1)), f"c{label}w{word}")
        second = " ".join(words)
        texts.append((" ".join(sorted(words)[-2:]), second) if pairs else (second,))
    ids = tuple(f"{name}-{row}" for row in range(size))
    return Split(ids=ids, texts=tuple(texts), labels=labels)


def tiny_encoder(
    kind: str = "bert", *, layers: int = 2, width: int = 32, positions: int = 128, seed: int = 0
) -> Encoder:
    """An encoder that knows the words of :func:`tiny_task` and nothing else.

    Args:
        kind: ``bert`` or ``distilbert``.
        layers: number of layers.
        width: hidden width, a multiple of 4.
        positions: longest text in tokens.
        seed: of the word embeddings, its only "pre-trained" weights.

    Returns:
        An encoder of 4 heads with a feed-forward width of twice the hidden one.

    >>> tiny_encoder("distilbert").config.n_layers
    2
    """
    from transformers import BertConfig, DistilBertConfig

    size = {"vocab_size": len(_VOCABULARY), "max_position_embeddings": positions}
    config: Any
    if kind == "bert":
        config = BertConfig(
            **size,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=2 * width,
        )
    else:
        config = DistilBertConfig(
            **size, dim=width, n_layers=layers, n_heads=4, hidden_dim=2 * width
        )
    generator = torch.Generator().manual_seed(seed)
    table_VW = torch.randn(len(_VOCABULARY), width, generator=generator) / width**0.5
    name = f"tiny-{kind}-{layers}x{width}"
    digest = hashlib.sha256(f"{name} {seed}".encode()).hexdigest()
    return Encoder(name, config, {WORD_EMBEDDINGS: table_VW}, _tokenizer(), digest)


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: row for row, word in enumerate(_VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(word, vocabulary[word]) for word in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def tiny_recipe(task: Task, encoder: Encoder, **changes: Any) -> Recipe:
    """A recipe of two short epochs for a tiny task and encoder.

    Args:
        task: what to train on.
        encoder: what to train.
        changes: fields of the recipe.

    Returns:
        ERM at a rate of 1e-2 in batches of 8, unless changed.

    >>> tiny_recipe(tiny_task(), tiny_encoder(), epochs=3).epochs
    3
    """
    usual: dict[str, Any] = {
        "task": task.name,
        "task_digest": task.digest,
        "encoder": encoder.name,
        "encoder_digest": encoder.digest,
        "objective": ERM(),
        "learning_rate": 1e-2,
        "epochs": 2,
        "batch_size": 8,
        "curve_rows": 16,
        "seed": 0,
    }
    return Recipe(**usual | changes)


def uniform_teacher(split: Split, classes: int) -> Predictions:
    """A teacher that knows nothing: its posteriors are uniform, with an entropy of log K nats.

    Args:
        split: whose examples it is asked about.
        classes: K.

    Returns:
        Logits of zero for every example. Distilling from them equals label smoothing (Eqs. 1 and 2).

    >>> uniform_teacher(tiny_task(train=3).train, 2).logits_NK.tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """
    return Predictions(
        ids=split.ids,
        labels_N=np.asarray(split.labels, dtype=np.int64),
        logits_NK=np.zeros((len(split), classes), dtype=np.float32),
    )
