"""session: what a client asks to be told of its messages, and what it says that its user has seen."""

import json

import pytest

from gateway.core.actions import Close, Leave, Publish, Seen, Send
from gateway.core.client_messages import Acked, Error, Receipt
from gateway.core.session import Identity, Session, SessionConfig
from gateway.core.session_receipts import OPEN_MAX, WAIT_S
from warren import envelope
from warren.errors import ErrorCode
from warren.log_entries import RECEIPT_SEEN, RECEIPT_WRITTEN
from warren.namespaces import Namespaces, PresencePolicy, RoomPolicy

NAMESPACES = Namespaces(
    [
        RoomPolicy("seen", "seen:*", receipts="seen", presence=PresencePolicy("users")),
        RoomPolicy("written", "written:*", receipts="written"),
        RoomPolicy("users", "@*", receipts="seen"),
    ]
)
WALL_US = 1_764_000_000_000_000


def opened(**more):
    made = Session("g~1", SessionConfig(rooms=(), rate=None), NAMESPACES, **more)
    made.open(Identity("ann", hidden=("seen:hidden",)), 100.0, WALL_US)
    for room in ("seen:a", "seen:hidden", "written:a"):
        says(made, type="JOIN", room=room, id=room)
    return made


def says(session, now=100.0, **fields):
    return session.receive(json.dumps(fields), now, WALL_US).actions


def sends(session, receipt, room="seen:a", ident="m", **more):
    return says(session, type="CHAT", room=room, id=ident, receipt=receipt, payload=1, **more)


def code(actions):
    ((message,),) = [[action.message] for action in actions if isinstance(action, Send)]
    assert isinstance(message, Error)
    return message.code


def receipt(ident="m", level=RECEIPT_WRITTEN, *, complete=True, readers=-1, seen=0):
    return envelope.Receipt(
        ident,
        "seen:a",
        "e",
        1,
        False,
        2,
        2,
        1,
        complete=complete,
        conn="g~1",
        level=level,
        readers=readers,
        seen=seen,
    )


def test_what_becomes_of_a_message_is_told_beside_its_ack():
    """Each level once."""
    session = opened()
    (published,) = sends(session, "seen")
    assert isinstance(published, Publish)
    assert published.envelope.receipt == RECEIPT_SEEN
    assert session.answer(envelope.Ack("g~1", "seen:a", "m", "e", 1)) == [Send(Acked("m", "seen:a", "e", 1))]
    assert session.answer(receipt()) == [Send(Receipt("m", "seen:a", True))]
    seen = receipt(level=RECEIPT_SEEN, readers=2, seen=2)
    assert session.answer(seen) == [Send(Receipt("m", "seen:a", True, 2, 2))]
    assert session.answer(seen) == []


def test_who_asks_for_nothing_is_told_nothing():
    """And a receipt that was never asked for is no answer."""
    session = opened()
    (published,) = says(session, type="CHAT", room="seen:a", id="m", payload=1)
    assert published.envelope.receipt == 0
    assert session.answer(receipt()) == []


@pytest.mark.parametrize(
    ("room", "asked", "ident", "expected"),
    [
        ("default", "written", "m", ErrorCode.FORBIDDEN),
        ("written:a", "seen", "m", ErrorCode.FORBIDDEN),
        ("seen:a", "soon", "m", ErrorCode.INVALID_MESSAGE),
        ("seen:a", "written", None, ErrorCode.INVALID_MESSAGE),
    ],
)
def test_what_may_not_be_asked_is_refused_and_not_published(room, asked, ident, expected):
    """The namespace says what may."""
    actions = sends(opened(), asked, room, ident)
    assert code(actions) is expected
    assert not any(isinstance(action, Publish) for action in actions)


def test_a_client_waits_for_so_many_at_a_time():
    """What was refused on its way, or took too long, is waited for no more."""
    session = opened()
    for number in range(OPEN_MAX):
        sends(session, "written", ident=str(number))
    assert code(sends(session, "written", ident="more")) is ErrorCode.OVERLOADED
    session.undelivered("0", ErrorCode.UNAVAILABLE)
    assert isinstance(sends(session, "written", ident="more")[0], Publish)
    session.answer(envelope.Refused("g~1", "1", "blocked", "no"))
    assert isinstance(sends(session, "written", ident="other")[0], Publish)
    told = session.tick(100.0 + WAIT_S[RECEIPT_WRITTEN])
    assert Send(Receipt("more", "seen:a", False)) in told
    assert not any(isinstance(action, Close) for action in told)
    assert isinstance(sends(session, "written", ident="1")[0], Publish)


def test_what_is_seen_goes_to_the_rooms_shard():
    """Without an answer; also in the user's own room."""
    session = opened()
    (action,) = says(session, type="SEEN", room="seen:a", payload={"epoch": "e", "seq": 7})
    assert isinstance(action, Seen)
    assert action.envelope == envelope.Seen("seen:a", "g~1", "e", 7)
    (own,) = says(session, type="SEEN", room="@ann", payload={"epoch": "e", "seq": 1})
    assert own.envelope.room == "@ann"


def test_of_who_is_hidden_nobody_is_told():
    """It is no fault of its client."""
    assert says(opened(), type="SEEN", room="seen:hidden", payload={"epoch": "e", "seq": 7}) == []


@pytest.mark.parametrize(
    ("room", "payload", "expected"),
    [
        ("seen:b", {"epoch": "e", "seq": 1}, ErrorCode.NOT_JOINED),
        ("written:a", {"epoch": "e", "seq": 1}, ErrorCode.FORBIDDEN),
        ("@bob", {"epoch": "e", "seq": 1}, ErrorCode.INVALID_ROOM),
        ("seen:a", {"epoch": "e", "seq": 0}, ErrorCode.INVALID_MESSAGE),
        ("seen:a", {"epoch": "", "seq": 1}, ErrorCode.INVALID_MESSAGE),
        ("seen:a", {"seq": 1}, ErrorCode.INVALID_MESSAGE),
        ("seen:a", None, ErrorCode.INVALID_MESSAGE),
        ("seen:a", [], ErrorCode.INVALID_MESSAGE),
    ],
)
def test_what_nobody_can_have_seen_is_refused(room, payload, expected):
    """With what is wrong."""
    assert code(says(opened(), type="SEEN", room=room, payload=payload)) is expected


def test_who_leaves_a_room_has_seen_nothing_more_there():
    """It is no member."""
    session = opened()
    assert any(isinstance(action, Leave) for action in says(session, type="LEAVE", room="seen:a", id="l"))
    refused = says(session, type="SEEN", room="seen:a", payload={"epoch": "e", "seq": 1})
    assert code(refused) is ErrorCode.NOT_JOINED


def test_who_does_not_listen_to_its_own_room_has_seen_nothing_there():
    """It is there silently."""
    session = opened(manual=True)
    refused = says(session, type="SEEN", room="@ann", payload={"epoch": "e", "seq": 1})
    assert code(refused) is ErrorCode.NOT_JOINED
