"""What generated types of any language have in common: their names, their order and the sections of a file.

Pure: it reads the contract and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from warren.contract.catalog import GROUPS, Struct
from warren.contract.client_frames import CLIENT_FRAMES, ClientMessage
from warren.contract.queries import VERBS
from warren.contract.schemas import UNIONS, components
from warren.contract.server_frames import SERVER_FRAMES, Message

Schema = dict[str, Any]

SECTIONS = {
    "client frames": "What a client sends over the WebSocket.",
    "server frames": "What a client hears over the WebSocket.",
    "notifications": "What backends publish, and what they hear of that.",
    "events": "What backends hear.",
    "commands": "What backends may have Warren do or tell, over AMQP or HTTP.",
    "rpc": "Headers of what clients ask of services, and of the answers.",
    "hooks": "What backends are asked before a client may do something.",
}
# Frames whose type is the application's choice.
MESSAGES: frozenset[Struct] = frozenset({ClientMessage, Message})
_FRAMES = frozenset(CLIENT_FRAMES + SERVER_FRAMES) - MESSAGES
_BODIES = frozenset(verb.body.__name__ for verb in VERBS)


def type_name(name: str) -> str:
    """Return what the type of a component is called: bodies of commands are told from what else is called
    ``Count`` or ``History``.
    """
    return f"{name}Command" if name in _BODIES else name


def frame_types(union: str) -> list[str]:
    """Return the names of the types of all frames in one direction, but for the application's messages."""
    return [type_name(frame.__name__) for frame in UNIONS[union] if frame in _FRAMES]


def sections() -> Iterator[tuple[str, list[tuple[str, Schema]]]]:
    """Yield (heading, [(component's name, schema)]): each component once, behind those that it is made of."""
    schemas = components("draft-07")
    told: set[str] = set(UNIONS)

    def behind_its_parts(name: str) -> Iterator[tuple[str, Schema]]:
        if name in told:
            return
        told.add(name)
        for part in sorted(references(schemas[name])):
            yield from behind_its_parts(part)
        yield name, schemas[name]

    for group in GROUPS:
        found = [each for struct in group.structs for each in behind_its_parts(struct.__name__)]
        yield SECTIONS[group.name], found


def references(schema: Any) -> set[str]:
    """Return the names of the components that a schema refers to."""
    if isinstance(schema, list):
        return set().union(*map(references, schema))
    if not isinstance(schema, dict):
        return set()
    if "$ref" in schema:
        return {component(schema)}
    return set().union(*(references(value) for word, value in schema.items() if word != "examples"))


def component(schema: Schema) -> str:
    """Return the name of the component that a reference leads to."""
    return str(schema["$ref"]).rpartition("/")[2]


def part(schema: Schema) -> Schema:
    """Return a field's schema without what only describes it."""
    (inner,) = schema.get("allOf", [schema])
    return dict(inner)
