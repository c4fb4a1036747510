"""Examples: each message of the contract as somebody may see it, for documents.

They belong together: Ann and Bob in the room ``chat:a``, a backend that runs a shop. Each is held to its
schema by a test. Nothing here decides.
"""

from __future__ import annotations

from typing import Any, Final

from warren.contract import (
    client_frames,
    commands,
    events,
    hooks,
    installation,
    notifications,
    presence,
    problem,
    queries,
    receipts,
    rpc,
    server_frames,
)
from warren.contract.catalog import Struct

_AT: Final = 1_764_000_000_000
_HEAD: Final = {"timestamp": _AT, "version": "1.0"}
_TRACE: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_CALL: Final = {"user": "ann", "connection": "g1~5f"}
_MESSAGE: Final = {
    "type": "CHAT",
    **_HEAD,
    "room": "chat:a",
    "seq": 12,
    "epoch": "k3f9-1",
    "id": "c1-17",
    "sender": "ann",
    "payload": {"text": "hello"},
}
_ANN: Final = {"user": "ann", "proof": "9c0f53b1a8e24d17", "info": {"name": "Ann"}}
_BOB: Final = {"user": "bob", "proof": "0b5e1f0c77aa2d90"}
_RECEIPT: Final = {
    "complete": True,
    "id": "invoice-7",
    "room": "@ann",
    "epoch": "k3f9-1",
    "seq": 3,
    "users": 1,
    "connections": 2,
    "gateways": 2,
    "written": 1,
    "lost": 1,
}

_CLIENT: dict[Struct, tuple[Any, ...]] = {
    client_frames.AuthFrame: (
        {"type": "AUTH", "id": "a1", "payload": {"token": "eyJhbGciOiJFUzI1NiJ9.e30"}},
    ),
    client_frames.JoinFrame: (
        {"type": "JOIN", "room": "chat:a", "id": "j1"},
        {
            "type": "JOIN",
            "room": "chat:a",
            "id": "j2",
            "payload": {
                "since": {"epoch": "k3f9-1", "seq": 11},
                "presence": {"watch": True, "info": {"name": "Ann"}},
            },
        },
    ),
    client_frames.LeaveFrame: ({"type": "LEAVE", "room": "chat:a", "id": "l1"},),
    client_frames.HistoryRequestFrame: (
        {"type": "HISTORY", "room": "chat:a", "id": "h1", "payload": {"before": 12, "limit": 50}},
    ),
    client_frames.PresenceRequestFrame: (
        {"type": "PRESENCE", "room": "chat:a", "id": "p1", "payload": {"limit": 100, "after": "ann"}},
        {"type": "PRESENCE", "room": "chat:a", "id": "p2", "payload": {"count": True}},
        {
            "type": "PRESENCE",
            "room": "chat:a",
            "id": "p3",
            "payload": {"update": {"away": True}},
        },
        {"type": "PRESENCE", "id": "p4", "payload": {"watch": ["bob", "carol"]}},
        {"type": "PRESENCE", "room": "chat:a", "payload": {"unwatch": True}},
    ),
    client_frames.SeenFrame: ({"type": "SEEN", "room": "chat:a", "payload": {"epoch": "k3f9-1", "seq": 12}},),
    client_frames.RequestFrame: (
        {
            "type": "REQUEST",
            "id": "r1",
            "service": "orders.get",
            "payload": {"order": 7},
            "timeout_ms": 2_000,
        },
        {
            "type": "REQUEST",
            "id": "r2",
            "service": "reports.make",
            "payload": {"year": 2025},
            "durable": True,
        },
    ),
    client_frames.CancelFrame: ({"type": "CANCEL", "ref": "r1"},),
    client_frames.PingFrame: ({"type": "PING", "id": "x1"},),
    client_frames.ClientMessage: (
        {"type": "CHAT", "room": "chat:a", "id": "c1-17", "payload": {"text": "hello"}},
        {"type": "deal.done", "room": "trades:eu", "key": "ACME", "payload": {"price": 101}},
        {"type": "CHAT", "room": "chat:a", "payload": "AP8=", "encoding": "base64"},
        {"type": "CHAT", "room": "chat:a", "id": "c1-18", "payload": {"text": "there?"}, "receipt": "seen"},
    ),
}

