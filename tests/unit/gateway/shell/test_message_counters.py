"""What messages are called in counters."""

from __future__ import annotations

import json
import typing

from gateway.core import client_messages, codec_json
from gateway.core.permissions import Identity
from gateway.core.session import Session, SessionConfig
from gateway.shell.message_counters import kind_of, name_of
from warren.clock import SystemClock
from warren.errors import ErrorCode
from warren.namespaces import Namespaces


def test_every_server_message_has_a_name():
    """Each kind of message to a client is counted under the type that the protocol gives it."""
    samples = (
        client_messages.Welcome("g~1", "ann", 1, (), 1, 1, 1, 1),
        client_messages.Joined("r", "e", 1, False),
        client_messages.Left("r"),
        client_messages.Acked("m", "r"),
        client_messages.Pong(),
        client_messages.Authenticated(),
        client_messages.History("r", ()),
        client_messages.Dropped("r", 1),
        client_messages.Degraded(),
        client_messages.Restored(),
        client_messages.Reconnect(1),
        client_messages.error(ErrorCode.INTERNAL, "x"),
    )
    assert {type(sample) for sample in samples} == set(typing.get_args(client_messages.ServerMessage))
    for sample in samples:
        assert name_of(sample) == json.loads(codec_json.encode(sample, 1))["type"]


def test_client_messages_are_told_apart():
    """What a client said is known from what the session asks for; what it may not say is ``refused``."""
    clock = SystemClock()
    session = Session("g~1", SessionConfig(rate=None), Namespaces())
    session.open(Identity("ann"), clock.monotonic(), clock.wall_us())

    def kind(text: str) -> str:
        asked = session.receive(text, clock.monotonic(), clock.wall_us())
        return kind_of(asked[0] if asked else None)

    assert kind('{"type": "CHAT"}') == "CHAT"
    assert kind('{"type": "my.own"}') == "my.own"
    assert kind('{"type": "JOIN", "room": "x"}') == "JOIN"
    assert kind('{"type": "HISTORY", "room": "x"}') == "HISTORY"
    assert kind('{"type": "LEAVE", "room": "x"}') == "LEAVE"
    assert kind('{"type": "PING"}') == "PING"
    assert kind('{"type": "AUTH", "payload": {"token": "t"}}') == "AUTH"
    assert kind("{") == "unreadable"
    assert kind('{"type": "WELCOME"}') == "refused"
