"""One client's connection, on a transport that is a list."""

from __future__ import annotations

import asyncio
import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.cost import lines
from tests.support.eventually import eventually
from tests.support.gateways import logged

from gateway.core import actions
from gateway.core.actions import Consult
from gateway.core.broker_presence import BrokerPresence
from gateway.core.client_limits import OutboxLimits
from gateway.core.error_rate_limit import ANSWERS
from gateway.core.held_leaves import HeldLeaves
from gateway.core.history_read_limit import ESTIMATE_BYTES, ReadLimits
from gateway.core.hook_desk import Allowed, Denied, Undecided
from gateway.core.hook_messages import HookAnswer
from gateway.core.hook_waits import BEHIND_MAX
from gateway.core.hub import Hub
from gateway.core.inputs import (
    BrokerChanged,
    HookDecided,
    PresenceRead,
    Rejoin,
    RequestAccepted,
    RequestFailed,
    Responded,
    TokenAccepted,
    Undelivered,
)
from gateway.core.outbox import Outbox, Put
from gateway.core.part_window import WAITING_MAX
from gateway.core.permissions import Identity
from gateway.core.session import Session, SessionConfig
from gateway.core.websocket.frames import JSON
from gateway.shell.auth import Refusal
from gateway.shell.client_publisher import ClientPublisher
from gateway.shell.connection import LOOK_AGAIN_S, ClientInfo, Connection, GatewayContext
from gateway.shell.leaving import Leaving
from gateway.shell.websocket_transport import WebSocketViolation
from warren import envelope
from warren.address import shard_of
from warren.clock import SystemClock
from warren.errors import CloseCode, ErrorCode, Overloaded, WarrenError
from warren.metrics import GatewayMetrics
from warren.namespaces import Namespaces, PresencePolicy, RoomPolicy
from warren.position import Position
from warren.services import ServicePolicy
from warren.telemetry import Tracing

SHARDS = 4


