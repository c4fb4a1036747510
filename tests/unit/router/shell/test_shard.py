"""Shard: what is read becomes feeds, history and events in one turn; who speaks writes what the log needs."""

import json

import msgspec
import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.log_stream import RULES
from tests.support.shard_harness import ShardHarness

from router.core import control_reads as reads
from router.core.explanations import PATIENCE_S
from router.core.fold import FOLD_VERSION
from router.core.log_maintenance import LATE_US
from router.core.presence_diffs import BEAT_S
from router.core.receipts import AGAIN_S
from router.core.shard_role import State, Step
from router.shell import egress, events, log_reader, retrying_publisher, shard_log, truncation_detector
from router.shell.shard import Shard
from warren.contract.queries import Explained
from warren.envelope import (
    AccessAnswer,
    AccessQuery,
    Batch,
    Checkpoint,
    Command,
    Commanded,
    CommandResult,
    Counts,
    CountsQuery,
    Deliver,
    Gone,
    Heartbeat,
    Hello,
    HistoryPage,
    HistoryQuery,
    Join,
    LifeEnded,
    Mark,
    Notified,
    Number,
    Page,
    PresenceDiff,
    PresencePage,
    PresenceQuery,
    Progress,
    ProgressQuery,
    Publish,
    Read,
    Receipt,
    RouterHeartbeat,
    Rules,
    Seen,
    Speaker,
    SpeakerProgress,
    Watch,
    decode,
)
from warren.errors import BusUnavailable, Unroutable
from warren.log_entries import PRESENCE_USERS
from warren.position import LogPosition
from warren.topology import ALL

NOW_US = 1_000_000_000_000
OWN = Rules("life", 1, 100, 100, 100, 1)


class Harness(ShardHarness):
    def __init__(self, **more):
        super().__init__(**more)
        self.shard = Shard(0, self.context)
        self.numbers = {}

    async def taken(self, *, own_rules=True):
        """Have the shard spoken for."""
        if own_rules:
            self.log.put(OWN)
        self.shard.follow_placement()
        await eventually(lambda: self.shard.speaks and self.shard.fold.life)

    def batch(self, gateway, *envelopes):
        number = self.numbers[gateway] = self.numbers.get(gateway, 0) + 1
        return self.log.put(Batch(gateway, 1, number, 1), *envelopes)

    def hello(self, gateway="g1"):
        beat = Heartbeat(gateway, 1, fold_version=FOLD_VERSION)
        self.gateways.heartbeat(beat, self.clock.monotonic())
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
async def harness(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shard_log, "EMPTY_S", 0.02)
    monkeypatch.setattr(shard_log, "PATIENCE_S", 0.05)
    monkeypatch.setattr(log_reader, "PATIENCE_S", 0.05)
    for module in (retrying_publisher, events, log_reader):
        monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    harness = Harness()
    yield harness
    await harness.shard.stop()
    await harness.egress.close()
    await harness.context.peer_messages.close()


def said(text, ident=""):
    return Publish("a", "CHAT", text, NOW_US, "g1~1", "u", ident)


async def test_an_empty_log_gets_its_rules_from_the_speaker(harness):
    """With its bounds, and a life that was never used; only then it is taken to be served."""
    harness.shard.follow_placement()
    assert not harness.shard.prepared
    await eventually(lambda: harness.shard.prepared)
    (rules,) = harness.written(Rules)
    assert (rules.version, rules.ids, rules.rooms, rules.gone, rules.anew) == (
        FOLD_VERSION,
        100,
        100,
        100,
        False,
    )
    assert harness.shard.fold.life == rules.life != ""
    assert harness.changes >= 1


