"""session_presence: one connection's part in presence, through its session."""

import json

import pytest

from gateway.core.actions import Close, Inform, Join, Leave, ReadPresence, Send, Watch
from gateway.core.client_messages import Authenticated, Error, Joined, Left, Presence
from gateway.core.inputs import PresenceRead
from gateway.core.permissions import Identity
from gateway.core.session import Session, SessionConfig
from gateway.core.session_presence import CHANGES, CHANGES_PER_S, OPEN_MAX, UPDATE
from warren import envelope
from warren.contract.presence import CONTACTS_MAX, PRESENCE_PAGE_DEFAULT
from warren.errors import CloseCode, ErrorCode
from warren.log_entries import PRESENCE_CONNECTIONS, PRESENCE_COUNT, PRESENCE_USERS
from warren.namespaces import Namespaces, PresencePolicy, RoomPolicy
from warren.position import Position


def namespace(name, mode, pattern="", **more):
    return RoomPolicy(name, pattern or f"{name}:*", presence=PresencePolicy(mode, **more))


NAMESPACES = Namespaces(
    [
        namespace("users", "users"),
        namespace("tabs", "connections"),
        namespace("count", "count"),
        namespace("open", "users", watch="anyone"),
        namespace("token", "users", watch="token"),
        namespace("claim", "users", info_claim="profile"),
        namespace("people", "users", "@v*", watch="anyone"),
        namespace("shy", "users", "@s*", watch="members"),
    ]
)
ANN = Identity("ann", infos=(("", b'"token"'), ("profile", b'"claim"')))
POSITION = Position("e", 1)


def opened(identity=ANN) -> Session:
    session = Session("g~1", SessionConfig(rooms=(), rate=None), NAMESPACES, manual=True)
    session.open(identity, 100.0, 0)
    return session


def says(session, type="PRESENCE", now=100.0, **fields):  # noqa: A002
    return session.receive(json.dumps({"type": type, **fields}), now, 0).actions


def join(session, room, ref="j", **presence):
    """Join a room, and return what has come of the JOIN and of its answer."""
    payload = {"presence": presence} if presence else None
    asked = says(session, "JOIN", room=room, id=ref, payload=payload)
    return asked, session.answer(envelope.Joined("g~1", room, POSITION, recovered=False, ref=ref))


def unwatched(session):
    """Close, and return what is watched no more by that."""
    return [action for action in session.closed() if isinstance(action, Watch)]


def refused(found) -> ErrorCode:
    (action,) = found
    assert isinstance(action, Send)
    assert isinstance(action.message, Error)
    return action.message.code


def envelope_of(found) -> envelope.Join:
    (made,) = [action.envelope for action in found if isinstance(action, Join)]
    return made


@pytest.mark.parametrize(
    ("room", "mode", "info"),
    [
        ("users:1", PRESENCE_USERS, b'"said"'),
        ("tabs:1", PRESENCE_CONNECTIONS, b'"said"'),
        ("count:1", PRESENCE_COUNT, b""),
        ("claim:1", PRESENCE_USERS, b'"claim"'),
        ("other", 0, b""),
    ],
)
def test_a_join_says_what_its_room_shows(room, mode, info):
    """As the namespace has it: by name or not, and the claim where one is named."""
    made = envelope_of(join(opened(), room, info="said")[0])
    assert (made.presence, made.info) == (mode, info)


def test_a_client_that_says_nothing_of_itself_is_shown_as_its_token_says():
    """Null takes that away too."""
    assert envelope_of(join(opened(), "users:1")[0]).info == b'"token"'
    assert envelope_of(join(opened(), "users:1", info=None)[0]).info == b""


def test_who_is_hidden_by_its_token_is_not_shown():
    """In the rooms that it names."""
    session = opened(Identity("ann", hidden=("users:*",)))
    assert envelope_of(join(session, "users:1", info=1)[0]).presence == 0
    assert envelope_of(join(session, "tabs:1", ref="k")[0]).presence == PRESENCE_CONNECTIONS


def test_the_rooms_joined_at_connect_show_the_client_too():
    """Also its own, whose presence is whether it is connected."""
    session = Session("g~1", SessionConfig(rooms=("users:1",)), NAMESPACES)
    actions = session.open(Identity("val"), 100.0, 0)
    assert [action.envelope.presence for action in actions if isinstance(action, Join)] == [
        PRESENCE_USERS
    ] * 2