_SERVER: dict[Struct, tuple[Any, ...]] = {
    server_frames.WelcomeFrame: (
        {
            "type": "WELCOME",
            **_HEAD,
            "payload": {
                "connection": "g1~5f",
                "user": "ann",
                "heartbeat_ms": 30_000,
                "rooms": ["default", "@ann"],
                "limits": {"message_bytes": 1_048_576, "rate": 5, "rate_per_ms": 1_000, "rooms": 100},
                "expires_at": None,
            },
        },
    ),
    server_frames.AuthenticatedFrame: (
        {"type": "AUTHENTICATED", **_HEAD, "ref": "a1", "payload": {"expires_at": _AT + 3_600_000}},
    ),
    server_frames.JoinedFrame: (
        {
            "type": "JOINED",
            **_HEAD,
            "room": "chat:a",
            "ref": "j2",
            "payload": {"epoch": "k3f9-1", "seq": 11, "recovered": True, "missed": 1},
        },
    ),
    server_frames.LeftFrame: (
        {"type": "LEFT", **_HEAD, "room": "chat:a", "ref": "l1"},
        {"type": "LEFT", **_HEAD, "room": "chat:a", "payload": {"reason": "removed"}},
    ),
    server_frames.Message: (_MESSAGE,),
    server_frames.AckFrame: (
        {"type": "ACK", **_HEAD, "room": "chat:a", "ref": "c1-17", "payload": {"seq": 12, "epoch": "k3f9-1"}},
        {"type": "ACK", **_HEAD, "room": "chat:a", "ref": "c1-18", "payload": {}},
    ),
    server_frames.ReceiptFrame: (
        {
            "type": "RECEIPT",
            **_HEAD,
            "room": "chat:a",
            "ref": "c1-18",
            "payload": {"level": "written", "complete": True},
        },
        {
            "type": "RECEIPT",
            **_HEAD,
            "room": "chat:a",
            "ref": "c1-18",
            "payload": {"level": "seen", "complete": False, "readers": 2, "seen": 1},
        },
    ),
    server_frames.HistoryFrame: (
        {
            "type": "HISTORY",
            **_HEAD,
            "room": "chat:a",
            "ref": "h1",
            "payload": {"messages": [_MESSAGE], "more": True},
        },
    ),
    server_frames.DroppedFrame: (
        {"type": "DROPPED", **_HEAD, "room": "prices:eu", "payload": {"count": 40, "seq": 901}},
    ),
    server_frames.PresenceFrame: (
        {
            "type": "PRESENCE",
            **_HEAD,
            "room": "chat:a",
            "ref": "p1",
            "payload": {
                "version": 41,
                "count": {"users": 2, "connections": 3},
                "digest": "a76d72be208c7aa7",
                "page": True,
                "after": "",
                "more": False,
                "joined": [_ANN, _BOB],
            },
        },
        {
            "type": "PRESENCE",
            **_HEAD,
            "room": "chat:a",
            "payload": {
                "version": 57,
                "count": {"users": 1, "connections": 2},
                "digest": "9c0f53b1a8e24d17",
                "left": ["bob"],
                "seen": {"epoch": "k3f9-1", "sum": 23, "users": {"bob": 12}},
            },
        },
    ),
    server_frames.AcceptedFrame: ({"type": "ACCEPTED", **_HEAD, "ref": "r2"},),
    server_frames.ResponseFrame: (
        {"type": "RESPONSE", **_HEAD, "ref": "r1", "payload": {"order": 7, "state": "paid"}},
        {"type": "RESPONSE", **_HEAD, "ref": "r3", "n": 1, "more": True, "payload": ["first", "part"]},
        {
            "type": "RESPONSE",
            **_HEAD,
            "room": "@ann",
            "seq": 4,
            "epoch": "k3f9-2",
            "ref": "r2",
            "payload": {"report": "2025.pdf"},
        },
    ),
    server_frames.PongFrame: ({"type": "PONG", **_HEAD, "ref": "x1", "payload": None},),
    server_frames.DegradedFrame: ({"type": "DEGRADED", **_HEAD},),
    server_frames.RestoredFrame: ({"type": "RESTORED", **_HEAD},),
    server_frames.ReconnectFrame: ({"type": "RECONNECT", **_HEAD, "payload": {"after_ms": 3_200}},),
    server_frames.ErrorFrame: (
        {
            "type": "ERROR",
            **_HEAD,
            "ref": "c1-19",
            "payload": {
                "code": "rate_limited",
                "message": "At most 5 messages in 1000 ms",
                "retry": True,
                "retry_after_ms": 400,
            },
        },
        {
            "type": "ERROR",
            **_HEAD,
            "payload": {
                "code": "draining",
                "message": "Draining",
                "retry": True,
                "close": 1012,
                "reconnect": "yes",
            },
        },
    ),
}