async def test_what_is_read_is_fed_at_once_and_told_to_backends(harness):
    """In the turn in which it comes, each with its place; the answer too."""
    await harness.taken()
    harness.hello()
    offset = harness.batch("g1", Join("a", "g1~1", "u"), said(b"1", "m"))
    await harness.read(offset)
    await eventually(lambda: len(harness.told("g1")) == 3)
    assert [type(item).__name__ for item in harness.told("g1")] == ["Entered", "Deliver", "Ack"]
    await eventually(lambda: len(harness.events()) == 2)
    assert harness.events() == [(f"life.0.{offset}.2", "room.joined"), (f"life.0.{offset}.5", "message")]


async def test_who_follows_says_nothing_and_knows_everything(harness):
    """As soon as it is called it asks all gateways, and goes on with the events that are not said to be
    confirmed.
    """
    harness.place("r2", "r1")
    harness.log.put(OWN)
    harness.hello()
    first = harness.batch("g1", Join("a", "g1~1", "u"))
    last = harness.batch("g1", said(b"1"))
    harness.shard.follow_placement()
    await harness.read(last)
    await eventually(lambda: harness.shard.role.state is State.FOLLOWING)
    assert harness.log.published == []
    harness.routers.heartbeat(RouterHeartbeat("r2", 1, shards=(SpeakerProgress(0, "life", first, -1),)), 0.0)
    harness.routers.end("r2")
    harness.place("r1")
    harness.shard.follow_placement()
    assert harness.shard.speaks
    await eventually(lambda: harness.told("all") == [Speaker("r1", 0)])
    await eventually(lambda: harness.events() == [(f"life.0.{last}.2", "message")])
    harness.shard.number_said(Number("g1", 0, 1, None))
    await eventually(lambda: [type(item).__name__ for item in harness.told("g1")] == ["Entered", "Deliver"])


async def test_a_gateway_that_does_not_answer_is_asked_again(harness):
    """One that lives; with a pause."""
    harness.log.put(OWN)
    harness.hello()
    await harness.taken(own_rules=False)
    harness.shard.tick()
    assert harness.told("g1") == []
    harness.clock.advance(1.0)
    harness.shard.tick()
    await eventually(lambda: harness.told("g1") == [Speaker("r1", 0)])


async def test_who_may_have_missed_what_gateways_said_asks_all_of_them(harness):
    """Where it speaks; else nobody would."""
    harness.shard.ask_gateways()
    assert harness.told(ALL) == []
    await harness.taken()
    await eventually(lambda: harness.told(ALL) == [Speaker("r1", 0)])
    harness.shard.ask_gateways()
    await eventually(lambda: harness.told(ALL) == [Speaker("r1", 0)] * 2)


async def test_a_gateway_that_says_its_number_is_sent_to_at_once(harness, monkeypatch):
    """It could not be reached before, and the next attempt was far."""
    monkeypatch.setattr(egress, "FIRST_PAUSE_S", 3_600.0)
    await harness.taken()
    harness.hello()
    await harness.read(harness.log.end - 1)
    harness.log.script("g1", Unroutable("?"))
    await harness.read(harness.batch("g1", Join("a", "g1~1", "u"), said(b"1", "m")))
    await eventually(lambda: len(harness.told("g1")) == 3)
    harness.shard.number_said(Number("g1", 0, 1, None))
    await eventually(lambda: len(harness.told("g1")) == 6)


async def test_who_is_silent_says_writes_and_answers_nothing(harness):
    """Once the next one speaks; what it had begun to write is given up."""
    await harness.taken()
    await eventually(lambda: Speaker("r1", 0) in harness.told(ALL))  # else it may come later
    harness.hello()
    harness.routers.heartbeat(RouterHeartbeat("r2", 1, shards=(SpeakerProgress(0, "life", 0, -1),)), 0.0)
    harness.place("r2", "r1")
    harness.shard.follow_placement()
    assert harness.shard.role.state is State.FOLLOWING
    assert harness.shard.progress() is None
    before = len(harness.log.published)
    await harness.read(harness.batch("g1", Join("a", "g1~1", "u"), said(b"1")))
    harness.shard.number_said(Number("g1", 0, 1, None))
    harness.shard.asked(Read("g1", 0, "a", "life-1", 0, 1, 1))
    harness.shard.queried(HistoryQuery("a", "g1~1", "r"))
    harness.listen()
    harness.clock.advance(60.0)
    harness.gateways.expire(harness.clock.monotonic())
    harness.shard.tick()
    assert len(harness.log.published) == before