class ListTransport:
    """A transport that reads from a list and writes to one."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.written: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.heard = False
        self.paused = False
        self.bytes_in = self.bytes_out = self.messages_out = self.close_code = self.pings = 0
        self.lingered = self.resting = self.is_known = self.holds = False
        self.since = 0.0
        self.rests: list[float] = []
        self.work: list[float] = []
        self.rested = asyncio.Event()
        self.kept = 0

    def keep(self, size: int) -> None:
        self.kept = size

    def worked(self, seconds: float) -> None:
        self.work.append(seconds)

    def put(self, chunk: bytes) -> Put:
        return self.outbox.put(chunk)

    def known(self) -> None:
        self.is_known = True

    def check(self) -> None:
        pass

    def hold(self) -> None:
        self.holds = True

    @property
    def ended(self) -> bool:
        return self.closed is not None

    @property
    def quiet(self) -> bool:
        return not self.resting and not self.ended

    async def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        if self.ended:
            return
        self.resting = True
        await self.rested.wait()
        self.rested.clear()
        self.resting = False

    def end_rest(self) -> None:
        self.rested.set()

    async def read(self) -> Any:
        item = await self.incoming.get()
        if isinstance(item, Exception):
            raise item
        return item

    def flush(self) -> None:
        if not self.paused and self.closed is None:
            self.messages_out += self.outbox.count
            self.written += self.outbox.take(1_000_000)

    def over(self) -> None:
        self.close_code = self.close_code or 1006

    def close(self, code: int, reason: str, *, last_words: bytes = b"") -> None:
        if self.closed is None:
            self.written += [*self.outbox.take(1_000_000), last_words]
            self.closed, self.close_code = (code, reason), code
            self.rested.set()
            self.outbox.discard()

    def ping(self) -> None:
        self.pings += 1

    def tick(self, now: float) -> None:
        pass

    def cut(self) -> None:
        self.close(1006, "")

    async def fail(self, violation: WebSocketViolation) -> None:
        self.lingered = True

    def messages(self) -> list[dict[str, Any]]:
        """Return what was written, parsed (JSON frames, not compressed)."""
        data, found = b"".join(self.written), []
        while data:
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            found.append(json.loads(data[start : start + size]))
            data = data[start + size :]
        return found


class ListUplink:
    """An uplink that is a list."""

    def __init__(self) -> None:
        self.sent: list[envelope.Envelope] = []
        self.error: WarrenError | None = None
        self.takes_joins = True
        self.places = 1_000  # for joins
        self.takes_leaves = True
        self.full = False
        self.placed = asyncio.Event()
        self.placing = 0  # who waits for place
        self.unsent_ids: dict[str, list[str]] = {}  # room ▶ the ids of what waits

    def unsent(self, conn: str) -> set[str]:
        assert conn == "g~1"
        return set(self.unsent_ids)

    def withdraw(self, conn: str, room: str) -> list[str]:
        assert conn == "g~1"
        return self.unsent_ids.pop(room)

    def publish(self, up: envelope.Publish, shard: int, hop: object = None) -> WarrenError | None:
        if self.error is None:
            self.sent.append(up)
        return self.error

    def join(self, up: envelope.Join, shard: int, *, first: bool = False) -> bool:
        taken = self.takes_joins and self.places > 0
        if taken:
            self.places -= 1
            self.sent.append(up)
        return taken

    def leave(self, up: envelope.Leave, shard: int) -> bool:
        if self.takes_leaves:
            self.sent.append(up)
        return self.takes_leaves

    def crowded(self, shard: int) -> bool:
        return self.full

    async def place(self, shard: int) -> None:
        self.placing += 1
        try:
            await self.placed.wait()
        finally:
            self.placing -= 1


class ListReads:
    """Room reads that are a list."""

    def __init__(self) -> None:
        self.asked: list[envelope.HistoryQuery] = []
        self.gone: list[tuple[str, str]] = []

    def history(self, query: envelope.HistoryQuery, shard: int) -> None:
        self.asked.append(query)

    def left(self, room: str, conn: str) -> None:
        self.gone.append((room, conn))


class ListRequests:
    """What services are asked, as a list; ``put`` is how its connection hears of it."""

    def __init__(self) -> None:
        self.asked: list[actions.Request] = []
        self.cancelled: list[str] = []
        self.put: Any = None

    def ask(self, conn: str, action: actions.Request, put: Any) -> None:
        self.asked.append(action)
        self.put = put

    def cancel(self, conn: str, ref: str) -> None:
        self.cancelled.append(ref)


class ListPresence:
    """The presence of rooms that is a list."""

    def __init__(self) -> None:
        self.did: list[tuple[Any, ...]] = []
        self.gone: list[str] = []
        self.takes = True

    def watch(self, room: str, shard: int, conn: str, *, contact: bool) -> bool:
        self.did.append(("watch", room, contact))
        return self.takes

    def unwatch(self, room: str, conn: str, *, contact: bool) -> None:
        self.did.append(("unwatch", room, contact))

    def inform(self, up: envelope.Inform, shard: int) -> bool:
        self.did.append(("inform", up.room, up.info))
        return self.takes

    def ask(self, query: envelope.PresenceQuery, shard: int, digest: str) -> None:
        self.did.append(("ask", query.room, query.ref, digest))

    def saw(self, up: envelope.Seen, shard: int) -> None:
        self.did.append(("saw", up.room, up.seq))

    def left(self, room: str, conn: str) -> None:
        self.gone.append(room)


def at_once(uplink: Any) -> Leaving:
    """Return the leaves of closed connections, none of which is held."""
    return Leaving(HeldLeaves(0.0), uplink, SystemClock(), GatewayMetrics())


class Rig:
    """A connection and all around it."""

    def __init__(
        self,
        *,
        token: str = "",
        anonymous: bool = True,
        outbox: OutboxLimits | None = None,
        namespaces: Namespaces | None = None,
    ) -> None:
        namespaces = namespaces or Namespaces(services=[ServicePolicy("*")])
        self.hub, self.uplink, self.metrics = Hub(), ListUplink(), GatewayMetrics()
        self.reads, self.presence, self.requests = ListReads(), ListPresence(), ListRequests()
        self.transport = ListTransport(Outbox(outbox or OutboxLimits()))
        self.checked: list[str] = []

        async def check(token: str) -> Identity:
            self.checked.append(token)
            if token == "bad":
                raise Refusal("signature", "the token's signature does not hold")
            name, _, rooms = token.partition(" ")
            return Identity(name, publish=tuple(rooms.split(",")) if rooms else None)

        config = SessionConfig(rate=None, shards=SHARDS)
        context = GatewayContext(
            self.hub,
            self.uplink,  # type: ignore[arg-type]
            ClientPublisher(self.uplink, Tracing("gateway")),  # type: ignore[arg-type]
            self.requests,  # type: ignore[arg-type]
            self.reads,  # type: ignore[arg-type]
            self.presence,  # type: ignore[arg-type]
            at_once(self.uplink),
            BrokerPresence("g", SHARDS, 0.0),
            SimpleNamespace(anonymous=anonymous, guest=Identity, check=check),  # type: ignore[arg-type]
            SystemClock(),
            self.metrics,
            config,
            namespaces,
        )
        session = Session("g~1", config, namespaces)
        client = ClientInfo("192.0.2.1", "", "warren.v1", token, "ann")
        self.connection = Connection(session, self.transport, JSON, client, context)  # type: ignore[arg-type]

    async def run(self, *incoming: Any) -> None:
        """Run the connection over these messages to its end."""
        for item in (*incoming, None):
            self.transport.incoming.put_nowait(item)
        await asyncio.wait_for(self.connection.run(), 5)
        self.connection.finish()

    def say(self, type: str, **fields: Any) -> str:  # noqa: A002
        return json.dumps({"type": type, **fields})

    def of(self, kind: type) -> list[Any]:
        return [item for item in self.uplink.sent if isinstance(item, kind)]


async def test_what_a_client_asks_for_is_done_in_order():
    """WELCOME and the joins at connect come first, then each message does what the session says; at the end
    all rooms are left.
    """
    rig = Rig()
    await rig.run(
        rig.say("JOIN", room="x", id="j"),
        rig.say("CHAT", room="x", payload=1, id="m"),
        rig.say("PING", id="p"),
    )
    assert [join.room for join in rig.of(envelope.Join)] == ["default", "@ann", "x"]
    (publish,) = rig.of(envelope.Publish)
    assert (publish.room, publish.payload, publish.id, publish.user) == ("x", b"1", "m", "ann")
    left = [room for leave in rig.of(envelope.Leave) for room in leave.rooms]
    assert sorted(left) == ["@ann", "default", "x"]
    assert len(rig.of(envelope.Leave)) == len({shard_of(room, SHARDS) for room in left})
    assert [message["type"] for message in rig.transport.messages()] == ["WELCOME", "PONG"]
    assert rig.hub.connections == 0


async def test_answers_are_told():
    """A Joined tells the client, a Left that nobody asked for takes it out of the hub too."""
    rig = Rig()
    running = asyncio.create_task(rig.connection.run())
    await asyncio.sleep(0)
    rig.hub.join("default", "g~1", Position("e", 7))
    rig.connection.put(envelope.Joined("g~1", "default", Position("e", 7), False, ref="~1"))
    rig.connection.put(envelope.Left("g~1", "default"))
    assert rig.hub.members("default") == ()
    assert [message["type"] for message in rig.transport.messages()] == ["WELCOME", "JOINED", "LEFT"]
    rig.transport.incoming.put_nowait(None)
    await running
    rig.connection.finish()


async def test_what_is_seen_and_what_becomes_of_messages_is_told():
    """SEEN goes to the presence of rooms, before the room is left; a RECEIPT comes to its sender."""
    rig = Rig(namespaces=Namespaces([RoomPolicy("p", "*p:*", receipts="seen")]))
    running = asyncio.create_task(rig.connection.run())
    await asyncio.sleep(0)
    rig.say("JOIN", room="p:1", id="j")
    for frame in (
        rig.say("JOIN", room="p:1", id="j"),
        rig.say("SEEN", room="p:1", payload={"epoch": "e", "seq": 4}),
        rig.say("CHAT", room="p:1", id="m", receipt="written", payload=1),
        rig.say("LEAVE", room="p:1", id="l"),
    ):
        rig.connection.put(frame)
    rig.connection.put(envelope.Receipt("m", "p:1", "e", 5, False, 1, 1, 1, conn="g~1", level=2))
    assert rig.presence.did == [("saw", "p:1", 4)]
    assert rig.presence.gone == ["p:1"]
    assert rig.of(envelope.Publish)[0].receipt == 2
    told = [message for message in rig.transport.messages() if message["type"] == "RECEIPT"]
    assert [(each["ref"], each["payload"]) for each in told] == [
        ("m", {"level": "written", "complete": True})
    ]
    rig.transport.incoming.put_nowait(None)
    await running
    rig.connection.finish()


async def test_a_token_is_checked_before_anything_more_is_read():
    """AUTH is checked before the next message is taken; a token that does not hold closes and is counted."""
    rig = Rig(anonymous=False)
    await rig.run(rig.say("AUTH", payload={"token": "bob"}), rig.say("CHAT", payload=1))
    assert rig.checked == ["bob"]
    assert rig.of(envelope.Publish)[0].user == "bob"
    bad = Rig(anonymous=False, token="bad")
    await bad.run(bad.say("CHAT", payload=1))
    assert bad.transport.closed == (4001, "Unauthorized")
    assert bad.uplink.sent == []
    assert b'auth_failures_total{reason="signature"} 1.0' in bad.metrics.render()[0]


async def test_a_narrower_token_takes_back_what_waits():
    """Of the rooms that it does not let publish to, behind AUTHENTICATED and each with an ERROR."""
    rig = Rig(anonymous=False, token="ann")
    rig.uplink.unsent_ids = {"default": ["m1", "m2"], "x": ["m3"]}
    await rig.run(rig.say("AUTH", payload={"token": "ann x"}, id="a"))
    assert rig.uplink.unsent_ids == {"x": ["m3"]}
    said = [message for message in rig.transport.messages() if message["type"] != "WELCOME"]
    assert [(message["type"], message["ref"]) for message in said] == [
        ("AUTHENTICATED", "a"),
        ("ERROR", "m1"),
        ("ERROR", "m2"),
    ]
    assert {message["payload"].get("code") for message in said[1:]} == {"forbidden"}


async def test_a_refused_message_is_told_its_sender():
    """Where the uplink has no place the sender gets ERROR with retry under the message's id; a late failure
    likewise.
    """
    rig = Rig()
    rig.uplink.error = Overloaded("full")
    await rig.run(rig.say("CHAT", room="default", payload=1, id="m"))
    error = rig.transport.messages()[-1]
    assert (error["ref"], error["payload"]["code"], error["payload"]["retry"]) == ("m", "overloaded", True)
    late = Rig()
    running = asyncio.create_task(late.connection.run())
    await asyncio.sleep(0)
    late.connection.put(Undelivered("m", ErrorCode.UNAVAILABLE))
    assert late.transport.messages()[-1]["payload"]["code"] == "unavailable"
    late.transport.incoming.put_nowait(None)
    await running


async def test_a_crowded_shard_holds_its_publisher():
    """While a shard is crowded the connection that has published to it is not read, and is not taken for
    dead.
    """
    rig = Rig()
    rig.uplink.full = True
    for number in range(2):
        rig.transport.incoming.put_nowait(rig.say("CHAT", room="default", payload=number))
    running = asyncio.create_task(rig.connection.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert rig.connection.held
    assert len(rig.of(envelope.Publish)) == 1
    for now in (40.0, 80.0, 120.0):  # far beyond two heartbeats without a pong
        rig.connection.tick(SystemClock().monotonic() + now)
    assert rig.transport.closed is None
    rig.uplink.placed.set()
    rig.transport.incoming.put_nowait(None)
    await asyncio.wait_for(running, 5)
    assert len(rig.of(envelope.Publish)) == 2
    assert not rig.connection.held


async def test_who_vanishes_while_its_shard_is_crowded_leaves_its_rooms_at_once():
    """The end of the connection is what it waits for too: no place is kept for who has gone, however long the
    broker takes.
    """
    rig = Rig()
    rig.uplink.full = True
    rig.transport.incoming.put_nowait(rig.say("CHAT", room="default", payload=1))
    rig.transport.incoming.put_nowait(None)
    running = asyncio.create_task(rig.connection.run())
    await eventually(lambda: rig.connection.held)
    await eventually(lambda: rig.uplink.placing == 1)
    rig.transport.close(1006, "")
    rig.transport.end_rest()  # as its socket's end does
    await asyncio.wait_for(running, 5)
    rig.connection.finish()
    assert rig.hub.connections == 0
    await eventually(lambda: rig.uplink.placing == 0)


async def test_what_a_message_cost_is_the_threads_time_not_the_walls():
    """Who sends while the machine is busy with others does not pay for that."""
    rig = Rig()
    clock = rig.connection._context.clock
    took = iter([10.0, 10.25])
    wall = iter(range(1_000_000))
    object.__setattr__(
        rig.connection._context,
        "clock",
        SimpleNamespace(
            monotonic=lambda: float(next(wall)), wall_us=clock.wall_us, thread=lambda: next(took)
        ),
    )
    await rig.run(rig.say("PING"))
    assert rig.transport.work == [0.25]


async def test_a_shard_is_joined_again():
    """The rooms that it is in from where it stands there, and the JOINs that are not answered as they were;
    nothing of other shards. And it is asked whether the connection may stay.
    """
    rig = Rig()
    for message in (
        rig.say("JOIN", room="a", id="1"),
        rig.say("JOIN", room="b", id="2"),
        rig.say("LEAVE", room="b"),
    ):
        rig.transport.incoming.put_nowait(message)
    rig.transport.incoming.put_nowait(rig.say("JOIN", room="c", id="3"))
    running = asyncio.create_task(rig.connection.run())
    await asyncio.sleep(0)
    rig.hub.join("default", "g~1", Position("e", 7))
    rig.connection.put(envelope.Joined("g~1", "default", Position("e", 7), False, ref="~1"))
    rig.connection.put(envelope.Refused("g~1", "3", "forbidden", "no"))
    before = len(rig.uplink.sent)
    for shard in range(SHARDS):
        rig.connection.put(Rejoin(shard))
    again = {join.room: (join.ref, join.since) for join in rig.uplink.sent[before:]}
    assert again == {
        "@ann": ("~2", None),
        "a": ("1", None),
        "default": ("~3", Position("e", 7)),
        "g~1": ("~!", None),
    }
    assert len(rig.uplink.sent[before:]) == 4
    rig.transport.incoming.put_nowait(None)
    await running


async def test_a_history_is_asked_of_the_room_reads():
    """And the room reads are told which rooms it has left: by LEAVE, and at the end."""
    rig = Rig()
    for room in ("default", "a"):
        rig.transport.incoming.put_nowait(rig.say("JOIN", room=room, id=room))
    running = asyncio.create_task(rig.connection.run())
    await asyncio.sleep(0)
    for room in ("default", "a"):
        rig.hub.join(room, "g~1", Position("e", 7))
    rig.transport.incoming.put_nowait(rig.say("HISTORY", room="a", id="h"))
    rig.transport.incoming.put_nowait(rig.say("LEAVE", room="a"))
    rig.transport.incoming.put_nowait(None)
    await running
    rig.connection.finish()
    assert rig.reads.asked == [envelope.HistoryQuery("a", "g~1", "h", 0, 50)]
    assert [room for room, _ in rig.reads.gone][:4] == ["a", "*", "default", "@ann"]


async def test_what_is_withheld_is_counted_and_told():
    """By a tick, and at the end; the client reads DROPPED before what comes next."""
    rig = Rig(outbox=OutboxLimits(4, 10_000, 5_000))
    rig.connection.put(TokenAccepted(Identity("ann")))
    rig.transport.written.clear()
    rig.transport.paused, outbox = True, rig.transport.outbox
    outbox.put(b"\x81\x02{}")
    for seq in range(1, 6):
        outbox.put_lossy(b"\x81\x02[]", 1, "t", seq)
    outbox.put_lossy(b"\x81\x02[]", 1, "t", 6, "k")
    outbox.put_lossy(b"\x81\x02[]", 1, "t", 7, "k")
    rig.connection.tick(SystemClock().monotonic())
    exposition = rig.metrics.render()[0]
    assert b'drops_total{reason="slow_oldest"} 3.0' in exposition
    assert b'drops_total{reason="slow_latest"} 1.0' in exposition
    rig.transport.paused = False
    rig.transport.flush()
    told, *rest = rig.transport.messages()
    assert (told["type"], told["room"], told["payload"]) == ("DROPPED", "t", {"count": 4, "seq": 6})
    assert rest == [{}, [], [], []]


async def test_a_join_without_place_ends_the_connection():
    """A join that finds no place closes with 1013: the client had better try another pod."""
    rig = Rig()
    rig.uplink.takes_joins = False
    await rig.run()
    assert rig.transport.closed == (1013, "Overloaded")


async def test_a_join_that_found_no_place_is_not_left():
    """No router has heard of it, and a leave would find no place either; no more is a join that was not tried
    behind it.
    """
    rig = Rig()
    rig.uplink.places = 1
    await rig.run()
    assert [up.room for up in rig.of(envelope.Join)] == ["default"]
    assert [leave.rooms for leave in rig.of(envelope.Leave)] == [("default",)]
    assert rig.transport.closed == (1013, "Overloaded")


async def test_a_room_that_was_held_is_left_though_its_next_join_found_no_place():
    """A router holds the connection in it."""
    rig = Rig()
    rig.uplink.places = 3
    await rig.run(rig.say("JOIN", room="r", id="1"), rig.say("JOIN", room="r", id="2"))
    assert sorted(room for leave in rig.of(envelope.Leave) for room in leave.rooms) == [
        "@ann",
        "default",
        "r",
    ]
    assert rig.transport.closed == (1013, "Overloaded")


async def test_who_ends_while_it_joins_leaves_behind_its_joins():
    """Or it would stay in the log as a member that nobody is: here what is said behind WELCOME finds no place
    on its outbox.
    """
    rig = Rig(outbox=OutboxLimits(count=1))
    rig.transport.paused = True
    rig.connection.put(BrokerChanged(False))
    await rig.run()
    assert rig.transport.close_code == CloseCode.TOO_SLOW
    assert [type(up) for up in rig.uplink.sent] == [envelope.Join] * 2 + [envelope.Leave] * 2


async def test_a_leave_that_is_not_sent_is_answered_here():
    """It has taken back a JOIN that no router has heard of; one without an id is told as always."""
    rig = Rig()
    rig.uplink.takes_leaves = False
    await rig.run(rig.say("JOIN", room="r", id="j"), rig.say("LEAVE", room="r", id="l"))
    [told] = [said for said in rig.transport.messages() if said["type"] == "LEFT"]
    assert (told["room"], told["ref"]) == ("r", "l")


async def test_a_slow_reader_hears_why():
    """When the outbox is full the connection is closed with 4005, and the ERROR goes although nothing else
    does.
    """
    rig = Rig(outbox=OutboxLimits(2, 10_000, 5_000))
    rig.transport.paused = True
    await rig.run(*(rig.say("PING", id=str(number)) for number in range(5)))
    assert rig.transport.closed == (4005, "Too slow")
    assert [message["payload"]["code"] for message in rig.transport.messages()] == ["too_slow"]
    assert b"slow_disconnects_total 1.0" in rig.metrics.render()[0]


@pytest.mark.parametrize(
    ("violation", "closed", "told"),
    [
        (WebSocketViolation(1009, "big"), (4003, "Message too large"), True),
        (WebSocketViolation(1007, "Invalid UTF-8"), (1007, "Invalid UTF-8"), False),
        (WebSocketViolation(4002, "More than 100"), (4002, "Rate limit exceeded"), False),
    ],
)
async def test_a_violation_is_closed_and_lingers(violation, closed, told):
    """Too much is 4003 with an ERROR before it, a broken frame its own code; then the peer may read it."""
    rig = Rig()
    await rig.run(violation)
    assert (rig.transport.closed, rig.transport.lingered) == (closed, True)
    assert ("message_too_large" in str(rig.transport.messages())) is told
    assert rig.hub.connections == 0


async def test_a_fault_of_ours_ends_one_connection(caplog):
    """An exception that nobody expected is logged, and the client gets ERROR internal and 1011."""
    rig = Rig()
    await rig.run(RuntimeError("a bug"))
    assert rig.transport.closed == (1011, "Internal error")
    assert rig.transport.messages()[-1]["payload"]["code"] == "internal"
    assert "a bug" not in str(rig.transport.messages())
    assert logged(caplog.records, "connection_failed")


async def test_a_fault_in_an_answer_ends_one_connection_and_nobody_else(caplog):
    """Whoever brought the answer hears nothing of it, and what came meanwhile is not handled twice."""
    rig = Rig()
    running = asyncio.create_task(rig.connection.run())
    await asyncio.sleep(0)
    rig.connection._reads = SimpleNamespace(close=lambda now: None)  # type: ignore[assignment]
    rig.connection.put(envelope.HistoryPage("g~1", "default", "h", (), False))
    assert rig.transport.closed == (1011, "Internal error")
    assert rig.hub.connections == 0
    assert logged(caplog.records, "connection_failed")
    rig.transport.incoming.put_nowait(None)
    await running
    rig.connection.finish()
    assert len([left for leave in rig.of(envelope.Leave) for left in leave.rooms]) == 2


async def test_what_can_not_be_closed_in_order_is_cut():
    """A fault in the close itself leaves no socket open."""
    rig = Rig()
    running = asyncio.create_task(rig.connection.run())
    await asyncio.sleep(0)
    rig.transport.put = None  # type: ignore[method-assign, assignment]
    rig.connection.put(envelope.Dismissed("g~1", 4006))
    assert rig.transport.close_code == 1006
    rig.transport.incoming.put_nowait(None)
    await running
    rig.connection.finish()
    assert rig.hub.connections == 0


async def test_an_input_that_comes_while_another_is_handled_waits_for_its_end():
    """Here the answer to HISTORY is at hand at once, as from the gateway's memory."""
    rig, handled = Rig(), []
    running = asyncio.create_task(rig.connection.run())
    await asyncio.sleep(0)
    rig.hub.join("default", "g~1", Position("e", 7))

    def history(query: envelope.HistoryQuery, shard: int) -> None:
        rig.connection.put(envelope.HistoryPage("g~1", query.room, query.ref, (), False))
        handled.append([said["type"] for said in rig.transport.messages()])

    rig.reads.history = history  # type: ignore[method-assign]
    rig.transport.incoming.put_nowait(rig.say("HISTORY", room="default", id="h"))
    rig.transport.incoming.put_nowait(None)
    await running
    rig.connection.finish()
    assert handled == [["WELCOME"]]
    assert [said["type"] for said in rig.transport.messages()] == ["WELCOME", "HISTORY"]


