"""The pages in docs/reference: every message of the contract, with its fields and an example.

It returns the pages' texts and writes nothing.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any

from scripts.docs.contract_types import MESSAGES, Schema, component, part

from warren import errors
from warren.address import ROOM_RULE, USER_RULE
from warren.contract.catalog import Struct
from warren.contract.client_frames import CLIENT_FRAMES
from warren.contract.events import EventHeaders, MembershipEvent, MessageEvent
from warren.contract.examples import EXAMPLES
from warren.contract.hooks import HookAnswer, HookQuestion
from warren.contract.installation import KeyRights
from warren.contract.notifications import (
    LIST_TYPE,
    DeadLetterHeaders,
    NotificationEntry,
    NotificationHeaders,
)
from warren.contract.problem import Problem
from warren.contract.queries import VERBS
from warren.contract.receipts import ReceiptPayload
from warren.contract.rpc import CancelHeaders, RequestHeaders, ResponseHeaders
from warren.contract.schemas import components
from warren.contract.server_frames import SERVER_FRAMES
from warren.errors import CLOSE_ERRORS, CloseCode, ErrorCode
from warren.message_rules import KEY_MAX, TYPE_RULE
from warren.topology import Topology

_SCHEMAS = components()
# Messages that others hold, and that have a place of their own.
_LINKS = {
    **dict.fromkeys((struct.__name__ for struct in MESSAGES), "[message](server-frames.md#messages)"),
    ReceiptPayload.__name__: "[receipt](notifications.md#a-receipt)",
    Problem.__name__: "[problem](commands.md#problem)",
}
_TOPOLOGY = Topology()

# The kinds of values that have a name of their own, in words.
KINDS = {
    "room": ROOM_RULE,
    "user": USER_RULE,
    "room or @user": "a room, or `@` and a user: all connections of that user",
    "connection": "the id of one connection: the gateway's name, `~`, and a number",
    "address": "a room, `@<user>`, a connection, or `*`: everyone",
    "recipient": "an address as routing keys spell it: `room.<room>`, `user.<user>`, `conn.<connection>` or `all`",
    "message type": f"{TYPE_RULE}. Types that are entirely UPPER CASE are Warren's own, but for CHAT, TYPING, "
    "NOTIFICATION and DATA_UPDATE",
    "id": "1 to 64 printable characters, not starting with `~`",
    "backend's id": "at most 255 printable characters, not starting with `~`",
    "key": f"at most {KEY_MAX} characters",
    "service": "words of letters, digits, `_` and `-`, joined by dots",
    "epoch": "names one life of a room's numbers: letters, digits, `.` and `-`. Only compare it",
    "traceparent": "W3C trace context, version 00",
    "digest": "16 hexadecimal digits: a number of 64 bits",
    "error code": "one of Warren's [error codes](errors.md), or one that a service gives in its answer to a REQUEST",
}

INDEX = """\
Warren connects clients, which speak over a WebSocket, with each other and with backend services, which speak AMQP with RabbitMQ or call an HTTP API.
These pages list every message that crosses those borders: who sends it when, each of its fields, and an example.
They are made from the code that reads and writes the messages (`libs/warren/src/warren/contract`), so they can't be out of date.

How to use the messages is described in [the protocol](../protocol.md), for authors of clients, and in [the page for backend developers](../backends.md).
There are pages of their own about [presence](../presence.md), [hooks](../hooks.md) and [the HTTP API](../http-api.md).

| page | what |
| --- | --- |
| [client-frames.md](client-frames.md) | what a client sends |
| [server-frames.md](server-frames.md) | what a client hears |
| [errors.md](errors.md) | error codes and close codes |
| [notifications.md](notifications.md) | what backends publish to rooms, users and connections, and what they hear of it |
| [events.md](events.md) | what backends hear of clients, rooms and messages |
| [commands.md](commands.md) | what backends may have Warren do or tell |
| [rpc.md](rpc.md) | what clients ask of services, and how a service answers |
| [hooks.md](hooks.md) | what backends are asked before a client may connect, join or publish |

## For programs

| file | what |
| --- | --- |
| [asyncapi.json](asyncapi.json) | all of this as an AsyncAPI 3.0.0 document, with JSON schemas of draft 7 |
| [protocol.ts](../../clients/js/src/protocol.ts) | types of TypeScript, in the package `warren-client/protocol`; `ServerFrame` and `ClientFrame` are unions by `type` |
| [warren_types.py](../examples/warren_types.py) | types of Python (`TypedDict`), to be copied beside your code: the file needs nothing else |
| [warren_backend](../../clients/backend_python/README.md) | a package for backends in Python, with the same types in `warren_backend.contract` |

