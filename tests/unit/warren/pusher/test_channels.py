"""Channels, users and connections: what each is in Warren, and back; no two are the same."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.address import connection_id, is_room, is_user
from warren.pusher import channels

NAMES = st.text(string.ascii_letters + string.digits + "_-=@,.;", min_size=1, max_size=200)
IDS = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())


@given(NAMES)
def test_a_channel_is_a_room_and_the_room_tells_the_channel(name):
    """A room's name is a legal one, and tells app and channel; of one that had to be cut only the app."""
    room = channels.room_of("shop", name)
    assert is_room(room)
    place = channels.place_of(room)
    assert place is not None
    assert place.app == "shop"
    assert place.channel in (name, "")
    assert place.channel or "//" in room


@given(NAMES, NAMES)
def test_no_two_channels_share_a_room(one, other):
    """Of one app, and of two."""
    assert (channels.room_of("a", one) == channels.room_of("a", other)) == (one == other)
    assert channels.room_of("a", one) != channels.room_of("b", other)


def test_long_names_that_differ_at_their_ends_are_two_rooms():
    """What is cut is told apart by its hash; the beginning of the name stays, so that patterns hold."""
    one, other = (channels.room_of("shop", "presence-" + "=" * 150 + last) for last in "ab")
    assert one != other
    assert len(one) == len(other) == 128
    assert one.startswith("pusher:shop:presence-/e/e")
    assert channels.place_of(one) == ("shop", "")


@pytest.mark.parametrize(
    "room", ["news", "pusher:", "pusher:shop", "pusher:shop:", "pusher::a", "pusher:a b:c", "pusher:shop:a/x"]
)
def test_other_rooms_are_no_channels(room):
    """Also those that no channel is mapped to."""
    assert channels.place_of(room) is None


def test_all_rooms_of_a_prefix_begin_as_its_mapping():
    """So that rooms can be asked for by it."""
    for begin in ("", "presence-", "a=b;", "x" * 200, "=" * 200):
        assert channels.room_of("shop", (begin + "z" * 200)[:200]).startswith(
            channels.prefix_of("shop", begin)
        )


@given(IDS, st.booleans())
def test_an_id_is_a_user_and_the_user_tells_the_id(ident, shared):
    """Whatever characters it has, and whether the app shares its users with others."""
    user = channels.user_of("shop", ident, shared=shared)
    if user is not None:  # it may be too long
        assert is_user(user)
        assert channels.id_of(user) == ident


def test_users_of_an_app_are_its_own_unless_it_shares_them():
    """The user 7 is the user 7 of tokens where that is said."""
    assert channels.user_of("shop", "7") == "pusher:shop:7"
    assert channels.user_of("shop", "7", shared=True) == "7"
    assert channels.user_of("shop", "pusher:a:7", shared=True) == "%70usher:a:7"
    assert channels.user_of("shop", "@7", shared=True) == "%407"
    for ident in ("", "x" * 128, "\ud83d"):
        assert channels.user_of("shop", ident) is None
    assert channels.nobody("shop") != channels.user_of("shop", "a")


@pytest.mark.parametrize("user", ["alice", "a%zz", "100%", "%E4", "a%41"])
def test_users_that_no_app_has_named_are_called_what_they_are(user):
    """A % in them is no escape."""
    assert channels.id_of(user) == user


@given(st.from_regex(r"[A-Za-z0-9\-]{1,59}", fullmatch=True), st.integers(1, 1 << 40))
def test_a_socket_id_holds_the_connection(gateway, number):
    """It has the form that clients and server libraries demand, and leads back."""
    connection = connection_id(gateway, number)
    socket = channels.socket_of(connection)
    assert channels.SOCKET.fullmatch(socket)
    assert channels.connection_of(socket) == connection


@pytest.mark.parametrize(
    "socket", ["", "1", "1.", ".1", "1.2.3", "00.1", "a.b", "-1.2", "1.2 ", "9" * 201 + ".1", "0.1"]
)
def test_what_is_no_socket_id_is_nobodys(socket):
    """Another spelling of one is none either."""
    assert channels.connection_of(socket) is None


@pytest.mark.parametrize(
    ("name", "private", "presence", "cache", "encrypted"),
    [
        ("news", False, False, False, False),
        ("cache-a", False, False, True, False),
        ("private-a", True, False, False, False),
        ("private-cache-a", True, False, True, False),
        ("private-encrypted-a", True, False, False, True),
        ("private-encrypted-cache-a", True, False, True, True),
        ("presence-a", True, True, False, False),
        ("presence-cache-a", True, True, True, False),
        ("my-cache-a", False, False, False, False),
    ],
)
def test_a_name_tells_what_kind_of_channel_it_is(name, private, presence, cache, encrypted):
    """By how it begins."""
    assert (
        channels.is_private(name),
        channels.is_presence(name),
        channels.is_cache(name),
        channels.is_encrypted(name),
    ) == (private, presence, cache, encrypted)