async def test_ending_twice_leaves_once(caplog):
    """However a connection ends, its rooms are left once and one line says so."""
    caplog.set_level(logging.INFO)
    rig = Rig()
    running = asyncio.create_task(rig.connection.run())
    await asyncio.sleep(0)
    rig.connection.end(CloseCode.DISCONNECTED)
    rig.connection.end(CloseCode.DRAINING)
    rig.connection.put(BrokerChanged(False))
    rig.connection.put(Rejoin(0))
    rig.transport.incoming.put_nowait(None)
    await running
    rig.connection.finish()
    rooms = [room for leave in rig.of(envelope.Leave) for room in leave.rooms]
    assert sorted(rooms) == ["@ann", "default"]
    assert [line["code"] for line in logged(caplog.records, "ws_disconnect")] == [4006]


async def test_the_time_for_a_token_begins_with_the_connection():
    """A tick that comes before the connection's task has had its turn ends nothing; one after the time for a
    token does.
    """
    rig = Rig(anonymous=False)
    now = rig.connection._context.clock.monotonic()
    rig.connection.tick(now)
    assert rig.transport.closed is None
    rig.connection.tick(now + SessionConfig().auth_timeout_ms / 1_000 + 1)
    assert rig.transport.closed == (4001, "Unauthorized")


