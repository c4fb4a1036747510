"""Shard: what is read becomes feeds, history and events in one turn; who speaks writes what the log needs."""

import json

import msgspec
import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.log_stream import RULES
from tests.support.shard_ground import Ground

from router.core.fold import FOLD_VERSION
from router.core.log_maintenance import LATE_US
from router.core.placement import Place
from router.core.speaker import State
from router.shell import egress, events, log_beginning, log_end, log_reader, retrying_publisher
from router.shell.shard import Shard
from warren.envelope import (
    Batch,
    Checkpoint,
    Gone,
    Heartbeat,
    Hello,
    HistoryPage,
    HistoryQuery,
    Join,
    LifeEnded,
    Mark,
    Number,
    Page,
    Publish,
    Read,
    RouterHeartbeat,
    Rules,
    Speaker,
    Spoken,
    decode,
)
from warren.errors import BusUnavailable, Unroutable
from warren.position import LogPosition
from warren.topology import ALL

NOW_US = 1_000_000_000_000
OWN = Rules("life", 1, 100, 100, 100, 1)


class Stand(Ground):
    def __init__(self, **more):
        super().__init__(**more)
        self.shard = Shard(0, self.context)
        self.numbers = {}

    async def taken(self, *, own_rules=True):
        """Have the shard spoken for."""
        if own_rules:
            self.log.put(OWN)
        self.shard.look()
        await eventually(lambda: self.shard.speaks and self.shard.fold.life)

    def batch(self, gateway, *envelopes):
        number = self.numbers[gateway] = self.numbers.get(gateway, 0) + 1
        return self.log.put(Batch(gateway, 1, number, 1), *envelopes)

    def hello(self, gateway="g1"):
        self.gateways.heartbeat(Heartbeat(gateway, 1), self.clock.monotonic())
        return self.batch(gateway, Hello())

    async def read(self, offset):
        await eventually(lambda: self.shard.fold.offset >= offset)

    def told(self, key):
        """Return what went to a gateway, feeds as their items."""
        found = []
        for published in self.log.published:
            if published.exchange == self.topology.egress and published.key == key:
                for envelope in decode(published.body):
                    items = getattr(envelope, "items", None)
                    found += [envelope] if items is None else [item for _, _, item in items]
        return found

    def written(self, kind):
        entries = [decode(body)[0] for _, body in sorted(self.log.entries.items())]
        return [entry for entry in entries if isinstance(entry, kind)]

    def events(self):
        return [
            (published.properties.message_id, json.loads(published.body)["event"])
            for published in self.log.published
            if published.exchange == self.topology.events
        ]


@pytest_asyncio.fixture
async def stand(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_beginning, "EMPTY_S", 0.02)
    monkeypatch.setattr(log_beginning, "PATIENCE_S", 0.05)
    monkeypatch.setattr(log_reader, "PATIENCE_S", 0.05)
    for module in (retrying_publisher, events, log_reader):
        monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    stand = Stand()
    yield stand
    await stand.shard.stop()
    await stand.egress.close()


def said(text, ident=""):
    return Publish("a", "CHAT", text, NOW_US, "g1~1", "u", ident)


async def test_an_empty_log_gets_its_rules_from_the_speaker(stand):
    """With its bounds, and a life that was never used; only then it is taken to be served."""
    stand.shard.look()
    assert not stand.shard.settled
    await eventually(lambda: stand.shard.settled)
    (rules,) = stand.written(Rules)
    assert (rules.version, rules.ids, rules.rooms, rules.gone, rules.anew) == (1, 100, 100, 100, False)
    assert stand.shard.fold.life == rules.life != ""
    assert stand.changes >= 1


async def test_what_is_read_is_fed_at_once_and_told_to_backends(stand):
    """In the turn in which it comes, each with its place; the answer too."""
    await stand.taken()
    stand.hello()
    offset = stand.batch("g1", Join("a", "g1~1", "u"), said(b"1", "m"))
    await stand.read(offset)
    await eventually(lambda: len(stand.told("g1")) == 3)
    assert [type(item).__name__ for item in stand.told("g1")] == ["Entered", "Deliver", "Ack"]
    await eventually(lambda: len(stand.events()) == 2)
    assert stand.events() == [(f"life.0.{offset}.2", "room.joined"), (f"life.0.{offset}.5", "message")]


