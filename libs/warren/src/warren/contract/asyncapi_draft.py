"""AsyncAPI draft: the parts that an AsyncAPI 3.0.0 document is made of: messages, channels on an exchange, a
queue or nowhere in particular, and operations. Pure; which parts there are is not its business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from warren.contract.catalog import Struct
from warren.contract.schemas import reference
from warren.payloads import JSON_TYPE
from warren.topology import Queue, Topology

Document = dict[str, Any]

_AMQP_BINDING: Final = "0.3.0"
_PARAMETERS: Final = {
    "room": "A room's name.",
    "user": "A user's name.",
    "connection": "A connection's id.",
    "type": "A message's type.",
    "service": "A service's name.",
    "question": "`connect`, or `join.<namespace>` or `publish.<namespace>`.",
    "address": "Whom or what the command is about; the body says the same.",
}


class Draft:
    """A document that is being written."""

    def __init__(self, topology: Topology) -> None:
        self.channels: Document = {}
        self.operations: Document = {}
        self.messages: Document = {}
        self.topology = topology

    def message(
        self, struct: Struct, *, headers: Struct | None = None, content_type: str = JSON_TYPE
    ) -> None:
        """Add a struct as a message."""
        tag = struct.__struct_config__.tag
        message: Document = {
            "title": tag if isinstance(tag, str) else struct.__name__,
            "summary": first_sentence(struct),
            "contentType": content_type,
            "payload": reference(struct),
        }
        if headers is not None:
            message["headers"] = reference(headers)
        self.messages[struct.__name__] = message

    def exchange(self, name: str, exchange: str, key: str, messages: Iterable[str]) -> None:
        """Add a channel: a routing key of an exchange, whose parts in braces may vary."""
        kind = next(each.type for each in self.topology.exchanges() if each.name == exchange)
        binding = {
            "is": "routingKey",
            "exchange": {
                "name": exchange,
                "type": kind,
                "durable": True,
                "autoDelete": False,
                "vhost": "/",
            },
            "bindingVersion": _AMQP_BINDING,
        }
        self.channels[name] = {
            "address": key,
            "description": f"Routing key of the exchange `{exchange}`.",
            "servers": [{"$ref": "#/servers/broker"}],
            "messages": {message: message_ref(message) for message in messages},
            "bindings": {"amqp": binding},
            **_parameters(key),
        }

    def queue(self, name: str, queue: Queue, messages: Iterable[str]) -> None:
        """Add a channel: a queue that is reached by its name."""
        binding = {
            "is": "queue",
            "queue": {
                "name": queue.name,
                "durable": True,
                "exclusive": False,
                "autoDelete": False,
                "vhost": "/",
            },
            "bindingVersion": _AMQP_BINDING,
        }
        self.channels[name] = {
            "address": queue.name,
            "description": f"The {queue.kind} queue `{queue.name}`.",
            "servers": [{"$ref": "#/servers/broker"}],
            "messages": {message: message_ref(message) for message in messages},
            "bindings": {"amqp": binding},
            "x-queue-arguments": {"x-queue-type": queue.kind, **queue.arguments},
        }

    def reply_channel(self, name: str, messages: Iterable[str], description: str) -> None:
        """Add a channel for answers, whose address comes with what is answered."""
        self.channels[name] = {
            "address": None,
            "description": description,
            "servers": [{"$ref": "#/servers/broker"}],
            "messages": {message: message_ref(message) for message in messages},
        }

    def operation(
        self, name: str, action: str, channel: str, messages: Iterable[str], summary: str, *, reply: str = ""
    ) -> None:
        """Add what Warren does with a channel; ``reply`` is the channel of the answers."""
        operation: Document = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
            "messages": [channel_message(channel, message) for message in messages],
        }
        if reply:
            operation["reply"] = {
                "address": {
                    "description": (
                        "The queue that the AMQP property `reply_to` names, by way of the default exchange "
                        f"or, to queues of Warren's own, of `{self.topology.replies}`."
                    ),
                    "location": "$message.header#/reply_to",
                },
                "channel": {"$ref": f"#/channels/{reply}"},
                "messages": [channel_message(reply, each) for each in self.channels[reply]["messages"]],
            }
        self.operations[name] = operation


def message_ref(name: str) -> Document:
    """Return a reference to a message."""
    return {"$ref": f"#/components/messages/{name}"}


def channel_message(channel: str, name: str) -> Document:
    """Return a reference to a message of a channel."""
    return {"$ref": f"#/channels/{channel}/messages/{name}"}


def message_binding(kind: str) -> Mapping[str, Any]:
    """Return the binding of a message with this AMQP property ``type``."""
    return {"amqp": {"messageType": kind, "bindingVersion": _AMQP_BINDING}}


def _parameters(key: str) -> Document:
    named = [part.partition("}")[0] for part in key.split("{")[1:]]
    return {"parameters": {name: {"description": _PARAMETERS[name]} for name in named}} if named else {}


def first_sentence(struct: Struct) -> str:
    """Return the first paragraph of what a struct says of itself, in one line."""
    return " ".join((struct.__doc__ or "").partition("\n\n")[0].split())