async def test_a_life_without_a_lease_is_ended_by_who_has_listened_long_enough(harness):
    """Not sooner, and once; its members leave by that."""
    await harness.taken()
    harness.hello()
    await harness.read(harness.batch("g1", Join("a", "g1~1", "u")))
    harness.gateways.end("g1")
    harness.shard.tick()
    harness.listen()
    assert harness.written(Gone) == []
    harness.shard.tick()
    harness.shard.tick()
    await eventually(lambda: "a" not in harness.shard.fold.rooms)
    assert [(gone.gateway, gone.life) for gone in harness.written(Gone)] == [("g1", 1)]
    assert harness.shard.fold.gateways == {}


async def test_a_gateway_that_begins_is_given_a_lease(harness):
    """Its first heartbeat may come later than its Hello."""
    await harness.taken()
    await harness.read(harness.batch("g1", Hello()))
    assert harness.gateways.living == {"g1"}


async def test_a_log_for_newer_routers_is_spoken_for_no_more(harness):
    """What comes behind it may mean anything: nothing is said, nothing written, and the router hears why."""
    await harness.taken()
    harness.log.put(msgspec.structs.replace(OWN, version=FOLD_VERSION + 1))
    await eventually(lambda: harness.shard.outdated)
    assert f"version {FOLD_VERSION + 1}" in harness.shard.outdated
    written = len(harness.log.published)
    harness.hello()
    for _ in range(3):
        harness.shard.tick()
    assert (harness.shard.speaks, harness.shard.progress(), len(harness.log.published)) == (
        False,
        None,
        written,
    )
    harness.place("r2")
    harness.shard.follow_placement()
    assert harness.shard.role.state is State.IDLE


async def test_what_was_read_is_told_and_what_waits_for_a_gateway(harness):
    """Users' own rooms are counted as users, and as no rooms."""
    assert harness.shard.reading() is None
    await harness.taken()
    harness.hello()
    last = await harness.read(harness.batch("g1", Join("a", "g1~1", "u"), Join("@u", "g1~1", "u")))
    reading = harness.shard.reading()
    assert (reading.rooms, reading.members, reading.users, reading.speaks) == (1, 1, 1, True)
    assert reading.offset == harness.shard.fold.offset
    assert last is None or reading.offset >= last
    assert set(harness.shard.gateways_waiting()) <= {"g1"}


async def test_a_checkpoint_is_marked_and_written(harness):
    """A reader that begins later begins there; the heartbeat says where, and how far events are confirmed."""
    await harness.taken()
    last = harness.hello()
    await harness.read(last)
    harness.shard.tick()
    await eventually(lambda: harness.written(Checkpoint))
    (mark,) = [offset for offset, body in harness.log.entries.items() if isinstance(decode(body)[0], Mark)]
    await eventually(
        lambda: harness.shard.progress() == SpeakerProgress(0, "life", harness.log.end - 1, mark)
    )
    harness.shard.tick()
    assert len(harness.written(Mark)) == 1


async def test_a_checkpoint_waits_for_the_events_before_it(harness):
    """Who begins there has none to send from before."""
    await harness.taken()
    await eventually(lambda: harness.written(Checkpoint))  # the first one, of nothing yet
    harness.hello()
    harness.log.script("room.joined", *[BusUnavailable()] * 10_000)
    last = harness.batch("g1", Join("a", "g1~1", "u"))
    await harness.read(last)
    harness.clock.advance(LATE_US / 1_000_000)
    harness.shard.tick()
    await eventually(lambda: len(harness.written(Mark)) == 2)
    await harness.read(harness.log.end - 1)
    assert harness.shard.progress().events == last - 1
    assert len(harness.written(Checkpoint)) == 1
    harness.log.outcomes["room.joined"].clear()
    await eventually(lambda: len(harness.written(Checkpoint)) == 2)


