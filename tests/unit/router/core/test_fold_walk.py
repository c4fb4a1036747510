"""Fold on random logs: the promise of numbers, and that all who read the same log know the same, wherever
they began.
"""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import log_entries

from router.core.effects import BackendEvent, BatchRefused, Began, Ended, FeedItem, Ruled
from router.core.feeds import Feeds
from router.core.fold import Fold
from warren import envelope as wire
from warren.position import Position

ROOT = Path(__file__).parents[4]

logs = st.builds(log_entries.made, st.randoms(use_true_random=False), st.integers(1, 60))


@given(logs)
def test_two_folds_of_one_log_are_equal(records):
    """Entry by entry, in what comes of it and in what is known after it."""
    one, other = Fold(0, 1), Fold(0, 1)
    for offset, record in enumerate(records):
        assert one.apply(offset, record) == other.apply(offset, record)
    assert one.parts() == other.parts()


@settings(max_examples=60, deadline=None)
@given(logs, st.integers(1, 4_000))
def test_a_fold_restored_at_any_offset_goes_on_as_the_one_that_read_on(records, size):
    """Its state is the same byte for byte after each entry, and so is all that it says: also the order of
    forgetting has been kept.
    """
    whole, states, said = Fold(0, 1), [], []
    for offset, record in enumerate(records):
        said.append(whole.apply(offset, record))
        states.append(whole.parts(size))
    for begin in range(0, len(records), 7):
        fold = Fold.restored(0, 1, begin, states[begin][0])
        assert fold.parts(size) == states[begin]
        for offset in range(begin + 1, len(records)):
            assert fold.apply(offset, records[offset]) == said[offset]
            assert fold.parts(size) == states[offset]


@settings(max_examples=60, deadline=None)
@given(logs, st.integers(1, 4_000), st.randoms(use_true_random=False))
def test_a_snapshot_is_the_state_as_of_where_it_was_taken(records, size, chance):
    """However many entries are applied between its steps, and though others are taken and given up meanwhile;
    the fold goes on as without it.
    """
    fold, plain, held = Fold(0, 1), Fold(0, 1), []
    for offset, record in enumerate(records):
        assert fold.apply(offset, record) == plain.apply(offset, record)
        if chance.random() < 0.3:
            held.append((fold.snapshot(size), plain.parts(size)))
        for snapshot, wanted in list(held):
            if chance.random() < 0.1:
                snapshot.close()
                held.remove((snapshot, wanted))
            elif chance.random() < 0.5 and not snapshot.step():
                assert (snapshot.bodies, snapshot.digest) == wanted
                held.remove((snapshot, wanted))
    for snapshot, wanted in held:
        while snapshot.step():
            pass
        assert (snapshot.bodies, snapshot.digest) == wanted
    assert fold.parts(size) == plain.parts(size)


@given(logs)
def test_every_outcome_has_its_index(records):
    """1, 2, 3 … within each entry."""
    fold = Fold(0, 1)
    for offset, record in enumerate(records):
        outcomes = fold.apply(offset, record)
        assert [outcome.index for outcome in outcomes] == list(range(1, len(outcomes) + 1))


class Model:
    """What may be said of a log by one who remembers everything: it checks outcomes as they come."""

    def __init__(self):
        self.begin(None)

    def begin(self, rules):
        self.rules = rules
        self.last = {}  # (room, epoch) ▶ seq
        self.unseen = []  # messages that nobody has seen in time
        self.members = {}  # (room, connection) ▶ user
        self.living = {}
        self.acknowledged = {}  # (room, connection's user, id) ▶ its positions

    def check(self, outcomes):
        for at, outcome in enumerate(outcomes):
            match outcome:
                case Ruled():
                    self.rules = outcome.rules
                    if outcome.new_life:
                        self.begin(outcome.rules)
                case Began():
                    assert outcome.gateway not in self.living
                    self.living[outcome.gateway] = outcome.life
                case Ended():
                    assert self.living.pop(outcome.gateway) == outcome.life
                    assert not [conn for _, conn in self.members if conn.startswith(outcome.gateway + "~")]
                case BatchRefused():
                    assert self.living.get(outcome.gateway) != outcome.life
                case BackendEvent(kind="message"):
                    message = outcome.message
                    assert message.trace == ""
                    assert message.seq == self.last.get((message.room, message.epoch), 0) + 1
                    self.last[message.room, message.epoch] = message.seq
                    reached = self.reached(message.room)
                    said = [
                        each
                        for each in outcomes[:at]
                        if isinstance(each, FeedItem) and self.same(each.item, message)
                    ]
                    assert [set(each.gateways) for each in said] == ([reached] if reached else [])
                case BackendEvent(kind="undelivered", reason="nobody"):
                    message = outcome.message
                    assert message == outcomes[at - 1].message
                    assert not self.reached(message.room)
                case BackendEvent(kind="undelivered", reason="unseen"):
                    message = outcome.message
                    assert message.conn == ""
                    assert 0 < message.seq <= self.last[message.room, message.epoch]
                    assert message not in self.unseen
                    self.unseen.append(message)
                case BackendEvent():
                    member = (outcome.room, outcome.conn)
                    if outcome.reason:
                        assert self.members.pop(member) == outcome.user
                    else:
                        assert self.members.setdefault(member, outcome.user) == outcome.user
                case FeedItem(item=wire.Deliver(seq=0) as message):
                    assert set(outcome.gateways) == self.reached(message.room)
                case FeedItem(item=wire.Entered() as entered):
                    assert entered.position.seq == self.last.get((entered.room, entered.position.epoch), 0)
                case _:
                    pass

    def reached(self, room):
        if room == "*":
            return set(self.living)
        if "~" in room:
            return {room.partition("~")[0]} & set(self.living)
        return {conn.partition("~")[0] for at, conn in self.members if at == room}

    @staticmethod
    def same(item, message):
        return isinstance(item, wire.Deliver) and (item.room, item.epoch, item.seq) == (
            message.room,
            message.epoch,
            message.seq,
        )


