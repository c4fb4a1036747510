"""RoomMembers against a naive model, and the events of comings and goings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.effects import BackendEvent
from router.core.room_members import FEW, RoomMembers, came, left


def test_a_room_is_known_by_its_gateways_and_their_members():
    """Targets are in the order in which the gateways came."""
    table = RoomMembers()
    assert table.join("a", "g2", "g2~1", "ann")
    assert table.join("a", "g1", "g1~1", "bob")
    assert not table.join("a", "g1", "g1~1", "other")
    assert table.join("b", "g1", "g1~1", "bob")
    assert table.targets("a") == ("g2", "g1")
    assert table.members("a", "g1") == {"g1~1": "bob"}
    assert (len(table), table.memberships, "a" in table, "c" in table) == (2, 3, True, False)
    assert list(table.walk()) == [
        ("a", "g2", {"g2~1": "ann"}),
        ("a", "g1", {"g1~1": "bob"}),
        ("b", "g1", {"g1~1": "bob"}),
    ]


def test_a_leave_tells_who_has_left():
    """None for one that was no member, and what is empty goes."""
    table = RoomMembers({"a": {"g1": {"g1~1": "ann"}, "g2": {"g2~1": "bob"}}})
    assert table.leave("a", "g1", "g1~2") is None
    assert table.leave("b", "g1", "g1~1") is None
    assert table.leave("a", "g1", "g1~1") == "ann"
    assert table.targets("a") == ("g2",)
    assert table.drop_gateway("g1") == []
    assert table.leave("a", "g2", "g2~1") == "bob"
    assert (len(table), table.memberships, table.targets("a"), list(table.walk())) == (0, 0, (), [])


def test_a_gateway_goes_with_its_members_by_name():
    """Rooms and connections are in the order of their names, however they came."""
    table = RoomMembers()
    for room, conn in (("b", "g1~2"), ("b", "g1~1"), ("a", "g1~2"), ("a", "g2~1")):
        table.join(room, conn[:2], conn, "u")
    assert table.drop_gateway("g1") == [("a", [("g1~2", "u")]), ("b", [("g1~1", "u"), ("g1~2", "u")])]
    assert table.drop_gateway("g1") == []
    assert (table.targets("a"), table.memberships) == (("g2",), 1)


names = st.tuples(st.sampled_from("ab@"), st.sampled_from(["g1~1", "g1~2", "g2~1"]))


@given(st.lists(st.tuples(st.sampled_from(["join", "leave", "drop"]), names)))
def test_nobody_is_lost_and_nobody_stays(steps):
    """After any steps the table has what a plain set of memberships has, and what is made from its rooms is
    equal.
    """
    table, model = RoomMembers(), set()
    for step, (room, conn) in steps:
        gateway = conn[:2]
        if step == "join":
            assert table.join(room, gateway, conn, "u") == ((room, conn) not in model)
            model.add((room, conn))
        elif step == "leave":
            assert table.leave(room, gateway, conn) == ("u" if (room, conn) in model else None)
            model.discard((room, conn))
        else:
            dropped = table.drop_gateway(gateway)
            there = sorted(each for each in model if each[1][:2] == gateway)
            assert [(at, who) for at, members in dropped for who, _ in members] == there
            model -= set(there)
        other = RoomMembers(
            {at: {g: dict(m) for g, m in gateways.items()} for at, gateways in table._rooms.items()}
        )
        for each in (table, other):
            assert {(at, who) for at, _, members in each.walk() for who in members} == model
            assert each.memberships == len(model)
            assert len(each) == len({at for at, _ in model})
            assert each.users == any(at == "@" for at, _ in model)
            assert each.user_memberships == sum(at == "@" for at, _ in model)
            for name in "ab@":
                assert sorted(each.targets(name)) == sorted({who[:2] for at, who in model if at == name})
        assert [other.targets(name) for name in "ab@"] == [table.targets(name) for name in "ab@"]


@pytest.mark.parametrize(
    ("room", "kind_of_coming", "kind_of_leaving"),
    [("a", "room.joined", "room.left"), ("@ann", "client.connected", "client.disconnected")],
)
def test_a_users_own_room_is_being_there_at_all(room, kind_of_coming, kind_of_leaving):
    """Events of a user's own room are those of the client."""
    assert came(2, room, "g~1", "ann", 3, 7, 5) == BackendEvent(
        2, kind_of_coming, room, 5, "g~1", "ann", connections=3, members=7
    )
    assert left(3, room, "g~1", "ann", 2, 6, 5, "gone") == BackendEvent(
        3, kind_of_leaving, room, 5, "g~1", "ann", "gone", connections=2, members=6
    )


@given(st.lists(st.tuples(st.integers(0, 2 * FEW), st.booleans()), max_size=120))
def test_a_users_connections_are_counted_in_small_rooms_and_in_large_ones(steps):
    """Whatever the room has been meanwhile."""
    table, model = RoomMembers(), {}
    for number, leaves in steps:
        gateway, conn, user = f"g{number % 3}", f"g{number % 3}~{number:x}", f"u{number % 4}"
        if leaves:
            table.leave("a", gateway, conn)
            model.pop(conn, None)
        else:
            table.join("a", gateway, conn, user)
            model[conn] = user
        for each in range(5):
            assert table.connections("a", f"u{each}") == list(model.values()).count(f"u{each}")
    table.drop_gateway("g1")
    assert table.connections("a", "u1") == sum(
        user == "u1" and conn[:2] != "g1" for conn, user in model.items()
    )
    assert table.connections("b", "u1") == 0