def test_a_join_that_watches_is_told_the_first_page_behind_joined():
    """The watch goes before the JOIN, so that nothing that happens between is missed."""
    session = opened()
    asked, answered = join(session, "users:1", watch=True, digest="00ff00ff00ff00ff")
    assert [type(action) for action in asked] == [Watch, Join]
    assert asked[0] == Watch("users:1", 0, on=True)
    joined, read = answered
    assert joined == Send(Joined("users:1", "e", 1, recovered=False, ref="j", watching=True))
    assert isinstance(read, ReadPresence)
    assert (read.query.room, read.query.conn, read.query.limit) == ("users:1", "g~1", PRESENCE_PAGE_DEFAULT)
    assert read.digest == "00ff00ff00ff00ff"
    assert session.presence(PresenceRead("users:1", read.query.ref, b"{}")) == [
        Send(Presence("users:1", b"{}"))
    ]
    assert session.presence(PresenceRead("users:1", read.query.ref, b"{}")) == []


def test_a_second_join_watches_once_and_is_told_again():
    """Who asks again wants to know."""
    session = opened()
    join(session, "users:1", watch=True)
    asked, answered = join(session, "users:1", ref="k", watch=True)
    assert not any(isinstance(action, Watch) for action in asked)
    assert any(isinstance(action, ReadPresence) for action in answered)
    assert len(join(session, "users:1", ref="l")[1]) == 1


@pytest.mark.parametrize("room", ["other", "token:1"])
def test_where_it_may_not_watch_joined_says_so(room):
    """It is joined all the same, and told nothing."""
    asked, answered = join(opened(), room, watch=True)
    assert [type(action) for action in asked] == [Join]
    assert answered == [Send(Joined(room, "e", 1, recovered=False, ref="j", watching=False))]


def test_a_token_may_allow_to_watch():
    """By patterns of rooms, which bound everything where they are there."""
    session = opened(Identity("ann", watch=("token:*",)))
    assert join(session, "token:1", watch=True)[1][0].message.watching is True
    assert join(session, "users:1", ref="k", watch=True)[1][0].message.watching is False


def test_leaving_ends_the_watch():
    """By LEAVE, by a backend, by a refusal of the JOIN, and at the end."""
    off = Watch("users:1", 0, on=False)
    session = opened()
    join(session, "users:1", watch=True)
    found = says(session, "LEAVE", room="users:1", id="l")
    assert off in found
    assert found.index(off) < [isinstance(action, Leave) for action in found].index(True)
    join(session, "users:1", ref="k", watch=True)
    assert off in session.answer(envelope.Left("g~1", "users:1"))
    says(session, "JOIN", room="users:1", id="m", payload={"presence": {"watch": True}})
    assert off in session.answer(envelope.Refused("g~1", "m", "blocked", ""))
    assert unwatched(session) == []
    join(again := opened(), "users:1", watch=True)
    assert off in again.closed()


def test_a_refused_join_of_a_room_that_it_is_in_keeps_the_watch():
    """Only one of its JOINs was refused."""
    session = opened()
    join(session, "users:1", watch=True)
    says(session, "JOIN", room="users:1", id="k")
    found = session.answer(envelope.Refused("g~1", "k", "forbidden", ""))
    assert [type(action) for action in found] == [Send]


def test_a_member_may_stop_to_watch():
    """It stays a member."""
    session = opened()
    join(session, "users:1", watch=True)
    assert says(session, room="users:1", id="u", payload={"unwatch": True}) == [
        Watch("users:1", 0, on=False),
        Send(Presence("users:1", b'{"watching":false}', "u")),
    ]


def test_pages_and_counts_are_read_by_members():
    """Each under the client's id, which its answer repeats."""
    session = opened()
    join(session, "users:1")
    (page,) = says(session, room="users:1", id="p", payload={"limit": 5, "after": "bob"})
    assert page == ReadPresence(envelope.PresenceQuery("users:1", "g~1", "p", 5, "bob"), 0)
    (count,) = says(session, room="users:1", payload={"count": True})
    assert (count.query.count, count.query.limit) == (True, 0)
    assert session.presence(PresenceRead("users:1", "p", b"{}")) == [Send(Presence("users:1", b"{}", "p"))]
    assert session.presence(PresenceRead("users:1", "other", b"{}")) == []


