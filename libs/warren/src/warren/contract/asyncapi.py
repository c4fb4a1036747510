"""AsyncAPI: the contract as an AsyncAPI 3.0.0 document, for the WebSocket and for the exchanges.

The described application is Warren: it receives what clients and backends send. Schemas are draft 7, which is
what tools read. The AMQP binding 0.3.0 knows neither headers nor queue arguments: headers are schemas, and
arguments stand under ``x-queue-arguments``. Pure: names come from the topology that is handed in.
"""

from __future__ import annotations

from typing import Final

from warren.contract.application_schemas import ApplicationSchemas
from warren.contract.asyncapi_draft import (
    Document,
    Draft,
    channel_message,
    first_sentence,
    message_binding,
    message_ref,
)
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
from warren.topology import Topology

VERSION: Final = "3.0.0"
_WS_BINDING: Final = "0.1.0"
_WEBSOCKET: Final = "websocket"


def asyncapi(topology: Topology, version: str, application: ApplicationSchemas | None = None) -> Document:
    """Return the document of an installation; ``version`` is Warren's. ``application`` are the schemas that
    its namespaces give to types of messages.
    """
    draft = _Contract(topology)
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


_CORRELATION: Final = {
    "description": "The AMQP property `correlation_id`.",
    "location": "$message.header#/correlation_id",
}


class _Contract(Draft):
    """The contract, part by part."""

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
            self.message(frame)
        self.channels[_WEBSOCKET] = {
            "address": "/ws",
            "title": "The WebSocket",
            "description": "JSON in text frames, or MessagePack maps in binary frames (`warren.v1.msgpack`).",
            "servers": [{"$ref": "#/servers/gateway"}],
            "messages": {frame.__name__: message_ref(frame.__name__) for frame in frames},
            "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": _WS_BINDING}},
        }
        self.operation(
            "receiveFrames", "receive", _WEBSOCKET, [frame.__name__ for frame in CLIENT_FRAMES],
            "What a client sends.",
        )  # fmt: skip
        self.operation(
            "sendFrames", "send", _WEBSOCKET, [frame.__name__ for frame in SERVER_FRAMES],
            "What a client hears.",
        )  # fmt: skip

    # ── exchanges ───────────────────────────────────────────────────────────────────────────────────────────

    def notifications(self) -> None:
        """What backends publish, and where it goes when it can't be delivered."""
        exchange = self.topology.notify
        self.messages["Notification"] = {
            "title": "Notification",
            "summary": "A message for a room, a user, a connection or everyone; the body is the payload.",
            "contentType": JSON_TYPE,
            "headers": reference(NotificationHeaders),
            "payload": {"description": f"Any JSON; with content type {BINARY_TYPE} any bytes."},
            "bindings": message_binding("<type>"),
        }
        self.messages["NotificationList"] = {
            "title": "List of notifications",
            "summary": "Many notifications in one AMQP message.",
            "contentType": LIST_TYPE,
            "payload": {"type": "array", "maxItems": MAX_ENTRIES, "items": reference(NotificationEntry)},
        }
        self.message(ReceiptPayload)
        self.reply_channel("receipts", [ReceiptPayload.__name__], "Receipts of notifications.")
        ways = {
            "notifyRoom": "room.{room}",
            "notifyUser": "user.{user}",
            "notifyConnection": "conn.{connection}",
            "notifyAll": "all",
        }
        for name, key in ways.items():
            self.exchange(name, exchange, key, ["Notification"])
            self.operation(
                name, "receive", name, ["Notification"], "Deliver a notification.", reply="receipts"
            )
        self.exchange("notifyList", exchange, "list", ["NotificationList"])
        self.operation("notifyList", "receive", "notifyList", ["NotificationList"], "Deliver a list.")
        dead = next(queue for queue in self.topology.queues() if queue.name == self.topology.notify_dead)
        self.messages["DeadLetter"] = {
            "title": "Dead letter",
            "summary": "A notification that can't be delivered; the body is what came.",
            "headers": reference(DeadLetterHeaders),
        }
        self.queue("deadLetters", dead, ["DeadLetter"])
        self.operation("sendDeadLetter", "send", "deadLetters", ["DeadLetter"], "Set aside what is invalid.")

    def events(self) -> None:
        """What backends hear."""
        exchange = self.topology.events
        for event in (MembershipEvent, MessageEvent):
            self.message(event, headers=EventHeaders)
        membership, message = MembershipEvent.__name__, MessageEvent.__name__
        channels = {
            "clientConnected": (self.topology.event("client.connected"), membership),
            "clientDisconnected": (self.topology.event("client.disconnected"), membership),
            "roomJoined": (self.topology.event("room.joined"), membership),
            "roomLeft": (self.topology.event("room.left"), membership),
            "messageAccepted": (self.topology.message_event("{type}", "{room}"), message),
            "messageUndelivered": (self.topology.message_event("undelivered.{type}", "{room}"), message),
        }
        for name, (key, sent) in channels.items():
            self.exchange(name, exchange, key, [sent])
            self.operation(f"{name}Event", "send", name, [sent], "Tell backends what has happened.")

    def commands(self) -> None:
        """What backends may have Warren do."""
        self.message(Problem, content_type=PROBLEM_TYPE)
        for verb in VERBS:
            self._command(verb)

    def _command(self, verb: Verb) -> None:
        name, body = f"{verb.name}Command", verb.body.__name__
        self.message(verb.body)
        self.message(verb.result)
        answers = [verb.result.__name__, Problem.__name__]
        self.reply_channel(f"{verb.name}Answers", answers, f"Answers to {verb.name}.")
        key = f"{verb.name}.{{address}}" if verb.addressed else verb.name
        self.exchange(name, self.topology.control, key, [body])
        self.operation(
            verb.name, "receive", name, [body], first_sentence(verb.body), reply=f"{verb.name}Answers"
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
        self.reply_channel("serviceAnswers", ["ServiceAnswer"], "Answers of services.")
        self.exchange("serviceRequests", self.topology.rpc, "{service}", ["ServiceRequest"])
        self.exchange("serviceCancels", self.topology.rpc, "{service}.cancel", ["ServiceCancel"])
        self.operation(
            "request", "send", "serviceRequests", ["ServiceRequest"], "Ask a service.", reply="serviceAnswers"
        )
        self.queue("durableAnswers", self.topology.rpc_replies_queue(), ["ServiceAnswer"])
        self.operation(
            "receiveDurableAnswer", "receive", "durableAnswers", ["ServiceAnswer"],
            "Take the answer to a durable request, whose `reply_to` names this queue.",
        )  # fmt: skip
        self.operation("cancel", "send", "serviceCancels", ["ServiceCancel"], "Nobody waits any more.")

    def hooks(self) -> None:
        """What backends are asked before a client may do something."""
        self.message(HookQuestion)
        self.message(HookAnswer)
        self.reply_channel("hookAnswers", [HookAnswer.__name__], "Answers to hooks.")
        asked = [HookQuestion.__name__]
        self.exchange("hookQuestions", self.topology.hooks, "{question}", asked)
        self.operation(
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
            self.channels[_WEBSOCKET]["messages"][name] = message_ref(name)
            own.append(name)
        for operation in ("receiveFrames", "sendFrames"):
            self.operations[operation]["messages"] += [channel_message(_WEBSOCKET, name) for name in own]
