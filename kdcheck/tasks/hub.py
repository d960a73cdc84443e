"""GLUE from the Hugging Face hub, through the datasets library and its own cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcheck import pins
from kdcheck.errors import FetchError, TaskError
from kdcheck.tasks.columns import Layout, check_class_names, split_from_columns
from kdcheck.tasks.split import Split

if TYPE_CHECKING:
    from datasets import DatasetDict

REPOSITORY = "nyu-mll/glue"


class HubSource:
    """Splits of ``nyu-mll/glue``; each task is loaded once, when its first split is read."""

    def __init__(self) -> None:
        self._loaded: dict[str, DatasetDict] = {}

    def describe(self, name: str) -> str:
        """One line for the origin of a task."""
        return f"Hugging Face hub, {REPOSITORY}, {name}"

    def check(self, name: str) -> str:
        """Why what the hub serves is unpinned, if it is."""
        if pins.shipped(name):
            return ""
        return f"{name} is unpinned: it is whatever {REPOSITORY} on the hub is today."

    def read(self, layout: Layout, split: str) -> Split:
        """The published split of that name, checked."""
        where = f"{REPOSITORY} {layout.name}/{split}"
        dataset_dict = self._load(layout.name)
        if split not in dataset_dict:
            raise TaskError(
                f"task {layout.name!r}, {where}",
                f"splits {', '.join(dataset_dict)}",
                split,
                "The data set on the hub has changed: use --data-dir with a copy of the older one.",
            )
        dataset = dataset_dict[split]
        names = getattr(dataset.features.get("label"), "names", None)
        if names is not None:
            check_class_names(names, layout, where)
        return split_from_columns(dataset[:], layout, split, where)

    def _load(self, name: str) -> DatasetDict:
        if name not in self._loaded:
            import datasets

            try:
                pin = pins.shipped(name)
                at = {"revision": pin.revision} if pin else {}
                self._loaded[name] = datasets.load_dataset(REPOSITORY, name, **at)
            except Exception as error:  # without a network: a dozen types of four packages
                raise FetchError(
                    f"task {name!r}, hub",
                    f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}",
                    f"{REPOSITORY} ({name}) from the hub or its cache",
                    "Check the network and HF_HUB_OFFLINE, or give --data-dir with "
                    f"{name}/train.parquet and the other splits.",
                ) from error
        return self._loaded[name]
