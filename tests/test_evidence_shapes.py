"""What the files of evidence look like: the first departure is told by its place, and nothing is read loosely."""

from __future__ import annotations

from typing import Any

import pytest

from kdcheck.evidence.shapes import FILES, Contents, departure

POINT = {"step": 3, "epoch": 1.0, "values": {"a": 0.5}, "weights_digest": ""}
POINTS = {"points": [POINT], "notes": []}


def changed(**changes: Any) -> dict[str, Any]:
    return {"points": [POINT, POINT | changes], "notes": []}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("recipe.json", {"any": [None, {"thing": 1}]}),
        ("environment.json", {"torch": "2.6"}),
        ("cost.json", {"seconds": 3, "bytes": 0.5}),
        ("points.json", POINTS),
        ("lock.json", {}),
        ("manifest.json", {"files": {"a": "b"}, "format": 2}),
    ],
)
def test_values_as_kdcheck_writes_them_depart_from_nothing(name: str, values: Any) -> None:
    assert departure(FILES[name], values) == ""


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("recipe.json", [], "the whole: '[]' (input should be a valid dictionary)"),
        ("recipe.json", {1: 2}, "1.[key]: '1' (input should be a valid string)"),
        ("environment.json", {"a": 1}, "a: '1' (input should be a valid string)"),
        ("cost.json", {"a": "1"}, "a: '1' (input should be a valid number)"),
        ("cost.json", {"a": 1.0, "b": float("inf")}, "b: 'inf' (input should be a finite number)"),
        ("cost.json", {"a": True}, "a: 'True' (input should be a valid number)"),
        ("points.json", changed(step="3"), "points.1.step: '3' (input should be a valid integer)"),
        (
            "points.json",
            changed(step=-1),
            "points.1.step: '-1' (input should be greater than or equal to 0)",
        ),
        (
            "points.json",
            changed(values={"a": float("nan")}),
            "points.1.values.a: 'nan' (input should be a finite number)",
        ),
        (
            "points.json",
            POINTS | {"notes": "x" * 99},
            f"notes: '{'x' * 60}' (input should be a valid list)",
        ),
        ("manifest.json", {}, "files: '{}' (field required)"),
    ],
)
def test_the_first_departure_is_told_by_place_value_and_kind(name, values, told: str) -> None:
    assert departure(FILES[name], values) == told


def test_a_manifest_of_a_bundle_needs_all_its_parts() -> None:
    whole = {"trainings": {}, "claims": [], "locks": []}
    assert departure(Contents, whole) == ""
    for name in whole:
        rest = {key: value for key, value in whole.items() if key != name}
        assert departure(Contents, rest).startswith(f"{name}: ")
