"""What an encoder is: configuration, weights and tokenizer, from which classifiers are built.

The modules are Hugging Face's own; nothing here writes an encoder. Weights come as safetensors, and
no code is loaded with them.
"""

# Shapes: V rows of the embedding table.

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kdcheck.errors import EncoderError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PretrainedConfig

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
INITIAL_STD = 0.02
"""Standard deviation of new weights, as in BERT's own initialisation."""
HEADS = ("classifier.", "pre_classifier.", "bert.pooler.")
"""Parts of a classifier that the file of a pre-trained encoder may lack."""


@dataclass(frozen=True)
class Tokenized:
    """Token ids of every example of a split."""

    ids: tuple[npt.NDArray[np.int32], ...]
    """Token ids of each example, special ones included."""
    types: tuple[npt.NDArray[np.int32], ...]
    """0 for tokens of the first text, 1 for those of the second."""
    truncated: npt.NDArray[np.bool_]
    """Whether each example was longer and was cut, shape (N,)."""

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each example, shape (N,)."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    @cached_property
    def end_to_end(
        self,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Token ids and types of all examples, shape (tokens,), and where each example starts, (N,)."""
        starts = np.cumsum(self.lengths) - self.lengths
        return np.concatenate(self.ids), np.concatenate(self.types), starts

    def take(self, rows: Sequence[int]) -> Tokenized:
        """The given rows, in the given order."""
        ids, types = (tuple(part[row] for row in rows) for part in (self.ids, self.types))
        return Tokenized(ids, types, self.truncated[list(rows)])


@dataclass(frozen=True)
class Encoder:
    """A pre-trained encoder."""

    name: str
    config: PretrainedConfig
    weights: Mapping[str, Tensor]
    """Pre-trained weights by name inside the base model; what is missing is drawn anew."""
    tokenizer: Tokenizer
    source_digest: str
    """sha256 of the files that weights and tokenizer were read from."""
    unpinned: str = ""
    """Why nothing says that the files are those that were published, a sentence; empty if something does."""

    @cached_property
    def digest(self) -> str:
        """sha256 over the sources, the configuration and the names of what was taken from them."""
        config = {k: v for k, v in self.config.to_dict().items() if k != "transformers_version"}
        facts = [self.source_digest, config, sorted(self.weights)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def reads_token_types(self) -> bool:
        """Whether the encoder tells the two texts of a pair apart by token type; DistilBERT does not."""
        return bool(self.config.model_type == "bert")

    @cached_property
    def tokenizer_digest(self) -> str:
        """Equal for encoders that make the same tokens of every text."""
        facts = json.loads(self.tokenizer.to_str())
        del facts["truncation"], facts["padding"]  # set anew at each use
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def check_length(self, max_length: int) -> None:
        """Refuse more tokens than there are positions."""
        positions = self.config.max_position_embeddings
        if max_length > positions:
            who = f"encoder {self.name!r}, max_length"
            got = str(max_length)
            wanted = f"at most {positions}, its number of positions"
            raise EncoderError(who, got, wanted, "Lower max_length in the recipe or the scale.")

    def tokenize(self, texts: Sequence[Sequence[str]], max_length: int) -> Tokenized:
        """Token ids of texts or pairs of texts; the longer text of a pair is cut first."""
        self.check_length(max_length)
        pairs = [tuple(each) if len(each) == 2 else each[0] for each in texts]
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_length, strategy="longest_first")
        encoded = self.tokenizer.encode_batch(pairs)
        return Tokenized(
            ids=tuple(np.array(each.ids, dtype=np.int32) for each in encoded),
            types=tuple(np.array(each.type_ids, dtype=np.int32) for each in encoded),
            truncated=np.array([bool(each.overflowing) for each in encoded], dtype=np.bool_),
        )

    def build(
        self,
        *,
        num_classes: int,
        seed: int,
        dropout: float = 0.1,
        head_dropout: float | None = None,
        vocabulary: npt.NDArray[np.int64] | None = None,
    ) -> nn.Module:
        """A classifier in train mode: pre-trained weights, everything else drawn from the seed alone.

        With a vocabulary the embedding table has its rows only, in that order. The head's dropout is
        the others' unless given.
        """
        config = _with_head(self.config, num_classes, dropout, head_dropout)
        if vocabulary is not None:
            config.vocab_size = len(vocabulary)
            config.pad_token_id = None  # its row may be gone, and nothing is padded
        with torch.random.fork_rng(devices=[]):  # the library draws weights too; they are replaced
            model = _classifier_class(config)(config)
        generator = torch.Generator().manual_seed(seed)
        given = self._given(f"{model.base_model_prefix}.", vocabulary)
        self._check_names(set(given), {name for name, _ in model.named_parameters()})
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name not in given:
                    initialise(name, parameter, generator)
                    continue
                if given[name].shape != parameter.shape:
                    who = f"encoder {self.name!r}, {name}"
                    wanted = f"shape {tuple(parameter.shape)}, as its configuration says"
                    next_step = "The weights belong to another configuration; fetch both anew."
                    raise EncoderError(who, f"shape {tuple(given[name].shape)}", wanted, next_step)
                parameter.copy_(given[name])
        return model.train()

    def _given(self, base: str, vocabulary: npt.NDArray[np.int64] | None) -> Mapping[str, Tensor]:
        """The pre-trained weights by their names in the classifier, the table cut to the vocabulary."""
        given = {f"{base}{name}": value for name, value in self.weights.items()}
        given.pop(f"{base}embeddings.position_ids", None)  # a buffer in files of old
        if vocabulary is not None:
            table = f"{base}{WORD_EMBEDDINGS}"
            given[table] = given[table][torch.from_numpy(vocabulary)]
        return given

    def _check_names(self, given: set[str], wanted: set[str]) -> None:
        """A pre-trained encoder may lack its head, one of a new shape all but its embeddings."""
        unknown, missing = sorted(given - wanted), sorted(wanted - given)
        if len(self.weights) > 1:
            missing = [name for name in missing if not name.startswith(HEADS)]
        else:
            missing = []
        if unknown or missing:
            what, names = ("unknown", unknown) if unknown else ("missing", missing)
            who = f"encoder {self.name!r}"
            got = f"{len(names)} {what} weights, first {names[0]}"
            next_step = "The weights belong to another configuration; fetch both anew."
            raise EncoderError(who, got, "the weights that its configuration speaks of", next_step)


def restore_vocabulary(
    trained_VW: Tensor, vocabulary: npt.NDArray[np.int64], encoder: Encoder
) -> Tensor:
    """The full embedding table: trained rows in their places, the others as they were.

    Rows that no example uses are never moved by training without weight decay.
    """
    full = encoder.weights[WORD_EMBEDDINGS].clone().to(trained_VW.dtype)
    full[torch.from_numpy(vocabulary)] = trained_VW.detach().cpu()
    return full


def check_pair(teacher: Encoder, student: Encoder) -> list[str]:
    """Refuse encoders that read texts differently; notes on differences that do no harm to teaching."""
    for what, of_teacher, of_student in (
        ("tokenizer", _tokenizer_facts(teacher), _tokenizer_facts(student)),
        ("label map", _label_map(teacher), _label_map(student)),
    ):
        if of_teacher != of_student:
            raise EncoderError(
                f"teacher {teacher.name!r} and student {student.name!r}",
                f"a different {what}",
                f"the same {what} on both sides",
                "Pick two encoders of one family, or re-export one with the other's "
                f"{'tokenizer.json' if what == 'tokenizer' else 'label2id'}.",
            )
    notes = []
    if teacher.reads_token_types != student.reads_token_types:
        blind = student if teacher.reads_token_types else teacher
        notes.append(
            f"{blind.name} does not read token types: it tells two texts apart by [SEP] alone"
        )
    widths = [encoder.config.hidden_size for encoder in (teacher, student)]
    if widths[0] != widths[1]:
        both = zip((teacher.name, student.name), widths, strict=True)
        facts = " and ".join(f"{name} is {width} wide" for name, width in both)
        notes.append(f"{facts}: a student sees its teacher's posteriors, never its hidden states")
    return notes


def check_label_map(encoder: Encoder, classes: Sequence[str]) -> None:
    """Refuse an encoder that was fine-tuned with other labels, or with these in another order."""
    labels, wanted = _label_map(encoder), {name: label for label, name in enumerate(classes)}
    if labels is not None and dict(labels) != wanted:
        raise EncoderError(
            f"encoder {encoder.name!r}, label2id",
            f"{dict(labels)}",
            f"{wanted}, as in the task, or none",
            "Use the encoder as it was before fine-tuning, or take label2id out of config.json.",
        )


def _tokenizer_facts(encoder: Encoder) -> dict[str, object]:
    facts = json.loads(encoder.tokenizer.to_str())
    return {name: facts[name] for name in ("model", "normalizer", "pre_tokenizer", "added_tokens")}


def _label_map(encoder: Encoder) -> Mapping[str, int] | None:
    """The label map of a fine-tuned encoder; a fresh one has only placeholders, which say nothing."""
    labels: Mapping[str, int] = encoder.config.label2id or {}
    placeholders = all(name.upper().startswith("LABEL_") for name in labels)
    return None if placeholders else labels


def _with_head(
    config: PretrainedConfig, num_classes: int, dropout: float, head_dropout: float | None
) -> PretrainedConfig:
    values = config.to_dict() | {"num_labels": num_classes}
    hidden, attention, head = {
        "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"),
        "distilbert": ("dropout", "attention_dropout", "seq_classif_dropout"),
    }[config.model_type]
    values |= {hidden: dropout, attention: dropout}
    values[head] = dropout if head_dropout is None else head_dropout
    for name in ("id2label", "label2id", "dtype", "torch_dtype"):
        values.pop(name, None)
    made: PretrainedConfig = type(config)(**values)
    return made


def _classifier_class(config: PretrainedConfig) -> type[nn.Module]:
    from transformers import BertForSequenceClassification, DistilBertForSequenceClassification

    classes: dict[str, type[nn.Module]] = {
        "bert": BertForSequenceClassification,
        "distilbert": DistilBertForSequenceClassification,
    }
    return classes[config.model_type]


def initialise(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    """BERT's own initialisation: biases zero, layer norms one, everything else normal."""
    if name.endswith("bias"):
        parameter.zero_()
    elif "LayerNorm" in name or "layer_norm" in name:
        parameter.fill_(1.0)
    else:
        parameter.normal_(0.0, INITIAL_STD, generator=generator)
