"""Checkpoint: a state to bytes and back."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core import checkpoint
from router.core.access import Access, PutOut
from router.core.dedup import SeenIds
from router.core.gateway_batches import GatewayBatches
from router.core.presence import Presence
from router.core.room_members import RoomMembers
from router.core.seen_positions import SeenPositions
from router.core.sequencer import Sequencer, Standing
from router.core.unseen_messages import Unseen, UnseenMessages
from warren.envelope import Deliver, Rules
from warren.errors import MalformedEnvelope
from warren.log_entries import PRESENCE_CONNECTIONS, PRESENCE_USERS

RULES = Rules("life", 2, 1_000, 1_000, 1_000, 5)


def presence(members):
    """Return a room of each kind, of which one has very many."""
    made = Presence("life")
    for number in range(members):
        made.came("b", f"g2~{number:x}", f"u{number % 7}", 1 + number % 3, b"%d" % number, number)
        made.came("users", f"g2~{number:x}", f"u{number:x}", PRESENCE_USERS, b"", number)
    return made


def state(rooms=3, ids=4, members=2, gateways=2):
    return checkpoint.State(
        RULES,
        Sequencer(
            "life",
            7,
            {f"awake{number}": Standing(3, number) for number in range(rooms)},
            {f"idle{number}": Standing(5, number) for number in reversed(range(rooms))},
        ),
        SeenIds({("a", "u", str(number)): (2, number) for number in reversed(range(ids))}),
        SeenIds({("a", "", f"~{number}"): (0, 0) for number in range(ids)}),
        RoomMembers(
            {"b": {"g2": {f"g2~{number:x}": "u" for number in range(members)}}, "a": {"g1": {"g1~1": "v"}}}
        ),
        GatewayBatches({f"g{number}": (1, number) for number in range(gateways)}, {"z": (3, 1), "y": (4, 2)}),
        presence(members),
        RoomMembers({"c": {"g2": {f"g2~{number:x}": "u" for number in range(members)}}}),
        seen=seen(members),
        unseen=UnseenMessages(Unseen(number % 7, 3, message(number)) for number in range(ids)),
    )


def seen(users):
    """Return what is seen in two rooms, one of them large."""
    made = SeenPositions()
    for number in reversed(range(min(users, 900))):
        made.saw("a", 3, f"u{number}", 1 + number % 5)
    made.saw("b", 4, "u", 1)
    return made


def message(number):
    return Deliver(f"r{number % 2}", "e", number, "T", b"1", 5, id=f"m{number}")


def told(made):
    """Return all that a state holds, with the order of what has one."""
    return (
        made.rules,
        made.sequencer.life,
        made.sequencer.generation,
        list(made.sequencer.awake.items()),
        list(made.sequencer.idle.items()),
        list(made.ids.seen.items()),
        list(made.own_ids.seen.items()),
        [(room, gateway, list(members.items())) for room, gateway, members in made.rooms.walk()],
        list(made.lives.living.items()),
        list(made.lives.ended.items()),
        [
            (part.room, part.version, part.digest, list(part.connections.items()), list(part.users.items()))
            for part in made.presence.snapshot()
        ],
        [(room, gateway, list(members.items())) for room, gateway, members in made.watchers.walk()],
        [(part.room, part.generation, list(part.users.items())) for part in made.seen.snapshot()[1]],
        made.unseen.snapshot(),
    )


@given(
    st.integers(0, 20), st.integers(0, 20), st.integers(1, 1_200), st.integers(0, 5), st.integers(1, 5_000)
)
def test_a_state_comes_back_with_its_order(rooms, ids, members, gateways, size):
    """Whatever the size of the parts; and what came back gives the same bytes again."""
    made = state(rooms, ids, members, gateways)
    bodies = checkpoint.encoded(2, 4, made, size)
    back = checkpoint.decoded(2, 4, bodies)
    assert told(back) == told(made)
    assert checkpoint.encoded(2, 4, back, size) == bodies


def test_bodies_are_about_as_large_as_asked():
    """A room's very many members are split too."""
    bodies = checkpoint.encoded(0, 1, state(3_000, 3_000, 3_000), 16_384)
    assert max(map(len, bodies)) <= 16_384 + 64
    assert len(bodies) > 10
    assert min(map(len, bodies[:-1])) > 8_192


def test_the_empty_state_is_one_small_body():
    """Where the log has no life there is a state too."""
    bodies = checkpoint.encoded(0, 1, checkpoint.empty(None), 1_000)
    assert [len(body) < 64 for body in bodies] == [True]
    assert told(checkpoint.decoded(0, 1, bodies)) == told(checkpoint.empty(None))


