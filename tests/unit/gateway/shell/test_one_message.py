"""A connection that says one message."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.unit.gateway.shell.test_connection import Rig

from gateway.core.client_limits import RateLimits
from gateway.core.client_messages import Acked, Error
from gateway.core.inputs import DrainRequested, EndRequested, Undelivered
from gateway.core.permissions import Identity
from gateway.core.session import Session
from gateway.shell.one_message import NoTransport, OneMessage
from warren import envelope
from warren.envelope import Deliver
from warren.errors import CloseCode, ErrorCode
from warren.namespaces import RateLimit

CHAT = json.dumps({"type": "CHAT", "room": "a", "id": "m"}).encode()
ANN = Identity("ann")


def made(rig: Rig, rate: RateLimit | None = None) -> OneMessage:
    """Return one that has said nothing yet."""
    context = rig.connection._context
    session = Session("g~9", context.session, context.namespaces)
    session.visits(RateLimits(rate))
    assert rig.connection._client is not None
    return OneMessage(session, rig.connection._client, context)


async def said(connection: OneMessage, frame: bytes = CHAT) -> asyncio.Task[Acked | Error]:
    """Have it say something; the answer is to come."""
    saying = asyncio.create_task(connection.say(frame, "m", ANN, 5.0))
    await asyncio.sleep(0)
    return saying


async def test_its_answer_is_the_ack_of_its_message():
    """It joins nothing, leaves nothing, and is nobody's in the end."""
    rig = Rig()
    connection = made(rig)
    saying = await said(connection)
    (published,) = rig.of(envelope.Publish)
    assert (published.room, published.conn, published.user, published.id) == ("a", "g~9", "ann", "m")
    assert rig.hub.find("g~9") is connection
    connection.put(envelope.Ack("g~9", "b", "other", "e", 4))
    assert not saying.done()
    connection.put(envelope.Ack("g~9", "a", "m", "e", 5))
    assert await saying == Acked("m", "a", "e", 5)
    connection.finish()
    assert rig.hub.find("g~9") is None
    assert rig.of(envelope.Join) == rig.of(envelope.Leave) == []


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (Undelivered("m", ErrorCode.UNAVAILABLE), ErrorCode.UNAVAILABLE),
        (envelope.Refused("g~9", "m", "blocked", "no"), ErrorCode.BLOCKED),
        (EndRequested(CloseCode.DRAINING), ErrorCode.DRAINING),
        (EndRequested(CloseCode.OVERLOADED, "why"), ErrorCode.OVERLOADED),
    ],
)
async def test_its_answer_may_be_an_error(item, code: ErrorCode):
    """Without a close: there is nothing to close."""
    connection = made(Rig())
    saying = await said(connection)
    connection.put(DrainRequested(0))
    connection.put(item)
    answer = await saying
    assert isinstance(answer, Error)
    assert (answer.code, answer.close, answer.reconnect) == (code, None, None)
    connection.finish()


async def test_what_is_refused_is_told_at_once():
    """Also beyond the rate, which would close a connection."""
    rig = Rig()
    limits = RateLimit(1, 1_000, policy="close")
    connection = made(rig, limits)
    saying = await said(connection, b'{"type":"CHAT","room":"@bob","id":"m"}')
    answer = await saying
    assert isinstance(answer, Error)
    assert answer.code == ErrorCode.INVALID_ROOM
    connection.put(CHAT)
    connection.finish()
    fast = made(rig, limits)
    fast.session._limits.take(None, 0.0)
    fast.session._limits._buckets[None]._full_at = 1e12  # type: ignore[index]
    answer = await (await said(fast))
    assert isinstance(answer, Error)
    assert (answer.code, answer.retry) == (ErrorCode.RATE_LIMITED, True)
    fast.finish()


async def test_silence_has_an_end():
    """Nobody knows what became of it."""
    connection = made(Rig())
    answer = await connection.say(CHAT, "m", ANN, 0.01)
    assert isinstance(answer, Error)
    assert (answer.code, answer.ref, answer.retry) == (ErrorCode.UNAVAILABLE, "m", True)
    connection.put(envelope.Ack("g~9", "a", "m", "e", 5))
    connection.finish()


async def test_what_comes_for_everyone_is_thrown_away():
    """It is among the members of the hub meanwhile, and holds nothing."""
    rig = Rig()
    connection = made(rig)
    saying = await said(connection)
    for number in range(5):
        rig.hub.tell(["g~9"], Deliver("*", "", 0, "NOTIFICATION", b"%d" % number, 1))
        connection.flush()
    assert connection.outbox.idle
    connection.tick(1e9)
    assert not saying.done()
    saying.cancel()
    connection.finish()


def test_its_transport_takes_all_and_does_nothing():
    """Until it ends."""
    transport = NoTransport(1.0)
    assert transport.holding() is None
    transport.close(1000, "")
    assert transport.ended
    assert transport.finish()
    assert transport.finished(0.0)