@pytest.mark.parametrize(
    ("room", "code"),
    [
        ("users:1", ErrorCode.NOT_JOINED),
        ("other", ErrorCode.FORBIDDEN),
        ("token:1", ErrorCode.FORBIDDEN),
        ("@val", ErrorCode.INVALID_ROOM),
    ],
)
def test_who_may_not_watch_reads_nothing(room, code):
    """A member may where members may; a stranger where anyone may."""
    assert refused(says(opened(), room=room, payload={"count": True})) is code
    assert isinstance(says(opened(), room="open:1")[0], ReadPresence)


def test_only_so_many_reads_are_open():
    """Until they are answered, or the room is left."""
    session = opened()
    for number in range(OPEN_MAX):
        says(session, room="open:1", id=f"p{number}")
    assert refused(says(session, room="open:1", id="q")) is ErrorCode.OVERLOADED
    session.presence(PresenceRead("open:1", "p0", b"{}"))
    assert isinstance(says(session, room="open:1", id="q")[0], ReadPresence)


def test_an_update_is_shown_from_then_on():
    """Now, and when the member joins again."""
    session = opened()
    join(session, "users:1")
    assert says(session, room="users:1", id="u", payload={"update": {"status": "away"}}) == [
        Inform(envelope.Inform("users:1", "g~1", b'{"status": "away"}'), 0),
        Send(Presence("users:1", b"{}", "u")),
    ]
    again, *_ = session.rejoin(0, {"users:1": POSITION})
    assert (again.envelope.info, again.envelope.presence) == (b'{"status": "away"}', PRESENCE_USERS)


@pytest.mark.parametrize("room", ["count:1", "claim:1", "other"])
def test_where_nothing_is_shown_that_a_client_says_an_update_is_forbidden(room):
    """In a room of numbers, of claims, or without presence."""
    session = opened()
    join(session, room)
    assert refused(says(session, room=room, payload={"update": 1})) is ErrorCode.FORBIDDEN


def test_only_members_are_shown():
    """Who is not there has nothing to say of itself."""
    assert refused(says(opened(), room="users:1", payload={"update": 1})) is ErrorCode.NOT_JOINED


def test_updates_have_a_rate():
    """Beyond it the client is told when to come again."""
    session = opened()
    join(session, "users:1")
    most = CHANGES // UPDATE
    for _ in range(most + 1):
        assert isinstance(says(session, room="users:1", payload={"update": 1})[0], Inform)
    (found,) = says(session, room="users:1", payload={"update": 1})
    assert found.message.code is ErrorCode.RATE_LIMITED
    assert found.message.retry_after_ms == UPDATE * 1_000 // CHANGES_PER_S
    later = 100.0 + found.message.retry_after_ms / 1_000
    assert isinstance(says(session, room="users:1", payload={"update": 1}, now=later)[0], Inform)


def test_contacts_are_watched_and_their_state_is_read():
    """Each once; of each comes a PRESENCE of its own."""
    session = opened()
    found = says(session, id="w", payload={"watch": ["val", "vic", "val"]})
    assert found[0] == Send(Presence("", b'{"watching":true}', "w"))
    assert [(type(action), action.room if isinstance(action, Watch) else "") for action in found[1:]] == [
        (Watch, "@val"),
        (ReadPresence, ""),
        (Watch, "@vic"),
        (ReadPresence, ""),
    ]
    assert all(action.contact for action in found if isinstance(action, Watch))
    assert says(session, id="w", payload={"watch": ["val"]}) == [
        Send(Presence("", b'{"watching":true}', "w"))
    ]
    read = found[2].query
    assert session.presence(PresenceRead("@val", read.ref, b"{}")) == [Send(Presence("@val", b"{}"))]
    assert says(session, payload={"unwatch": ["vic", "nobody"]})[0] == Watch(
        "@vic", 0, on=False, contact=True
    )
    assert session.presence(PresenceRead("@vic", found[4].query.ref, b"{}")) == []
    assert unwatched(session) == [Watch("@val", 0, on=False, contact=True)]


