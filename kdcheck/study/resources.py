"""Tasks, encoders and tokenised inputs, each loaded once per process; tokens are made once for all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from kdcheck.errors import EncoderError, InputError, RecipeError
from kdcheck.places import Places
from kdcheck.recipe import Recipe, Rows
from kdcheck.tasks import Task, load_task

if TYPE_CHECKING:
    from kdcheck.encoders import Encoder, Tokenized
    from kdcheck.engine.inputs import Inputs
    from kdcheck.study.graph import Digests
    from kdcheck.study.scale import Scale


FEW = 100
"""Of a split this many times as large as what is drawn only that is tokenised: few seeds draw as often."""


class Resources:
    """What recipes are trained on, found by name in some places and checked against their digests."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.load_task = lru_cache(maxsize=None)(self._load_task)
        self.load_encoder = lru_cache(maxsize=None)(self._load_encoder)
        self._whole = lru_cache(maxsize=None)(self._prepare_whole)
        # A run of a few seconds shares its rows with a dozen others; a cut costs a tenth of a second.
        self._cut = lru_cache(maxsize=64)(self._cut_inputs)
        self._tokenized: dict[tuple[str, str, int], Mapping[str, Tokenized]] = {}

    def inputs_of(self, recipe: Recipe) -> Inputs:
        """The task of a recipe, tokenised for its encoder and cut to its rows.

        Raises:
            RecipeError: the content is not what the recipe names.
            TaskError: fewer rows than the recipe names.
        """
        task = self.load_task(recipe.task)
        if task.digest != recipe.task_digest:
            who, got = f"recipe {recipe.short}, task {recipe.task!r}", f"content {task.digest[:12]}"
            wanted = f"content {recipe.task_digest[:12]}, which the recipe names"
            next_step = (
                "The data differ from those the recipe was made for; see kdcheck data verify."
            )
            raise RecipeError(who, got, wanted, next_step)
        return self._cut(recipe.encoder, recipe.max_length, recipe.task, recipe.rows)

    def _load_task(self, name: str) -> Task:
        return load_task(name, data_dir=self._places.data_dir, cache_dir=self._places.cache_dir)

    def _load_encoder(self, name: str) -> Encoder:
        from kdcheck.encoders import load_encoder

        return load_encoder(
            name, model_dir=self._places.model_dir, cache_dir=self._places.cache_dir
        )

    def _cut_inputs(self, encoder: str, max_length: int, task: str, rows: Rows) -> Inputs:
        from kdcheck.engine.inputs import prepare_cut

        whole = self.load_task(task)
        if rows.train is not None and rows.train * FEW < len(whole.train):
            return prepare_cut(whole, self.load_encoder(encoder), max_length, rows)
        return self._whole(encoder, max_length, task).cut(rows)

    def _prepare_whole(self, encoder_name: str, max_length: int, task: str) -> Inputs:
        """Tokens of the whole task, since each seed draws other rows; a pair shares its tokenizer.

        Where there is a work folder, processes share them too.
        """
        from kdcheck.engine.inputs import prepare
        from kdcheck.study.tokens import tokens_of

        encoder, whole = self.load_encoder(encoder_name), self.load_task(task)
        key = (encoder.tokenizer_digest, task, max_length)
        if key not in self._tokenized and self._places.work.is_dir():
            folder = self._places.work / "tokens"
            self._tokenized[key] = tokens_of(whole, encoder, max_length, folder)
        made = prepare(whole, encoder, max_length, self._tokenized.get(key))
        self._tokenized[key] = made.tokenized
        return made


def encoders_of(scale: Scale) -> dict[str, str]:
    """The names of a scale's larger and smaller encoder.

    Raises:
        InputError: a pair that is not known.
    """
    from kdcheck.encoders import PAIRS

    pair = PAIRS.get(scale.pair) if isinstance(scale.pair, str) else scale.pair
    if pair is None:
        raise InputError(
            f"scale {scale.name!r}",
            f"the pair {scale.pair!r}",
            f"one of {', '.join(PAIRS)}, or a list of two encoders, the larger one first",
            'Encoders of --model-dir are named as in pair = ["my-bert", "my-small-bert"].',
        )
    return dict(zip(("larger", "smaller"), pair, strict=True))


class ScaleDigests:
    """Digests of what a scale names, for building its graph of recipes.

    Raises:
        InputError: a pair that is not known.
        EncoderError: an encoder that is not known, or two that do not make a pair.
        TaskError: a task with fewer rows than the scale cuts it to.
    """

    def __init__(self, scale: Scale, resources: Resources) -> None:
        from kdcheck.encoders import check_pair

        self._scale, self._resources = scale, resources
        self._names = encoders_of(scale)
        larger, smaller = map(resources.load_encoder, self._names.values())
        if larger.digest == smaller.digest:
            got = f"one model for both sizes, {larger.name} and {smaller.name}"
            step = "Name two encoders in pair; a copy under another name is the same model."
            raise InputError(f"scale {scale.name!r}, pair", got, "a larger and a smaller one", step)
        self.notes = check_pair(larger, smaller)
        """What differs between the two encoders and is allowed to, and which files are unpinned."""
        doubts = [larger.unpinned, smaller.unpinned]
        doubts += [resources.load_task(task).origin.unpinned for task in scale.tasks]
        self.notes += filter(None, doubts)

    def whole(self, name: str) -> Task:
        """A task before the scale cuts it."""
        return self._resources.load_task(name)

    def task(self, name: str) -> str:
        """Content digest of a whole task, which must have the rows that the scale cuts it to."""
        task = self._resources.load_task(name)
        task.check_sizes(self._scale.rows.get(name, {}))
        return task.digest

    def classes(self, name: str) -> int:
        """K of a task."""
        return self._resources.load_task(name).num_classes

    def encoder(self, size: str) -> str:
        """Digest of the pair's larger or smaller encoder."""
        return self._resources.load_encoder(self._names[size]).digest

    def encoder_name(self, size: str) -> str:
        """Name of the pair's larger or smaller encoder."""
        return self._names[size]


def check_unchanged(digests: Digests, stored: Mapping[str, Collection[str]]) -> None:
    """Refuse an encoder that is not what the trainings of a store began with, under the same name.

    Args:
        digests: of the encoders at hand.
        stored: by name, digests of those that something in the store was trained from.

    Raises:
        EncoderError: its weights, tokenizer or configuration have changed since.
    """
    for size in ("larger", "smaller"):
        name, found = digests.encoder_name(size), digests.encoder(size)
        known = sorted(stored.get(name, ()))
        if known and found not in known:
            raise EncoderError(
                f"encoder {name!r}",
                f"files with the content {found[:8]}",
                f"{' or '.join(each[:8] for each in known)}, which the store was trained from",
                "A file of it has changed: put the old one back. To study the new one give it another "
                "name, or start a new store with --store; nothing was trained.",
            )
