"""A new owner from the log: whatever happened before, it knows what the former owner knew, and the members lose nothing by it."""

from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.core import lives
from router.core.effects import EVERY, Append, Deliver, Reply
from router.core.limits import ShardLimits
from router.core.replay import Replay
from router.core.shard import Shard
from warren import envelope as wire
from warren.address import gateway_of
from warren.envelope import Announce, Join, Leave, Marker, Members, Publish, Resume
from warren.namespaces import HistoryPolicy, Namespaces, RoomPolicy
from warren.position import Position

NOW = 1_764_000_000_000_000
ROOMS = ["a", "b", "c", "short:a", "off:a", "@u", "*"]
GATEWAYS = ["g1", "g2"]
NAMESPACES = Namespaces(
    [
        RoomPolicy("off", "off:*", history=HistoryPolicy(0, 0)),
        RoomPolicy("short", "short:*", history=HistoryPolicy(2, 300)),
    ]
)
SECOND = 1_000_000
FLOOR = 2 * SECOND
LIMITS = ShardLimits(rooms_remembered=2, checkpoint_bytes=1_200, history_floor_us=FLOOR)

rooms = st.sampled_from(ROOMS)
joinable = st.sampled_from([room for room in ROOMS if room != "*"])
gateways = st.sampled_from(GATEWAYS)
conns = st.builds("{}~{}".format, gateways, st.integers(1, 2))
ids = st.sampled_from(["", "1", "2", "~g1~1.1", "~g1~1.2"])


class Gateway:
    """How far one gateway has got in each room that concerns it, as a hub keeps it; it takes messages in order only."""

    def __init__(self):
        self.at = {}  # room ▶ Position
        self.members = {}  # room ▶ connections
        self.got = []  # (room, epoch, seq, id) in order
        self.behind = set()
        self.told = 0  # Resyncs

    def take(self, message):
        match message:
            case wire.Deliver(seq=0):
                pass
            case wire.Deliver(to=""):
                self.take_message(message)
            case wire.Joined():
                self.members.setdefault(message.room, set()).add(message.conn)
                start = Position(message.position.epoch, message.position.seq + message.missed)
                at = self.at.get(message.room)
                if at is None or len(self.members[message.room]) == 1:
                    self.at[message.room] = start
                elif at != start:
                    self.behind.add(message.room)  # the others here are where they were
            case wire.Resync():
                at = self.at.get(message.room)
                if at is None or at.epoch != message.position.epoch or at.seq < message.position.seq:
                    self.at[message.room] = message.position
                    self.told += 1
                self.behind.discard(message.room)

    def take_message(self, message):
        at = self.at.get(message.room)
        if at is None or (message.room != "*" and not self.members.get(message.room)):
            return
        position = Position(message.epoch, message.seq)
        if position.follows(at):
            self.at[message.room] = position
            self.got.append((message.room, message.epoch, message.seq, message.id))
            self.behind.discard(message.room)
        elif position.epoch != at.epoch or position.seq > at.seq:
            self.behind.add(message.room)


