"""AsyncAPI: the contract as an AsyncAPI 3.0.0 document, for the WebSocket and for the exchanges.

The described application is Warren: it receives what clients and backends send. Schemas are draft 7, which is
what tools read. The AMQP binding 0.3.0 knows neither headers nor queue arguments: headers are schemas, and
arguments stand under ``x-queue-arguments``. Pure: names come from the topology that is handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from warren.contract.application_schemas import ApplicationSchemas
from warren.contract.catalog import Struct
from warren.contract.client_frames import CLIENT_FRAMES
from warren.contract.commands import Verb
from warren.contract.events import EventHeaders, MembershipEvent, MessageEvent
from warren.contract.fields import TYPE_PATTERN
from warren.contract.hooks import HookAnswer, HookQuestion
from warren.contract.notifications import (
    LIST_TYPE,
    MAX_ENTRIES,
    DeadLetterHeaders,
    NotificationEntry,
    NotificationHeaders,
)
from warren.contract.problem import PROBLEM_TYPE, Problem
from warren.contract.queries import VERBS
from warren.contract.receipts import ReceiptPayload
from warren.contract.rpc import CancelHeaders, RequestHeaders, ResponseHeaders
from warren.contract.schemas import components, reference
from warren.contract.server_frames import SERVER_FRAMES
from warren.payloads import BINARY_TYPE, JSON_TYPE
from warren.topology import Queue, Topology

Document = dict[str, Any]

VERSION: Final = "3.0.0"
_AMQP_BINDING: Final = "0.3.0"
_WS_BINDING: Final = "0.1.0"
_VHOST: Final = {"vhost": "/"}
_WEBSOCKET: Final = "websocket"
_PARAMETERS: Final = {
    "room": "A room's name.",
    "user": "A user's name.",
    "connection": "A connection's id.",
    "type": "A message's type.",
    "service": "A service's name.",
    "question": "`connect`, or `join.<namespace>` or `publish.<namespace>`.",
    "address": "Whom or what the command is about; the body says the same.",
}


def asyncapi(topology: Topology, version: str, application: ApplicationSchemas | None = None) -> Document:
    """Return the document of an installation; ``version`` is Warren's. ``application`` are the schemas that
    its namespaces give to types of messages.
    """
    draft = _Draft(topology)
    draft.websocket()
    draft.notifications()
    draft.events()
    draft.commands()
    draft.services()
    draft.hooks()
    schemas = components("draft-07")
    if application is not None:
        draft.application(application)
        schemas.update(application.components())
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Warren",
            "version": version,
            "description": (
                "A WebSocket gateway that scales out on RabbitMQ. "
                "Clients speak `warren.v1` over a WebSocket; backends publish and consume over AMQP 0-9-1."
            ),
            "license": {"name": "MIT"},
        },
        "defaultContentType": JSON_TYPE,
        "servers": {
            "gateway": {
                "host": "localhost:8080",
                "protocol": "ws",
                "description": "A gateway, or the load balancer in front of all of them.",
            },
            "broker": {
                "host": "localhost:5672",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "RabbitMQ.",
            },
        },
        "channels": draft.channels,
        "operations": draft.operations,
        "components": {"messages": draft.messages, "schemas": schemas},
    }


class _Draft:
    """A document that is being written."""

    def __init__(self, topology: Topology) -> None:
        self.channels: Document = {}
        self.operations: Document = {}
        self.messages: Document = {}
        self._topology = topology

    # ── the WebSocket ───────────────────────────────────────────────────────────────────────────────────────

    def websocket(self) -> None:
        """Clients' frames in both directions, on one channel."""
        query = {
            "type": "object",
            "properties": {
                "token": {"type": "string", "description": "The JSON Web Token; it may come otherwise, too."},
                "user": {"type": "string", "description": "A name for oneself; in anonymous mode alone."},
                "join": {"const": "manual", "description": "Join no room at connect."},
            },
        }
        frames: list[Struct] = [*CLIENT_FRAMES, *SERVER_FRAMES]
        for frame in frames:
            self._message(frame)
        self.channels[_WEBSOCKET] = {
            "address": "/ws",
            "title": "The WebSocket",
            "description": "JSON in text frames, or MessagePack maps in binary frames (`warren.v1.msgpack`).",
            "servers": [{"$ref": "#/servers/gateway"}],
            "messages": {frame.__name__: _message_ref(frame.__name__) for frame in frames},
            "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": _WS_BINDING}},
        }
        self._operation(
            "receiveFrames", "receive", _WEBSOCKET, [frame.__name__ for frame in CLIENT_FRAMES],
            "What a client sends.",
        )  # fmt: skip
        self._operation(
            "sendFrames", "send", _WEBSOCKET, [frame.__name__ for frame in SERVER_FRAMES],
            "What a client hears.",
        )  # fmt: skip

    # ── exchanges ───────────────────────────────────────────────────────────────────────────────────────────

    def notifications(self) -> None:
        """What backends publish, and where it goes when it can't be delivered."""
        exchange = self._topology.notify
        self.messages["Notification"] = {
            "title": "Notification",
            "summary": "A message for a room, a user, a connection or everyone; the body is the payload.",
            "contentType": JSON_TYPE,
            "headers": reference(NotificationHeaders),
            "payload": {"description": f"Any JSON; with content type {BINARY_TYPE} any bytes."},
            "bindings": _message_binding("<type>"),
        }
        self.messages["NotificationList"] = {
            "title": "List of notifications",
            "summary": "Many notifications in one AMQP message.",
            "contentType": LIST_TYPE,
            "payload": {"type": "array", "maxItems": MAX_ENTRIES, "items": reference(NotificationEntry)},
        }
        self._message(ReceiptPayload)
        self._reply_channel("receipts", [ReceiptPayload.__name__], "Receipts of notifications.")
        ways = {
            "notifyRoom": "room.{room}",
            "notifyUser": "user.{user}",
            "notifyConnection": "conn.{connection}",
            "notifyAll": "all",
        }
        for name, key in ways.items():
            self._exchange(name, exchange, key, ["Notification"])
            self._operation(
                name, "receive", name, ["Notification"], "Deliver a notification.", reply="receipts"
            )
        self._exchange("notifyList", exchange, "list", ["NotificationList"])
        self._operation("notifyList", "receive", "notifyList", ["NotificationList"], "Deliver a list.")
        dead = next(queue for queue in self._topology.queues() if queue.name == self._topology.notify_dead)
        self.messages["DeadLetter"] = {
            "title": "Dead letter",
            "summary": "A notification that can't be delivered; the body is what came.",
            "headers": reference(DeadLetterHeaders),
        }
        self._queue("deadLetters", dead, ["DeadLetter"])
        self._operation("sendDeadLetter", "send", "deadLetters", ["DeadLetter"], "Set aside what is invalid.")

    def events(self) -> None:
        """What backends hear."""
        exchange = self._topology.events
        for event in (MembershipEvent, MessageEvent):
            self._message(event, headers=EventHeaders)
        membership, message = MembershipEvent.__name__, MessageEvent.__name__
        channels = {
            "clientConnected": (self._topology.event("client.connected"), membership),
            "clientDisconnected": (self._topology.event("client.disconnected"), membership),
            "roomJoined": (self._topology.event("room.joined"), membership),
            "roomLeft": (self._topology.event("room.left"), membership),
            "messageAccepted": (self._topology.message_event("{type}", "{room}"), message),
            "messageUndelivered": (self._topology.message_event("undelivered.{type}", "{room}"), message),
        }
        for name, (key, sent) in channels.items():
            self._exchange(name, exchange, key, [sent])
            self._operation(f"{name}Event", "send", name, [sent], "Tell backends what has happened.")

    def commands(self) -> None:
        """What backends may have Warren do."""
        self._message(Problem, content_type=PROBLEM_TYPE)
        for verb in VERBS:
            self._command(verb)

    def _command(self, verb: Verb) -> None:
        name, body = f"{verb.name}Command", verb.body.__name__
        self._message(verb.body)
        self._message(verb.result)
        answers = [verb.result.__name__, Problem.__name__]
        self._reply_channel(f"{verb.name}Answers", answers, f"Answers to {verb.name}.")
        key = f"{verb.name}.{{address}}" if verb.addressed else verb.name
        self._exchange(name, self._topology.control, key, [body])
        self._operation(
            verb.name, "receive", name, [body], _first_sentence(verb.body), reply=f"{verb.name}Answers"
        )

    def services(self) -> None:
        """What clients ask of services."""
        self.messages["ServiceRequest"] = {
            "title": "Request",
            "summary": "What a client asks; the body is the payload of its REQUEST.",
            "headers": reference(RequestHeaders),
            "payload": {"description": f"Any JSON; with content type {BINARY_TYPE} any bytes."},
            "correlationId": _CORRELATION,
        }
        self.messages["ServiceAnswer"] = {
            "title": "Answer",
            "summary": "What a service answers; the body is the payload of the RESPONSE.",
            "headers": reference(ResponseHeaders),
            "payload": {"description": f"Any JSON; with content type {BINARY_TYPE} any bytes."},
            "correlationId": _CORRELATION,
        }
        self.messages["ServiceCancel"] = {
            "title": "Cancel",
            "summary": "The answer is wanted no more.",
            "headers": reference(CancelHeaders),
            "correlationId": _CORRELATION,
        }
        self._reply_channel("serviceAnswers", ["ServiceAnswer"], "Answers of services.")
        self._exchange("serviceRequests", self._topology.rpc, "{service}", ["ServiceRequest"])
        self._exchange("serviceCancels", self._topology.rpc, "{service}.cancel", ["ServiceCancel"])
        self._operation(
            "request", "send", "serviceRequests", ["ServiceRequest"], "Ask a service.", reply="serviceAnswers"
        )
        self._queue("durableAnswers", self._topology.rpc_replies_queue(), ["ServiceAnswer"])
        self._operation(
            "receiveDurableAnswer", "receive", "durableAnswers", ["ServiceAnswer"],
            "Take the answer to a durable request, whose `reply_to` names this queue.",
        )  # fmt: skip
        self._operation("cancel", "send", "serviceCancels", ["ServiceCancel"], "Nobody waits any more.")

    def hooks(self) -> None:
        """What backends are asked before a client may do something."""
        self._message(HookQuestion)
        self._message(HookAnswer)
        self._reply_channel("hookAnswers", [HookAnswer.__name__], "Answers to hooks.")
        asked = [HookQuestion.__name__]
        self._exchange("hookQuestions", self._topology.hooks, "{question}", asked)
        self._operation(
            "askHook",
            "send",
            "hookQuestions",
            [HookQuestion.__name__],
            "May this client?",
            reply="hookAnswers",
        )

    def application(self, application: ApplicationSchemas) -> None:
        """The application's own messages, on the WebSocket in both directions and among notifications."""
        own = []
        for name, schema in application.messages():
            self.messages[name] = {
                "title": schema.type,
                "summary": f"A message of the application in rooms {schema.pattern}.",
                "payload": {
                    "type": "object",
                    "required": ["type"],
                    "properties": {
                        "type": {"const": schema.type, "pattern": TYPE_PATTERN},
                        "payload": {"$ref": f"#/components/schemas/{name}"},
                    },
                },
            }
            self.channels[_WEBSOCKET]["messages"][name] = _message_ref(name)
            own.append(name)
        for operation in ("receiveFrames", "sendFrames"):
            self.operations[operation]["messages"] += [_channel_message(_WEBSOCKET, name) for name in own]

    # ── parts ───────────────────────────────────────────────────────────────────────────────────────────────

    def _message(
        self, struct: Struct, *, headers: Struct | None = None, content_type: str = JSON_TYPE
    ) -> None:
        tag = struct.__struct_config__.tag
        message: Document = {
            "title": tag if isinstance(tag, str) else struct.__name__,
            "summary": _first_sentence(struct),
            "contentType": content_type,
            "payload": reference(struct),
        }
        if headers is not None:
            message["headers"] = reference(headers)
        self.messages[struct.__name__] = message

    def _exchange(self, name: str, exchange: str, key: str, messages: Iterable[str]) -> None:
        kind = next((each.type for each in self._topology.exchanges() if each.name == exchange), "topic")
        binding = {
            "is": "routingKey",
            "exchange": {"name": exchange, "type": kind, "durable": True, "autoDelete": False, **_VHOST},
            "bindingVersion": _AMQP_BINDING,
        }
        self.channels[name] = {
            "address": key,
            "description": f"Routing key of the exchange `{exchange}`.",
            "servers": [{"$ref": "#/servers/broker"}],
            "messages": {message: _message_ref(message) for message in messages},
            "bindings": {"amqp": binding},
            **_parameters(key),
        }

    def _queue(self, name: str, queue: Queue, messages: Iterable[str]) -> None:
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
            "messages": {message: _message_ref(message) for message in messages},
            "bindings": {"amqp": binding},
            "x-queue-arguments": {"x-queue-type": queue.kind, **queue.arguments},
        }

    def _reply_channel(self, name: str, messages: Iterable[str], description: str) -> None:
        self.channels[name] = {
            "address": None,
            "description": description,
            "servers": [{"$ref": "#/servers/broker"}],
            "messages": {message: _message_ref(message) for message in messages},
        }

    def _operation(
        self, name: str, action: str, channel: str, messages: Iterable[str], summary: str, *, reply: str = ""
    ) -> None:
        operation: Document = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
            "messages": [_channel_message(channel, message) for message in messages],
        }
        if reply:
            operation["reply"] = {
                "address": {
                    "description": (
                        "The queue that the AMQP property `reply_to` names, by way of the default exchange "
                        f"or, to queues of Warren's own, of `{self._topology.replies}`."
                    ),
                    "location": "$message.header#/reply_to",
                },
                "channel": {"$ref": f"#/channels/{reply}"},
                "messages": [_channel_message(reply, each) for each in self.channels[reply]["messages"]],
            }
        self.operations[name] = operation


_CORRELATION: Final = {
    "description": "The AMQP property `correlation_id`.",
    "location": "$message.header#/correlation_id",
}


def _message_ref(name: str) -> Document:
    return {"$ref": f"#/components/messages/{name}"}


def _channel_message(channel: str, name: str) -> Document:
    return {"$ref": f"#/channels/{channel}/messages/{name}"}


def _message_binding(kind: str) -> Mapping[str, Any]:
    return {"amqp": {"messageType": kind, "bindingVersion": _AMQP_BINDING}}


def _parameters(key: str) -> Document:
    named = [part.partition("}")[0] for part in key.split("{")[1:]]
    return {"parameters": {name: {"description": _PARAMETERS[name]} for name in named}} if named else {}


def _first_sentence(struct: Struct) -> str:
    return " ".join((struct.__doc__ or "").partition("\n\n")[0].split())