_EVENT: Final = {
    "event_id": "k3f9.3.41.5",
    "connection": "g1~5f",
    "user": "ann",
    "gateway": "g1",
    "generation": 95,
    "at": _AT,
}
_BACKENDS: dict[Struct, tuple[Any, ...]] = {
    notifications.NotificationHeaders: (
        {"traceparent": _TRACE, "key": "ACME", "receipt": "written"},
        {"receipt": "seen", "seen_within_ms": 600_000},
    ),
    notifications.NotificationEntry: (
        {"address": "room.chat:a", "id": "7f1c-0", "type": "deal.done", "payload": {"price": 101}},
        {"address": "user.ann", "id": "7f1c-1", "payload": "AP8=", "encoding": "base64"},
        {"address": "all", "payload": "closing soon", "expiration": 60_000},
    ),
    notifications.DeadLetterHeaders: (
        {
            "x-warren-reason": "invalid payload: no JSON text in UTF-8",
            "x-warren-routing-key": "list",
            "x-warren-index": 2,
        },
    ),
    receipts.ReceiptPayload: (_RECEIPT,),
    presence.PresenceMember: (_ANN,),
    events.MembershipEvent: (
        {**_EVENT, "event": "client.connected", "room": "@ann"},
        {**_EVENT, "event": "room.left", "room": "chat:a", "reason": "gone"},
    ),
    events.MessageEvent: (
        {
            "event_id": "k3f9.3.41.3",
            "event": "message",
            "room": "chat:a",
            "type": "CHAT",
            "epoch": "k3f9-1",
            "seq": 12,
            "connection": "g1~5f",
            "user": "ann",
            "id": "c1-17",
            "at": _AT,
            "payload": {"text": "hello"},
        },
        {
            "event_id": "k3f9.3.52.2",
            "event": "message.undelivered",
            "room": "@carol",
            "type": "NOTIFICATION",
            "epoch": "k3f9-1",
            "seq": 2,
            "id": "invoice-8",
            "at": _AT,
            "payload": {"invoice": 8},
            "reason": "nobody",
        },
    ),
    events.EventHeaders: (
        {
            "cloudEvents_id": "k3f9.3.41.3",
            "cloudEvents_source": "/warren/shards/3",
            "cloudEvents_type": "message",
            "cloudEvents_specversion": "1.0",
            "cloudEvents_time": "2025-11-24T16:00:00.000Z",
            "cloudEvents_subject": "chat:a",
        },
    ),
    rpc.RequestHeaders: ({**_CALL, "attempt": 1, "traceparent": _TRACE},),
    rpc.ResponseHeaders: ({"n": 1, "more": True}, {"error": "forbidden"}),
    rpc.CancelHeaders: (_CALL,),
    hooks.HookQuestion: (
        {
            "hook": "join",
            "connection": "g1~5f",
            "user": "ann",
            "claims": {"plan": "pro"},
            "room": "chat:a",
            "namespace": "chat",
        },
        {
            "hook": "publish",
            "connection": "g1~5f",
            "user": "ann",
            "room": "chat:a",
            "namespace": "chat",
            "type": "CHAT",
            "id": "c1-17",
            "payload": {"text": "hello"},
        },
    ),
    hooks.HookAnswer: (
        {"allow": True, "ttl": 3_600, "rights": ["publish"], "info": {"name": "Ann"}},
        {"allow": False, "reason": "This room is for members"},
    ),
}