async def test_members_read_what_they_have_missed(harness):
    """And their history; another speaks of what it does not have."""
    await harness.taken()
    harness.hello()
    await harness.read(harness.batch("g1", Join("a", "g1~1", "u"), said(b"1"), said(b"2")))
    harness.shard.asked(Read("g1", 0, "a", "life-1", 1, 2, 7))
    harness.shard.queried(HistoryQuery("a", "g1~1", "r"))
    await eventually(lambda: any(isinstance(item, HistoryPage) for item in harness.told("g1")))
    (page,) = [item for item in harness.told("g1") if isinstance(item, Page)]
    assert [message.payload for message in page.messages] == [b"2"]


async def test_a_batch_of_a_life_that_is_over_is_answered(harness):
    """With the last of its batches that counted."""
    await harness.taken()
    harness.hello()
    harness.batch("g1", Join("a", "g1~1", "u"))
    harness.log.put(Gone("g1", 1, 1))
    await harness.read(harness.batch("g1", said(b"late")))
    await eventually(lambda: LifeEnded(0, 1, 2) in harness.told("g1"))


async def test_a_log_read_anew_silences_until_it_is_read(harness):
    """Then it speaks again, from what the log tells now."""
    await harness.taken()
    harness.hello()
    await harness.read(1)
    harness.log.made_anew()
    harness.log.cut()
    harness.log.put(Rules("second", 1, 100, 100, 100, 1))
    await eventually(lambda: harness.shard.fold.life == "second" and harness.shard.speaks)
    assert harness.shard.fold.gateways == {}


async def test_what_came_of_a_command_is_told_to_the_router_that_wrote_it(harness):
    """By the speaker alone, whoever that router is; a router that follows is silent."""

    def results():
        return [
            (published.key, decode(published.body))
            for published in harness.log.published
            if published.exchange == harness.topology.routers
        ]

    await harness.taken(own_rules=False)
    command = Command("c", "disconnect", "@ann")
    harness.log.put(Commanded("r7", NOW_US), command)
    await eventually(
        lambda: results() == [("r7", [CommandResult("c", "@ann", b'{"connections":0}')])],
    )
    harness.place("r2", "r1")
    harness.routers.heartbeat(RouterHeartbeat("r2", 1, shards=(SpeakerProgress(0, "life", 0, -1),)), 0.0)
    harness.shard.follow_placement()
    await eventually(lambda: not harness.shard.speaks)
    await harness.read(harness.log.put(Commanded("r7", NOW_US), command))
    assert len(results()) == 1


async def test_a_lost_log_begins_a_new_life_unless_another_speaks_for_it(harness):
    """Who speaks still knows what it was, and will write a checkpoint."""
    harness.log.put(RULES)
    harness.hello()
    harness.log.drop(1)
    harness.routers.heartbeat(RouterHeartbeat("r2", 1, shards=(SpeakerProgress(0, "life", 0, -1),)), 0.0)
    harness.shard.follow_placement()
    await eventually(lambda: harness.shard.speaks)
    harness.shard.tick()
    assert harness.written(Rules) == []
    harness.routers.end("r2")
    harness.shard.tick()
    await eventually(lambda: harness.shard.fold.life)
    (rules,) = harness.written(Rules)
    assert rules.anew


async def test_too_many_events_that_wait_hold_up_the_reading(harness):
    """Nothing is let go; it goes on when they are confirmed."""
    await harness.taken()
    harness.hello()
    harness.shard._events.backlog._count = 3
    harness.log.script("message.CHAT.a", *[BusUnavailable()] * 10_000)
    for _ in range(10):
        last = harness.batch("g1", said(b"1"))
    await eventually(lambda: harness.shard._reader._paused)
    assert harness.shard.fold.offset < last
    harness.log.outcomes["message.CHAT.a"].clear()
    await harness.read(last)
    await eventually(lambda: not harness.shard._events.backlog)
    assert len({ident for ident, _ in harness.events()}) == 10