def small(version):
    """Return a state of the rules of this version with a row of each kind."""
    made = checkpoint.State(
        Rules("l", version, 2, 3, 4, 5),
        Sequencer("l", 6, {"a": Standing(6, 7)}),
        SeenIds({("a", "u", "i"): (6, 7)}),
        SeenIds(),
        RoomMembers({"a": {"g": {"g~1": "u"}}}),
        GatewayBatches({"g": (1, 9)}),
        Presence("l"),
        RoomMembers(),
    )
    if version > 1:
        made.presence.came("a", "g~1", "u", PRESENCE_USERS, b"{}", 3)
        made.presence.came("b", "g~1", "u", PRESENCE_CONNECTIONS, b"1", 4)
        made.watchers.join("a", "g", "g~1", "u")
        made.seen.saw("a", 6, "u", 7)
        made.unseen.put(Unseen(9, 6, Deliver("a", "e", 7, "T", b"1", 5, id="m7")))
    return made


def test_the_bytes_of_a_state_are_pinned():
    """Routers of two releases read each other's: another layout needs another format number."""
    proofs = [small(2).presence.proof("a", "u", 3), small(2).presence.proof("b", "g~1", 4)]
    assert msgspec.msgpack.decode(checkpoint.encoded(0, 1, small(2), 10_000)[0]) == [
        [
            0,
            [
                1,
                0,
                1,
                ["5", "l", 2, 2, 3, 4, 5, False],
                6,
                [1, 0, 1, 0, 1, 1, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1],
            ],
        ],
        [1, [["a", [6, 7]]]],
        [3, [[["a", "u", "i"], [6, 7]]]],
        [5, [["a", "g", {"g~1": "u"}]]],
        [6, [["g", [1, 9]]]],
        [
            8,
            [
                ["a", 3, proofs[0], {"g~1": 3}, {"u": [1, 1, 3, b"{}"]}],
                ["b", 4, proofs[1], {"g~1": ["u", 4, b"1"]}, {"u": [1, 0, -1, b""]}],
            ],
        ],
        [9, [["a", "g", {"g~1": "u"}]]],
        [23, [["a", 6, {"u": 7}]]],
        [24, [[0, [9, 6, ["D", "a", "e", 7, "T", b"1", 5, "", "", "m7", False, False, "", 0, ""]]]]],
    ]


def test_the_bytes_of_a_state_by_rules_of_version_1_are_as_routers_of_that_version_know_them():
    """They read it, and have the same digest of it."""
    bodies = checkpoint.encoded(0, 1, small(1), 1_000)
    assert msgspec.msgpack.decode(bodies[0]) == [
        [0, [1, 0, 1, ["5", "l", 1, 2, 3, 4, 5, False], 6, [1, 0, 1, 0, 1, 1, 0]]],
        [1, [["a", [6, 7]]]],
        [3, [[["a", "u", "i"], [6, 7]]]],
        [5, [["a", "g", {"g~1": "u"}]]],
        [6, [["g", [1, 9]]]],
    ]
    assert told(checkpoint.decoded(0, 1, bodies)) == told(small(1))


def with_access(**more):
    access = Access(
        {("@ann", "ann"): 9_000},
        {("bob", "t"): (0, 8_000), ("bob", ""): (7, 0)},
        {("a", "ann"): PutOut(6, 0, "", "removed", (("g~1", 5),))},
        {"g~1": 4},
        {"now": 8, "forgotten": 3, "void": 2},
        SeenIds({("@ann", "", "c"): (0, 2)}),
        {"bob": 5},
    )
    return msgspec.structs.replace(checkpoint.empty(Rules("l", 2, 2, 3, 4, 5)), access=access)


def test_the_bytes_of_what_backends_commanded_are_pinned():
    """It stands behind what every router knows."""
    bodies = checkpoint.encoded(0, 1, with_access(), 1_000)
    assert msgspec.msgpack.decode(bodies[0]) == [
        [
            0,
            [
                1,
                0,
                1,
                ["5", "l", 2, 2, 3, 4, 5, False],
                1,
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 1, 1, 1, 1, 0, 0],
            ],
        ],
        [16, [["now", 8], ["forgotten", 3], ["void", 2]]],
        [17, [[["@ann", "ann"], 9_000]]],
        [18, [[["bob", "t"], [0, 8_000]], [["bob", ""], [7, 0]]]],
        [19, [[["a", "ann"], [6, 0, "", "removed", [["g~1", 5]]]]]],
        [20, [["g~1", 4]]],
        [21, [[["@ann", "", "c"], [0, 2]]]],
        [22, [["bob", 5]]],
    ]
    back = checkpoint.decoded(0, 1, bodies)
    assert checkpoint.encoded(0, 1, back, 1_000) == bodies
    back.access.advance(9_000_000, forget=True)  # what ends by then is known to end
    assert (back.access.blocks.until, list(back.access.revoked)) == ({}, [("bob", "")])


