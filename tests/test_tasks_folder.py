"""Tasks from a folder: three formats, one result, and every way a file can be wrong."""

import json
import re
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from kdcheck.errors import LabelError, TaskError
from kdcheck.tasks import load_task, task_names
from kdcheck.tasks.columns import Layout
from kdcheck.tasks.folder import FolderSource
from tests.refusal import refused

SST2 = Layout(name="sst2", text_columns=("sentence",), classes=("negative", "positive"))
SENTENCES = ['a "quoted" film', "it's fine ", "d\u00e9j\u00e0 vu", '"']
LABELS = [1, 0, 1, 0]


def write(folder, suffix, columns, split="train"):
    folder.mkdir(exist_ok=True)
    path = folder / f"{split}{suffix}"
    rows = list(zip(*columns.values(), strict=True))
    if suffix == ".parquet":
        parquet.write_table(pa.table(columns), path)
    elif suffix == ".tsv":
        lines = ["\t".join(map(str, row)) for row in [tuple(columns), *rows]]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    else:
        objects = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
        path.write_text("\n".join(objects), encoding="utf-8")
    return path


def read(tmp_path, layout=SST2, split="train"):
    return FolderSource(tmp_path).read(layout, split)


@pytest.mark.parametrize("suffix", [".parquet", ".tsv", ".jsonl"])
def test_every_format_gives_the_same_rows(tmp_path, suffix):
    write(tmp_path / "sst2", suffix, {"sentence": SENTENCES, "label": LABELS, "idx": [5, 6, 7, 9]})
    split = read(tmp_path)
    assert split.ids == ("train-5", "train-6", "train-7", "train-9")
    assert [text for (text,) in split.texts] == SENTENCES
    assert split.labels == tuple(LABELS)


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl"])
def test_class_names_serve_as_labels_and_row_numbers_as_ids(tmp_path, suffix):
    names = [SST2.classes[label] for label in LABELS]
    write(tmp_path / "sst2", suffix, {"sentence": SENTENCES, "label": names})
    split = read(tmp_path)
    assert split.labels == tuple(LABELS)
    assert split.ids[0] == "train-0"


def test_a_file_that_the_datasets_library_wrote_is_read(tmp_path):
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=SST2.classes)}
    )
    (tmp_path / "sst2").mkdir()
    dataset = datasets.Dataset.from_dict(
        {"sentence": SENTENCES, "label": LABELS}, features=features
    )
    dataset.to_parquet(tmp_path / "sst2" / "train.parquet")
    assert read(tmp_path).labels == tuple(LABELS)


def test_a_file_whose_own_label_map_differs_is_refused(tmp_path):
    names = ["positive", "negative"]
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    table = pa.table({"sentence": SENTENCES, "label": LABELS}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    (tmp_path / "sst2").mkdir()
    parquet.write_table(table, tmp_path / "sst2" / "train.parquet")
    with pytest.raises(TaskError, match="label map positive, negative; wanted negative, positive"):
        read(tmp_path)


def test_quoting_is_off_and_no_row_is_swallowed(tmp_path):
    sentences = ['"opens a quote', "plain", 'closes it"', "a\rcarriage return", "a\u2028separator"]
    write(tmp_path / "sst2", ".tsv", {"sentence": sentences, "label": [0, 1, 0, 1, 0]})
    assert [text for (text,) in read(tmp_path).texts] == sentences


def test_windows_line_ends_and_a_byte_order_mark_are_understood(tmp_path):
    (tmp_path / "sst2").mkdir()
    (tmp_path / "sst2" / "train.tsv").write_bytes(b"\xef\xbb\xbfsentence\tlabel\r\nfun\t1\r\n")
    assert read(tmp_path).texts == (("fun",),)


@pytest.mark.parametrize("suffix", [".parquet", ".tsv", ".jsonl"])
def test_a_missing_column_is_named_beside_those_that_are_there(tmp_path, suffix):
    path = write(tmp_path / "sst2", suffix, {"text": SENTENCES, "label": LABELS})
    with refused(TaskError, str(path), "columns text, label", "also sentence", "Rename"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("suffix", "hole"), [(".parquet", None), (".tsv", ""), (".jsonl", None), (".jsonl", "  ")]
)
def test_an_empty_text_is_named_with_file_and_row(tmp_path, suffix, hole):
    path = write(tmp_path / "sst2", suffix, {"sentence": ["fun", hole], "label": [1, 0]})
    with refused(TaskError, str(path), "'sentence', rows train-1"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("suffix", "label"),
    [
        (".parquet", -1),
        (".parquet", 2),
        (".tsv", "-1"),
        (".tsv", "joyful"),
        (".tsv", "\x1c1"),
        (".tsv", "--1"),
        (".tsv", "9" * 5000),
        (".jsonl", None),
        (".tsv", ""),
    ],
)
def test_a_label_outside_the_classes_is_named_with_file_and_row(tmp_path, suffix, label):
    labels = [1 if suffix == ".parquet" else "1", label]
    path = write(tmp_path / "sst2", suffix, {"sentence": ["fun", "dull"], "label": labels})
    with refused(
        LabelError, str(path), "train-1 (", "integers from 0 to 1", "-1 is GLUE's way to hide it"
    ):
        read(tmp_path)


def test_a_file_cut_short_is_refused_with_its_size(tmp_path):
    path = write(tmp_path / "sst2", ".parquet", {"sentence": SENTENCES, "label": LABELS})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(TaskError, match="200 bytes that are no parquet file") as caught:
        read(tmp_path)
    assert "copy it again" in caught.value.next_step


def test_a_json_line_cut_short_is_named_by_number(tmp_path):
    path = write(tmp_path / "sst2", ".jsonl", {"sentence": SENTENCES, "label": LABELS})
    path.write_text(path.read_text(encoding="utf-8")[:-5], encoding="utf-8")
    with pytest.raises(TaskError, match="line 4"):
        read(tmp_path)


def test_a_line_with_another_number_of_fields_is_named_by_number(tmp_path):
    path = write(tmp_path / "sst2", ".tsv", {"sentence": ["a", "b\tc"], "label": [0, 1]})
    with pytest.raises(TaskError, match="fields in lines 3") as caught:
        read(tmp_path)
    assert str(path) in caught.value.who


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "sst2").mkdir()
    (tmp_path / "sst2" / "train.tsv").write_bytes(b"sentence\tlabel\nd\xe9j\xe0\t1\n")
    with pytest.raises(TaskError, match="byte 16 that is not UTF-8"):
        read(tmp_path)


