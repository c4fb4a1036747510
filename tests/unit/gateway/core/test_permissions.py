"""rights: what a token and a namespace let a client do."""

import pytest

from gateway.core.hook_messages import HookAnswer
from gateway.core.permissions import (
    Identity,
    as_it_came,
    asks_to_join,
    check_join,
    check_publish,
    check_watch,
    decided,
    default_room,
    lost,
    may_inform,
    may_join,
    may_join_unasked,
    may_publish,
    may_watch,
    renewed,
    shown,
)
from warren.errors import ErrorCode, ProtocolError
from warren.log_entries import PRESENCE_COUNT, PRESENCE_OFF, PRESENCE_USERS
from warren.namespaces import Namespaces, PresencePolicy, RoomPolicy

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


def presence(mode="users", **more) -> RoomPolicy:
    """Return the policy of all rooms, with this presence."""
    return RoomPolicy(presence=PresencePolicy(mode, **more))


@pytest.mark.parametrize(
    ("identity", "policy", "said", "told"),
    [
        (ANYONE, presence("off"), b"1", (PRESENCE_OFF, b"")),
        (ANYONE, presence("count"), b"1", (PRESENCE_COUNT, b"")),
        (ANYONE, presence(), b"1", (PRESENCE_USERS, b"1")),
        (ANYONE, presence(), None, (PRESENCE_USERS, b"")),
        (Identity("ann", infos=(("", b"2"),)), presence(), None, (PRESENCE_USERS, b"2")),
        (Identity("ann", infos=(("", b"2"),)), presence(), b"", (PRESENCE_USERS, b"")),
        (
            Identity("ann", infos=(("", b"2"), ("p", b"3"))),
            presence(info_claim="p"),
            b"1",
            (PRESENCE_USERS, b"3"),
        ),
        (Identity("ann", infos=(("", b"2"),)), presence(info_claim="p"), b"1", (PRESENCE_USERS, b"")),
        (Identity("ann", hidden=("r*",)), presence(), b"1", (PRESENCE_OFF, b"")),
        (Identity("ann", hidden=("s*",)), presence(), b"1", (PRESENCE_USERS, b"1")),
    ],
)
def test_what_a_room_shows_of_a_member(identity, policy, said, told):
    """What the namespace says decides, then what hides the member, then the claim or what it says itself."""
    assert shown(identity, policy, "room", said) == told


def test_who_may_say_what_is_shown():
    """Where members are told of by name, and no claim is named."""
    assert may_inform(ANYONE, presence(), "r")
    assert not any(
        may_inform(ANYONE, policy, "r")
        for policy in (presence("off"), presence("count"), presence(info_claim="p"))
    )
    assert not may_inform(Identity("ann", info=b"1"), presence(), "r")  # a backend has said it


WATCHER = Identity("ann", watch=("r*",))


@pytest.mark.parametrize(
    ("identity", "policy", "joined", "expected"),
    [
        (ANYONE, presence("off", watch="anyone"), True, ErrorCode.FORBIDDEN),
        (ANYONE, presence(), True, None),
        (ANYONE, presence(), False, ErrorCode.NOT_JOINED),
        (ANYONE, presence(watch="anyone"), False, None),
        (ANYONE, presence(watch="token"), True, ErrorCode.FORBIDDEN),
        (WATCHER, presence(watch="token"), False, None),
        (WATCHER, presence(), False, ErrorCode.NOT_JOINED),
        (Identity("ann", watch=("s*",)), presence(), True, ErrorCode.FORBIDDEN),
        (Identity("ann", watch=()), presence(watch="anyone"), True, ErrorCode.FORBIDDEN),
    ],
)
def test_who_may_be_told_of_a_rooms_presence(identity, policy, joined, expected):
    """Where the token has patterns they bound it, as with all rights."""
    found = code(lambda: check_watch(identity, Namespaces([policy]), "room", joined=joined))
    assert found is expected
    assert may_watch(identity, policy, "room", joined=joined) == (expected is None)


def test_a_contact_is_a_users_own_room():
    """Its name is no room's that a client may say, but may be watched by right."""
    anyone, members = Namespaces([presence(watch="anyone")]), Namespaces([presence()])
    assert code(lambda: check_watch(ANYONE, anyone, "@bob", joined=False, contact=True)) is None
    assert code(lambda: check_watch(ANYONE, anyone, "@bob", joined=False)) is ErrorCode.INVALID_ROOM
    found = code(lambda: check_watch(ANYONE, members, "@bob", joined=False, contact=True))
    assert found is ErrorCode.FORBIDDEN


def test_a_client_is_as_it_came_before_a_backend_let_it_in():
    """So that the same question can be asked again."""
    came = Identity("token", join=("a",), claims=b"{}")
    assert as_it_came(decided(came, HookAnswer(True, user="kim", rooms=("r",), info=b"1"))) == came
    assert as_it_came(came) is came