async def test_what_nobody_wants_here_is_not_read(harness):
    """And what was read is forgotten."""
    harness.place("r2", "r3")
    harness.shard.follow_placement()
    assert harness.log.starts == []
    assert harness.shard.prepared
    harness.place("r2", "r1")
    harness.log.put(OWN)
    harness.shard.follow_placement()
    await harness.read(0)
    harness.place("r2", "r3")
    await eventually(lambda: harness.shard.role.state is State.FOLLOWING)
    harness.shard.follow_placement()
    assert (harness.shard.role.state, harness.shard.fold.life) == (State.IDLE, "")


async def test_a_gateway_that_was_told_more_than_the_log_has_makes_a_new_life(harness):
    """The log has lost its end, and other entries will get those numbers: nobody may take them for the old
    ones.
    """
    await harness.taken()
    harness.hello()
    last = harness.batch("g1", Join("a", "g1~1", "u"))
    await harness.read(last)
    harness.shard.number_said(Number("g1", 0, 1, LogPosition("life", last + 100, 1)))
    for _ in range(truncation_detector.DOUBTS):
        harness.clock.advance(truncation_detector.PATIENCE_S)
        harness.shard.tick()
        await eventually(lambda: harness.shard._maintainer._truncation._task is None)
    assert harness.shard._maintainer._truncation.lost
    harness.shard.tick()
    await eventually(lambda: harness.shard.fold.life != "life")
    assert harness.written(Rules)[-1].anew
    assert not harness.shard._maintainer._truncation.lost


async def test_a_log_that_forked_makes_a_new_life(harness):
    """Where another entry stands in the place of the last one that was read, in the same life."""
    await harness.taken()
    await harness.read(harness.hello())
    last = harness.log.put(Gone("other", 1, 1))
    await harness.read(last)
    harness.log.cut()
    harness.log.entries[last] = harness.log.entries[0]
    await eventually(lambda: harness.shard.fold.life not in ("", "life"))
    assert harness.written(Rules)[-1].anew


async def test_a_gateway_whose_hello_came_before_the_log_had_a_life_hears_that_it_never_began(harness):
    """It was asked when the life began; an entry behind its Hello says that there is none. One that begins
    later is not told so.
    """
    harness.hello()
    harness.shard.follow_placement()
    await eventually(lambda: harness.shard.fold.life and harness.shard.speaks)
    await eventually(lambda: Speaker("r1", 0) in harness.told("all"))
    harness.shard.number_said(Number("g1", 0, 1, None))
    await eventually(lambda: LifeEnded(0, 1, 0) in harness.told("g1"))
    harness.shard.number_said(Number("g2", 0, 1, None))
    harness.log.put(Batch("g2", 1, 1, 1), Hello())
    await eventually(lambda: "g2" in harness.shard.fold.gateways)
    await eventually(lambda: not harness.shard.waiting)
    assert LifeEnded(0, 1, 0) not in harness.told("g2")


# ── receipts ────────────────────────────────────────────────────────────────────────────────────────────────


def receipts(harness):
    """Return what the router that asked was told."""
    found = [each for each in harness.log.published if each.exchange == harness.topology.routers]
    return [(each.key, envelope) for each in found for envelope in decode(each.body)]


async def newer(harness):
    """Have the shard spoken for, with rules that give receipts, and ann on g1 and g2 in room a."""
    harness.log.put(msgspec.structs.replace(OWN, version=2))
    await harness.taken(own_rules=False)
    for gateway in ("g1", "g2"):
        harness.hello(gateway)
        harness.batch(gateway, Join("a", f"{gateway}~1", "ann"))
    message = Publish("a", "CHAT", b"1", NOW_US, id="m", receipt=2, asker="r9")
    offset = harness.log.put(Notified("r9", 1), message)
    await harness.read(offset)
    return offset


