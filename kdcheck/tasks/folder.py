"""Tasks from a local folder: ``<folder>/<task>/<split>.parquet``, ``.tsv`` or ``.jsonl``."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kdcheck import pins
from kdcheck.border import json_of, read_file, read_toml
from kdcheck.errors import TaskError
from kdcheck.tasks.columns import Layout, check_class_names, split_from_columns
from kdcheck.tasks.examples import some
from kdcheck.tasks.split import SPLITS, Split
from kdcheck.tasks.task import Origin, Task

DECLARATION = "task.toml"
_DECLARED = {"classes": list, "text_columns": list, "source": str, "licence": str, "citation": str}


class FolderSource:
    """Files in the layout of the hub's GLUE, one folder a task and one file a split."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def describe(self, name: str) -> str:
        """One line for the origin of a task; evidence travels, so no path of this machine is in it."""
        return f"local folder, {name}/"

    def check(self, name: str) -> str:
        """Refuse files that were changed since they were fetched; why they are unpinned, if they are."""
        return pins.check(name, self.data_dir / name)

    def read(self, layout: Layout, split: str) -> Split:
        """The file of that split, checked."""
        path = _find(self.data_dir / layout.name, layout.name, split)
        who = f"task {layout.name!r}, {path}"
        try:
            columns = _READERS[path.suffix](path, layout)
        except UnicodeDecodeError as error:
            got = f"byte {error.start} that is not UTF-8"
            raise TaskError(who, got, "UTF-8", "Convert the file with iconv.") from error
        except OSError as error:
            next_step = "Check its permissions or copy it again."
            raise TaskError(who, str(error), "a file that can be read", next_step) from error
        return split_from_columns(columns, layout, split, str(path))


def load_declared(data_dir: Path, name: str) -> Task:
    """A task of your own: ``task.toml`` beside its three split files says what they hold."""
    declared = read_declaration(data_dir, name)
    layout = Layout(
        name=name, text_columns=tuple(declared["text_columns"]), classes=tuple(declared["classes"])
    )
    source = FolderSource(data_dir)
    parts = {split: source.read(layout, split) for split in SPLITS}
    return Task(
        name=name,
        classes=layout.classes,
        text_columns=layout.text_columns,
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        origin=Origin(
            source=f"{declared['source']} ({source.describe(name)})",
            licence=str(declared["licence"]),
            citation=str(declared["citation"]),
        ),
    )


def declared_names(data_dir: Path) -> list[str]:
    """Names of the tasks that a folder declares."""
    return sorted(path.parent.name for path in data_dir.glob(f"*/{DECLARATION}"))


def read_declaration(data_dir: Path, name: str) -> Mapping[str, Sequence[str]]:
    """What a folder's ``task.toml`` says, its keys checked."""
    path = data_dir / name / DECLARATION
    try:
        declared = read_toml(path)
    except (OSError, ValueError) as error:
        next_step = "Compare it with the guide add-a-task."
        raise TaskError(f"task {name!r}, {path}", str(error), "a TOML file", next_step) from error
    wrong = [key for key, kind in _DECLARED.items() if not _is(declared.get(key), kind)]
    wrong += [key for key in declared if key not in _DECLARED]
    if wrong:
        raise TaskError(
            f"task {name!r}, {path}",
            f"keys {', '.join(declared) or 'none'}; missing, mistyped or unknown: {', '.join(wrong)}",
            "lists of strings classes and text_columns; strings source, licence and citation",
            "Compare it with the guide add-a-task.",
        )
    if "label" in declared["text_columns"]:
        got, wanted = "text_columns with label", "columns of texts: label holds the answer"
        next_step = "Take it out: a model that reads its label learns nothing else."
        raise TaskError(f"task {name!r}, {path}", got, wanted, next_step)
    return declared


def _is(value: object, kind: type) -> bool:
    """Whether a value is a text, or a list of texts."""
    texts = value if isinstance(value, list) else [value]
    return isinstance(value, kind) and all(isinstance(text, str) for text in texts)


def _find(folder: Path, name: str, split: str) -> Path:
    candidates = [folder / f"{split}{suffix}" for suffix in _READERS]
    found = [path for path in candidates if path.is_file()]
    if len(found) == 1:
        return found[0]
    present = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    raise TaskError(
        f"task {name!r}, folder {folder}",
        f"{' and '.join(path.name for path in found)}"
        if found
        else f"files {some(present) if present else 'none'}",
        f"one of {', '.join(path.name for path in candidates)}",
        "Keep one format per split."
        if found
        else "Check --data-dir; it holds one folder per task.",
    )


def _read_parquet(path: Path, layout: Layout) -> dict[str, Sequence[object]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(read_file(path)))
        names = _class_names(table.schema.metadata)
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
    except (pa.ArrowException, OSError, LookupError, ValueError) as error:
        who = f"task {layout.name!r}, {path}"
        got = f"{path.stat().st_size} bytes that are no parquet file ({str(error).splitlines()[0]})"
        wanted = "a whole parquet file"
        raise TaskError(who, got, wanted, "It may be cut short: copy it again.") from error
    if names:
        check_class_names(names, layout, str(path))
    return columns


def _class_names(metadata: Mapping[bytes, bytes] | None) -> list[str]:
    """The label map that the datasets library leaves in a parquet file, if it is there."""
    found = json_of((metadata or {}).get(b"huggingface", b"{}"))
    for key in ("info", "features", "label", "names"):
        found = found.get(key) if isinstance(found, dict) else None
    return [str(name) for name in found] if isinstance(found, list) else []


def _read_tsv(path: Path, layout: Layout) -> dict[str, Sequence[object]]:
    # Quoting is off: in these files a quotation mark is a character like any other, and reading
    # it as a quote swallows rows without a word. Only "\n" ends a row.
    lines = read_file(path).decode("utf-8-sig").split("\n")
    rows = [line.removesuffix("\r").split("\t") for line in lines]
    if rows[-1] == [""]:
        rows.pop()
    header, body = rows[0] if rows else [], rows[1:]
    if len(set(header)) < len(header):
        who, wanted = f"task {layout.name!r}, {path}", "each column once in the first line"
        next_step = "Rename or remove one of them: it is not clear which is meant."
        raise TaskError(who, f"columns {', '.join(header)}", wanted, next_step)
    odd = [number for number, row in enumerate(body, start=2) if len(row) != len(header)]
    if odd:
        who = f"task {layout.name!r}, {path}"
        wanted = f"{len(header)} fields, tab-separated, as in the first line"
        next_step = "Take tabs and line breaks out of the texts; quoting is off."
        raise TaskError(who, f"another number of fields in lines {some(odd)}", wanted, next_step)
    return {name: [row[column] for row in body] for column, name in enumerate(header)}


def _read_jsonl(path: Path, layout: Layout) -> dict[str, Sequence[object]]:
    rows: list[dict[str, object]] = []
    for number, line in enumerate(read_file(path).decode("utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json_of(line.encode())
        except ValueError:
            row = None
        if not isinstance(row, dict):
            who = f"task {layout.name!r}, {path}"
            got = f"line {number}: {line[:60]!r}"
            wanted = "one JSON object per line"
            raise TaskError(who, got, wanted, "The file may be cut short: copy or write it again.")
        rows.append(row)
    # A key that only some lines have is a missing cell there; check_split names the rows.
    return {
        name: [row.get(name) for row in rows] for name in {key: None for row in rows for key in row}
    }


_READERS: dict[str, Callable[[Path, Layout], dict[str, Sequence[object]]]] = {
    ".parquet": _read_parquet,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
}