async def test_a_tick_of_who_is_idle_costs_next_to_nothing():
    """Nothing is looked into until a ping is due; a sign of life that came meanwhile counts then."""
    rig = Rig()
    rig.connection.put(TokenAccepted(Identity("ann")))
    heartbeat = SessionConfig().heartbeat_ms / 1_000
    now = SystemClock().monotonic()
    assert lines(lambda: rig.connection.tick(now + heartbeat - 1)) < 15
    assert lines(lambda: rig.connection.tick(now + heartbeat + 1)) > 15
    assert rig.transport.pings == 1
    rig.transport.heard = True  # the pong
    rig.connection.tick(now + heartbeat + 2)
    rig.connection.tick(now + 2 * heartbeat + 2)
    assert (rig.transport.pings, rig.transport.closed) == (2, None)
    rig.connection.tick(now + 3 * heartbeat + 3)
    assert rig.transport.closed == (4004, "Heartbeat missed")


async def test_who_sends_only_what_is_refused_is_left_unread():
    """After the first few answers the connection rests before it reads the next message."""
    rig = Rig()
    for frame in ["?"] * (ANSWERS + 1) + [rig.say("PING")]:
        rig.transport.incoming.put_nowait(frame)
    running = asyncio.create_task(rig.connection.run())
    await eventually(lambda: rig.transport.resting)
    assert rig.transport.rests == [pytest.approx(0.125, abs=0.05)]
    assert rig.transport.incoming.qsize() == 1
    rig.connection.tick(SystemClock().monotonic() + 29)
    rig.connection.tick(SystemClock().monotonic() + 70)
    assert rig.transport.closed is None  # it can't be heard, so it is not taken for dead
    rig.transport.incoming.put_nowait(None)
    rig.transport.end_rest()
    await asyncio.wait_for(running, 5)
    rig.connection.finish()


