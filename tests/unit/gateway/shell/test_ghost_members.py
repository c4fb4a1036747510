"""A client that ends while its joins are on their way: a real session, connection and uplink, and what goes into
the log of them, in which order.
"""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.eventually import eventually
from tests.support.scripted_bus import ManualClock
from tests.unit.gateway.shell.test_connection import ListPresence, ListReads, ListTransport, at_once
from tests.unit.gateway.shell.test_uplink import Publisher

from gateway.core.broker_presence import BrokerPresence
from gateway.core.client_limits import OutboxLimits
from gateway.core.hub import Hub
from gateway.core.inputs import BrokerChanged
from gateway.core.outbox import Outbox
from gateway.core.permissions import Identity
from gateway.core.session import Session, SessionConfig
from gateway.core.websocket.frames import JSON
from gateway.shell.client_publisher import ClientPublisher
from gateway.shell.connection import ClientInfo, Connection, GatewayContext
from gateway.shell.uplink import Uplink
from gateway.shell.uplink_buffer import CONTROL_FACTOR, UplinkLimits
from warren import envelope
from warren.metrics import GatewayMetrics
from warren.namespaces import Namespaces
from warren.telemetry import Tracing
from warren.topology import Topology

ROOMS = ("default", "@ann")  # joined at connect


class Rig:
    """One client on a gateway whose broker confirms nothing until ``log`` is asked for."""

    def __init__(self, outbox: OutboxLimits | None = None) -> None:
        self.bus, self.metrics = Publisher(), GatewayMetrics()
        self.bus.gate.clear()
        self.transport = ListTransport(Outbox(outbox or OutboxLimits()))
        self.uplink = Uplink(
            "g",
            self.bus,  # type: ignore[arg-type]
            Topology(shards=1),
            ManualClock(),
            self.metrics,
            UplinkLimits(count=1),
        )
        config = SessionConfig(rate=None)
        context = GatewayContext(
            Hub(),
            self.uplink,
            ClientPublisher(self.uplink, Tracing("gateway")),
            SimpleNamespace(),  # type: ignore[arg-type]
            ListReads(),  # type: ignore[arg-type]
            ListPresence(),  # type: ignore[arg-type]
            at_once(self.uplink),
            BrokerPresence("g", 1, 0.0),
            SimpleNamespace(anonymous=True, guest=Identity),  # type: ignore[arg-type]
            ManualClock(),
            self.metrics,
            config,
            Namespaces(),
        )
        session = Session("g~1", config, Namespaces())
        self.connection = Connection(
            session,
            self.transport,  # type: ignore[arg-type]
            JSON,
            ClientInfo("192.0.2.1", "", "warren.v1", "", "ann"),
            context,
        )

    def leave_place_for(self, joins: int) -> None:
        """Fill the uplink with others' joins until only so many find place."""
        for number in range(CONTROL_FACTOR - joins):
            assert self.uplink.join(envelope.Join("other", f"g~{number + 2:x}", "bob"), 0, first=True)

    async def run(self, *incoming: Any) -> None:
        """Serve the client to its end."""
        for item in (*incoming, None):
            self.transport.incoming.put_nowait(item)
        await asyncio.wait_for(self.connection.run(), 5)
        self.connection.finish()

    async def log(self) -> list[tuple[str, str]]:
        """Return what the log has of the client in this gateway's last life, once all is confirmed: ("join" |
        "leave", room).
        """
        self.bus.gate.set()
        await self.uplink.flush()
        said: list[tuple[str, str]] = []
        for each in (each for _, batch in self.bus.confirmed for each in batch):
            if isinstance(each, envelope.Hello):
                said.clear()
            elif isinstance(each, envelope.Join) and each.conn == "g~1":
                said.append(("join", each.room))
            elif isinstance(each, envelope.Leave) and each.conn == "g~1":
                said += [("leave", room) for room in each.rooms]
        await self.uplink.close()
        return said


def ghosts(log: list[tuple[str, str]]) -> set[str]:
    """Return the rooms that a client is a member of at the end of this log."""
    members: set[str] = set()
    for kind, room in log:
        (members.add if kind == "join" else members.discard)(room)
    return members


def join(room: str, ref: str) -> str:
    return json.dumps({"type": "JOIN", "room": room, "id": ref})


@pytest.mark.parametrize("places", range(4))
async def test_a_client_whose_joins_find_no_place_is_no_member_of_anything(places: int) -> None:
    """However many of its joins were taken: nothing is joined after its leave, and what was never joined is not
    left, for that would find no place either and end this gateway's life in the shard.
    """
    rig = Rig()
    rig.leave_place_for(places)
    await rig.run(join("a", "1"), join("b", "2"))
    log = await rig.log()
    assert rig.transport.closed == (1013, "Overloaded")
    assert ghosts(log) == set()
    assert all(("join", room) in log[: at + 1] for at, (kind, room) in enumerate(log) if kind == "leave")
    assert rig.uplink.life(0) == 1


async def test_who_is_too_slow_for_its_welcome_is_no_member_of_anything() -> None:
    """The close is asked for while the joins that stand behind WELCOME are not done."""
    rig = Rig(OutboxLimits(count=1))
    rig.transport.paused = True
    rig.connection.put(BrokerChanged(False))
    await rig.run()
    assert rig.transport.closed == (4005, "Too slow")
    assert ghosts(await rig.log()) == set()


async def test_a_join_without_place_leaves_what_was_joined_before() -> None:
    """Rooms that routers hold the client in already: their leaves find no place either, so this gateway begins a
    new life, in which the client is a member of nothing.
    """
    rig = Rig()
    running = asyncio.create_task(rig.connection.run())
    await asyncio.sleep(0)
    rig.bus.gate.set()
    await eventually(lambda: len(rig.bus.sent) == len(ROOMS))
    rig.bus.gate.clear()
    rig.leave_place_for(2)  # those that are confirmed have not counted, and take place too
    rig.transport.incoming.put_nowait(join("late", "1"))
    rig.transport.incoming.put_nowait(None)
    await asyncio.wait_for(running, 5)
    rig.connection.finish()
    assert rig.transport.closed == (1013, "Overloaded")
    assert ghosts(await rig.log()) == set()
    assert rig.uplink.life(0) == 2


async def test_a_message_that_is_refused_while_a_room_is_left_changes_nothing_of_the_order() -> None:
    """A refusal is told behind what was being done, and the client stays."""
    rig = Rig()
    rig.uplink._shards[0].is_full = lambda size: True  # type: ignore[method-assign]
    await rig.run(join("a", "1"), json.dumps({"type": "CHAT", "room": "a", "payload": 1, "id": "m"}))
    assert [said["type"] for said in rig.transport.messages()] == ["WELCOME", "ERROR"]
    assert rig.transport.messages()[-1]["payload"]["code"] == "overloaded"
    assert ghosts(await rig.log()) == set()