_COMMANDS: dict[Struct, tuple[Any, ...]] = {
    commands.Publish: (
        {"address": "user.ann", "id": "invoice-7", "payload": {"invoice": 7}, "wait_ms": 2_000},
    ),
    commands.Published: (
        {"id": "invoice-7", "address": "user.ann", "epoch": "k3f9-2", "seq": 3, "duplicate": False},
    ),
    commands.Batch: (
        {
            "messages": [
                {"address": "room.chat:a", "payload": {"text": "hello"}, "type": "CHAT", "id": "b-1"},
                {"address": "user.ann", "payload": {"invoice": 7}, "id": "b-2"},
            ]
        },
    ),
    commands.Broadcast: (
        {"addresses": ["user.ann", "user.bob"], "payload": "closing soon"},
        {"payload": "closing soon"},
    ),
    commands.Outcomes: (
        {
            "results": [
                {"status": 200, "address": "room.chat:a", "id": "b-1"},
                {"status": 403, "address": "user.ann", "id": "b-2", "code": "forbidden", "retry": False},
            ],
            "failed": 1,
        },
    ),
    commands.Disconnect: (
        {"address": "user.ann", "except": ["g1~5f"], "reason": "Logged out elsewhere", "id": "kick-1"},
    ),
    commands.Remove: (
        {"address": "room.chat:a", "user": "bob", "reason": "Rude"},
        {"address": "room.chat:a", "connection": "g1~5f"},
    ),
    commands.Add: ({"address": "user.ann", "rooms": ["order:7"]},),
    commands.Block: (
        {"address": "user.bob", "until_ms": _AT + 86_400_000, "reason": "Spam"},
        {"address": "room.chat:a", "user": "bob"},
    ),
    commands.Unblock: ({"address": "user.bob"},),
    commands.Revoke: ({"address": "user.ann", "before_s": _AT // 1_000},),
    commands.Done: ({"id": "kick-1", "connections": 2},),
    queries.Presence: ({"address": "room.chat:a"},),
    queries.PresencePage: (
        {
            "users": 2,
            "connections": 3,
            "members": [
                {"user": "ann", "connections": ["g1~5f", "g2~3"]},
                {"user": "bob", "connections": ["g2~1a"]},
            ],
        },
    ),
    queries.Count: ({"address": "room.chat:a"},),
    queries.Counted: ({"users": 2, "connections": 3},),
    queries.History: ({"address": "room.chat:a", "limit": 20},),
    queries.HistoryPage: (
        {
            "epoch": "k3f9-1",
            "seq": 12,
            "messages": [
                {
                    "seq": 12,
                    "type": "CHAT",
                    "payload": {"text": "hello"},
                    "timestamp": _AT,
                    "id": "c1-17",
                    "sender": "ann",
                    "connection": "g1~5f",
                }
            ],
            "more": True,
        },
    ),
    queries.Rooms: ({"prefix": "chat:", "limit": 50},),
    queries.RoomsPage: ({"rooms": [{"room": "chat:a", "connections": 3}], "next": "Y2hhdDph"},),
    queries.Blocks: ({"room": "chat:a"}, {"prefix": "@", "limit": 50}),
    queries.BlocksPage: (
        {
            "blocks": [
                {"address": "user.eve", "until_ms": _AT + 3_600_000},
                {"address": "room.chat:a", "user": "bob"},
            ],
            "next": "Y2hhdDphIGJvYg==",
        },
    ),
    queries.Status: ({"users": ["ann", "carol"]},),
    queries.Statuses: (
        {
            "users": [
                {"user": "ann", "online": True, "connections": 2, "since": _AT},
                {"user": "carol", "online": False, "last_seen": _AT - 60_000},
            ]
        },
    ),
    installation.Overview: ({},),
    installation.Installation: (
        {
            "version": "0.1.0",
            "at": _AT,
            "connections": 3,
            "users": 2,
            "rooms": 2,
            "members": 4,
            "in_rate": 1.5,
            "out_rate": 4.5,
            "error_rate": 0,
            "gateways": 2,
            "gateway_lag_ms": 4,
            "router_lag_ms": 2,
            "waiting": 0,
            "shards": 16,
            "silent_shards": [],
            "broker": "up",
            "routers": [
                {
                    "router": "router-1-5d0c41f2aa",
                    "answers": True,
                    "uptime": 86400,
                    "heard_ms": 210,
                    "speaks": 16,
                    "reads": 16,
                    "behind": 0,
                    "lag_ms": 2,
                    "waiting": 0,
                    "broker": "up",
                    "memory": 71_303_168,
                }
            ],
        },
    ),
    installation.Samples: ({"after": _AT - 4_000},),
    installation.SampleList: (
        {
            "every_ms": 2_000,
            "samples": [
                {
                    "at": _AT,
                    "connections": 3,
                    "users": 2,
                    "rooms": 2,
                    "members": 4,
                    "in_rate": 1.5,
                    "out_rate": 4.5,
                    "error_rate": 0,
                    "gateways": 2,
                    "routers": 1,
                    "gateway_lag_ms": 4,
                    "router_lag_ms": 2,
                    "waiting": 0,
                }
            ],
        },
    ),
    installation.Gateways: ({"limit": 50},),
    installation.GatewaysPage: (
        {
            "gateways": [
                {
                    "gateway": "g1",
                    "uptime": 86400,
                    "heard_ms": 180,
                    "connections": 2,
                    "in_rate": 1.5,
                    "out_rate": 3,
                    "error_rate": 0,
                    "lag_ms": 4,
                    "waiting": 0,
                    "memory": 60_817_408,
                }
            ],
            "next": "ZzE=",
        },
    ),
    installation.ShardList: ({"limit": 16},),
    installation.ShardsPage: (
        {
            "shards": [
                {
                    "shard": 0,
                    "speakers": ["router-1-5d0c41f2aa"],
                    "standbys": [],
                    "offset": 5120,
                    "behind": 0,
                    "rooms": 1,
                    "members": 3,
                    "users": 1,
                }
            ]
        },
    ),
    installation.KeyRights: (
        {
            "name": "support",
            "scopes": [
                {"verb": "overview", "pattern": "*"},
                {"verb": "presence", "pattern": "chat:*"},
                {"verb": "disconnect", "pattern": "@*"},
            ],
            "expires": _AT + 86_400_000,
        },
    ),
    queries.Explain: ({"address": "room.chat:a", "id": "c1-17", "user": "ann"},),
    queries.Explained: (
        {
            "id": "c1-17",
            "address": "room.chat:a",
            "epoch": "k3f9-1",
            "seq": 12,
            "accepted_at": _AT,
            "type": "CHAT",
            "bytes": 16,
            "gateways": [
                {
                    "gateway": "g1",
                    "fed": True,
                    "state": "counted",
                    "seq": 15,
                    "written": 40,
                    "withheld": 1,
                    "expired": 0,
                },
                {
                    "gateway": "g2",
                    "fed": True,
                    "state": "counted",
                    "seq": 15,
                    "written": 12,
                    "withheld": 0,
                    "expired": 0,
                },
            ],
            "written": 52,
            "withheld": 1,
            "expired": 0,
        },
    ),
    problem.Problem: (
        {
            "type": "about:blank",
            "title": "Forbidden",
            "status": 403,
            "detail": "The key has no scope that covers disconnect:@ann.",
            "code": "forbidden",
            "retry": False,
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
        },
    ),
}

EXAMPLES: Final[dict[Struct, tuple[Any, ...]]] = {**_CLIENT, **_SERVER, **_BACKENDS, **_COMMANDS}
