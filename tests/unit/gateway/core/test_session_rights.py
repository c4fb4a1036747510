"""session: what a fresh token with other rights does to a connection that is there already."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.actions import Consult, Exit, Join, Leave, Publish, Query, Send, Withdraw
from gateway.core.client_messages import Authenticated, Error, Joined, Left, error
from gateway.core.hook_desk import Allowed
from gateway.core.hook_messages import HookAnswer
from gateway.core.permissions import may_join
from gateway.core.session import Identity, Session, SessionConfig
from warren import envelope
from warren.errors import ErrorCode
from warren.namespaces import Namespaces, RoomPolicy
from warren.position import Position

NAMESPACES = Namespaces(
    [
        RoomPolicy("club", "club:*", publish="members"),
        RoomPolicy("vip", "vip:*", join="token"),
        RoomPolicy("asked", "asked:*", hooks=("publish",)),
    ]
)
CONFIG = SessionConfig(rooms=("default", "news"), rooms_max=10, rate=None)
WALL_US = 1_764_000_000_000_000
POSITION = Position("19ab-1", 12)
WIDE = Identity("ann", join=("*",))


def opened(identity: Identity = WIDE) -> Session:
    """Return a session whose rooms joined at connect are answered."""
    session = Session("g~1", CONFIG, NAMESPACES)
    session.open(identity, 100.0, WALL_US)
    for number, room in enumerate(session.rooms, 1):
        session.answer(envelope.Joined("g~1", room, POSITION, recovered=False, ref=f"~{number}"))
    return session


def says(session: Session, **fields):
    """Return the actions for a JSON message."""
    return session.receive(json.dumps(fields), 100.0, WALL_US).actions


def joins(session: Session, room: str, ref: str) -> None:
    """Join a room to the end."""
    says(session, type="JOIN", room=room, id=ref)
    session.answer(envelope.Joined("g~1", room, POSITION, recovered=False, ref=ref))


def code(found) -> ErrorCode:
    """Return the code of the one ERROR that came."""
    (action,) = found
    assert isinstance(action.message, Error)
    return action.message.code


def renews(session: Session, identity: Identity, unsent=()):
    """Give a fresh token; return what comes of it behind AUTHENTICATED."""
    says(session, type="AUTH", payload={"token": "x"}, id="a1")
    first, *rest = session.identify(identity, 100.0, WALL_US, unsent)
    assert first == Send(Authenticated(None, "a1"))
    return rest


def left(room: str):
    """Return what it takes to leave a room that no token allows any more."""
    return [
        Exit(room),
        Leave(envelope.Leave((room,), "g~1", "", "ann"), 0),
        Send(Left(room, "", "forbidden")),
    ]


def test_rooms_that_a_narrower_token_does_not_allow_are_left_at_once():
    """In the hub, at the routers and at the client; the others and the user's own stay."""
    session = opened()
    joins(session, "club:1", "j1")
    assert renews(session, Identity("ann", join=("news",))) == [*left("default"), *left("club:1")]
    assert session.rooms == ("news", "@ann")
    assert renews(session, Identity("ann", join=("news",))) == []


def test_what_hangs_on_membership_ends_with_it():
    """HISTORY and publishing among members are refused from the next message on; publishing elsewhere follows
    its own patterns.
    """
    session = opened()
    joins(session, "club:1", "j1")
    assert isinstance(says(session, type="CHAT", room="club:1")[0], Publish)
    renews(session, Identity("ann", join=("news",), publish=("club:*", "news")))
    assert code(says(session, type="HISTORY", room="club:1", id="h")) is ErrorCode.NOT_JOINED
    assert code(says(session, type="CHAT", room="club:1", id="m")) is ErrorCode.NOT_JOINED
    assert code(says(session, type="JOIN", room="club:1", id="j2")) is ErrorCode.FORBIDDEN
    assert code(says(session, type="CHAT", room="default", id="m")) is ErrorCode.FORBIDDEN
    assert isinstance(says(session, type="CHAT", room="news")[0], Publish)
    assert isinstance(says(session, type="HISTORY", room="@ann")[0], Query)


def test_the_right_to_publish_ends_with_the_token_that_gave_it():
    """From the next message on, in rooms that it stays in too."""
    session = opened(Identity("ann", publish=("*",)))
    assert isinstance(says(session, type="CHAT", room="default")[0], Publish)
    assert renews(session, Identity("ann", publish=("news",))) == []
    assert code(says(session, type="CHAT", room="default", id="m")) is ErrorCode.FORBIDDEN
    assert isinstance(says(session, type="CHAT", room="news")[0], Publish)
    renews(session, Identity("ann", publish=()))
    assert code(says(session, type="CHAT", room="news", id="m")) is ErrorCode.FORBIDDEN
    assert "default" in session.rooms


def test_what_waits_to_be_sent_is_taken_back():
    """Messages to rooms that the token does not let publish to, or whose members alone may and that are left
    with it; the client hears of each, and nothing else is touched.
    """
    session = opened()
    joins(session, "club:1", "j1")
    joins(session, "club:2", "j2")
    narrow = Identity("ann", join=("club:2", "default", "news"), publish=("club:*", "news"))
    assert renews(session, narrow, ["club:1", "club:2", "news", "default"]) == [
        *left("club:1"),
        Withdraw("club:1"),
        Withdraw("default"),
    ]
    assert session.undelivered("m1", ErrorCode.FORBIDDEN) == [
        Send(error(ErrorCode.FORBIDDEN, "Your token does not allow publishing to this room any more", "m1"))
    ]
    assert renews(session, narrow, ["club:2", "news"]) == []