def test_a_missing_file_lists_what_is_there(tmp_path):
    write(tmp_path / "sst2", ".tsv", {"sentence": ["a"], "label": [0]}, split="dev")
    with refused(TaskError, "files dev.tsv", "train.parquet, train.tsv, train.jsonl", "--data-dir"):
        read(tmp_path)


def test_two_formats_of_one_split_are_refused(tmp_path):
    for suffix in (".tsv", ".jsonl"):
        write(tmp_path / "sst2", suffix, {"sentence": ["a"], "label": [0]})
    with pytest.raises(TaskError, match=r"train\.tsv and train\.jsonl.*one format"):
        read(tmp_path)


DECLARED = """
classes = ["ham", "spam"]
text_columns = ["text"]
source = "our own mail"
licence = "CC0"
citation = "none"
"""


def declare(tmp_path, text=DECLARED):
    for split, texts in {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}.items():
        columns = {"text": texts, "label": ["ham", "spam"][: len(texts)]}
        write(tmp_path / "mail", ".tsv", columns, split=split)
    (tmp_path / "mail" / "task.toml").write_text(text, encoding="utf-8")


def test_a_declared_folder_is_a_task(tmp_path):
    declare(tmp_path)
    task = load_task("mail", data_dir=tmp_path)
    assert task.classes == ("ham", "spam")
    assert task.train.labels == (0, 1)
    assert task.origin.source == "our own mail (local folder, mail/)"
    assert task_names(tmp_path)[-1] == "mail"


def test_the_declaration_in_the_guide_is_a_task(tmp_path):
    guide = Path(__file__).parents[1] / "docs" / "guides" / "add-a-task.md"
    (declaration,) = re.findall(r"```toml\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    declare(tmp_path, declaration)
    assert load_task("mail", data_dir=tmp_path).classes == ("ham", "spam")


def test_the_python_in_the_guide_makes_a_task():
    guide = Path(__file__).parents[1] / "docs" / "guides" / "add-a-task.md"
    (code,) = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(code, names)  # noqa: S102 - our own guide
    assert names["task"].num_classes == 2


def test_no_path_of_this_machine_gets_into_the_origin(tmp_path):
    declare(tmp_path)
    assert str(tmp_path) not in repr(load_task("mail", data_dir=tmp_path).origin)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        (DECLARED.replace("licence", "license"), "unknown: licence, license"),
        (DECLARED.replace('["ham", "spam"]', '"ham"'), "mistyped or unknown: classes"),
        ("classes = [", "task.toml"),
    ],
)
def test_a_wrong_declaration_is_refused_by_key(tmp_path, text, fact):
    declare(tmp_path, text)
    with pytest.raises(TaskError, match=fact) as caught:
        load_task("mail", data_dir=tmp_path)
    assert "add-a-task" in caught.value.next_step
