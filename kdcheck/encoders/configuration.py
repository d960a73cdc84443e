"""What the configuration of an encoder may say: sizes that fit each other, and arithmetic that is ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kdcheck.errors import EncoderError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

KINDS = ("bert", "distilbert")
MOST = {
    "hidden_size": 2**14,
    "num_hidden_layers": 2**8,
    "num_attention_heads": 2**8,
    "vocab_size": 2**22,
    "max_position_embeddings": 2**17,
}
"""Sizes by the names that both kinds answer to, and the most of each: ten times what is published."""
OWN_SIZES = {"bert": ("intermediate_size", "type_vocab_size"), "distilbert": ("hidden_dim",)}
MOST_OWN = 2**16
ACTIVATIONS = {"bert": "hidden_act", "distilbert": "activation"}
OTHER_ARITHMETIC = ("is_decoder", "add_cross_attention", "is_encoder_decoder")
"""Switches that make an encoder something else: a decoder sees no later tokens."""
NEXT_STEP = "Export the encoder again; docs/guides/add-an-encoder.md says what is read of it."


def read_configuration(name: str, values: Any) -> PretrainedConfig:
    """The configuration that ``config.json`` holds.

    Raises:
        EncoderError: it is none, of another kind, contradicts itself, or is of a size that no encoder has.
    """
    from transformers import CONFIG_MAPPING

    if not isinstance(values, dict):
        raise _refused(name, f"{str(values)[:60]!r}", "a table of settings")
    kind = values.get("model_type")
    if kind not in KINDS:
        next_step = "docs/guides/add-an-encoder.md says what another kind needs."
        raise EncoderError(
            f"encoder {name!r}, model_type", repr(kind), " or ".join(KINDS), next_step
        )
    for got, wanted in _complaints(values):
        raise _refused(name, got, wanted)
    try:
        config: PretrainedConfig = CONFIG_MAPPING[kind](**values)
        type(config)(**config.to_dict())  # as it is made again with a head
    except Exception as error:  # the library checks some fields, each with an error of its own
        got = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise _refused(name, got, f"settings of {kind}") from error
    for got, wanted in _misfits(kind, config):
        raise _refused(name, got, wanted)
    return config


def check_vocabulary(name: str, config: PretrainedConfig, last_token: int, table: Any) -> None:
    """Refuse word embeddings that are not of the configuration's sizes, or have no row for a token.

    Raises:
        EncoderError: either.
    """
    wanted = (config.vocab_size, config.hidden_size)
    found = None if table is None else tuple(table.shape)
    if found != wanted:
        raise _refused(name, f"word embeddings of shape {found}", f"shape {wanted}, as it says")
    if last_token >= config.vocab_size:
        got = f"vocab_size {config.vocab_size} and a token {last_token} in tokenizer.json"
        raise _refused(name, got, "a row for every token")


def _refused(name: str, got: str, wanted: str) -> EncoderError:
    return EncoderError(f"encoder {name!r}, config.json", got, wanted, NEXT_STEP)


def _complaints(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with the fields by themselves."""
    own = {"dim": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads"}
    most = MOST | {field: MOST[same] for field, same in own.items()}
    most |= dict.fromkeys((*OWN_SIZES["bert"], *OWN_SIZES["distilbert"]), MOST_OWN)
    for field, limit in most.items():
        size = values.get(field, 1)
        if type(size) is not int or not 1 <= size <= limit:
            yield f"{field} = {size!r}", f"a whole number from 1 to {limit}"
    for field in OTHER_ARITHMETIC:
        if values.get(field, False) is not False:
            yield f"{field} = {values[field]!r}", "an encoder, where every token sees every other"
    labels = values.get("label2id") or {}
    if not isinstance(labels, dict) or any(type(label) is not int for label in labels.values()):
        yield f"label2id = {str(labels)[:60]}", "a class number by name, or nothing"


def _misfits(kind: str, config: PretrainedConfig) -> Iterator[tuple[str, str]]:
    """What is wrong with the fields beside each other."""
    if config.hidden_size % config.num_attention_heads:
        got = f"{config.num_attention_heads} heads in a width of {config.hidden_size}"
        yield got, "heads of equal width"
    activation = getattr(config, ACTIVATIONS[kind])
    if not _is_known(activation):
        yield f"the activation {activation!r}", "one of transformers.activations.ACT2FN"
    padding = config.pad_token_id
    if padding is not None and not 0 <= padding < config.vocab_size:
        yield f"pad_token_id {padding} of {config.vocab_size} tokens", "a token, or null"


def _is_known(activation: Any) -> bool:
    """Whether the library has it; that of nearly all encoders without the import of a second."""
    if activation == "gelu":
        return True
    from transformers.activations import ACT2FN

    return isinstance(activation, str) and activation in ACT2FN