def test_what_waits_for_a_backend_is_judged_by_the_token_that_is_in_force_then():
    """A message that a hook allows is refused where the client lost the right meanwhile, and so is the one
    behind it.
    """
    session = opened(Identity("ann", publish=("*",)))
    (consult,) = says(session, type="CHAT", room="asked:1", id="m1")
    assert isinstance(consult, Consult)
    assert says(session, type="CHAT", room="asked:1", id="m2") == []
    renews(session, Identity("ann", publish=("news",)))
    outcomes = session.decided(consult.ticket, Allowed(HookAnswer(True)), 100.0, WALL_US)
    refused = "You may not publish to this room"
    assert [outcome.actions for outcome in outcomes] == [
        [Send(error(ErrorCode.FORBIDDEN, refused, ref))] for ref in ("m1", "m2")
    ]


def test_joins_and_pages_under_way_are_answered_with_an_error():
    """By the client's own refs; what a router answers afterwards says nothing any more."""
    session = opened()
    says(session, type="JOIN", room="r", id="j1")
    says(session, type="HISTORY", room="default", id="h1")
    refused = "Your token does not allow this room any more"
    assert renews(session, Identity("ann", join=("news",))) == [
        *left("default")[:2],
        Send(error(ErrorCode.FORBIDDEN, refused, "h1")),
        Send(Left("default", "", "forbidden")),
        *left("r")[:2],
        Send(error(ErrorCode.FORBIDDEN, refused, "j1")),
        Send(Left("r", "", "forbidden")),
    ]
    assert session.answer(envelope.Joined("g~1", "r", POSITION, recovered=False, ref="j1")) == []
    assert session.answer(envelope.HistoryPage("g~1", "default", "h1", (), False)) == []
    assert [action.envelope.room for action in session.rejoin(0, {})] == ["g~1"]
    assert [action.envelope.room for action in session.rejoin(0, {"r": POSITION})] == ["g~1"]


def test_the_default_room_is_one_that_the_token_allows():
    """The one at connect for as long as that is allowed, then the first of those that are; where none is a
    message has no room.
    """
    session = opened()
    renews(session, Identity("ann", join=("news", "x")))
    assert says(session, type="CHAT")[0].envelope.room == "news"
    renews(session, WIDE)
    assert says(session, type="CHAT")[0].envelope.room == "news"
    renews(session, Identity("ann", join=("x",)))
    assert code(says(session, type="CHAT", id="m")) is ErrorCode.INVALID_ROOM


def test_a_token_that_says_nothing_leaves_the_rooms_that_need_one():
    """A namespace that asks for a token's word asks for it for as long as one is there."""
    session = opened()
    joins(session, "vip:1", "j1")
    assert renews(session, Identity("ann")) == left("vip:1")


def test_a_wider_token_joins_nothing_by_itself():
    """It only allows it."""
    session = opened(Identity("ann", join=("news",)))
    assert renews(session, WIDE) == []
    assert isinstance(says(session, type="JOIN", room="default", id="j")[0], Join)


PATTERNS = st.lists(st.sampled_from(["*", "a", "b", "a*", "default", "news", "vip:*", "club:*"]), max_size=3)
TOKENS = st.builds(lambda join: Identity("ann", join=join), st.one_of(st.none(), PATTERNS.map(tuple)))
ROOMS = st.sampled_from(["a", "ab", "b", "default", "news", "vip:1", "club:1"])
STEPS = st.lists(st.one_of(TOKENS, ROOMS, ROOMS.map(lambda room: f"answer {room}")), max_size=30)


@given(STEPS)
def test_no_room_is_ever_held_that_the_token_in_force_does_not_allow(steps):
    """Whatever tokens, joins and answers come in whatever order; and what the client was told agrees with
    what is held.
    """
    session, token = opened(), WIDE
    inside = set(session.rooms)
    refs: dict[str, str] = {}
    for number, step in enumerate(steps):
        if isinstance(step, Identity):
            token, found = step, renews(session, step)
        elif step.startswith("answer "):
            room = step.removeprefix("answer ")
            answer = envelope.Joined("g~1", room, POSITION, recovered=False, ref=refs.pop(room, "~x"))
            found = session.answer(answer)
        else:
            refs[step] = f"j{number}"
            found = says(session, type="JOIN", room=step, id=refs[step])
        for action in found:
            if isinstance(action, Exit):
                inside.discard(action.room)
            elif isinstance(action, Send) and isinstance(action.message, Joined):
                assert action.message.room in session.rooms
                inside.add(action.message.room)
        held = [room for room in (*session.rooms, *inside) if room != "@ann"]
        assert all(may_join(token, NAMESPACES.policy(room), room) for room in held)
        assert inside <= set(session.rooms)
        assert "@ann" in inside


@pytest.mark.parametrize("answered", [True, False])
def test_who_joins_all_rooms_by_itself_keeps_its_own(answered):
    """``@user`` is nobody's to take away."""
    session = Session("g~1", CONFIG, NAMESPACES, manual=True)
    session.open(WIDE, 100.0, WALL_US)
    says(session, type="JOIN", room="@ann", id="j1")
    if answered:
        session.answer(envelope.Joined("g~1", "@ann", POSITION, recovered=False, ref="j1"))
    assert renews(session, Identity("ann", join=())) == []
    assert session.rooms == ("@ann",)
