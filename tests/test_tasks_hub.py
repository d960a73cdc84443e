"""GLUE through the datasets library, with a double in place of the hub."""

import datasets
import pytest

from kdcheck.errors import FetchError, LabelError, TaskError
from kdcheck.tasks import load_task
from kdcheck.tasks.glue import GLUE
from tests.refusal import refused


def dataset(layout, split, rows, label=None, names=None):
    columns = {
        name: [f"{split} {name} {row}" for row in range(rows)] for name in layout.text_columns
    }
    columns["label"] = [
        row % len(layout.classes) if label is None else label for row in range(rows)
    ]
    columns["idx"] = list(range(rows))
    features = {name: datasets.Value("string") for name in layout.text_columns}
    features["label"] = datasets.ClassLabel(names=list(names or layout.classes))
    features["idx"] = datasets.Value("int32")
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


@pytest.fixture
def hub(monkeypatch):
    """What the hub serves, by task; each call of load_dataset is counted."""
    served, calls = {}, []

    def load_dataset(repository, name):
        calls.append((repository, name))
        if name not in served:
            raise ConnectionError("Couldn't reach the hub\nmore text")
        return datasets.DatasetDict(served[name])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    served["calls"] = calls
    return served


def serve(hub, name, splits, **changes):
    layout = GLUE[name].layout
    hub[name] = {split: dataset(layout, split, rows, **changes) for split, rows in splits.items()}


def test_a_task_from_the_hub_is_loaded_once_and_named_by_split_and_idx(hub):
    serve(hub, "mrpc", {"train": 12, "validation": 4, "test": 6})
    task = load_task("mrpc")
    assert hub["calls"] == [("nyu-mll/glue", "mrpc")]
    assert (len(task.train), len(task.validation), len(task.test)) == (12, 4, 6)
    assert task.train.ids[3] == "train-3"
    assert task.train.texts[3] == ("train sentence1 3", "train sentence2 3")
    assert task.origin.source == "Hugging Face hub, nyu-mll/glue, mrpc"


def test_hub_and_folder_give_one_digest_for_one_content(hub, tmp_path):
    splits = {"train": 40, "validation_matched": 6}
    serve(hub, "mnli", splits)
    (tmp_path / "mnli").mkdir()
    for split, rows in hub["mnli"].items():
        rows.to_parquet(tmp_path / "mnli" / f"{split}.parquet")
    assert load_task("mnli").digest == load_task("mnli", data_dir=tmp_path).digest


def test_hidden_labels_are_refused_by_row(hub):
    serve(hub, "mrpc", {"train": 4, "validation": 4, "test": 4}, label=-1)
    with pytest.raises(LabelError, match=r"nyu-mll/glue mrpc/train: .*train-0 \(-1\)"):
        load_task("mrpc")


def test_another_label_map_is_refused(hub):
    serve(hub, "qnli", {"train": 40, "validation": 6}, names=["not_entailment", "entailment"])
    with pytest.raises(TaskError, match="label map not_entailment, entailment"):
        load_task("qnli")


def test_a_split_that_the_hub_does_not_have_is_named(hub):
    serve(hub, "mnli", {"train": 40, "validation": 6})
    with pytest.raises(TaskError, match="splits train, validation; wanted validation_matched"):
        load_task("mnli")


def test_an_unreachable_hub_names_the_folder_as_next_step(hub):
    facts = ("ConnectionError: Couldn't reach the hub", "nyu-mll/glue (sst2)", "--data-dir")
    with refused(FetchError, *facts) as caught:
        load_task("sst2")
    assert "\n" not in str(caught.value)