A backend in Python that has Warren's own package installed can import the same messages as msgspec structs from `warren.contract`.

Types of messages that an application invents may have [schemas of their own](../namespaces.md#what-a-schema-may-say).
They become a part of the document that a router serves ([HTTP API](../http-api.md)).

## Kinds of values

| kind | rule |
| --- | --- |
"""

_CLIENT_HEAD = """\
A client sends each of these as one WebSocket message: a JSON object in a text frame, or a MessagePack map in a binary frame (subprotocol `warren.v1.msgpack`).
The first frame is [AUTH](#auth), unless the token came with the upgrade; after that, wait for [WELCOME](server-frames.md#welcome).
`null` counts as left out, and unknown fields are ignored.
Each frame that has an `id` is answered by a frame with that id as `ref`.
"""
_SERVER_HEAD = """\
The server sends each of these as one WebSocket message: a JSON object in a text frame, or a MessagePack map in a binary frame (subprotocol `warren.v1.msgpack`).
A client must ignore frames whose type it does not know, and fields that it does not know.
"""
_NOTIFICATIONS_HEAD = """\
A backend that has something to tell to clients publishes it to the exchange `{notify}`.
The routing key says who gets it: `room.<room>`, `user.<user>`, `conn.<connection>` or `all`.
The body is the payload of the message that they get, and the AMQP property `type` its type.
How to do it, with programs to copy, is in [the page for backend developers](../backends.md).
"""
_EVENTS_HEAD = """\
A backend that wants to know what happens binds a queue of its own to the topic exchange `{events}`, with the routing keys that it wants.
Each event is one AMQP message; the body is a JSON object.
What is empty is left out.
An event may come more than once; a repeat has the same `event_id`.
"""
_COMMANDS_HEAD = """\
A backend or an operator may have Warren do something (close a user's connections, publish to many rooms) or tell something (who is in a room).

**Over AMQP**, publish the body to the exchange `{control}`, with `reply_to` and `correlation_id`.
The routing key is the verb, a dot and the address, such as `disconnect.user.ann`; commands that have no address have the verb alone.
The answer comes to the queue that `reply_to` names: a result with the content type `application/json`, or a [problem](#problem) with `application/problem+json`.

**Over HTTP**, the same objects are the bodies of requests and answers; the router serves the paths as an OpenAPI document at `/v1/openapi.json`.

A command that changes something has its place in the log: it holds over any failure, and counts once for each `id`.
"""
_RPC_HEAD = """\
A client may ask a backend service something, with [REQUEST](client-frames.md#request), and gets [RESPONSE](server-frames.md#response).
Between the gateway and the service this is plain AMQP RPC, so any RPC server for RabbitMQ works:

1. The service binds a queue of its own to the topic exchange `{rpc}`, with its name as the routing key, and consumes.
2. A request comes: its body is the payload, and its properties `reply_to`, `correlation_id`, `message_id` and `expiration` (what is left of the time, in ms) are set.
3. The service publishes its answer to the default exchange, with `reply_to` as the routing key and the same `correlation_id`.
   Who may not publish to every queue takes the exchange `{replies}` instead.

A request may come more than once, with the same `message_id`; the client gets one final answer.
"""
_HOOKS_HEAD = """\
A namespace may have its backend decide whether a client may connect, join a room or publish a message.
The gateway then asks, as AMQP RPC, on the topic exchange `{hooks}`: the routing key is `connect`, `join.<namespace>` or `publish.<namespace>`.
The answer goes to the default exchange (or to `{replies}`), with the property `reply_to` of the question as the routing key and its `correlation_id`.
"""


def reference_pages(note: str) -> dict[str, str]:
    """Return name ▶ text of each page; ``note`` says that it is made."""
    names = {
        "notify": _TOPOLOGY.notify,
        "events": _TOPOLOGY.events,
        "control": _TOPOLOGY.control,
        "rpc": _TOPOLOGY.rpc,
        "hooks": _TOPOLOGY.hooks,
        "replies": _TOPOLOGY.replies,
    }
    pages = {
        "README.md": ("Reference", _index()),
        "client-frames.md": ("What a client sends", _frames(_CLIENT_HEAD, CLIENT_FRAMES)),
        "server-frames.md": ("What the server sends", _frames(_SERVER_HEAD, SERVER_FRAMES)),
        "errors.md": ("Errors and close codes", _errors()),
        "notifications.md": ("Notifications", _notifications(names)),
        "events.md": ("Events", _events(names)),
        "commands.md": ("Commands", _commands(names)),
        "rpc.md": ("Services that answer clients", _rpc(names)),
        "hooks.md": ("Hooks", _hooks(names)),
    }
    return {
        name: "\n".join([f"# {title}", "", note, "", *lines]).rstrip() + "\n"
        for name, (title, lines) in pages.items()
    }


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────


def _index() -> Iterator[str]:
    yield INDEX.rstrip()
    yield from (
        f"| {kind} | {rule.rstrip('.').replace('|', chr(92) + '|')} |" for kind, rule in KINDS.items()
    )


def _frames(head: str, frames: Iterable[Struct]) -> Iterator[str]:
    frames = tuple(frames)
    yield head
    yield "| type | |"
    yield "| --- | --- |"
    for frame in frames:
        title = _title(frame)
        yield f"| [{title}](#{title.lower().replace(' ', '-')}) | {_sentences(frame)[0]} |"
    yield ""
    for frame in frames:
        yield from _section(f"## {_title(frame)}", frame)


def _notifications(names: dict[str, str]) -> Iterator[str]:
    yield _NOTIFICATIONS_HEAD.format_map(names)
    yield from _section("## Headers of a notification", NotificationHeaders)
    yield from _section("## An entry of a list", NotificationEntry)
    yield f"A list is a JSON array of such entries, with the content type `{LIST_TYPE}`."
    yield ""
    yield from _section("## A receipt", ReceiptPayload)
    yield from _section("## Headers of a dead letter", DeadLetterHeaders)


def _events(names: dict[str, str]) -> Iterator[str]:
    yield _EVENTS_HEAD.format_map(names)
    yield "| routing key | |"
    yield "| --- | --- |"
    yield "| `client.connected`, `client.disconnected` | [a connection joins or leaves its own room](#coming-and-going) |"
    yield "| `room.joined`, `room.left` | [the same for any other room](#coming-and-going) |"
    yield f"| `{_TOPOLOGY.message_event('<type>', '<room>')}` | [a message was accepted](#messages) |"
    undelivered = _TOPOLOGY.message_event("undelivered.<type>", "<room>")
    yield f"| `{undelivered}` | [nobody was there for a message](#messages) |"
    yield ""
    yield from _section("## Coming and going", MembershipEvent)
    yield from _section("## Messages", MessageEvent)
    yield from _section("## Headers", EventHeaders)


def _commands(names: dict[str, str]) -> Iterator[str]:
    yield _COMMANDS_HEAD.format_map(names)
    yield "| verb | |"
    yield "| --- | --- |"
    for verb in VERBS:
        yield f"| [{verb.name}](#{verb.name}) | {_sentences(verb.body)[0]} |"
    yield ""
    told: dict[Struct, str] = {}
    for verb in VERBS:
        yield from _section(f"## {verb.name}", verb.body)
        if verb.result in told:
            yield from (f"The answer is that of [{told[verb.result]}](#{told[verb.result]}).", "")
        else:
            yield from _section("**The answer.**", verb.result)
        told.setdefault(verb.result, verb.name)
    yield from _section("## Problem", Problem)
    yield from _section("## Key", KeyRights)
    yield "Over HTTP alone: `GET /v1/key`."


def _rpc(names: dict[str, str]) -> Iterator[str]:
    yield _RPC_HEAD.format_map(names)
    yield from _section("## Headers of a request", RequestHeaders)
    yield from _section("## Headers of an answer", ResponseHeaders)
    yield from _section("## Headers of a cancel", CancelHeaders)


def _hooks(names: dict[str, str]) -> Iterator[str]:
    yield _HOOKS_HEAD.format_map(names)
    yield from _section("## The question", HookQuestion)
    yield from _section("## The answer", HookAnswer)


def _errors() -> Iterator[str]:
    yield "An [ERROR](server-frames.md#error) frame has one of these codes; problems of commands and of the HTTP API have them, too."
    yield "With `retry: true` the same message may be sent again, under the same `id`."
    yield ""
    yield "| code | retry | |"
    yield "| --- | --- | --- |"
    meanings = comments(ErrorCode)
    for code in ErrorCode:
        yield f"| `{code}` | {'yes' if code.retry else 'no'} | {_escaped(meanings[code.name])} |"
    yield ""
    yield "## Close codes"
    yield ""
    yield "A WebSocket is closed with one of these codes; where an ERROR comes before, it says the same."
    yield ""
    yield "| code | reason | connect again? | ERROR before it |"
    yield "| --- | --- | --- | --- |"
    for close in CloseCode:
        error = CLOSE_ERRORS.get(close)
        yield f"| {int(close)} | {close.reason} | {close.reconnect} | {f'`{error}`' if error else ''} |"


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────


def _title(frame: Struct) -> str:
    return "Messages" if frame in MESSAGES else str(frame.__struct_config__.tag)


def _section(heading: str, struct: Struct) -> Iterator[str]:
    yield heading
    yield ""
    yield from _body(struct)


def _body(struct: Struct) -> Iterator[str]:
    """Describe a struct: its sentences, its fields, its examples."""
    yield from _sentences(struct)
    yield ""
    rows = list(_rows("", _SCHEMAS[struct.__name__]))
    if rows:
        yield "| field | kind | | |"
        yield "| --- | --- | --- | --- |"
        yield from rows
        yield ""
    for example in EXAMPLES.get(struct, ()):
        yield "```json"
        yield _spelled(example)
        yield "```"
        yield ""


def _sentences(struct: Struct) -> list[str]:
    """Return the struct's docstring, a sentence a line."""
    text = " ".join((struct.__doc__ or "").split())
    return re.split(r"(?<=[.?])(?<!:\.) (?=[A-Z`])", text)


def _spelled(example: Any, indent: str = "") -> str:
    """Return JSON, in which whatever fits into a line is one."""
    line = json.dumps(example, ensure_ascii=False)
    if len(indent) + len(line) <= 100 or not isinstance(example, dict | list):
        return line
    deeper = indent + "  "
    if isinstance(example, dict):
        parts = [f"{json.dumps(name)}: {_spelled(value, deeper)}" for name, value in example.items()]
        first, last = "{}"
    else:
        parts = [_spelled(value, deeper) for value in example]
        first, last = "[]"
    inner = ",\n".join(deeper + each for each in parts)
    return f"{first}\n{inner}\n{indent}{last}"


def _rows(prefix: str, schema: Schema) -> Iterator[str]:
    """Yield a row for each field, and behind it rows for the fields of what it holds."""
    for name, field in schema["properties"].items():
        needed = "required" if name in schema.get("required", ()) else ""
        path = f"{prefix}{name}"
        if "const" in field and name == "type":
            yield f"| `{path}` | `{json.dumps(field['const'])}` | required | |"
            continue
        kind = _kind(field) if needed else _kind(field).removesuffix(", or null")
        yield f"| `{path}` | {kind} | {needed} | {_escaped(field.get('description', ''))} |"
        inner, suffix = _inside(part(field), "")
        if inner is not None and inner not in _LINKS:
            yield from _rows(f"{path}{suffix}.", _SCHEMAS[inner])


def _inside(schema: Schema, suffix: str) -> tuple[str | None, str]:
    """Return the component that a field holds, and how its path goes on: ``[]`` for each of a list."""
    if "$ref" in schema:
        return component(schema), suffix
    for each in schema.get("anyOf", ()):
        found, inner = _inside(part(each), suffix)
        if found is not None:
            return found, inner
    if schema.get("type") == "array":
        return _inside(part(schema["items"]), suffix + "[]")
    return None, ""


def _kind(schema: Schema) -> str:
    """Say in words what a value may be."""
    schema = part(schema)
    if "$ref" in schema:
        return _LINKS.get(component(schema), "object")
    if "title" in schema:
        return f"[{schema['title']}](README.md#kinds-of-values)"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if "anyOf" in schema:
        kinds = [_kind(each) for each in schema["anyOf"] if each.get("type") != "null"]
        null = any(each.get("type") == "null" for each in schema["anyOf"])
        return " or ".join(dict.fromkeys(kinds)) + (", or null" if null else "")
    match schema.get("type"):
        case "array":
            most = f", at most {schema['maxItems']:,}" if "maxItems" in schema else ""
            return f"list of {_kind(schema['items'])}{most}"
        case "string":
            return f"text, at most {schema['maxLength']:,} characters" if "maxLength" in schema else "text"
        case "integer" | "number":
            return "number" + _bounds(schema)
        case "boolean":
            return "true or false"
        case "object":
            return "object"
        case _:
            return "any JSON"


def _bounds(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if most is None or most >= 2**53:
        return "" if not least else f", at least {least}"
    return f" from {least:,} to {most:,}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" not in text else text.replace("|", "\\|")


def comments(kind: type[Enum]) -> dict[str, str]:
    """Return member ▶ the comment that stands above it in the source. Raises ValueError where one has none."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(kind).splitlines():
        comment = re.fullmatch(r"\s+# (.+)", line)
        member = re.match(r"\s+([A-Z_]+) = ", line)
        if comment:
            above.append(comment[1])
            continue
        if member and above:
            found[member[1]] = " ".join(above).replace("``", "`")
        above = []
    names: Any = kind.__members__
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{errors.__name__}: {kind.__name__}.{missing[0]} has no comment")
    return found