async def test_who_has_read_too_much_is_left_unread_until_answers_come_or_time_passes():
    """A question beyond the allowance holds the connection back; an answer to an earlier one lets
    it go on.
    """
    rig = Rig()
    most, since = ReadLimits().bytes // ESTIMATE_BYTES, {"since": {"epoch": "e", "seq": 1}}
    for number in range(most + 2):
        rig.transport.incoming.put_nowait(rig.say("JOIN", room=f"r{number}", id=f"h{number}", payload=since))
    running = asyncio.create_task(rig.connection.run())
    await eventually(lambda: rig.transport.resting)
    asked = len([join for join in rig.of(envelope.Join) if join.since])
    assert asked == most + 1
    rig.connection.put(envelope.Joined("g~1", "r0", Position("e", 1), True, ref="h0"))
    await eventually(lambda: len([join for join in rig.of(envelope.Join) if join.since]) == most + 2)
    rig.connection.charge(10 * ReadLimits().bytes)
    rig.transport.incoming.put_nowait(rig.say("PING"))
    rig.connection.put(envelope.Joined("g~1", "r1", Position("e", 1), True, ref="h1"))
    await eventually(lambda: max(rig.transport.rests) == LOOK_AGAIN_S)  # and it asks again then
    rig.connection.end(CloseCode.DRAINING)
    rig.transport.end_rest()  # as the transport does when it is shut
    rig.transport.incoming.put_nowait(None)
    await asyncio.wait_for(running, 5)
    rig.connection.finish()


