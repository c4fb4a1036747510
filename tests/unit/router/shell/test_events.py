"""Events: what backends are told, in order, at least once, and without holding up a shard."""

import asyncio
import base64
import json

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import ScriptedBus

from router.core.effects import BackendEvent
from router.shell import events as module
from router.shell.events import Events
from warren.envelope import Deliver
from warren.errors import BusUnavailable, Nacked, NotConfirmed


class Harness:
    def __init__(self):
        self.bus = ScriptedBus()
        context = router_context(self.bus)
        self.metrics = context.metrics
        self.progress = 0
        kinds = frozenset({"client", "room", "message"})
        self.events = Events(context, 3, kinds, self._progressed)
        self.offset = 0

    def _progressed(self):
        self.progress += 1

    async def send(self, *emits):
        """Take these as one entry, speak, and wait until all are confirmed or given up."""
        self.offset += 1
        self.events.take("life", self.offset, list(emits))
        self.events.speak()
        await eventually(lambda: not len(self.events.backlog))

    def said(self):
        return [(published.key, json.loads(published.body)) for published in self.bus.published]

    def rooms(self):
        return [body["room"] for _, body in self.said()]


@pytest_asyncio.fixture
async def harness(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    harness = Harness()
    yield harness
    harness.bus.release()
    await harness.events.close()


def joined(number):
    return BackendEvent(
        number + 1, "room.joined", f"room{number}", 1_500_000, "g1~a", "ann", connections=2, members=3
    )


async def test_a_clients_events_say_who_and_where(harness):
    """On the topic exchange, persistent JSON, under their kind; what is not known is left out."""
    gone = BackendEvent(9, "client.disconnected", "@ann", 2_000_999, "g1~1f", "ann", "gone")
    await harness.send(gone, joined(1))
    assert harness.said() == [
        (
            "client.disconnected",
            {
                "event_id": "life.3.1.9", "event": "client.disconnected", "connection": "g1~1f", "user": "ann", "room": "@ann",
                "gateway": "g1", "generation": 31, "connections": 0, "members": 0, "at": 2_000, "reason": "gone",
            },
        ),
        (
            "room.joined",
            {
                "event_id": "life.3.1.2", "event": "room.joined", "connection": "g1~a", "user": "ann", "room": "room1",
                "gateway": "g1", "generation": 10, "connections": 2, "members": 3, "at": 1_500,
            },
        ),
    ]  # fmt: skip
    assert {(each.exchange, each.persistent, each.mandatory) for each in harness.bus.published} == {
        ("warren.events", True, False)
    }
    properties = [published.properties for published in harness.bus.published]
    assert [each.message_id for each in properties] == ["life.3.1.9", "life.3.1.2"]
    assert properties[0].content_type == "application/json"
    assert properties[0].headers == {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": "life.3.1.9",
        "cloudEvents_source": "warren/3",
        "cloudEvents_type": "client.disconnected",
        "cloudEvents_time": "1970-01-01T00:00:02.000Z",
        "cloudEvents_subject": "@ann",
    }


async def test_what_happened_in_a_year_that_no_calendar_has_is_told_without_a_time(harness):
    """The time is what a gateway's clock said, and CloudEvents need none."""
    await harness.send(BackendEvent(1, "room.left", "a", 2**63, "g1~1", "ann", "left"))
    ((_, said),) = harness.said()
    assert said["at"] == 2**63 // 1_000
    assert "cloudEvents_time" not in harness.bus.published[0].properties.headers


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (Deliver("a.b", "e", 7, "CHAT", b'{"x":1.50}', 3_000_000, "g1~1", "ann", "m1"), {"x": 1.5}),
        (
            Deliver("a.b", "e", 7, "CHAT", b"\x00\xff", 3_000_000, "g1~1", "ann", "~g1~1.2", binary=True),
            base64.b64encode(b"\x00\xff").decode(),
        ),
    ],
)
async def test_a_messages_event_has_its_type_and_room_in_the_key(harness, message, payload):
    """The payload as it is, binary as base64; never an id that a gateway gave."""
    await harness.send(BackendEvent(1, "message", "a.b", 3_000_000, message=message))
    ((key, said),) = harness.said()
    assert key == "message.CHAT.a.b"
    assert said["payload"] == payload
    assert said.get("encoding") == ("base64" if message.binary else None)
    assert said.get("id") == (None if message.binary else "m1")
    assert (said["seq"], said["epoch"], said["user"], said["at"]) == (7, "e", "ann", 3_000)


async def test_many_are_under_way_together_and_in_order(harness):
    """Those of many entries; each stays until it is confirmed, and then it is said how far all is."""
    harness.bus.held = True
    for number in range(100):
        harness.events.take("life", number, [joined(number)])
    harness.events.speak()
    await eventually(lambda: len(harness.bus.published) == 100)
    assert (harness.events.backlog.confirmed, harness.progress) == (-1, 0)
    harness.bus.release()
    await eventually(lambda: harness.events.backlog.confirmed == 99)
    assert harness.progress == 1
    assert harness.rooms() == [f"room{number}" for number in range(100)]