@pytest.mark.parametrize(
    ("user", "code"),
    [("bob", ErrorCode.FORBIDDEN), ("sam", ErrorCode.FORBIDDEN), ("@", ErrorCode.INVALID_MESSAGE)],
)
def test_contacts_need_a_right_of_their_own(user, code):
    """That of the namespace of users' rooms; nothing of a refused request is done."""
    session = opened()
    assert refused(says(session, payload={"watch": ["val", user]})) is code
    assert unwatched(session) == []


def test_there_are_only_so_many_contacts():
    """In all, however many requests."""
    session = opened()
    says(session, payload={"watch": [f"v{number}" for number in range(CONTACTS_MAX)]})
    assert refused(says(session, payload={"watch": ["vz"]})) is ErrorCode.INVALID_MESSAGE
    assert isinstance(says(session, payload={"watch": ["vz"], "unwatch": ["v0"]})[0], Watch)
    assert (
        len([a for a in says(session, payload={"watch": [], "unwatch": True}) if isinstance(a, Watch)]) == 100
    )


def test_a_contact_for_which_there_is_no_place_is_given_up():
    """The client hears that it is not told, and may ask again; the others stay."""
    session = opened()
    says(session, payload={"watch": ["val", "vic"]})
    told, refusal = session.contact_refused("@vic")
    assert told == Send(Presence("@vic", b'{"watching":false}'))
    assert refusal.message.code is ErrorCode.OVERLOADED
    assert session.contact_refused("@vic") == []
    assert [action for action in session.closed() if isinstance(action, Watch)] == [
        Watch("@val", 0, on=False, contact=True)
    ]
    assert session.contact_refused("@val") == []


def test_contacts_have_a_rate():
    """Whoever changes all of them again and again waits."""
    session = opened()
    names = [f"v{number}" for number in range(CONTACTS_MAX)]
    for _ in range(2):
        says(session, payload={"watch": names})
        found = says(session, payload={"watch": [], "unwatch": True})
    assert refused(found) is ErrorCode.RATE_LIMITED


def test_a_fresh_token_takes_the_right_to_watch_away():
    """Of rooms and of contacts, which are told; what it allows stays."""
    session = opened()
    join(session, "users:1", watch=True)
    join(session, "tabs:1", ref="k", watch=True)
    says(session, payload={"watch": ["val", "vic"]})
    found = session.identify(Identity("ann", watch=("users:*", "@val"), infos=ANN.infos), 101.0, 0)
    assert found == [
        Send(Authenticated(None)),
        Watch("tabs:1", 0, on=False),
        Send(Presence("tabs:1", b'{"watching":false}')),
        Watch("@vic", 0, on=False, contact=True),
        Send(Presence("@vic", b'{"watching":false}')),
    ]


def test_a_fresh_token_shows_what_it_says():
    """In the rooms where that counts; what the client has said itself stays."""
    session = opened()
    for number, room in enumerate(("users:1", "claim:1", "count:1", "other")):
        join(session, room, ref=f"j{number}")
    join(session, "users:2", ref="j9", info="own")
    infos = (("", b'"new"'), ("profile", b'"newer"'))
    found = session.identify(Identity("ann", infos=infos), 101.0, 0)
    assert [action.envelope for action in found if isinstance(action, Inform)] == [
        envelope.Inform("users:1", "g~1", b'"new"'),
        envelope.Inform("claim:1", "g~1", b'"newer"'),
    ]


def test_a_room_that_a_fresh_token_does_not_allow_is_not_watched_any_more():
    """It is left, and so is its presence."""
    session = opened()
    join(session, "users:1", watch=True)
    found = session.identify(Identity("ann", join=("tabs:*",)), 101.0, 0)
    assert Watch("users:1", 0, on=False) in found
    assert Send(Left("users:1", "", "forbidden")) in found


def test_a_closed_connection_is_told_nothing():
    """Neither of what was read nor of anything else."""
    session = opened()
    says(session, room="open:1", id="p")
    assert session.end(CloseCode.DISCONNECTED)[-1] == Close(CloseCode.DISCONNECTED)
    assert session.presence(PresenceRead("open:1", "p", b"{}")) == []