async def test_a_client_is_known_once_its_token_was_checked_and_unread_until_then():
    """The small limits before are lifted then, and what it sends ahead waits at its side."""
    rig = Rig(anonymous=False, token="ann")
    await rig.run()
    assert (rig.transport.holds, rig.transport.is_known) == (True, True)
    bad = Rig(anonymous=False, token="bad")
    await bad.run()
    assert (bad.transport.holds, bad.transport.is_known) == (True, False)
    free = Rig()
    await free.run()
    assert (free.transport.holds, free.transport.is_known) == (False, True)


@pytest.mark.parametrize(
    ("violation", "closed", "says"),
    [
        (
            WebSocketViolation(1009, "more than 9 bytes", 9),
            (4003, "Message too large"),
            "More than 9 bytes before the token was checked",
        ),
        (WebSocketViolation(4001, "More than 9 bytes"), (4001, "Unauthorized"), "More than 9 bytes"),
        (WebSocketViolation(4002, "More than 9 pings"), (4002, "Rate limit exceeded"), "More than 9 pings"),
    ],
)
async def test_who_sends_more_than_it_may_is_told_what(
    violation: WebSocketViolation, closed: tuple[int, str], says: str
):
    """Each with its code, and the limit in words."""
    rig = Rig(anonymous=False)
    await rig.run(violation)
    assert rig.transport.closed == closed
    assert rig.transport.messages()[-1]["payload"]["message"] == says
    assert rig.transport.lingered


async def asking(rig: Rig, *refs: str) -> asyncio.Task[None]:
    """Return the running connection of a client that has asked a service so many things."""
    running = asyncio.create_task(rig.connection.run())
    for ref in refs:
        rig.transport.incoming.put_nowait(rig.say("REQUEST", id=ref, service="s"))
    await eventually(lambda: [asked.ref for asked in rig.requests.asked] == list(refs))
    rig.transport.written.clear()
    return running


async def gone(rig: Rig, running: asyncio.Task[None]) -> None:
    rig.transport.incoming.put_nowait(None)
    await running
    rig.connection.finish()


async def test_what_comes_of_a_request_is_told_once():
    """An answer, parts of one, that it is on its way, or why there is none."""
    rig = Rig()
    running = await asking(rig, "a", "b", "c", "d")
    for said in (
        Responded("a", b"1", False, 1, False),
        Responded("a", b"2", False, 2, False),
        Responded("b", b"1", False, 1, True),
        Responded("b", b"\0", True, 2, False),
        RequestAccepted("c"),
        RequestAccepted("c"),
        RequestFailed("d", ErrorCode.UNAVAILABLE, "?", 250),
        RequestFailed("d", ErrorCode.TIMEOUT, "?"),
    ):
        rig.requests.put(said)
    keys = ("type", "ref", "payload", "n", "more", "encoding")
    told = [{key: value for key, value in one.items() if key in keys} for one in rig.transport.messages()]
    assert told == [
        {"type": "RESPONSE", "ref": "a", "payload": 1},
        {"type": "RESPONSE", "ref": "b", "payload": 1, "n": 1, "more": True},
        {"type": "RESPONSE", "ref": "b", "payload": "AA==", "n": 2, "encoding": "base64"},
        {"type": "ACCEPTED", "ref": "c"},
        {
            "type": "ERROR",
            "ref": "d",
            "payload": {"code": "unavailable", "message": "?", "retry": True, "retry_after_ms": 250},
        },
    ]
    assert rig.requests.cancelled == []
    await gone(rig, running)
    assert rig.requests.cancelled == []


async def test_a_client_that_goes_cancels_what_it_has_asked():
    """What is answered by then is not."""
    rig = Rig()
    running = await asking(rig, "a", "b", "c")
    rig.requests.put(Responded("b", b"1", False, 1, False))
    await gone(rig, running)
    assert rig.requests.cancelled == ["a", "c"]
    rig.requests.put(Responded("a", b"1", False, 1, False))


