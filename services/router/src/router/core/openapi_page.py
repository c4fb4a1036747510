"""OpenAPI page: the document of the HTTP API as one HTML page that needs nothing else: no script, no font, no
other server.

Text in, text out; everything is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

import msgspec

from router.core.control_problems import ProblemCode

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { background: #8881; padding: 0.7rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1.5rem; }
td, th { border-bottom: 1px solid #8884; padding: 0.3rem 0.6rem 0.3rem 0; }
td, th { text-align: left; vertical-align: top; }
h2 { margin-top: 2.5rem; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e4e4e4; } a { color: #8ab4f8; } }
"""
_PROBLEMS: Final = (
    "A problem (RFC 9457) comes under its status as `application/problem+json`. `retry`: whether the same "
    "request may be sent again later."
)


def page(document: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    info, schemas = document["info"], document["components"]["schemas"]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{escape(info['title'])} HTTP API</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} HTTP API</h1>",
        f"<p>{_code(info['description'])}</p>",
        '<p>As a document for tools: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>',
        f"<p>Version {escape(info['version'])}. Commands need <code>Authorization: Bearer KEY</code>.</p>",
        "<ul>",
        *(f'<li><a href="#{_anchor(path)}">{escape(path)}</a></li>' for path in document["paths"]),
        '<li><a href="#problems">Problems</a></li></ul>',
    ]
    for path, operations in document["paths"].items():
        parts += _path(path, operations, schemas)
    parts += [*_problems(), "</body></html>"]
    return "\n".join(parts) + "\n"


def _path(path: str, operations: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    methods = " or ".join(method.upper() for method in operations)
    first = next(iter(operations.values()))
    result = schemas[_named(first["responses"]["200"]["content"]["application/json"]["schema"])]
    words, asked = first["description"], list[str]()
    if "requestBody" in first:  # what has none has nothing to be told
        body = schemas[_named(first["requestBody"]["content"]["application/json"]["schema"])]
        words, asked = f"{words} {body['description']}", _fields(body, schemas)
    return [
        f'<h2 id="{_anchor(path)}">{escape(first["summary"])}</h2>',
        f"<p><code>{methods} {escape(path)}</code>. {_code(words)}</p>",
        *asked,
        f"<p>Answer: {_code(result['description'])}</p>",
        *_fields(result, schemas),
    ]


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    required = schema.get("required", ())
    rows = [
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_kind(field, schemas))}</td>"
        f"<td>{'required' if name in required else ''}</td><td>{_code(_words(field))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    ]
    return ["<table><tr><th>field</th><th>type</th><th></th><th>meaning</th></tr>", *rows, "</table>"]


def _kind(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    match field:
        case {"anyOf": [*kinds]}:
            return " or ".join(_kind(kind, schemas) for kind in kinds if kind.get("type") != "null")
        case {"$ref": str(ref)}:
            return ref.rpartition("/")[2]
        case {"type": "array", "items": dict(items)}:
            return f"list of {_kind(items, schemas)}"
        case {"enum": [*values]}:
            return " or ".join(map(str, values))
        case {"type": str(kind)}:
            return kind
        case _:
            return "any"


def _words(field: Mapping[str, Any]) -> str:
    own = field.get("description", "")
    if own:
        return str(own)
    return next((words for kind in field.get("anyOf", ()) if (words := _words(kind))), "")


def _problems() -> list[str]:
    rows = [
        f'<tr id="{code.value}"><td><code>{code.value}</code></td><td>{code.status}</td>'
        f"<td>{'yes' if code.retry else 'no'}</td></tr>"
        for code in ProblemCode
    ]
    example = msgspec.json.format(
        b'{"type":"/v1/#forbidden","title":"Forbidden","status":403,"detail":"The key has no scope that '
        b'covers publish:chat:a.","code":"forbidden","retry":false,'
        b'"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}',
        indent=2,
    ).decode()
    return [
        '<h2 id="problems">Problems</h2>',
        f"<p>{_code(_PROBLEMS)}</p>",
        f"<pre>{escape(example)}</pre>",
        "<table><tr><th>code</th><th>status</th><th>retry</th></tr>",
        *rows,
        "</table>",
    ]


def _named(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _anchor(path: str) -> str:
    return escape(path.rpartition("/")[2])


def _code(text: str) -> str:
    """Return text with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
