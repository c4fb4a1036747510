"""clients/js/src/protocol.ts: the contract as types of TypeScript.

It returns the file's text and writes nothing.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator

from scripts.docs.contract_types import MESSAGES, Schema, component, frame_types, part, sections, type_name

from warren.errors import ErrorCode

HEAD = """\
// Made from the code by scripts/docs/generate; edit libs/warren/src/warren/contract instead.
/**
 * The frames of `warren.v1`, and what backends send and get.
 * `ServerFrame` and `ClientFrame` are unions by `type`:
 *
 *     const frame = JSON.parse(text) as ServerFrame;
 *     if (frame.type === "JOINED") console.log(frame.payload.seq);
 *
 * Your own types of messages join the unions by declaration:
 *
 *     declare module "warren-client/protocol" {
 *       interface ApplicationTypes { "deal.done": { price: number } }
 *     }
 */

/** The types of an application's messages, each with its payload. */
export interface ApplicationTypes {
  CHAT: unknown;
  TYPING: unknown;
  NOTIFICATION: unknown;
  DATA_UPDATE: unknown;
}
"""
CODE = "error code"
WIDTH = 130
_PLAIN = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def typescript_types() -> str:
    """Return the text of protocol.ts."""
    codes = [f'  | "{code}"' for code in ErrorCode]
    lines = [HEAD, "/** Warren's own error codes. */", "export type ErrorCode =", *codes]
    lines[-1] += ";"
    lines.append("")
    for heading, types in sections():
        lines += [f"// ── {heading}", ""]
        for name, schema in types:
            lines += [*_interface(name, schema), ""]
    for union in ("ClientFrame", "ServerFrame"):
        message = "ClientMessage" if union == "ClientFrame" else "Message"
        direction = "client sends" if union == "ClientFrame" else "server sends"
        lines.append(f"/** Any frame that a {direction}, told apart by `type`. */")
        lines += [
            f"export type {union} =",
            *(f"  | {name}" for name in frame_types(union)),
            f"  | {message};",
            "",
        ]
    return "\n".join(lines)


def _interface(name: str, schema: Schema) -> Iterator[str]:
    yield from _comment(schema["description"], "")
    own = name in {struct.__name__ for struct in MESSAGES}
    head = f"{name}Of<Type extends string, Payload>" if own else type_name(name)
    yield f"export interface {head} {{"
    for field, found in schema["properties"].items():
        optional = "" if field in schema.get("required", ()) else "?"
        spelled = field if re.fullmatch(r"[a-z_]+", field) else json.dumps(field)
        if "description" in found:
            yield from _comment(found["description"], "  ")
        kind = {"type": "Type", "payload": "Payload"}.get(field, "") if own else ""
        yield f"  {spelled}{optional}: {kind or _type(part(found))};"
    yield "}"
    if own:
        yield f"/** `{name}Of` any type that `ApplicationTypes` has. */"
        yield f"export type {name} = {{"
        yield f"  [Type in keyof ApplicationTypes & string]: {name}Of<Type, ApplicationTypes[Type]>;"
        yield "}[keyof ApplicationTypes & string];"


def _comment(text: str, indent: str) -> Iterator[str]:
    one = f"{indent}/** {text} */"
    if len(one) <= WIDTH:
        yield one
        return
    yield f"{indent}/**"
    for line in textwrap.wrap(text, WIDTH - len(indent) - 3):
        yield f"{indent} * {line}"
    yield f"{indent} */"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return type_name(component(schema))
    if schema.get("title") == CODE:  # or a service's own
        return "ErrorCode | (string & {})"
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema and "type" not in schema:
        return " | ".join(dict.fromkeys(_type(part(each)) for each in schema["anyOf"]))
    match schema.get("type"):
        case "array":
            inner = _type(part(schema["items"]))
            return f"({inner})[]" if " " in inner else f"{inner}[]"
        case "object":
            more = schema.get("additionalProperties")
            return f"Record<string, {_type(part(more)) if isinstance(more, dict) else 'unknown'}>"
        case None:
            return "unknown"
        case kind:
            return _PLAIN[kind]