def test_a_state_that_lacks_what_backends_commanded_is_none():
    """Nobody is to come in because a part is lost."""
    bodies = checkpoint.encoded(0, 1, with_access(), 30)
    for lacking in range(1, len(bodies)):
        with pytest.raises(MalformedEnvelope, match="not whole"):
            checkpoint.decoded(0, 1, bodies[:lacking] + bodies[lacking + 1 :])


@pytest.mark.parametrize("lacking", range(5))
def test_a_state_that_lacks_a_part_is_none(lacking):
    """A checkpoint is taken whole or not at all."""
    bodies = checkpoint.encoded(0, 1, state(members=4), 40)
    assert len(bodies) > 5
    with pytest.raises(MalformedEnvelope):
        checkpoint.decoded(0, 1, bodies[:lacking] + bodies[lacking + 1 :])


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ([], "without its beginning"),
        ([b""], "no checkpoint"),
        ([b"\xc1"], "no checkpoint"),
        ([msgspec.msgpack.encode([[99, []]])], "no checkpoint"),
        ([msgspec.msgpack.encode([[1, [["a", [1, 1]]]]])], "without its beginning"),
        (checkpoint.encoded(0, 1, state(), 9_999) * 2, "begins twice"),
        (checkpoint.encoded(1, 2, state(), 9_999), "shard 1 of 2"),
        ([msgspec.msgpack.encode([[0, [2, 0, 1, None, 1, [0] * 7]]])], "format 2"),
        ([msgspec.msgpack.encode([[0, [1, 0, 1, None, 1, [0] * 6]]])], "not whole"),
        # a section that there is only from version 2 on
        (
            [msgspec.msgpack.encode([[0, [1, 0, 1, None, 1, [0] * 7]], [9, [["a", "g", {"g~1": "u"}]]]])],
            "not whole",
        ),
        (
            [msgspec.msgpack.encode([[0, [1, 0, 1, None, 1, [0] * 7]], [6, [["g", ["1", 2]]]]])],
            "no checkpoint",
        ),
    ],
)
def test_what_is_no_state_is_refused_by_name(bodies, said):
    """The error says what is wrong."""
    with pytest.raises(MalformedEnvelope, match=said):
        checkpoint.decoded(0, 1, bodies)


def test_a_digest_tells_bodies_apart_by_their_borders_too():
    """The same bytes, cut elsewhere, are another checkpoint."""
    assert checkpoint.digest_of([b"ab", b"c"]) == checkpoint.digest_of([b"ab", b"c"])
    assert len({checkpoint.digest_of(bodies) for bodies in ([b"ab", b"c"], [b"a", b"bc"], [b"abc"], [])}) == 4
    assert len(checkpoint.digest_of([])) == 16


def test_a_step_of_a_snapshot_takes_no_more_rows_in_a_large_state_than_in_a_small_one():
    """So it is encoded a little at a time, and nothing waits for all of it."""
    longest = []
    for rooms in (2_000, 20_000):
        snapshot, steps = checkpoint.Snapshot(0, 1, state(rooms, rooms, rooms), 64 * 1024), 1
        while snapshot.step():
            steps += 1
        longest.append(5 * rooms // steps)
    assert max(longest) <= checkpoint._ROWS


def test_rooms_are_copied_only_while_somebody_holds_a_snapshot():
    """And each once."""
    made = state()
    before = made.rooms.members("b", "g2")
    snapshot = checkpoint.Snapshot(0, 1, made, 64)
    made.rooms.join("b", "g2", "g2~9", "u")
    copied = made.rooms.members("b", "g2")
    made.rooms.join("b", "g2", "g2~8", "u")
    assert "g2~9" not in before
    assert made.rooms.members("b", "g2") is copied
    snapshot.close()
    snapshot.close()
    made.rooms.join("a", "g1", "g1~2", "u")
    assert list(made.rooms.members("a", "g1")) == ["g1~1", "g1~2"]
    assert made.rooms._own == set()
