"""rights: what a token and a namespace let a client do."""

import pytest

from gateway.core.hook_messages import HookAnswer
from gateway.core.permissions import (
    Identity,
    asks_to_join,
    check_join,
    check_publish,
    check_watch,
    decided,
    default_room,
    lost,
    may_join,
    may_join_unasked,
    may_publish,
    renewed,
)
from warren.errors import ErrorCode, ProtocolError
from warren.namespaces import NO_PRESENCE, Namespaces, PresencePolicy, RoomPolicy

NAMESPACES = Namespaces(
    [
        RoomPolicy("vip", "vip:*", join="token", publish="token"),
        RoomPolicy("club", "club:*", publish="members"),
    ]
)
ANYONE = Identity("ann")
TOKEN = Identity("ann", join=("vip:*", "a"), publish=("vip:1",))
NOTHING = Identity("ann", join=(), publish=())


def code(check, *args) -> ErrorCode | None:
    """Return what is refused."""
    try:
        check(*args)
    except ProtocolError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("identity", "room", "expected"),
    [
        (ANYONE, "a", None),
        (ANYONE, "vip:1", ErrorCode.FORBIDDEN),
        (TOKEN, "vip:1", None),
        (TOKEN, "a", None),
        (TOKEN, "b", ErrorCode.FORBIDDEN),
        (NOTHING, "a", ErrorCode.FORBIDDEN),
        (TOKEN, "", ErrorCode.INVALID_ROOM),
        (TOKEN, "@ann", ErrorCode.INVALID_ROOM),
        (TOKEN, "*", ErrorCode.INVALID_ROOM),
        (TOKEN, "gw~1", ErrorCode.INVALID_ROOM),
        (TOKEN, "a b", ErrorCode.INVALID_ROOM),
        (TOKEN, "a" * 129, ErrorCode.INVALID_ROOM),
    ],
)
def test_joining(identity, room, expected):
    """A token with patterns is bound by them, one without by the namespace; reserved names are nobody's to
    say.
    """
    assert code(check_join, identity, NAMESPACES, room) is expected


@pytest.mark.parametrize(
    ("identity", "room", "joined", "expected"),
    [
        (ANYONE, "a", False, None),
        (ANYONE, "vip:1", True, ErrorCode.FORBIDDEN),
        (ANYONE, "club:1", False, ErrorCode.NOT_JOINED),
        (ANYONE, "club:1", True, None),
        (TOKEN, "vip:1", False, None),
        (TOKEN, "vip:2", True, ErrorCode.FORBIDDEN),
        (TOKEN, "club:1", True, ErrorCode.FORBIDDEN),
        (NOTHING, "a", True, ErrorCode.FORBIDDEN),
        (TOKEN, "@bob", False, ErrorCode.INVALID_ROOM),
        (TOKEN, "*", False, ErrorCode.INVALID_ROOM),
        (TOKEN, "gw~1", False, ErrorCode.INVALID_ROOM),
    ],
)
def test_publishing(identity, room, joined, expected):
    """The same, and where the namespace asks for membership only a member may."""
    assert code(check_publish, identity, NAMESPACES, room, joined) is expected
    assert may_publish(identity, NAMESPACES, room, joined) is (expected is None)


WATCHED = Namespaces(
    [
        RoomPolicy("open", "open:*", presence=PresencePolicy("users", watch="anyone")),
        RoomPolicy("club", "club:*", presence=PresencePolicy("users")),
        RoomPolicy("contacts", "@*", presence=PresencePolicy("users", watch="token")),
    ]
)
FRIEND = Identity("ann", watch=("@b*", "club:1"))
NOBODYS = Identity("ann", watch=())


