"""Presence against a naive model, and the proof of what it tells."""

import sys
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.presence import ABSENT, INFO_BYTES, MODULUS, ONLY_COUNTS, Counts, Presence
from warren.envelope import PresenceMember
from warren.log_entries import PRESENCE_CONNECTIONS, PRESENCE_COUNT, PRESENCE_OFF, PRESENCE_USERS

ROOM = "a"


def proof(key, revision, life="life", room=ROOM):
    text = f"{room}\0{key}\0{revision}".encode()
    return int.from_bytes(blake2b(text, digest_size=8, key=life.encode()).digest(), "big")


def test_a_user_is_shown_once_with_what_came_with_the_user_last():
    """The first connection and the last one change who is there, the others how many there are."""
    presence = Presence("life")
    assert presence.came(ROOM, "g1~1", "ann", PRESENCE_USERS, b"{}", 40) == (("ann", ABSENT),)
    assert presence.came(ROOM, "g2~1", "ann", PRESENCE_USERS, b"", 44) == ONLY_COUNTS
    assert presence.counts(ROOM) == Counts(44, 1, 2, proof("ann", 40))
    assert presence.member(ROOM, "ann") == PresenceMember("ann", "ann", b"{}", proof("ann", 40))
    assert presence.came(ROOM, "g2~2", "ann", PRESENCE_USERS, b"1", 45) == (("ann", 40),)
    assert presence.counts(ROOM) == Counts(45, 1, 3, proof("ann", 45))
    assert presence.went(ROOM, "g2~2", "ann", 46) == ONLY_COUNTS
    assert presence.went(ROOM, "g1~1", "ann", 47) == ONLY_COUNTS
    assert presence.member(ROOM, "ann") == PresenceMember("ann", "ann", b"1", proof("ann", 45))
    assert presence.went(ROOM, "g2~1", "ann", 52) == (("ann", 45),)
    assert presence.counts(ROOM) == Counts(ABSENT, 0, 0, 0)
    assert (presence.member(ROOM, "ann"), presence.revision(ROOM, "ann")) == (None, ABSENT)
    assert (len(presence), presence.connections) == (0, 0)


def test_each_connection_is_shown_where_the_room_says_so():
    """By its own name, and with its user."""
    presence = Presence("life")
    assert presence.came(ROOM, "g1~1", "ann", PRESENCE_CONNECTIONS, b"1", 1) == (("g1~1", ABSENT),)
    assert presence.came(ROOM, "g1~2", "ann", PRESENCE_CONNECTIONS, b"2", 2) == (("g1~2", ABSENT),)
    assert presence.counts(ROOM) == Counts(2, 1, 2, (proof("g1~1", 1) + proof("g1~2", 2)) % MODULUS)
    assert presence.member(ROOM, "g1~2") == PresenceMember("g1~2", "ann", b"2", proof("g1~2", 2))
    assert (presence.member(ROOM, "ann"), presence.names(ROOM)) == (None, 2)
    assert presence.went(ROOM, "g1~1", "ann", 3) == (("g1~1", 1),)
    assert presence.keys(ROOM, "", 9) == ["g1~2"]


def test_who_is_only_counted_has_no_name_and_no_proof():
    """Neither does who is hidden, who is not counted either."""
    presence = Presence("life")
    assert presence.came(ROOM, "g1~1", "ann", PRESENCE_COUNT, b"1", 1) == ONLY_COUNTS
    assert presence.came(ROOM, "g1~2", "bob", PRESENCE_OFF, b"1", 2) == ()
    assert presence.inform(ROOM, "g1~1", "ann", b"2", 3) == ()
    assert presence.inform(ROOM, "g1~2", "bob", b"2", 3) == ()
    assert (presence.counts(ROOM), presence.names(ROOM)) == (Counts(1, 1, 1, 0), 0)
    assert (presence.keys(ROOM, "", 9), presence.member(ROOM, "ann")) == ([], None)
    assert presence.went(ROOM, "g1~2", "bob", 4) == ()
    assert presence.went(ROOM, "g1~1", "ann", 5) == ONLY_COUNTS
    assert len(presence) == 0