async def test_who_follows_says_nothing_and_knows_everything(stand):
    """As soon as it is called it asks all gateways, and goes on with the events that are not said to be confirmed."""
    stand.place = Place("r2", "r1")
    stand.log.put(OWN)
    stand.hello()
    first = stand.batch("g1", Join("a", "g1~1", "u"))
    last = stand.batch("g1", said(b"1"))
    stand.shard.look()
    await stand.read(last)
    await eventually(lambda: stand.shard.speaker.state is State.FOLLOWING)
    assert stand.log.published == []
    stand.routers.heartbeat(RouterHeartbeat("r2", 1, shards=(Spoken(0, "life", first, -1),)), 0.0)
    stand.routers.leaving("r2")
    stand.place = Place("r1")
    stand.shard.look()
    assert stand.shard.speaks
    await eventually(lambda: stand.told("all") == [Speaker("r1", 0)])
    await eventually(lambda: stand.events() == [(f"life.0.{last}.2", "message")])
    stand.shard.number_said(Number("g1", 0, 1, None))
    await eventually(lambda: [type(item).__name__ for item in stand.told("g1")] == ["Entered", "Deliver"])


async def test_a_gateway_that_does_not_answer_is_asked_again(stand):
    """One that lives; with a pause."""
    stand.log.put(OWN)
    stand.hello()
    await stand.taken(own_rules=False)
    stand.shard.tick()
    assert stand.told("g1") == []
    stand.clock.advance(1.0)
    stand.shard.tick()
    await eventually(lambda: stand.told("g1") == [Speaker("r1", 0)])


async def test_who_may_have_missed_what_gateways_said_asks_all_of_them(stand):
    """Where it speaks; else nobody would."""
    stand.shard.ask_everyone()
    assert stand.told(ALL) == []
    await stand.taken()
    await eventually(lambda: stand.told(ALL) == [Speaker("r1", 0)])
    stand.shard.ask_everyone()
    await eventually(lambda: stand.told(ALL) == [Speaker("r1", 0)] * 2)


async def test_a_gateway_that_says_its_number_is_sent_to_at_once(stand, monkeypatch):
    """It could not be reached before, and the next attempt was far."""
    monkeypatch.setattr(egress, "FIRST_PAUSE_S", 3_600.0)
    await stand.taken()
    stand.hello()
    await stand.read(stand.log.end - 1)
    stand.log.script("g1", Unroutable("?"))
    await stand.read(stand.batch("g1", Join("a", "g1~1", "u"), said(b"1", "m")))
    await eventually(lambda: len(stand.told("g1")) == 3)
    stand.shard.number_said(Number("g1", 0, 1, None))
    await eventually(lambda: len(stand.told("g1")) == 6)


async def test_who_is_silent_says_writes_and_answers_nothing(stand):
    """Once the next one speaks; what it had begun to write is given up."""
    await stand.taken()
    await eventually(lambda: Speaker("r1", 0) in stand.told(ALL))  # else it may come later
    stand.hello()
    stand.routers.heartbeat(RouterHeartbeat("r2", 1, shards=(Spoken(0, "life", 0, -1),)), 0.0)
    stand.place = Place("r2", "r1")
    stand.shard.look()
    assert stand.shard.speaker.state is State.FOLLOWING
    assert stand.shard.spoken() is None
    before = len(stand.log.published)
    await stand.read(stand.batch("g1", Join("a", "g1~1", "u"), said(b"1")))
    stand.shard.number_said(Number("g1", 0, 1, None))
    stand.shard.asked(Read("g1", 0, "a", "life-1", 0, 1, 1))
    stand.shard.queried(HistoryQuery("a", "g1~1", "r"))
    stand.listened = True
    stand.clock.advance(60.0)
    stand.gateways.expire(stand.clock.monotonic())
    stand.shard.tick()
    assert len(stand.log.published) == before


async def test_a_life_without_a_lease_is_ended_by_who_has_listened_long_enough(stand):
    """Not sooner, and once; its members leave by that."""
    await stand.taken()
    stand.hello()
    await stand.read(stand.batch("g1", Join("a", "g1~1", "u")))
    stand.gateways.leaving("g1")
    stand.shard.tick()
    stand.listened = True
    assert stand.written(Gone) == []
    stand.shard.tick()
    stand.shard.tick()
    await eventually(lambda: "a" not in stand.shard.fold.rooms)
    assert [(gone.gateway, gone.life) for gone in stand.written(Gone)] == [("g1", 1)]
    assert stand.shard.fold.gateways == {}