@pytest.mark.parametrize(
    ("identity", "room", "joined", "expected"),
    [
        (ANYONE, "open:1", False, None),
        (FRIEND, "open:1", False, ErrorCode.FORBIDDEN),
        (ANYONE, "club:1", False, ErrorCode.NOT_JOINED),
        (ANYONE, "club:1", True, None),
        (FRIEND, "club:1", False, ErrorCode.NOT_JOINED),
        (FRIEND, "club:1", True, None),
        (FRIEND, "club:2", True, ErrorCode.FORBIDDEN),
        (ANYONE, "@bob", False, ErrorCode.FORBIDDEN),
        (FRIEND, "@bob", False, None),
        (FRIEND, "@carl", False, ErrorCode.FORBIDDEN),
        (NOBODYS, "@ann", False, None),
        (NOBODYS, "club:1", True, ErrorCode.FORBIDDEN),
        (FRIEND, "@", False, ErrorCode.INVALID_ROOM),
        (FRIEND, "*", False, ErrorCode.INVALID_ROOM),
        (FRIEND, "gw~1", False, ErrorCode.INVALID_ROOM),
    ],
)
def test_watching(identity, room, joined, expected):
    """The same for whose presence is told; users can be watched too, and everyone watches its own room."""
    assert code(check_watch, identity, WATCHED, room, joined) is expected


def test_what_is_told_comes_back():
    """Where a room has no presence, that it has none."""
    assert check_watch(ANYONE, WATCHED, "open:1", False) == PresencePolicy("users", watch="anyone")
    assert check_watch(ANYONE, WATCHED, "a", True) is NO_PRESENCE


def test_the_policy_of_the_room_comes_back():
    """The caller needs it next."""
    assert check_publish(ANYONE, NAMESPACES, "club:1", True).name == "club"


def test_a_room_at_connect_is_asked_without_an_error():
    """It is left out where the token does not allow it."""
    assert not may_join(TOKEN, RoomPolicy(), "default")
    assert may_join(ANYONE, RoomPolicy(), "default")


def test_rooms_are_lost_that_a_token_does_not_allow():
    """Never the user's own."""
    assert lost(TOKEN, NAMESPACES, ("vip:1", "a", "b", "@ann")) == ["b"]
    assert lost(ANYONE, NAMESPACES, ("vip:1", "a", "@ann")) == ["vip:1"]


def test_the_default_room_is_the_present_one_while_it_is_allowed():
    """Else the first that is; none where none is."""
    assert default_room(TOKEN, NAMESPACES, ("b", "vip:1", "a"), "a") == "a"
    assert default_room(TOKEN, NAMESPACES, ("b", "vip:1", "a"), "b") == "vip:1"
    assert default_room(NOTHING, NAMESPACES, ("b", "a")) == ""


def test_a_backend_s_rooms_are_beyond_token_and_namespace():
    """It has said so of this connection, and is not asked again; of publishing it has said nothing."""
    client = decided(Identity("ann", join=("a",), publish=()), HookAnswer(True, rooms=("vip:9",)))
    assert code(check_join, client, NAMESPACES, "vip:9") is None
    assert code(check_join, client, NAMESPACES, "vip:8") is ErrorCode.FORBIDDEN
    assert code(check_publish, client, NAMESPACES, "vip:9", True) is ErrorCode.FORBIDDEN
    assert lost(client, NAMESPACES, ["vip:9", "vip:8"]) == ["vip:8"]
    hooked = RoomPolicy("h", "*", hooks=("join",))
    assert (asks_to_join(client, hooked, "vip:9"), asks_to_join(client, hooked, "x")) == (False, True)
    assert may_join_unasked(client, hooked, "vip:9")
    assert not may_join_unasked(client, hooked, "a")
    assert may_join_unasked(client, NAMESPACES.policy("a"), "a")


def test_what_a_backend_has_said_stays_with_a_fresh_token():
    """Where the token names whom the first one named; else it is another user's, and nothing of it stays."""
    known = decided(Identity("token"), HookAnswer(True, user="kim", rooms=("r",), info=b"1"))
    fresh = renewed(known, Identity("token", join=("x",), expires_at=9.0, claims=b"{}"))
    assert fresh == Identity(
        "kim",
        join=("x",),
        expires_at=9.0,
        claims=b"{}",
        decided=True,
        subject="token",
        rooms=("r",),
        info=b"1",
    )
    assert renewed(known, Identity("other")) == Identity("other")
    assert renewed(Identity("ann"), Identity("ann", join=())) == Identity("ann", join=())
    same = decided(Identity("ann"), HookAnswer(True))
    assert (same.user, same.subject, same.decided) == ("ann", "ann", True)
