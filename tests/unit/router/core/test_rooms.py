"""RoomTable against a naive model, and the few things worth an example."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from router.core.rooms import RoomTable

rooms = st.sampled_from(["a", "b", "c"])
gateways = st.sampled_from(["g1", "g2", "g3"])
numbers = st.integers(1, 3)


class RoomTableAgainstModel(RuleBasedStateMachine):
    """The model is a set of (room, gateway, connection)."""

    @initialize()
    def begin(self):
        self.table = RoomTable()
        self.model = set()

    @rule(room=rooms, gateway=gateways, number=numbers)
    def join(self, room, gateway, number):
        conn = f"{gateway}~{number}"
        new = (room, gateway, conn) not in self.model
        assert self.table.join(room, gateway, conn, "u") is new
        self.model.add((room, gateway, conn))

    @rule(room=rooms, gateway=gateways, number=numbers)
    def leave(self, room, gateway, number):
        conn = f"{gateway}~{number}"
        known = (room, gateway, conn) in self.model
        assert self.table.leave(room, gateway, conn) is known
        self.model.discard((room, gateway, conn))

    @rule(gateway=gateways)
    def drop(self, gateway):
        left = sorted({room for room, owner, _ in self.model if owner == gateway})
        assert self.table.drop_gateway(gateway) == left
        self.model = {entry for entry in self.model if entry[1] != gateway}

    @invariant()
    def says_the_same_as_the_model(self):
        assert self.table.memberships == len(self.model)
        assert len(self.table) == len({room for room, _, _ in self.model})
        assert set(self.table.gateways()) == {gateway for _, gateway, _ in self.model}
        for room in "abc":
            assert (room in self.table) is any(room == entry[0] for entry in self.model)
            targets = self.table.targets(room)
            assert len(targets) == len(set(targets))
            assert set(targets) == {gateway for owner, gateway, _ in self.model if owner == room}
            for gateway in ("g1", "g2", "g3"):
                assert set(self.table.members(room, gateway)) == {
                    conn for owner, home, conn in self.model if (owner, home) == (room, gateway)
                }
        for gateway in ("g1", "g2", "g3"):
            assert set(self.table.rooms_of(gateway)) == {room for room, home, _ in self.model if home == gateway}


TestRoomTable = RoomTableAgainstModel.TestCase


def test_nothing_is_kept_of_a_room_that_is_empty():
    """After the last member has left, the table holds nothing at all."""
    table = RoomTable()
    table.join("a", "g1", "g1~1", "ann")
    assert table.members("a", "g1") == {"g1~1": "ann"}
    table.leave("a", "g1", "g1~1")
    assert not table._rooms
    assert not table._gateways
    assert not table._targets


def test_targets_are_one_object_until_they_change():
    """The hot path asks for a room's gateways for each message, so they are not built anew each time."""
    table = RoomTable()
    table.join("a", "g1", "g1~1", "ann")
    before = table.targets("a")
    table.join("a", "g1", "g1~2", "bob")
    assert table.targets("a") is before