async def test_a_gateway_that_begins_is_given_a_lease(stand):
    """Its first heartbeat may come later than its Hello."""
    await stand.taken()
    await stand.read(stand.batch("g1", Hello()))
    assert stand.gateways.living == {"g1"}


async def test_a_log_for_newer_routers_is_spoken_for_no_more(stand):
    """What comes behind it may mean anything: nothing is said, nothing written, and the router hears why."""
    await stand.taken()
    stand.log.put(msgspec.structs.replace(OWN, version=FOLD_VERSION + 1))
    await eventually(lambda: stand.outdated)
    ((number, reason),) = stand.outdated
    assert (number, f"version {FOLD_VERSION + 1}" in reason) == (0, True)
    written = len(stand.log.published)
    stand.hello()
    for _ in range(3):
        stand.shard.tick()
    assert (stand.shard.speaks, stand.shard.spoken(), len(stand.log.published)) == (False, None, written)
    stand.place = Place("r2")
    stand.shard.look()
    assert stand.shard.speaker.state is State.IDLE


async def test_a_checkpoint_is_marked_and_written(stand):
    """A reader that begins later begins there; the heartbeat says where, and how far events are confirmed."""
    await stand.taken()
    last = stand.hello()
    await stand.read(last)
    stand.shard.tick()
    await eventually(lambda: stand.written(Checkpoint))
    (mark,) = [offset for offset, body in stand.log.entries.items() if isinstance(decode(body)[0], Mark)]
    await eventually(lambda: stand.shard.spoken() == Spoken(0, "life", stand.log.end - 1, mark))
    stand.shard.tick()
    assert len(stand.written(Mark)) == 1


async def test_a_checkpoint_waits_for_the_events_before_it(stand):
    """Who begins there has none to send from before."""
    await stand.taken()
    await eventually(lambda: stand.written(Checkpoint))  # the first one, of nothing yet
    stand.hello()
    stand.log.script("room.joined", *[BusUnavailable()] * 10_000)
    last = stand.batch("g1", Join("a", "g1~1", "u"))
    await stand.read(last)
    stand.clock.advance(LATE_US / 1_000_000)
    stand.shard.tick()
    await eventually(lambda: len(stand.written(Mark)) == 2)
    await stand.read(stand.log.end - 1)
    assert stand.shard.spoken().events == last - 1
    assert len(stand.written(Checkpoint)) == 1
    stand.log.outcomes["room.joined"].clear()
    await eventually(lambda: len(stand.written(Checkpoint)) == 2)


async def test_members_read_what_they_have_missed(stand):
    """And their history; another speaks of what it does not have."""
    await stand.taken()
    stand.hello()
    await stand.read(stand.batch("g1", Join("a", "g1~1", "u"), said(b"1"), said(b"2")))
    stand.shard.asked(Read("g1", 0, "a", "life-1", 1, 2, 7))
    stand.shard.queried(HistoryQuery("a", "g1~1", "r"))
    await eventually(lambda: any(isinstance(item, HistoryPage) for item in stand.told("g1")))
    (page,) = [item for item in stand.told("g1") if isinstance(item, Page)]
    assert [message.payload for message in page.messages] == [b"2"]


async def test_a_batch_of_a_life_that_is_over_is_answered(stand):
    """With the last of its batches that counted."""
    await stand.taken()
    stand.hello()
    stand.batch("g1", Join("a", "g1~1", "u"))
    stand.log.put(Gone("g1", 1, 1))
    await stand.read(stand.batch("g1", said(b"late")))
    await eventually(lambda: LifeEnded(0, 1, 2) in stand.told("g1"))


async def test_a_log_read_anew_silences_until_it_is_read(stand):
    """Then it speaks again, from what the log tells now."""
    await stand.taken()
    stand.hello()
    await stand.read(1)
    stand.log.made_anew()
    stand.log.cut()
    stand.log.put(Rules("second", 1, 100, 100, 100, 1))
    await eventually(lambda: stand.shard.fold.life == "second" and stand.shard.speaks)
    assert stand.shard.fold.gateways == {}


