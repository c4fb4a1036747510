"""The contract as classes of ``TypedDict``: docs/examples/warren_types.py for backends in Python to copy, and
the frames alone for the Python client.

It returns the files' texts and writes nothing.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.docs.contract_types import SECTIONS, Schema, component, frame_types, part, sections, type_name

ROOT = Path(__file__).resolve().parents[2]
HEAD = '''\
"""The messages of Warren as types, to be copied beside a backend's code. It needs nothing but Python 3.11.

A frame or an event is told from the others by its ``type`` or ``event``; a field that is not required may be
missing. Made from the code by scripts/docs/generate; edit libs/warren/src/warren/contract instead.
"""

from typing import Any, Literal, NotRequired, TypedDict
'''
CLIENT_HEAD = '''\
"""The frames of ``warren.v1`` as types, for those who speak the protocol themselves.

A frame is told from the others by its ``type``; a field that is not required may be missing. Made from the
code by scripts/docs/generate; edit libs/warren/src/warren/contract instead.
"""

from typing import Any, Literal, NotRequired, TypedDict
'''
FRAMES = ("client frames", "server frames")
WIDTH = 110
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def python_types() -> str:
    """Return the text of warren_types.py."""
    return _types(HEAD, list(SECTIONS.values()))


def python_client_types() -> str:
    """Return the text of the client's wire.py."""
    return _types(CLIENT_HEAD, [SECTIONS[name] for name in FRAMES])


def _types(head: str, headings: Sequence[str]) -> str:
    lines = [head]
    for heading, types in sections():
        if heading not in headings:
            continue
        lines += [f"# ── {heading}", ""]
        for name, schema in types:
            lines += ["", *_class(name, schema), ""]
    for union, message in (("ClientFrame", "ClientMessage"), ("ServerFrame", "Message")):
        lines += [f"{union} = (", *(f"    {name} |" for name in frame_types(union)), f"    {message}", ")"]
    return _formatted("\n".join(lines) + "\n")


def _formatted(text: str) -> str:
    """Return the text as the house's formatter has it."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "format",
        "--stdin-filename",
        "docs/examples/warren_types.py",
        "-",
    ]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def _class(name: str, schema: Schema) -> Iterator[str]:
    fields = schema["properties"].items()
    plain = all(field.isidentifier() and field != "except" for field, _ in fields)
    name = type_name(name)
    if plain:
        yield f"class {name}(TypedDict):"
        yield from _docstring(schema["description"])
        if fields:
            yield ""
    else:
        yield from _comment(schema["description"], "")
        yield f'{name} = TypedDict("{name}", {{'
    for field, found in fields:
        yield from _comment(found.get("description", ""), "    ")
        kind = _type(part(found))
        kind = kind if field in schema.get("required", ()) else f"NotRequired[{kind}]"
        yield f"    {field}: {kind}" if plain else f'    "{field}": {kind},'
    if not plain:
        yield "})"


def _docstring(text: str) -> Iterator[str]:
    if len(text) <= WIDTH - 10:
        yield f'    """{text}"""'
        return
    wrapped = textwrap.wrap(f'"""{text}', WIDTH - 4)
    yield from (f"    {line}" for line in wrapped)
    yield '    """'


def _comment(text: str, indent: str) -> Iterator[str]:
    yield from (f"{indent}# {line}" for line in textwrap.wrap(text, WIDTH - len(indent) - 2))


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return type_name(component(schema))
    if "const" in schema:
        return f"Literal[{_literal(schema['const'])}]"
    if "enum" in schema:
        return f"Literal[{', '.join(map(_literal, schema['enum']))}]"
    if "anyOf" in schema and "type" not in schema:
        return " | ".join(dict.fromkeys(_type(part(each)) for each in schema["anyOf"]))
    match schema.get("type"):
        case "array":
            return f"list[{_type(part(schema['items']))}]"
        case "object":
            more = schema.get("additionalProperties")
            return f"dict[str, {_type(part(more)) if isinstance(more, dict) else 'Any'}]"
        case None:
            return "Any"
        case kind:
            return _PLAIN[kind]


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
