"""Posteriors as parquet: logits at temperature 1, readable by anything that reads tables."""

# Shapes: N examples, K classes; R rows of a trajectory: points x splits x examples.

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kdcheck.border import MEGABYTE, MOST_BYTES
from kdcheck.errors import EvidenceError
from kdcheck.evidence.evidence import EvaluationPoint, Predictions

ALTERED = (
    "The file is damaged, or was altered and sealed anew: take the evidence from its source again."
)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """One row per example: ``id``, ``label`` and ``logit_0`` to ``logit_{K-1}``, float32."""
    logits_NK = predictions.logits_NK
    columns: dict[str, Any] = {"id": list(predictions.ids), "label": predictions.labels_N}
    _write(path, columns | _logit_columns(logits_NK))


def write_trajectory(path: Path, points: Sequence[EvaluationPoint]) -> None:
    """The predictions of all points below one another, with their ``step`` and ``split``."""
    parts = [
        (point.step, split, predictions)
        for point in points
        for split, predictions in sorted(point.predictions.items())
    ]
    logits_RK = np.concatenate([p.logits_NK for _, _, p in parts])
    columns: dict[str, Any] = {
        "step": [step for step, _, p in parts for _ in p.ids],
        "split": [split for _, split, p in parts for _ in p.ids],
        "id": [example for _, _, p in parts for example in p.ids],
        "label": np.concatenate([p.labels_N for _, _, p in parts]),
    }
    _write(path, columns | _logit_columns(logits_RK))


def _write(path: Path, columns: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    # Ids, labels, splits and steps repeat: dictionaries. Logits do not, so bytes are grouped by
    # place instead, which zstd then packs a third better.
    floats = [name for name in columns if name.startswith("logit_")]
    pq.write_table(
        pa.table(dict(columns)),
        path,
        compression="zstd",
        use_dictionary=[name for name in columns if name not in floats],
        use_byte_stream_split=floats,
        write_statistics=False,
    )


def _read(content: bytes, who: str, columns: Mapping[str, str]) -> Any:
    """The table, if it has the columns, as many logits as its first says, and a value in every cell.

    Raises:
        EvidenceError: it is none, is too large, or has other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Half the time of `read_table`, which looks for a data set of many files first.
        file = pq.ParquetFile(pa.BufferReader(content))
        _check_unpacked(file)
        table = file.read(use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        got = f"no parquet that can be read ({str(error).splitlines()[0][:200]})"
        raise EvidenceError(who, got, "parquet as kdcheck writes it", ALTERED) from error
    kinds = {field.name: str(field.type) for field in table.schema}
    logits = sorted(name for name in kinds if name.startswith("logit_"))
    wanted = {**columns, **{f"logit_{k}": "float" for k in range(max(1, len(logits)))}}
    if kinds != wanted or any(column.null_count for column in table.columns):
        got = ", ".join(f"{name} {kind}" for name, kind in kinds.items())[:200] or "no columns"
        wants = ", ".join(f"{name} {kind}" for name, kind in wanted.items())
        raise EvidenceError(who, got, f"{wants}, a value in every row", ALTERED)
    return table


def _check_unpacked(file: Any) -> None:
    groups = [file.metadata.row_group(g).total_byte_size for g in range(file.num_row_groups)]
    if sum(groups) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES // MEGABYTE} MiB once it is unpacked")


def read_predictions(content: bytes, who: str = "posteriors") -> Predictions:
    """Read back what :func:`write_predictions` wrote.

    Raises:
        EvidenceError: it is something else, or two rows are of one example.
    """
    table = _read(content, who, {"id": "string", "label": "int64"})
    return _joined(table.column("id").to_pylist(), _labels(table), _logits(table), who)


def _joined(ids: Sequence[str], labels_N: Any, logits_NK: Any, who: str) -> Predictions:
    if len(set(ids)) < len(ids):
        got = f"{len(ids)} rows with {len(set(ids))} ids"
        raise EvidenceError(who, got, "an id of its own in each row", ALTERED)
    return Predictions(ids=tuple(ids), labels_N=labels_N, logits_NK=logits_NK)


class Decoded(Mapping[str, Predictions]):
    """Predictions by split, each decoded when it is first asked for.

    A verdict looks at the test split of hundreds of runs and at the large training split of none.
    """

    def __init__(self, contents: Mapping[str, bytes], who: str) -> None:
        self._contents, self._who = contents, who
        self._decoded: dict[str, Predictions] = {}

    def __getitem__(self, split: str) -> Predictions:
        if split not in self._decoded:
            self._decoded[split] = read_predictions(
                self._contents[split], f"{self._who}, posteriors/{split}.parquet"
            )
        return self._decoded[split]

    def __contains__(self, split: object) -> bool:
        return split in self._contents

    def __iter__(self) -> Iterator[str]:
        return iter(self._contents)

    def __len__(self) -> int:
        return len(self._contents)


def read_trajectory(content: bytes, who: str = "trajectory") -> dict[int, dict[str, Predictions]]:
    """Predictions by step and split, as :func:`write_trajectory` wrote them.

    Raises:
        EvidenceError: as :func:`read_predictions` says.
    """
    table = _read(
        content, who, {"step": "int64", "split": "string", "id": "string", "label": "int64"}
    )
    step_R = table.column("step").to_numpy()
    split_R = np.asarray(table.column("split").to_pylist())
    ids, labels_R, logits_RK = table.column("id").to_pylist(), _labels(table), _logits(table)
    changes_R = (step_R[1:] != step_R[:-1]) | (split_R[1:] != split_R[:-1])
    edges = [0, *(np.flatnonzero(changes_R) + 1).tolist(), len(step_R)]
    by_step: dict[int, dict[str, Predictions]] = {}
    for start, end in pairwise(edges):
        rows = slice(start, end)
        by_step.setdefault(int(step_R[start]), {})[str(split_R[start])] = _joined(
            ids[rows], labels_R[rows], logits_RK[rows], who
        )
    return by_step


def _logit_columns(logits_NK: npt.NDArray[np.float32]) -> dict[str, Any]:
    return {f"logit_{k}": logits_NK[:, k] for k in range(logits_NK.shape[1])}


def _labels(table: Any) -> Any:
    return table.column("label").to_numpy()


def _logits(table: Any) -> Any:
    names = [name for name in table.column_names if name.startswith("logit_")]
    columns = [table.column(f"logit_{k}").to_numpy() for k in range(len(names))]
    return np.stack(columns, axis=1)