async def test_a_lost_log_begins_a_new_life_unless_another_speaks_for_it(stand):
    """Who speaks still knows what it was, and will write a checkpoint."""
    stand.log.put(RULES)
    stand.hello()
    stand.log.drop(1)
    stand.routers.heartbeat(RouterHeartbeat("r2", 1, shards=(Spoken(0, "life", 0, -1),)), 0.0)
    stand.shard.look()
    await eventually(lambda: stand.shard.speaks)
    stand.shard.tick()
    assert stand.written(Rules) == []
    stand.routers.leaving("r2")
    stand.shard.tick()
    await eventually(lambda: stand.shard.fold.life)
    (rules,) = stand.written(Rules)
    assert rules.anew


async def test_too_many_events_that_wait_hold_up_the_reading(stand):
    """Nothing is let go; it goes on when they are confirmed."""
    await stand.taken()
    stand.hello()
    stand.shard._events.backlog._count = 3
    stand.log.script("message.CHAT.a", *[BusUnavailable()] * 10_000)
    for _ in range(10):
        last = stand.batch("g1", said(b"1"))
    await eventually(lambda: stand.shard._reader._paused)
    assert stand.shard.fold.offset < last
    stand.log.outcomes["message.CHAT.a"].clear()
    await stand.read(last)
    await eventually(lambda: not stand.shard._events.backlog)
    assert len({ident for ident, _ in stand.events()}) == 10


async def test_what_nobody_wants_here_is_not_read(stand):
    """And what was read is forgotten."""
    stand.place = Place("r2", "r3")
    stand.shard.look()
    assert stand.log.starts == []
    assert stand.shard.settled
    stand.place = Place("r2", "r1")
    stand.log.put(OWN)
    stand.shard.look()
    await stand.read(0)
    stand.place = Place("r2", "r3")
    await eventually(lambda: stand.shard.speaker.state is State.FOLLOWING)
    stand.shard.look()
    assert (stand.shard.speaker.state, stand.shard.fold.life) == (State.IDLE, "")


async def test_a_gateway_that_was_told_more_than_the_log_has_makes_a_new_life(stand):
    """The log has lost its end, and other entries will get those numbers: nobody may take them for the old ones."""
    await stand.taken()
    stand.hello()
    last = stand.batch("g1", Join("a", "g1~1", "u"))
    await stand.read(last)
    stand.shard.number_said(Number("g1", 0, 1, LogPosition("life", last + 100, 1)))
    for _ in range(log_end.DOUBTS):
        stand.clock.advance(log_end.PATIENCE_S)
        stand.shard.tick()
        await eventually(lambda: stand.shard._keeper._end._task is None)
    assert stand.shard._keeper._end.lost
    stand.shard.tick()
    await eventually(lambda: stand.shard.fold.life != "life")
    assert stand.written(Rules)[-1].anew
    assert not stand.shard._keeper._end.lost


async def test_a_log_that_forked_makes_a_new_life(stand):
    """Where another entry stands in the place of the last one that was read, in the same life."""
    await stand.taken()
    await stand.read(stand.hello())
    last = stand.log.put(Gone("other", 1, 1))
    await stand.read(last)
    stand.log.cut()
    stand.log.entries[last] = stand.log.entries[0]
    await eventually(lambda: stand.shard.fold.life not in ("", "life"))
    assert stand.written(Rules)[-1].anew


async def test_a_gateway_whose_hello_came_before_the_log_had_a_life_hears_that_it_never_began(stand):
    """It was asked when the life began; an entry behind its Hello says that there is none. One that begins later is not told so."""
    stand.hello()
    stand.shard.look()
    await eventually(lambda: stand.shard.fold.life and stand.shard.speaks)
    await eventually(lambda: Speaker("r1", 0) in stand.told("all"))
    stand.shard.number_said(Number("g1", 0, 1, None))
    await eventually(lambda: LifeEnded(0, 1, 0) in stand.told("g1"))
    stand.shard.number_said(Number("g2", 0, 1, None))
    stand.log.put(Batch("g2", 1, 1, 1), Hello())
    await eventually(lambda: "g2" in stand.shard.fold.gateways)
    await eventually(lambda: not stand.shard.waiting)
    assert LifeEnded(0, 1, 0) not in stand.told("g2")
