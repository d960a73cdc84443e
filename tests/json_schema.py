"""As much of JSON Schema as the report's schema uses: where a value departs from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def departures(
    value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$"
) -> list[str]:
    """Every place at which a value is not what the schema says."""
    if "$ref" in schema:
        return departures(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
    if "anyOf" in schema:
        tries = [departures(value, option, root, at) for option in schema["anyOf"]]
        return [] if [] in tries else [f"{at}: fits none", *tries[-1]]
    return [*_here(value, schema, at), *_inside(value, schema, root, at)]


def _here(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    types = schema.get("type", [])
    names = [types] if isinstance(types, str) else types
    if names and not any(_is(value, name) for name in names):
        yield f"{at}: {value!r} is no {' or '.join(names)}"
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if isinstance(value, list) and not (
        schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
    ):
        yield f"{at}: {len(value)} items"
    if _is(value, "number") and value < schema.get("minimum", value):
        yield f"{at}: {value} is too small"


def _inside(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from departures(item, schema.get("items", {}), root, f"{at}[{number}]")
    if isinstance(value, dict):
        known, other = schema.get("properties", {}), schema.get("additionalProperties", {})
        yield from (f"{at}: no {name}" for name in schema.get("required", []) if name not in value)
        for name, item in value.items():
            if name not in known and other is False:
                yield f"{at}: unknown {name}"
            else:
                yield from departures(item, known.get(name, other or {}), root, f"{at}.{name}")


def _is(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
