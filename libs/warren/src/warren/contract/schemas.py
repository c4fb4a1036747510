"""Schemas: the contract's structs as JSON schemas, in the two dialects that documents are written in.

``openapi`` is JSON Schema 2020-12, as OpenAPI 3.1 has it; ``draft-07`` is what tools read of AsyncAPI. The
schemas say what is sent; who reads must pass over fields that it does not know, so none forbids them. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Literal

import msgspec

from warren.contract.catalog import RECEIVED, Struct, structs
from warren.contract.client_frames import CLIENT_FRAMES
from warren.contract.examples import EXAMPLES
from warren.contract.server_frames import SERVER_FRAMES

Schema = dict[str, Any]
Dialect = Literal["openapi", "draft-07"]

REF_TEMPLATE = "#/components/schemas/{name}"
# The unions of all frames in one direction.
UNIONS = {"ClientFrame": CLIENT_FRAMES, "ServerFrame": SERVER_FRAMES}


def components(dialect: Dialect = "openapi") -> dict[str, Schema]:
    """Return name ▶ schema of every message, and of what they are made of; references are to
    ``#/components/schemas/<name>``.
    """
    found = dict(_components(dialect))
    for name, frames in UNIONS.items():
        found[name] = {"title": name, "oneOf": [reference(frame) for frame in frames]}
    return found


def selected(structs: Iterable[Struct], dialect: Dialect = "openapi") -> dict[str, Schema]:
    """Return name ▶ schema of these messages and of what they are made of, in the order of their names."""
    every = _components(dialect)
    return {name: every[name] for name in sorted(_with_parts({each.__name__ for each in structs}, every))}


def reference(struct: Struct) -> Schema:
    """Return the schema that stands for a struct's in ``components``."""
    return {"$ref": REF_TEMPLATE.format(name=struct.__name__)}


def standalone(name: str, schemas: dict[str, Schema]) -> Schema:
    """Return one of the schemas of ``components("draft-07")`` as a document of its own."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": REF_TEMPLATE.format(name=name),
        "components": {"schemas": schemas},
    }


@cache
def _components(dialect: Dialect) -> dict[str, Schema]:
    every = structs()
    _, made = msgspec.json.schema_components(every, ref_template=REF_TEMPLATE)
    read = _with_parts({struct.__name__ for struct in RECEIVED}, made)
    found = {
        name: _clean(schema if name in read else _without_null(schema), dialect)
        for name, schema in made.items()
    }
    for struct in every:
        if examples := EXAMPLES.get(struct):
            found[struct.__name__]["examples"] = list(examples)
    return found


def _with_parts(names: Iterable[str], schemas: dict[str, Schema]) -> set[str]:
    """Return these names and those of all that they refer to."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += re.findall(re.escape(REF_TEMPLATE.format(name="")) + r"(\w+)", str(schemas[name]))
    return found


def _without_null(schema: Schema) -> Schema:
    """Return a message's schema without null where a field that is not known is left out."""
    properties = dict(schema["properties"])
    for name, field in properties.items():
        kinds = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
        if name not in schema["required"] and len(kinds) < len(field.get("anyOf", ())):
            rest = {word: value for word, value in field.items() if word != "anyOf"}
            properties[name] = {**kinds[0], **rest} if len(kinds) == 1 else {**rest, "anyOf": kinds}
    return {**schema, "properties": properties}


def _clean(schema: Any, dialect: Dialect) -> Any:
    """Return a schema as msgspec makes it in the words of the dialect, without what says nothing."""
    if isinstance(schema, list):
        return [_clean(each, dialect) for each in schema]
    if not isinstance(schema, dict):
        return schema
    cleaned: Schema = {}
    for word, value in schema.items():
        if word == "properties":
            cleaned[word] = {name: _clean(each, dialect) for name, each in value.items()}
        elif word == "discriminator" or (
            word == "default" and not value
        ):  # no word of draft 7, and ``const`` says the same
            continue
        elif word == "enum" and len(value) == 1:
            cleaned["const"] = value[0]
        elif word == "description":
            cleaned[word] = " ".join(value.split())
        else:
            cleaned[word] = _clean(value, dialect)
    described = [each for each in cleaned.get("anyOf", ()) if "description" in each]
    if len(described) == 1 and "description" not in cleaned:  # of what may be null, too
        cleaned["description"] = described[0].pop("description")
    if dialect == "draft-07" and "$ref" in cleaned and len(cleaned) > 1:  # a $ref has no siblings there
        cleaned["allOf"] = [{"$ref": cleaned.pop("$ref")}]
    return cleaned