@given(logs)
def test_no_number_is_given_twice_and_nobody_is_left_out(records):
    """In each epoch a room's messages are 1, 2, 3 …; a message goes to the gateways of its members, and each
    coming and going is told once.
    """
    fold, model = Fold(0, 1), Model()
    for offset, record in enumerate(records):
        model.check(fold.apply(offset, record))
        assert {name: life for name, (life, _) in fold.gateways.items()} == model.living
        members = {(room, conn): user for room, _, there in fold.rooms.walk() for conn, user in there.items()}
        assert members == model.members
        for (room, epoch), seq in model.last.items():
            position = fold.position(room)
            assert position == Position(epoch, seq) or position.epoch != epoch
        if model.rules is not None:
            assert len(fold.ended) <= model.rules.gone
            assert fold.remembered <= len(fold.rooms) + 1 + model.rules.rooms


def test_the_made_logs_reach_every_outcome():
    """Or the tests here would hold less than they say: ids and rooms are forgotten, gateways begin, end and
    are strangers.
    """
    kinds, epochs, duplicates, skipped, refused = set(), set(), 0, 0, 0
    for seed in range(80):
        fold = Fold(0, 1)
        for offset, record in enumerate(log_entries.made(Random(seed), 100)):
            for outcome in fold.apply(offset, record):
                kinds.add(type(outcome).__name__)
                if isinstance(outcome, FeedItem):
                    refused += isinstance(outcome.item, wire.Refused)
                    kinds.add(type(outcome.item).__name__)
                if isinstance(outcome, BackendEvent) and outcome.kind == "undelivered":
                    kinds.add(f"{outcome.kind} {outcome.reason}")
                if isinstance(outcome, BackendEvent) and outcome.message:
                    epochs.add(outcome.message.epoch)
        duplicates += fold.duplicates
        skipped += fold.skipped
    assert kinds == {
        *("FeedItem", "BackendEvent", "Began", "Ended", "BatchRefused", "Marked", "Part", "Ruled"),
        *("PresenceChanged", "CommandDone", "Deliver", "Ack", "Refused", "Entered", "Left"),
        *("Dismissed", "Enrolled", "TokensRevoked", "Accepted", "SeenChanged"),
        *("undelivered nobody", "undelivered unseen"),
    }
    assert min(len(epochs), duplicates, skipped, refused) > 10


# Runs what it is told in a process in which all clocks are beside the true time.
BESIDE = """
import runpy, sys, time
beside = float(sys.argv.pop(1))
for name in ("time", "monotonic", "perf_counter"):
    setattr(time, name, lambda read=getattr(time, name): read() + beside)
    setattr(time, name + "_ns", lambda read=getattr(time, name + "_ns"): read() + int(beside * 10**9))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def test_nothing_outside_the_log_matters(tmp_path):
    """Two processes with other clocks, hash seeds, time zones and settings say the same of a log, entry by
    entry and byte for byte.
    """
    log_entries.write(tmp_path / "log", log_entries.made(Random(7), 3_000))
    plain = {"PYTHONHASHSEED": "0", "TZ": "UTC"}
    other = {
        "PYTHONHASHSEED": "4711",
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "tr_TR.UTF-8",
        "WARREN_ROUTER_DEDUP_COUNT": "1",
        "WARREN_ROUTER_ROOMS_REMEMBERED": "1",
        "WARREN_SHARDS": "7",
        "WARREN_NAMESPACES": "[{name: all, pattern: '*', history: {count: 0}}]",
    }
    said = []
    for beside_s, settings_ in (("0", plain), ("86400000", other)):
        environment = os.environ | {"PYTHONIOENCODING": "utf-8"} | settings_
        command = [sys.executable, "-c", BESIDE, beside_s, "tests.support.log_entries", str(tmp_path / "log")]
        run = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, check=False, timeout=120
        )
        assert run.returncode == 0, run.stderr.decode()
        said.append(run.stdout)
    assert said[0] == said[1]
    assert said[0].count(b"\n") >= 3_000


def test_who_began_before_the_log_did_hears_it_from_the_speaker_at_once():
    """With the Rules that begin the log's life, by whoever wrote them."""
    fold, feeds = Fold(0, 1), Feeds("r1", 0, 1_000)
    feeds.start("", -1, fold.gateways, fold.ended)
    feeds.begin()
    answers = []
    entries = ([wire.Batch("g1", 1, 1, 1), wire.Hello()], [wire.Rules("one", 1, 9, 9, 9, 1)])
    for offset, entry in enumerate(entries):
        effects = fold.apply(offset, wire.encode(entry))
        feeds.take(fold.life, offset, effects, fold.gateways, fold.ended)
        answers.append(feeds.answers())
    assert answers == [[], [("g1", wire.LifeEnded(0, 1, 0))]]