class LiveAgainstReplay(RuleBasedStateMachine):
    """One shard after another over one log. What leaves for a gateway may be lost; a lost one is noticed by its position."""

    def __init__(self):
        super().__init__()
        self.parts = mock.patch.object(lives, "ROOMS_IN_PART", 2)  # so that checkpoints come in parts
        self.parts.start()

    def teardown(self):
        self.parts.stop()

    @initialize()
    def begin(self):
        self.log = []
        self.numbered = {}  # (room, epoch, seq) ▶ id, of all that was ever logged
        self.times = {}  # likewise ▶ when Warren took it in
        self.now = NOW
        self.gateways = {name: Gateway() for name in GATEWAYS}
        self.term = 0
        self.take_over()

    # ── the worker ──

    def carry_out(self, effects, lost=()):
        for effect in effects:
            if isinstance(effect, Append):
                self.log.append(effect.entry)
                if isinstance(effect.entry, wire.Deliver):
                    key = (effect.entry.room, effect.entry.epoch, effect.entry.seq)
                    assert key not in self.numbered
                    self.numbered[key] = effect.entry.id
                    self.times[key] = effect.entry.at_us
        for effect in effects:
            if isinstance(effect, Deliver):
                to = GATEWAYS if effect.gateways == EVERY else effect.gateways
                for name in to:
                    if name not in lost:
                        self.gateways[name].take(effect.message)
            elif isinstance(effect, Reply):
                self.gateways[effect.gateway].take(effect.message)

    def take_over(self):
        self.term += 1
        self.log.append(Marker("r", self.term))
        replay = self.replay()
        assert replay.highest_term == self.term
        self.shard = Shard(0, 1, self.term, LIMITS, NAMESPACES, "r")
        self.shard.ask_every(GATEWAYS, self.now)
        for name in GATEWAYS:
            self.shard.announced(self.answer(name, 1), self.now)
        self.carry_out(self.shard.open(replay.finish(self.term, self.now), self.now))

    def replay(self):
        replay = Replay(LIMITS, NAMESPACES, 1, 0)
        replay.take(self.log)
        assert (replay.skipped, replay.uncounted) == (0, 0)
        return replay

    def answer(self, name, ref):
        gateway = self.gateways[name]
        named = [
            Members(room, tuple((conn, "u") for conn in sorted(members)), gateway.at[room])
            for room, members in sorted(gateway.members.items())
            if members
        ]
        named.append(Members("*", (), gateway.at.get("*")))
        return Announce(name, 0, self.term, tuple(named), True, ref)

    # ── what happens ──

    @rule(
        room=rooms,
        conn=conns,
        id=ids,
        lost=st.sets(gateways, max_size=1),
        ephemeral=st.sampled_from([False] * 4 + [True]),
        off_us=st.sampled_from([0, 0, 0, SECOND]),
    )
    def publish(self, room, conn, id, lost, ephemeral, off_us):  # noqa: A002
        # It has waited for its turn, or another gateway's clock is behind.
        message = Publish(room, "CHAT", b"1", self.now - off_us, conn, "u", id, ephemeral=ephemeral)
        self.carry_out(self.shard.apply(message, self.now), lost)

    @rule(passes=st.integers(1, 3 * SECOND))
    def time_passes(self, passes):
        self.now += passes

    @rule(room=joinable, conn=conns)
    def join(self, room, conn):
        self.carry_out(self.shard.apply(Join(room, conn, "u"), self.now))

    @rule(room=joinable, conn=conns, back=st.integers(0, 4))
    def join_again(self, room, conn, back):
        current = self.shard.position(room)
        since = Position(current.epoch, max(0, current.seq - back))
        effects = self.shard.apply(Join(room, conn, "u", "", since), self.now)
        joined, *missed = [effect.message for effect in effects if isinstance(effect, Reply)]
        if joined.recovered:
            assert (joined.position, joined.missed) == (since, len(missed))
            assert [message.seq for message in missed] == list(range(since.seq + 1, current.seq + 1))
            assert all(message.to == conn and message.term == self.term for message in missed)
        else:
            assert missed == []
            # It may have been forgotten in the very same step.
            assert room == "off:a" or joined.position.epoch != since.epoch or self.outlived(room, since, current.seq)
        self.carry_out(effects)

    def outlived(self, room, since, last):
        """Say whether the first message after ``since`` was older than the floor when so many others had come that it might go."""
        count = 2 if room == "short:a" else 100
        first = self.times[room, since.epoch, since.seq + 1]
        return any(
            self.times[room, since.epoch, seq] >= first + FLOOR for seq in range(since.seq + 1 + count, last + 1)
        )

    @rule(room=joinable, conn=conns)
    def leave(self, room, conn):
        self.gateways[gateway_of(conn)].members.get(room, set()).discard(conn)
        self.carry_out(self.shard.apply(Leave((room,), conn), self.now))

    @precondition(lambda self: any(gateway.behind for gateway in self.gateways.values()))
    @rule(data=st.data())
    def resume(self, data):
        name = data.draw(st.sampled_from([name for name in GATEWAYS if self.gateways[name].behind]))
        room = data.draw(st.sampled_from(sorted(self.gateways[name].behind)))
        gateway = self.gateways[name]
        self.carry_out(self.shard.apply(Resume(name, room, gateway.at[room]), self.now))
        if room == "*" or gateway.members.get(room):
            assert gateway.at[room] == self.shard.position(room)
        gateway.behind.discard(room)

    @rule()
    def owner_changes(self):
        """The new owner knows the same positions, messages and ids, and brings every gateway to where its rooms are."""
        before, known = self.shard._ledger, self.replay().finish(self.term + 1, self.now)
        assert (known.lives.life, known.lives.generation) == (before.lives.life, before.lives.generation)
        for room in ROOMS:
            if room == "off:a":
                assert known.lives.position(room).epoch != before.lives.position(room).epoch
            else:
                assert known.lives.position(room) == before.lives.position(room)
                assert known.history.entries(room) == before._history.entries(room)
        for ids, seen in ((known.ids, before._ids), (known.own_ids, before._own_ids)):
            logged = [key for key in seen.known() if key[0] != "off:a" and seen.get(key, self.now).seq]
            assert ids.known() == logged
            assert [ids.get(key, self.now) for key in logged] == [seen.get(key, self.now) for key in logged]
        self.take_over()
        for name, gateway in self.gateways.items():
            for room, members in gateway.members.items():
                assert set(self.shard.rooms.members(room, name)) == members
                assert not members or gateway.at[room] == self.shard.position(room)

    @rule(data=st.data())
    def the_log_loses_its_beginning(self, data):
        """Whoever takes over then knows a room's position, or knows that it does not: no room goes on from a wrong place."""
        replay = Replay(LIMITS, NAMESPACES, 1, 0)
        replay.take(self.log[data.draw(st.integers(0, len(self.log))) :])
        known = replay.finish(self.term + 1, self.now)
        used = {epoch for _, epoch, _ in self.numbered}
        for room in ROOMS:
            position = known.lives.position(room)
            assert position == self.shard.position(room) or (position.seq == 0 and position.epoch not in used)
            if known.history.entries(room):
                assert known.history.entries(room)[-1].seq == position.seq

    # ── what holds ──

    @invariant()
    def what_a_gateway_has_got_is_what_the_log_has_in_order(self):
        for gateway in self.gateways.values():
            assert len(set(gateway.got)) == len(gateway.got)
            last = {}
            for room, epoch, seq, ident in gateway.got:
                if room != "off:a":
                    assert self.numbered[room, epoch, seq] == ident
                if (room, epoch) in last:
                    assert seq > last[room, epoch]
                last[room, epoch] = seq


TestLiveAgainstReplay = LiveAgainstReplay.TestCase