async def test_a_receipt_is_told_once_every_gateway_has_said_that_it_is_told(harness):
    """The gateways are asked for it with the message and behind it, not when the time comes to look."""
    offset = await newer(harness)
    await eventually(lambda: ProgressQuery("r1", 0) in harness.told("g2"))
    told = harness.told("g2")
    assert [type(each) for each in told[-2:]] == [Deliver, ProgressQuery]
    life = harness.shard.fold.life
    harness.shard.progress_said(Progress("g1", 0, 1, LogPosition(life, offset, 9)))
    assert receipts(harness) == []
    harness.shard.progress_said(Progress("g2", 0, 1, LogPosition(life, offset, 9)))
    expected = Receipt("m", "a", f"{life}-1", 1, False, 1, 2, 2, 2, 0, True, "", 2, -1)
    await eventually(lambda: receipts(harness) == [("r9", expected)])


async def test_a_clients_receipt_goes_to_its_gateway(harness):
    """First that it is written, then that it is seen."""
    await newer(harness)
    life = harness.shard.fold.life
    harness.batch("g2", Join("a", "g2~2", "bob"))
    message = Publish("a", "CHAT", b"1", NOW_US, "g1~1", "ann", "c", receipt=3)
    offset = harness.batch("g1", message)
    await harness.read(offset)
    for gateway in ("g1", "g2"):
        harness.shard.progress_said(Progress(gateway, 0, 1, LogPosition(life, offset, 9)))
    harness.batch("g2", Seen("a", "g2~2", f"{life}-1", 2))

    def told():
        found = [each for each in harness.told("g1") if isinstance(each, Receipt)]
        return [(each.conn, each.id, each.level, each.complete, each.seen) for each in found]

    await eventually(lambda: told() == [("g1~1", "c", 2, True, 0), ("g1~1", "c", 3, True, 1)])


async def test_the_speaker_says_what_time_it_is_while_something_is_to_be_seen(harness):
    """Else nobody would know that its time is over."""
    await newer(harness)
    wanted = Publish("a", "CHAT", b"1", NOW_US, id="w", unseen_ms=1_000)
    await harness.read(harness.log.put(Notified("r9", NOW_US), wanted))
    assert harness.shard.fold.unseen_us == NOW_US + 1_000_000
    harness.clock.advance(1.1)
    harness.shard.tick()
    await eventually(lambda: harness.shard.fold.unseen_us is None)


async def test_gateways_that_have_not_got_far_enough_are_asked_ten_times_a_second(harness):
    """However often it is looked; with each message that asks for a receipt once more, and for others not."""
    await newer(harness)
    asked = ProgressQuery("r1", 0)
    await eventually(lambda: harness.told("g2").count(asked) == 1)
    for count in (2, 3):
        for _ in range(3):
            harness.shard.tick()
        await eventually(lambda count=count: harness.told("g2").count(asked) == count)
        harness.clock.advance(AGAIN_S)
    for receipt, ident in ((0, "n"), (1, "o"), (2, "p")):
        message = Publish("a", "CHAT", b"1", NOW_US, id=ident, receipt=receipt, asker="r9")
        harness.log.put(Notified("r9", 1), message)
    await eventually(lambda: sum(isinstance(each, Deliver) for each in harness.told("g2")) == 4)
    await eventually(lambda: harness.told("g2").count(asked) == 4)


async def test_a_gateway_that_is_gone_completes_a_receipt_as_lost(harness):
    """A router that speaks no more tells nothing."""
    offset = await newer(harness)
    life = harness.shard.fold.life
    harness.shard.progress_said(Progress("g1", 0, 1, LogPosition(life, offset, 9)))
    harness.log.put(Gone("g2", 1, NOW_US))
    expected = Receipt("m", "a", f"{life}-1", 1, False, 1, 2, 2, 1, 1, True, "", 2, -1)
    await eventually(lambda: receipts(harness) == [("r9", expected)])