async def test_an_answer_of_which_too_many_parts_wait_for_its_client_ends():
    """And the service is told; the other answers go on as the client reads, and the connection stays."""
    rig = Rig()
    running = await asking(rig, "a", "b")
    rig.transport.paused = True
    for number in range(1, WAITING_MAX + 20):
        rig.requests.put(Responded("a", b"1", False, number, True))
    assert rig.requests.cancelled == ["a"]
    rig.transport.paused = False
    rig.connection.flush()
    rig.requests.put(Responded("b", b"1", False, 1, True))
    rig.requests.put(Responded("b", b"2", False, 2, False))
    parts = [message["n"] for message in rig.transport.messages() if message["type"] == "RESPONSE"]
    assert parts == [*range(1, WAITING_MAX + 1), 1, 2]
    (error,) = [message for message in rig.transport.messages() if message["type"] == "ERROR"]
    assert (error["ref"], error["payload"]["code"], error["payload"]["retry"]) == ("a", "overloaded", True)
    assert (rig.transport.closed, rig.requests.cancelled) == (None, ["a"])
    await gone(rig, running)


async def test_large_parts_that_wait_leave_place_for_everything_else():
    """A quarter of what may wait for a client."""
    rig = Rig(outbox=OutboxLimits(4_096, 64 * 1024, 16 * 1024))
    running = await asking(rig, "a")
    rig.transport.paused = True
    for number in range(1, 20):
        rig.requests.put(Responded("a", b"1" * 2_000, False, number, True))
    assert rig.requests.cancelled == ["a"]
    assert rig.transport.outbox.bytes < 20 * 1024
    await gone(rig, running)


HOOKED = Namespaces([RoomPolicy("w", "w:*", hooks=("publish",))])
LET = Allowed(HookAnswer(True))


class ListHooks:
    """Hooks that are a list."""

    def __init__(self, rig: Rig) -> None:
        self.asked: list[Consult] = []
        self.left: list[str] = []
        self.revocations: list[str] = []
        object.__setattr__(rig.connection._context, "hooks", self)

    def consult(self, asker: Connection, asked: Consult) -> None:
        self.asked.append(asked)

    def gone(self, conn: str) -> None:
        self.left.append(conn)

    def revoked(self, user: str) -> None:
        self.revocations.append(user)


async def turns() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def test_nothing_is_read_of_a_client_before_a_backend_lets_it_in():
    """What it sends ahead waits at its side; then it is welcomed first."""
    rig = Rig(namespaces=Namespaces([], connect_hook=True))
    hooks = ListHooks(rig)
    rig.transport.incoming.put_nowait(rig.say("CHAT", room="default", payload=1))
    running = asyncio.create_task(rig.connection.run())
    await turns()
    assert [asked.query.hook for asked in hooks.asked] == ["connect"]
    assert (rig.connection.held, rig.transport.holds, rig.transport.is_known) == (True, True, False)
    assert (rig.uplink.sent, rig.transport.messages(), rig.hub.connections) == ([], [], 0)
    for now in (40.0, 80.0, 120.0):  # far beyond two heartbeats
        rig.connection.tick(SystemClock().monotonic() + now)
    allowed = Allowed(HookAnswer(True, user="kim"))
    rig.connection.put(HookDecided(hooks.asked[0].ticket, allowed))
    await turns()
    assert (rig.connection.user, rig.transport.is_known, rig.hub.connections) == ("kim", True, 1)
    assert rig.transport.messages()[0]["payload"]["user"] == "kim"
    assert [publish.user for publish in rig.of(envelope.Publish)] == ["kim"]
    rig.transport.incoming.put_nowait(None)
    await asyncio.wait_for(running, 5)
    rig.connection.finish()
    assert hooks.left == ["g~1"]


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Denied("no"), 4001), (Undecided("timeout", 900), 1013)],
    ids=["denied", "undecided"],
)
async def test_who_is_not_let_in_is_closed(verdict, code):
    """And reads no further."""
    rig = Rig(namespaces=Namespaces([], connect_hook=True))
    hooks = ListHooks(rig)
    rig.transport.incoming.put_nowait(None)
    running = asyncio.create_task(rig.connection.run())
    await turns()
    rig.connection.put(HookDecided(hooks.asked[0].ticket, verdict))
    await asyncio.wait_for(running, 5)
    rig.connection.finish()
    assert rig.transport.closed[0] == code
    assert rig.transport.messages()[-1]["payload"]["close"] == code
    assert rig.uplink.sent == []


async def test_without_anybody_to_ask_it_is_closed():
    """A namespace that asks for a hook is never an open door."""
    rig = Rig(namespaces=HOOKED)
    await rig.run(rig.say("CHAT", room="w:a", payload=1, id="m"))
    error = rig.transport.messages()[-1]
    assert (error["ref"], error["payload"]["code"], error["payload"]["retry"]) == ("m", "unavailable", True)
    assert rig.of(envelope.Publish) == []


async def test_a_client_that_runs_ahead_of_a_hook_is_left_unread():
    """Sixteen messages wait behind the one that is decided; they count as held, and go in order."""
    rig = Rig(namespaces=HOOKED)
    hooks = ListHooks(rig)
    for number in range(BEHIND_MAX + 5):
        rig.transport.incoming.put_nowait(rig.say("CHAT", room="w:a", payload=number))
    running = asyncio.create_task(rig.connection.run())
    for _ in range(40):
        await asyncio.sleep(0)
    assert rig.transport.incoming.qsize() == 4
    assert rig.connection.held
    assert rig.transport.kept > 0
    answered = 0
    while len(rig.of(envelope.Publish)) < BEHIND_MAX + 5:
        rig.connection.put(HookDecided(hooks.asked[answered].ticket, LET))
        answered += 1
        await turns()
    assert [int(publish.payload) for publish in rig.of(envelope.Publish)] == list(range(BEHIND_MAX + 5))
    assert (rig.connection.held, rig.transport.kept) == (False, 0)
    rig.transport.incoming.put_nowait(None)
    await asyncio.wait_for(running, 5)


