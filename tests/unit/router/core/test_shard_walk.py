"""Shard on a random walk against a naive model: no member lost, no seq twice, replies right."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.core.effects import Append, Deliver, Reply
from router.core.shard import Shard, ShardLimits
from warren import envelope as wire
from warren.address import gateway_of
from warren.envelope import Announce, Join, Leave, Members, Publish
from warren.namespaces import Namespaces
from warren.position import Position

NOW = 1_764_000_000_000_000
TERM = 0xABC

rooms = st.sampled_from(["a", "b", "@u"])
gateways = st.sampled_from(["g1", "g2"])
conns = st.builds("{}~{}".format, gateways, st.integers(1, 2))
users = st.sampled_from(["u", "v"])


class ShardAgainstModel(RuleBasedStateMachine):
    """The model: a dict of members, a dict of seqs, a dict of ids. Gateways also answer asks late, as they do."""

    @initialize()
    def begin(self):
        self.shard = Shard(0, 1, TERM, ShardLimits(), Namespaces(), "r1")
        self.shard.open(None, NOW)
        self.members = {}  # room ▶ connections
        self.seqs = {}
        self.epochs = {}
        self.ids = {}
        self.given = set()  # every (room, epoch, seq) that was ever delivered
        self.snapshots = {}  # gateway ▶ (ref, members at that moment, joins and leaves since)

    def position(self, room):
        return (self.epochs[room], self.seqs.get(room, 0)) if room in self.epochs else None

    def learn(self, room, epoch):
        assert self.epochs.setdefault(room, epoch) == epoch

    @rule(room=rooms, conn=conns, user=users, id=st.sampled_from(["", "1", "2", "~g1~1.1"]), ephemeral=st.booleans())
    def publish(self, room, conn, user, id, ephemeral):  # noqa: A002
        effects = self.shard.apply(Publish(room, "CHAT", b"1", NOW, conn, user, id, ephemeral=ephemeral), NOW)
        appends = [effect.entry for effect in effects if isinstance(effect, Append)]
        delivers = [effect for effect in effects if isinstance(effect, Deliver)]
        acks = [effect.message for effect in effects if isinstance(effect, Reply)]
        own = id.startswith("~")
        assert len(acks) == (1 if id and not own else 0)
        expected = {gateway_of(member) for member in self.members.get(room, ())}
        known = self.ids.get((room, user, id)) if id and not (own and ephemeral) else None
        if known is not None:
            assert appends == []
            assert all((effect.message.epoch, effect.message.seq) == known for effect in delivers)
            assert {gateway for effect in delivers for gateway in effect.gateways} == (expected if known[1] else set())
            assert all((ack.epoch, ack.seq) == known for ack in acks)
            return
        assert {gateway for effect in delivers for gateway in effect.gateways} == expected
        assert len(appends) == (0 if ephemeral else 1)
        if not ephemeral:
            self.seqs[room] = self.seqs.get(room, 0) + 1
            self.learn(room, appends[0].epoch)
            assert appends[0].seq == self.seqs[room]
        for effect in delivers:
            said = effect.message
            assert said.seq == (0 if ephemeral else self.seqs[room])
            if not ephemeral:
                self.learn(room, said.epoch)
                assert (room, said.epoch, said.seq) not in self.given
                self.given.add((room, said.epoch, said.seq))
        if acks:
            if not ephemeral:
                self.learn(room, acks[0].epoch)
            assert acks[0].seq == (0 if ephemeral else self.seqs[room])
        if id and not (own and ephemeral):
            self.ids[room, user, id] = ("", 0) if ephemeral else (self.epochs[room], self.seqs[room])

    @rule(room=rooms, conn=conns, user=users, back=st.none() | st.integers(-1, 60))
    def join(self, room, conn, user, back):
        at = self.position(room)
        since = Position(at[0], at[1] - back) if back is not None and at else None
        joined, *missed = [effect.message for effect in self.shard.apply(Join(room, conn, user, "r", since), NOW)]
        self.learn(room, joined.position.epoch)
        assert joined.recovered is (since is not None and 0 <= since.seq <= at[1])
        assert joined.position == (since if joined.recovered else Position(self.epochs[room], self.seqs.get(room, 0)))
        assert joined.position.seq + joined.missed == self.seqs.get(room, 0)
        assert [(said.seq, said.to) for said in missed] == [
            (joined.position.seq + 1 + index, conn) for index in range(joined.missed)
        ]
        self.members.setdefault(room, set()).add(conn)
        self.note(room, conn, True)

    @rule(room=rooms, conn=conns)
    def leave(self, room, conn):
        (effect,) = self.shard.apply(Leave((room,), conn, "r"), NOW)
        assert effect.message == wire.Left(conn, room, "r", TERM)
        self.members.get(room, set()).discard(conn)
        self.note(room, conn, False)

    @rule(gateway=gateways)
    def drop(self, gateway):
        self.shard.drop_gateway(gateway, NOW)
        self.snapshots.pop(gateway, None)
        for conns_ in self.members.values():
            conns_ -= {conn for conn in conns_ if gateway_of(conn) == gateway}

    @rule(gateway=gateways, lost=st.sets(st.tuples(rooms, conns), max_size=2))
    def ask(self, gateway, lost):
        """The gateway takes its picture at once; it may have got members that the shard does not know (lost joins)."""
        (effect,) = self.shard.ask(gateway, NOW)
        picture = {(room, conn) for room, held in self.members.items() for conn in held if gateway_of(conn) == gateway}
        picture ^= {(room, conn) for room, conn in lost if gateway_of(conn) == gateway}
        self.snapshots[gateway] = (effect.message.ref, picture, {})

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def answer(self, data):
        gateway = data.draw(st.sampled_from(sorted(self.snapshots)))
        ref, picture, noted = self.snapshots.pop(gateway)
        at = {room: data.draw(st.integers(0, self.seqs.get(room, 0))) for room, _ in picture if room in self.epochs}
        parts = [
            Members(room, ((conn, "u"),), Position(self.epochs[room], at[room]) if room in at else None)
            for room, conn in sorted(picture)
        ]
        cut = data.draw(st.integers(0, len(parts)))
        before = self._held(gateway)
        self.shard.announced(Announce(gateway, 0, TERM, tuple(parts[:cut]), False, ref), NOW)
        assert self._held(gateway) == before
        effects = self.shard.announced(Announce(gateway, 0, TERM, tuple(parts[cut:]), True, ref), NOW)
        # Each room that the answer names is brought from where the gateway is to where the room is, once.
        brought = {}
        for effect in effects:
            said = effect.message
            assert effect.gateway == gateway
            if isinstance(said, wire.Resync):
                assert said.room not in at
                self.learn(said.room, said.position.epoch)
                assert said.position.seq == self.seqs.get(said.room, 0)
            else:
                brought.setdefault(said.room, []).append(said.seq)
        assert brought == {
            room: list(range(seq + 1, self.seqs.get(room, 0) + 1))
            for room, seq in at.items()
            if seq < self.seqs.get(room, 0)
        }
        expected = {entry for entry in picture if noted.get(entry, True)} | {e for e, here in noted.items() if here}
        for room in ("a", "b", "@u"):
            kept = {conn for conn in self.members.get(room, set()) if gateway_of(conn) != gateway}
            self.members[room] = kept | {conn for where, conn in expected if where == room}

    def note(self, room, conn, here):
        if gateway_of(conn) in self.snapshots:
            self.snapshots[gateway_of(conn)][2][room, conn] = here

    def _held(self, gateway):
        return {(room, conn) for room in ("a", "b", "@u") for conn in self.shard.rooms.members(room, gateway)}

    @invariant()
    def holds_exactly_the_members_of_the_model(self):
        for room in ("a", "b", "@u"):
            assert {
                conn for gateway in self.shard.rooms.targets(room) for conn in self.shard.rooms.members(room, gateway)
            } == self.members.get(room, set())


TestShardAgainstModel = ShardAgainstModel.TestCase