def test_who_joins_again_may_be_told_of_in_another_way():
    """One who is hidden from now on has gone for those who watch; the same again changes nothing."""
    presence = Presence("life")
    presence.came(ROOM, "g1~1", "ann", PRESENCE_USERS, b"1", 1)
    assert presence.came(ROOM, "g1~1", "ann", PRESENCE_USERS, b"", 2) == ()
    assert presence.came(ROOM, "g1~1", "ann", PRESENCE_USERS, b"2", 3) == (("ann", 1),)
    assert presence.came(ROOM, "g1~1", "ann", PRESENCE_CONNECTIONS, b"3", 4) == (("ann", 3), ("g1~1", ABSENT))
    assert presence.came(ROOM, "g1~1", "ann", PRESENCE_OFF, b"", 5) == (("g1~1", 4),)
    assert len(presence) == 0


def test_an_info_is_bounded_and_may_be_taken_back():
    """One that is longer than a member may have counts as none."""
    presence = Presence("life")
    presence.came(ROOM, "g1~1", "ann", PRESENCE_USERS, b"x" * (INFO_BYTES + 1), 1)
    assert presence.member(ROOM, "ann").info == b""
    assert presence.inform(ROOM, "g1~1", "ann", b"x" * INFO_BYTES, 2) == (("ann", 1),)
    assert presence.inform(ROOM, "g1~1", "ann", b"x" * INFO_BYTES, 3) == ()
    assert presence.inform(ROOM, "g1~1", "ann", b"", 4) == (("ann", 2),)
    assert presence.counts(ROOM) == Counts(4, 1, 1, proof("ann", 4))


def test_names_come_in_pages_by_their_order():
    """Also those that have come and gone since somebody first asked."""
    presence = Presence("life")
    for number, user in enumerate("dbeac"):
        presence.came(ROOM, f"g1~{number}", user, PRESENCE_USERS, b"", number)
    assert presence.keys(ROOM, "", 2) == ["a", "b"]
    assert presence.keys(ROOM, "b", 9) == ["c", "d", "e"]
    presence.went(ROOM, "g1~4", "c", 6)
    presence.came(ROOM, "g1~6", "bb", PRESENCE_USERS, b"", 7)
    assert presence.keys(ROOM, "b", 9) == ["bb", "d", "e"]
    assert presence.keys(ROOM, "e", 9) == []
    assert presence.keys("nowhere", "", 9) == []


def test_proofs_differ_by_room_and_by_life():
    """So nobody's digest stands for another room, or for another life of the log."""
    proofs = {Presence(life).proof(room, "ann", 1) for life in ("x", "y") for room in ("a", "b")}
    assert len(proofs) == 4


class Model:
    """Who is where, kept as plainly as can be."""

    def __init__(self):
        self.there = {}  # room ▶ {conn: (user, mode)}
        self.info = {}  # (room, key) ▶ (revision, info)

    def shown(self, room):
        members = self.there.get(room, {}).items()
        return {
            **{user: user for _, (user, mode) in members if mode == PRESENCE_USERS},
            **{conn: user for conn, (user, mode) in members if mode == PRESENCE_CONNECTIONS},
        }

    def step(self, name, room, conn, mode, info, offset):
        user = f"u{int(conn[3:]) % 2}"
        before = self.shown(room)
        known = self.there.get(room, {}).get(conn)
        if name == "went" or (name == "came" and known is not None and known[1] != mode):
            self.there.get(room, {}).pop(conn, None)
            for key in set(before) - set(self.shown(room)):
                del self.info[room, key]
        between = self.shown(room)
        if name == "came" and mode:
            self.there.setdefault(room, {})[conn] = (user, mode)
            for key in set(self.shown(room)) - set(between):
                self.info[room, key] = (offset, info)
        user, mode = self.there.get(room, {}).get(conn, ("", 0))
        key = {PRESENCE_USERS: user, PRESENCE_CONNECTIONS: conn}.get(mode)
        told = name == "inform" or (name == "came" and info)
        if key is not None and told and self.info[room, key][1] != info:
            self.info[room, key] = (offset, info)

    def holds(self, presence):
        for room in "ab":
            members, shown = self.there.get(room, {}), self.shown(room)
            counts = presence.counts(room)
            assert counts.users == len({user for user, _ in members.values()})
            assert counts.connections == len(members)
            assert presence.names(room) == len(shown)
            assert presence.keys(room, "", 99) == sorted(shown)
            digest = 0
            for key, user in shown.items():
                revision, info = self.info[room, key]
                its = proof(key, revision, room=room)
                assert presence.member(room, key) == PresenceMember(key, user, info, its)
                assert presence.revision(room, key) == revision
                digest += its
            assert counts.digest == digest % MODULUS
        assert len(presence) == sum(bool(members) for members in self.there.values())
        assert presence.connections == sum(map(len, self.there.values()))


