"""Addresses: the rules for names, that no kind is taken for another, and the shard of each."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.address import (
    connection_id,
    gateway_of,
    is_address,
    is_connection,
    is_reserved,
    is_room,
    is_user,
    is_user_room,
    shard_of,
    user_room,
)

ROOMS = st.from_regex(r"[A-Za-z0-9._\-:/][A-Za-z0-9._\-:/@]{0,127}", fullmatch=True)


@pytest.mark.parametrize("name", ["a", "chat:lobby", "a/b.c_d-e", "price@nyse", "0", "-", "x" * 128])
def test_rooms(name: str) -> None:
    """What the rule allows is a room and an address, and not reserved."""
    assert is_room(name)
    assert is_address(name)
    assert not is_reserved(name)


@pytest.mark.parametrize(
    "name", ["", "@a", "*", "a*", "a b", "ä", "a~1", "a\n", "a\x00", "x" * 129, "a,b", "a#", "a|b", "а"]
)
def test_no_rooms(name: str) -> None:
    """Empty and too long names, blanks, controls, other scripts and every reserved sign are refused."""
    assert not is_room(name)


@pytest.mark.parametrize(
    "user",
    [
        "u",
        "auth0|5f7",
        "me+tag@example.org",
        "a=b%20",
        "u" * 127,
        "o'brien@example.org",
        "{5f7}",
        "a!b$c&d?e^f`g",
    ],
)
def test_users(user: str) -> None:
    """Names as identity providers make them are users', and their room is an address that clients
    can't name.
    """
    assert is_user(user)
    room = user_room(user)
    assert room == "@" + user
    assert is_address(room)
    assert is_reserved(room)
    assert not is_room(room)
    assert is_user_room(room)


@pytest.mark.parametrize(
    "user",
    ["", "@u", "a b", "u" * 128, "a~b", "a\n", "a*", "#a", "ä", "a,b", "a;b", 'a"b', "a<b>", "a\\b", "(a)"],
)
def test_no_users(user: str) -> None:
    """Empty, too long, and what would break an address is no user's name."""
    assert not is_user(user)
    assert not is_address(user_room(user))
    assert not is_user_room(user_room(user))


@given(st.from_regex(r"[A-Za-z0-9\-]{1,64}", fullmatch=True), st.integers(0, 2**63))
def test_a_connection_id_names_its_gateway(gateway: str, number: int) -> None:
    """A connection's id is an address of its own kind, and tells which gateway has it."""
    connection = connection_id(gateway, number)
    assert is_connection(connection)
    assert is_address(connection)
    assert is_reserved(connection)
    assert not is_room(connection)
    assert gateway_of(connection) == gateway


@pytest.mark.parametrize("text", ["", "g", "g~", "~1", "g~G", "g~1~2", "g.h~1", "g~1\n", "g~" + "1" * 17])
def test_no_connection(text: str) -> None:
    """What only looks like a connection's id is none."""
    assert not is_connection(text)


@given(st.text(max_size=140))
def test_any_text_is_of_one_kind_at_most(text: str) -> None:
    """No text is a room and also reserved, and an address is a room, a user's, a connection's or
    everyone's.
    """
    assert not (is_room(text) and is_reserved(text))
    kinds = [is_room(text), is_connection(text), text.startswith("@") and is_user(text[1:]), text == "*"]
    assert sum(kinds) == is_address(text)


@given(ROOMS, st.integers(1, 64))
def test_a_room_has_one_shard(room: str, shards: int) -> None:
    """The shard is crc32 of the name's UTF-8, modulo the number of shards, so every service finds the same
    one.
    """
    assert shard_of(room, shards) == crc32(room.encode()) % shards


def test_shards_are_pinned() -> None:
    """Known names stay on their shards for ever: another function would split every room in two during an
    upgrade.
    """
    assert [shard_of(name, 16) for name in ("default", "chat:lobby", "@alice", "*")] == [15, 5, 5, 11]