async def test_an_answer_does_not_end_a_rest_that_is_for_something_else():
    """Who sends only what is refused stays unread for as long as it was to."""
    rig = Rig(namespaces=HOOKED)
    hooks = ListHooks(rig)
    rig.transport.incoming.put_nowait(rig.say("CHAT", room="w:a", payload=1))
    for _ in range(ANSWERS + 1):
        rig.transport.incoming.put_nowait("nonsense")
    running = asyncio.create_task(rig.connection.run())
    await eventually(lambda: rig.transport.rests)
    rig.connection.put(HookDecided(hooks.asked[0].ticket, LET))
    await turns()
    assert rig.transport.resting
    rig.transport.end_rest()
    rig.transport.incoming.put_nowait(None)
    await asyncio.wait_for(running, 5)


async def test_who_vanishes_while_it_is_decided_is_gone_at_once():
    """Nothing of it is waited for."""
    rig = Rig(namespaces=Namespaces([], connect_hook=True))
    hooks = ListHooks(rig)
    running = asyncio.create_task(rig.connection.run())
    await turns()
    rig.transport.incoming.put_nowait(None)
    rig.transport.close(1006, "")
    await asyncio.wait_for(running, 5)
    rig.connection.finish()
    assert hooks.left == ["g~1"]
    rig.connection.put(HookDecided(hooks.asked[0].ticket, LET))
    assert rig.hub.connections == 0


PRESENCE = Namespaces([RoomPolicy("p", "*p:*", presence=PresencePolicy("users", watch="anyone"))])


async def test_what_concerns_presence_is_done_in_order():
    """The watch before the JOIN, what is said of itself as it comes, and the end of the watch with the
    connection.
    """
    rig = Rig(namespaces=PRESENCE)
    await rig.run(
        rig.say("JOIN", room="p:1", id="j", payload={"presence": {"watch": True}}),
        rig.say("PRESENCE", room="p:1", id="u", payload={"update": 1}),
        rig.say("PRESENCE", room="p:1", id="c", payload={"count": True}),
    )
    assert rig.presence.did == [
        ("watch", "p:1", False),
        ("inform", "p:1", b"1"),
        ("ask", "p:1", "c", ""),
        ("unwatch", "p:1", False),
    ]
    assert [message["type"] for message in rig.transport.messages()] == ["WELCOME", "PRESENCE"]


async def test_pages_of_presence_are_charged_as_history_is():
    """Before the answer has come, and by its bytes; numbers are not."""
    rig = Rig(namespaces=PRESENCE)
    running = asyncio.create_task(rig.connection.run())
    await asyncio.sleep(0)
    now = SystemClock().monotonic()
    for payload in ({"count": True}, {"limit": 1}):
        rig.connection.put(rig.say("PRESENCE", room="p:1", payload=payload))
    assert rig.connection._reads._own is None
    rig.connection.put(rig.say("PRESENCE", room="p:1", id="p"))
    assert rig.connection._reads._own.used(now) > 0
    rig.connection.put(PresenceRead("p:1", "p", b'"%s"' % (b"x" * 100_000)))
    assert rig.connection._reads._asked == {}
    assert rig.connection._reads._own.used(now) * ReadLimits().bytes > 100_000
    rig.transport.incoming.put_nowait(None)
    await running


async def test_who_finds_no_place_for_what_it_watches_is_closed():
    """As one whose JOIN finds none: another pod has place. For a contact it stays, and is told."""
    rig = Rig(namespaces=PRESENCE)
    rig.presence.takes = False
    rig.connection.put(TokenAccepted(Identity("ann")))
    rig.connection.put(rig.say("PRESENCE", payload={"watch": ["p:bob"]}))
    assert rig.transport.closed is None
    assert [message["type"] for message in rig.transport.messages()[1:]] == ["PRESENCE", "PRESENCE", "ERROR"]
    await rig.run(rig.say("JOIN", room="p:1", id="j", payload={"presence": {"watch": True}}))
    assert rig.transport.closed == (1013, "Overloaded")


async def test_word_of_a_revocation_comes_with_the_own_room():
    """What the user was granted before it is not shown to backends as if it counted."""
    rig = Rig(namespaces=HOOKED)
    hooks = ListHooks(rig)
    rig.connection.put(TokenAccepted(Identity("ann")))
    (ref,) = (each.ref for each in rig.uplink.sent if getattr(each, "room", "") == "@ann")
    entered = envelope.Entered("g~1", "@ann", Position("e", 0), ref, void_s=1_234)
    assert rig.connection.entered(entered) is False
    rig.connection.put(rig.say("CHAT", room="w:a", payload=1))
    assert hooks.asked[-1].query.void_s == 1_234


async def test_a_revocation_reaches_what_backends_have_granted():
    """Of that user, whether this connection's own token is among the revoked ones or not."""
    rig = Rig(namespaces=HOOKED)
    hooks = ListHooks(rig)
    running = asyncio.create_task(rig.connection.run())
    await turns()
    until_s = SystemClock().wall_us() // 1_000_000 + 60
    rig.connection.put(rig.say("CHAT", room="w:a", payload=1))
    rig.connection.put(HookDecided(hooks.asked[-1].ticket, Allowed(HookAnswer(True), "", until_s)))
    rig.connection.put(rig.say("CHAT", room="w:a", payload=2))
    assert len(hooks.asked) == 1
    rig.connection.put(envelope.TokensRevoked("ann", "another"))
    assert hooks.revocations == ["ann"]
    assert rig.transport.closed is None
    rig.connection.put(rig.say("CHAT", room="w:a", payload=3))
    assert len(hooks.asked) == 2
    rig.transport.incoming.put_nowait(None)
    await asyncio.wait_for(running, 5)