async def test_what_is_not_confirmed_comes_again_with_all_behind_it(harness):
    """So that the last time each comes is in order, and under the same id."""
    harness.bus.script("room.joined", None, NotConfirmed(), None)
    await harness.send(*(joined(number) for number in range(3)))
    assert harness.rooms() == ["room0", "room1", "room2", "room1", "room2"]
    ids = [published.properties.message_id for published in harness.bus.published]
    assert ids[3:] == ids[1:3]


async def test_a_backends_full_queue_does_not_hold_up_the_shard(harness):
    """After a few tries one is given up and counted, and those behind it have their turn."""
    refusing = [outcome for _ in range(module.TRIES) for outcome in (NotConfirmed(), None)]
    harness.bus.script("room.joined", *refusing)
    await harness.send(joined(0), joined(1))
    assert harness.rooms() == ["room0", "room1"] * module.TRIES + ["room1"]
    value = harness.metrics.registry.get_sample_value(
        "warren_router_rejected_total", {"reason": "event_not_confirmed"}
    )
    assert value == 1


async def test_while_the_broker_is_away_it_waits(harness):
    """Nothing is given up, however often."""
    harness.bus.script("room.joined", *[BusUnavailable()] * 9)
    await harness.send(joined(0))
    assert harness.rooms() == ["room0"] * 10


async def test_who_does_not_speak_only_remembers(harness):
    """And sends what is not confirmed as soon as it speaks; silent again it sends nothing more."""
    harness.events.take("life", 1, [joined(1)])
    harness.events.take("life", 2, [joined(2)])
    harness.events.backlog.upto(1)
    await asyncio.sleep(0)
    assert harness.bus.published == []
    harness.events.speak()
    await eventually(lambda: not len(harness.events.backlog))
    harness.events.silence()
    harness.events.take("life", 3, [joined(3)])
    await asyncio.sleep(0)
    assert harness.rooms() == ["room2"]


async def test_what_a_reader_lets_go_is_counted(harness):
    """It only follows, and the speaker has not said for very long that anything is confirmed."""
    harness.events.backlog._count = 2
    for offset in range(3):
        harness.events.take("life", offset, [joined(offset)])
    value = harness.metrics.registry.get_sample_value(
        "warren_router_rejected_total", {"reason": "event_forgotten"}
    )
    assert value == 2


def given_up(harness):
    return harness.metrics.registry.get_sample_value(
        "warren_router_rejected_total", {"reason": "event_not_confirmed"}
    )


async def test_while_one_event_after_the_other_is_refused_each_has_one_try(harness):
    """However many wait: nothing pauses, and those for other backends are not repeated. Once all are taken
    each has its tries again.
    """
    harness.bus.script("room.joined", *[Nacked()] * 2_000)
    for number in range(600):
        harness.events.take("life", number, [joined(number)])
    harness.events.speak()
    await eventually(lambda: not len(harness.events.backlog), timeout_s=2.0)
    tried = 256 * module.TRIES  # the first round, until one was given up
    assert (given_up(harness), len(harness.bus.published)) == (600, tried + 599)
    assert harness.progress == 3
    harness.bus.outcomes.clear()
    await harness.send(joined(700))
    harness.bus.script("room.joined", Nacked(), None)
    await harness.send(joined(701))
    assert harness.rooms()[-3:] == ["room700", "room701", "room701"]
    assert given_up(harness) == 600


@pytest.mark.parametrize("failure", [BusUnavailable(), NotConfirmed("cut off before the confirm")])
async def test_what_a_lost_connection_took_is_sent_again_though_others_are_refused(harness, failure):
    """It was not refused, so it is not given up."""
    harness.bus.script("room.joined", *[Nacked()] * module.TRIES)
    await harness.send(joined(0))
    harness.bus.script("room.joined", failure, failure, None, None)
    await harness.send(joined(1), joined(2))
    assert harness.rooms()[module.TRIES :] == ["room1", "room2"] * 2
    assert given_up(harness) == 1


async def test_what_is_taken_between_refusals_is_not_given_up(harness):
    """A round in which some are taken is settled, and ends the haste."""
    harness.bus.script("room.joined", *[Nacked()] * module.TRIES)
    await harness.send(joined(0))
    harness.bus.script("room.joined", Nacked(), None, Nacked(), None)
    await harness.send(joined(1), joined(2))
    await harness.send(joined(3))
    assert harness.rooms()[module.TRIES :] == ["room1", "room2", "room3", "room3"]
    assert given_up(harness) == 2
