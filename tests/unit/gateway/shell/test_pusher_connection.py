"""One client of the Pusher protocol, on a transport that is a list."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.eventually import eventually
from tests.unit.gateway.shell.test_connection import SHARDS, ListTransport
from tests.unit.gateway.shell.test_connection import Rig as ConnectionRig

from gateway.core import actions, inputs
from gateway.core.client_limits import OutboxLimits
from gateway.core.outbox import Outbox
from gateway.core.pusher_session import Handshake, PusherSession
from gateway.core.session import SessionConfig
from gateway.core.websocket.frames import PUSHER
from gateway.shell.connection import ClientInfo
from gateway.shell.pusher_connection import PusherConnection, PusherContext
from warren import envelope
from warren.errors import CloseCode
from warren.namespaces import Namespaces
from warren.position import Position
from warren.pusher.apps import App, Apps

APP = App(id="shop", key="k", secret=("7ad3773142a6692b25b8",))


class Source:
    apps = Apps([APP])


class Followed:
    """What is followed, as a list."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, actions.Follow]] = []

    def follow(self, conn: str, channel: str, asked: actions.Follow) -> None:
        self.asked.append((conn, channel, asked))


class Rig:
    def __init__(self, key: str = "k") -> None:
        around = ConnectionRig()
        self.hub, self.uplink, self.reads = around.hub, around.uplink, around.reads
        self.transport = ListTransport(Outbox(OutboxLimits()))
        self.followed = Followed()
        self.told: list[Any] = []
        events = SimpleNamespace(put=self.told.append)
        self.pusher = PusherContext(Source(), self.followed, events)  # type: ignore[arg-type]
        session = PusherSession(
            "g~1", SessionConfig(shards=SHARDS), Namespaces(), Source(), Handshake(key, "7")
        )
        client = ClientInfo("192.0.2.1", "", "", "", "")
        context = around.connection._context
        self.connection = PusherConnection(
            session,
            self.transport,
            PUSHER,
            client,
            context,
            self.pusher,  # type: ignore[arg-type]
        )

    async def come_in(self) -> None:
        self.task = asyncio.create_task(self.connection.run())
        await eventually(lambda: bool(self.transport.written))

    async def end(self) -> None:
        self.transport.incoming.put_nowait(None)
        await self.task
        self.connection.finish()

    def heard(self) -> list[dict[str, Any]]:
        self.transport.flush()
        found = self.transport.messages()
        self.transport.written.clear()
        return found


def say(event: str, **data: Any) -> str:
    return json.dumps({"event": event, "data": data})


async def test_it_comes_in_without_a_token_and_counts_for_its_app() -> None:
    """It is a member of the hub from then on, so that what is for everyone reaches it."""
    rig = Rig()
    await rig.come_in()
    assert [frame["event"] for frame in rig.heard()] == ["pusher:connection_established"]
    assert rig.transport.is_known
    assert (rig.hub.connections, rig.pusher.connections) == (1, {"shop": 1})
    rig.hub.tell(["g~1"], envelope.Deliver("*", "e", 0, "hello", b"{}", 0))
    assert rig.heard() == [{"event": "hello", "data": "{}"}]
    rig.hub.tell(["g~1"], envelope.Deliver("*", "e", 0, "PRESENCE", b"{}", 0))
    assert rig.heard() == []
    await rig.end()
    assert (rig.hub.connections, rig.pusher.connections) == (0, {})


async def test_who_may_not_come_in_counts_for_nobody() -> None:
    """It is closed with a code of the protocol."""
    rig = Rig("unknown")
    rig.transport.incoming.put_nowait(None)
    await rig.connection.run()
    rig.connection.finish()
    assert rig.transport.closed == (4001, "There is no app with this key")
    assert (rig.hub.connections, rig.pusher.connections) == (0, {})


@pytest.mark.parametrize(
    ("code", "told"), [(CloseCode.DRAINING, 4200), (CloseCode.OVERLOADED, 4100), (CloseCode.TOO_SLOW, 4100)]
)
async def test_it_is_closed_with_codes_of_the_protocol(code: CloseCode, told: int) -> None:
    """And told by an error before."""
    rig = Rig()
    await rig.come_in()
    rig.connection.end(code)
    assert rig.transport.closed is not None
    assert rig.transport.closed[0] == told
    assert rig.transport.messages()[-1]["data"]["code"] == told
    await rig.end()


async def test_what_is_said_is_done_and_the_cached_event_is_not_given_after_a_later_one() -> None:
    """A subscription joins the room; the last event comes by HISTORY, where nothing came in between."""
    for seq, events in ((3, ["price"]), (4, [])):
        rig = Rig()
        await rig.come_in()
        rig.heard()
        rig.connection.put(say("pusher:subscribe", channel="cache-a"))
        (join,) = [each for each in rig.uplink.sent if isinstance(each, envelope.Join)]
        rig.hub.join(join.room, "g~1", Position("e", 3))
        rig.connection.put(envelope.Joined("g~1", join.room, Position("e", 3), False, ref=join.ref))
        (query,) = rig.reads.asked
        rig.hub.stand(join.room, "g~1", Position("e", seq))
        rig.hub._rooms[join.room].seq = seq
        found = (envelope.Deliver(join.room, "e", 3, "price", b"7", 0),)
        rig.heard()
        rig.connection.put(envelope.HistoryPage("g~1", join.room, query.ref, found, False))
        assert [frame["event"] for frame in rig.heard()] == events
        await rig.end()


async def test_a_presence_channel_is_followed_and_its_list_told() -> None:
    """And not any more after the end."""
    rig = Rig()
    await rig.come_in()
    socket = json.loads(rig.heard()[0]["data"])["socket_id"]
    data = '{"user_id":"7"}'
    auth = f"k:{APP.signs(f'{socket}:presence-a:{data}')}"
    rig.connection.put(say("pusher:subscribe", channel="presence-a", auth=auth, channel_data=data))
    (join,) = [each for each in rig.uplink.sent if isinstance(each, envelope.Join)]
    rig.connection.put(envelope.Joined("g~1", join.room, Position("e", 3), False, ref=join.ref))
    assert [(conn, channel, asked.on) for conn, channel, asked in rig.followed.asked] == [
        ("g~1", "presence-a", True)
    ]
    rig.connection.put(inputs.MembersListed(join.room, '{"presence":{}}'))
    assert rig.heard()[0]["event"] == "pusher_internal:subscription_succeeded"
    await rig.end()
    assert [asked.on for _, _, asked in rig.followed.asked] == [True, False]


async def test_who_has_signed_in_is_the_hubs_user() -> None:
    """So that what backends say of the user reaches the connection."""
    rig = Rig()
    await rig.come_in()
    socket = json.loads(rig.heard()[0]["data"])["socket_id"]
    data = '{"id":"7"}'
    rig.connection.put(say("pusher:signin", auth=f"k:{APP.signs(f'{socket}::user::{data}')}", user_data=data))
    assert [member.id for member in rig.hub.of_user("pusher:shop:7")] == ["g~1"]
    await rig.end()