async def test_who_speaks_no_more_has_no_receipts(harness):
    """The next speaker has none either: who asked is told in time that nothing is known."""
    offset = await newer(harness)
    harness.place("r2")
    harness.shard.role.state = State.FOLLOWING
    harness.shard._do(Step.SILENCE)
    life = harness.shard.fold.life
    for gateway in ("g1", "g2"):
        harness.shard.progress_said(Progress(gateway, 0, 1, LogPosition(life, offset, 9)))
    assert receipts(harness) == []


async def test_a_backend_is_told_for_how_many_a_message_was_what(harness):
    """As the gateways say who were fed: they are asked by the speaker alone."""
    await newer(harness)
    read = reads.encoded(reads.ExplainRead("a", "", "m"))
    assert (harness.shard.answer(read), harness.shard.asking) == (None, 1)
    place = (0, "a", f"{harness.shard.fold.life}-1", 1)
    for gateway in ("g1", "g2"):
        await eventually(lambda gateway=gateway: CountsQuery("r1", *place) in harness.told(gateway))
    harness.shard.counted(Counts("g1", *place, 1, True, 3, 1))
    harness.shard.role.state = State.FOLLOWING
    harness.shard.counted(Counts("g2", *place, 1, True, 9))
    assert harness.shard.answer(read) is None
    harness.shard.role.state = State.SPEAKING
    harness.clock.advance(PATIENCE_S)
    told = msgspec.json.decode(harness.shard.answer(read), type=Explained)
    assert [(each.gateway, each.state) for each in told.gateways] == [("g1", "counted"), ("g2", "silent")]
    assert (told.written, told.withheld) == (3, 1)


async def test_who_may_say_something_is_told_by_the_speaker_alone(harness):
    """Once the log has a life; one that does not speak says nothing."""
    harness.shard.access_queried(AccessQuery("g1~1", "ann"))
    harness.log.put(Rules("life", FOLD_VERSION, 100, 100, 100, 1))
    await harness.taken(own_rules=False)
    harness.shard.access_queried(AccessQuery("g1~2", "ann"))
    await eventually(lambda: harness.told("g1") == [AccessAnswer("g1~2", 0)])


async def test_who_watches_a_room_is_told_by_the_speaker_alone(harness):
    """At a beat after the entry; who asks who is there gets a page. One that does not speak says nothing."""
    harness.log.put(Rules("life", FOLD_VERSION, 100, 100, 100, 1))
    await harness.taken(own_rules=False)
    harness.hello()
    here = Join("a", "g1~1", "ann", presence=PRESENCE_USERS)
    await harness.read(harness.batch("g1", Watch("a", "g1~1", "ann", on=True), here))
    harness.clock.advance(BEAT_S)
    harness.shard.tick()
    harness.shard.presence_queried(PresenceQuery("a", "g1~1", "r"))
    await eventually(lambda: any(isinstance(each, PresencePage) for each in harness.told("g1")))
    (diff,) = [each for each in harness.told("g1") if isinstance(each, PresenceDiff)]
    assert [member.key for member in diff.joined] == ["ann"]
    harness.shard.number_said(Number("g1", 0, 1, None))
    harness.clock.advance(3 * BEAT_S)
    harness.shard.tick()
    await eventually(lambda: sum(isinstance(each, PresenceDiff) for each in harness.told("g1")) == 2)
    harness.place("r2", "r1")
    harness.routers.heartbeat(
        RouterHeartbeat("r2", 1, shards=(SpeakerProgress(0, "life", 0, -1),)), harness.clock.monotonic()
    )
    harness.shard.follow_placement()
    assert not harness.shard.speaks
    harness.shard.presence_queried(PresenceQuery("a", "g1~1", "r2"))
    harness.clock.advance(60)
    harness.shard.tick()
    assert sum(isinstance(each, PresenceDiff | PresencePage) for each in harness.told("g1")) == 3