steps = st.lists(
    st.tuples(
        st.sampled_from(["came", "came", "went", "inform"]),
        st.sampled_from("ab"),
        st.sampled_from(["g1~1", "g1~2", "g2~3", "g2~4"]),
        st.integers(0, 3),
        st.sampled_from([b"", b"1", b"2"]),
    ),
    max_size=60,
)


def walk(presence, model, made, check):
    """Do the steps on both; hold ``check`` after each."""
    for offset, (name, room, conn, mode, info) in enumerate(made):
        user = f"u{int(conn[3:]) % 2}"
        before = {key: presence.revision(room, key) for key in ("u0", "u1", "g1~1", "g1~2", "g2~3", "g2~4")}
        counts = presence.counts(room)
        if name == "came":
            touched = presence.came(room, conn, user, mode, info, offset)
        elif name == "went":
            touched = presence.went(room, conn, user, offset)
        else:
            touched = presence.inform(room, conn, user, info, offset)
        model.step(name, room, conn, mode, info, offset)
        changed = {key for key in before if presence.revision(room, key) != before[key]}
        assert changed <= {key for key, _ in touched}
        first = {}
        for key, revision in touched:
            first.setdefault(key, revision)
        assert all(before[key] == revision for key, revision in first.items() if key)
        assert bool(touched) or presence.counts(room) == counts
        check()


@given(steps)
def test_what_is_told_is_what_a_plain_table_says(made):
    """After any steps, and each step names all that it has changed."""
    presence, model = Presence("life"), Model()
    walk(presence, model, made, lambda: model.holds(presence))


@given(steps)
def test_what_is_made_from_its_parts_goes_on_alike(made):
    """And a snapshot stays as it was, whatever comes behind it."""
    presence, model, held = Presence("life"), Model(), []

    def told(parts):
        return [
            (each.room, each.version, each.digest, [*each.connections.items()], [*each.users.items()])
            for each in parts
        ]

    def check():
        other = Presence("life")
        for part in presence.snapshot():
            other.add(_copied(part))
        presence.release()
        model.holds(other)
        assert told(other.snapshot()) == told(presence.snapshot())
        presence.release()
        walked = presence.snapshot()
        held.append((walked, told(presence.snapshot())))
        presence.release()

    walk(presence, model, made, check)
    for walked, wanted in held:
        assert told(walked) == wanted
        presence.release()
    model.holds(presence)


def _copied(part):
    return type(part)(part.room, part.version, part.digest, dict(part.connections), dict(part.users))


@pytest.mark.parametrize("mode", [PRESENCE_COUNT, PRESENCE_CONNECTIONS, PRESENCE_USERS])
def test_a_member_costs_at_most_200_bytes(mode):
    """Besides its info, and the strings that the table of members has anyway."""
    count = 3_000
    presence, names = Presence("life"), [(f"g1~{number:x}", f"user{number}") for number in range(count)]
    for number, (conn, user) in enumerate(names):
        presence.came(ROOM, conn, user, mode, b"", 1_000_000 + number)
    there = presence._rooms[ROOM]
    tables = sys.getsizeof(there.connections) + sys.getsizeof(there.users)
    values = {id(each): each for table in (there.connections, there.users) for each in table.values()}
    assert (tables + sum(map(size, values.values()))) / count <= 200


def test_a_users_own_room_costs_at_most_200_bytes():
    """Of one connection, as most are; also in a router that has begun from a checkpoint."""
    presence, count = Presence("life"), 3_000
    for number in range(count):
        presence.came(f"@u{number}", f"g1~{number:x}", f"u{number}", PRESENCE_USERS, b"", 1_000_000 + number)
    other = Presence("life")
    for part in presence.snapshot():
        other.add(part)
    for each in (presence, other):
        taken = sys.getsizeof(each._rooms) + sum(map(size, each._rooms.values()))
        assert taken / count <= 200


def size(one):
    return sys.getsizeof(one) + sys.getsizeof(getattr(one, "revision", 0))
