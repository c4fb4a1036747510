"""session: scripts of inputs and the exact list of outputs."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import codec_json, codec_msgpack
from gateway.core.actions import (
    Authenticate,
    CancelRequest,
    Close,
    Exit,
    Hold,
    Join,
    Leave,
    Publish,
    Query,
    Request,
    Send,
)
from gateway.core.client_limits import RateLimits
from gateway.core.client_messages import (
    Accepted,
    Acked,
    Authenticated,
    Error,
    History,
    Joined,
    Left,
    Pong,
    Response,
    Welcome,
    error,
)
from gateway.core.error_rate_limit import ANSWERS, PATIENCE_S
from gateway.core.inputs import RequestFailed, Responded
from gateway.core.pending_requests import OPEN_MAX
from gateway.core.session import NO_SHARD, SILENT, STAYS, Identity, Session, SessionConfig, State
from gateway.core.sse.position_vector import Shown
from gateway.core.sse.stream_entry import StreamEntry
from warren import envelope
from warren.address import shard_of
from warren.errors import CloseCode, ErrorCode
from warren.namespaces import Namespaces, RateLimit, RoomPolicy
from warren.position import Position
from warren.services import ServicePolicy

NAMESPACES = Namespaces(
    [
        RoomPolicy("echo", "echo:*", include_sender=True, ephemeral_types=("TYPING", "cursor")),
        RoomPolicy("club", "club:*", publish="members"),
        RoomPolicy("vip", "vip:*", join="token"),
        RoomPolicy("ticker", "ticker:*", rate=RateLimit(2, 1_000, "reject")),
        RoomPolicy("strict", "strict:*", rate=RateLimit(1, 1_000, "close")),
    ],
    [ServicePolicy("*")],
)
CONFIG = SessionConfig(rooms=("default", "news"), rooms_max=4, rate=None)
WALL_US = 1_764_000_000_000_000
POSITION, NEXT = Position("19ab-1", 12), Position("19ab-1", 13)


ANN = Identity("ann")


def opened(identity: Identity | None = ANN, config: SessionConfig = CONFIG, **more) -> Session:
    """Return an open session."""
    made = Session("g~1", config, NAMESPACES, **more)
    made.open(identity, 100.0, WALL_US)
    return made


def streamed(entry: StreamEntry, identity: Identity = ANN, **more) -> tuple[Session, list]:
    """Return the session of an event stream, and what it asks for once its client is known."""
    made = Session("g~1", CONFIG, NAMESPACES, **more)
    made.streams(entry)
    return made, made.open(identity, 100.0, WALL_US)


def sent(actions, kind) -> list:
    """Return the messages of a kind that are sent."""
    return [each.message for each in actions if isinstance(each, Send) and isinstance(each.message, kind)]


def test_a_stream_joins_what_its_address_names():
    """Behind WELCOME, which has its secret, and the rooms that everybody joins; once, and each with its own
    answer.
    """
    session, actions = streamed(StreamEntry(("news", "club:1", "vip:1", "@bob"), post="secret"))
    (welcome,) = sent(actions, Welcome)
    assert (welcome.post, welcome.rooms) == ("secret", ("default", "news", "@ann"))
    assert [join.envelope.room for join in actions if isinstance(join, Join)] == ["default", "news", "@ann"]
    outcomes = session.enter_rooms(100.0, WALL_US)
    asked = [action for outcome in outcomes for action in outcome.actions]
    assert [(each.envelope.room, each.envelope.ref) for each in asked if isinstance(each, Join)] == [
        ("club:1", "club:1")
    ]
    assert [(each.message.ref, each.message.code) for each in asked if isinstance(each, Send)] == [
        ("vip:1", ErrorCode.FORBIDDEN),
        ("@bob", ErrorCode.INVALID_ROOM),
    ]
    assert session.enter_rooms(100.0, WALL_US) == []
    assert opened().enter_rooms(100.0, WALL_US) == []


def test_a_stream_that_comes_back_joins_with_its_positions():
    """All its rooms, its own too, and none that it has left: nothing is joined from where it stands now."""
    shown = Shown({"default": POSITION, "@ann": NEXT, "club:1": NEXT}, frozenset({"news"}))
    session, actions = streamed(StreamEntry(("club:1",), shown))
    (welcome,) = sent(actions, Welcome)
    assert welcome.rooms == ("default", "@ann")
    assert [join.envelope.ref for join in actions if isinstance(join, Join)] == [SILENT]
    outcomes = session.enter_rooms(100.0, WALL_US)
    joins = [action.envelope for outcome in outcomes for action in outcome.actions]
    assert [(join.room, join.since) for join in joins] == [
        ("default", POSITION),
        ("@ann", NEXT),
        ("club:1", NEXT),
    ]
    assert all(outcome.question is not None for outcome in outcomes)  # they count in what it may read
    session, actions = streamed(StreamEntry(("club:1",), shown), manual=True)
    assert [outcome.question.room for outcome in session.enter_rooms(100.0, WALL_US)] == [
        "club:1",
        "default",
        "@ann",
    ]


def test_a_stream_is_in_no_more_rooms_than_its_ids_hold():
    """A further JOIN is refused, and one of a room that it is in is not."""
    session = Session("g~1", SessionConfig(rooms=(), rooms_max=100, rate=None), NAMESPACES)
    session.streams(StreamEntry())
    session.open(ANN, 100.0, WALL_US)
    for number in range(25):
        (join,) = says(session, type="JOIN", room=f"{number:0120}", id="j")
        assert isinstance(join, Join)
    assert refused(says(session, type="JOIN", room="x" * 120, id="j")) is ErrorCode.TOO_MANY_ROOMS
    (join,) = says(session, type="JOIN", room=f"{3:0120}", id="j")
    assert isinstance(join, Join)


def test_a_backend_puts_a_stream_into_no_more_rooms_than_its_ids_hold():
    """It is told that there was no place for the rest."""
    session = Session("g~1", SessionConfig(rooms=(), rooms_max=100, rate=None), NAMESPACES)
    session.streams(StreamEntry())
    session.open(ANN, 100.0, WALL_US)
    rooms = tuple(f"{number:0120}" for number in range(40))
    *joins, told = session.answer(envelope.Enrolled("g~1", rooms), WALL_US)
    assert [join.envelope.room for join in joins] == list(rooms[:25])
    assert told.message.code == ErrorCode.TOO_MANY_ROOMS


def test_one_that_visits_is_in_no_room():
    """Not in its own either; it publishes by its rights, within the limits of all that it says so."""
    limits = RateLimits(RateLimit(1, 1_000, "reject"))
    session = Session("g~1", CONFIG, NAMESPACES)
    session.visits(limits)
    actions = session.open(ANN, 100.0, WALL_US)
    assert [type(action) for action in actions] == [Send]
    assert session.enter_rooms(100.0, WALL_US) == []
    (published,) = says(session, type="CHAT", room="a", id="m")
    assert isinstance(published, Publish)
    assert refused(says(session, type="CHAT", room="a", id="m")) is ErrorCode.RATE_LIMITED
    assert refused(says(session, 200.0, type="CHAT", room="club:1", id="m")) is ErrorCode.NOT_JOINED
    assert session.closed() == []


def says(session: Session, now: float = 100.0, **fields):
    """Return the actions for a JSON message."""
    return session.receive(json.dumps(fields), now, WALL_US).actions


def refused(found) -> ErrorCode:
    """Return the code of the one ERROR that came, after which the connection stays."""
    (action,) = found
    assert isinstance(action, Send)
    assert isinstance(action.message, Error)
    assert action.message.close is None
    return action.message.code


def again(session: Session, room: str, since: Position):
    """Return what is asked for a member that stands there, besides the client's own JOINs."""
    own = session.rejoin(0, {})
    return [action for action in session.rejoin(0, {room: since}) if action not in own]


def entered(room: str, ref: str, came_us: int = 0) -> envelope.Entered:
    return envelope.Entered("g~1", room, POSITION, ref, None, came_us)


def renewed(session: Session, room: str):
    """Return the client's JOINs of a room that are asked again."""
    return [action for action in session.rejoin(0, {}) if action.envelope.room == room]


def test_a_known_client_is_welcomed_and_joins_its_rooms():
    """Those joined at connect and its own, each as a JOIN under a ref of our own."""
    session = Session("g~1", CONFIG, NAMESPACES)
    assert session.open(Identity("ann", expires_at=1_764_000_600.5), 100.0, WALL_US) == [
        Send(
            Welcome("g~1", "ann", 30_000, ("default", "news", "@ann"), 1_048_576, 0, 0, 4, 1_764_000_600_500)
        ),
        Join(envelope.Join("default", "g~1", "ann", "~1"), 0, True),
        Join(envelope.Join("news", "g~1", "ann", "~2"), 0, True),
        Join(envelope.Join("@ann", "g~1", "ann", "~3"), 0, True),
    ]
    reply = envelope.Joined("g~1", "news", POSITION, recovered=False, ref="~2")
    assert session.answer(reply) == [Send(Joined("news", "19ab-1", 12, False))]
    assert (session.state, session.user) == (State.READY, "ann")


def test_the_welcome_tells_the_rate():
    """As the settings have it."""
    (welcome, *_) = Session("g~1", SessionConfig(rooms=()), NAMESPACES).open(Identity("ann"), 100.0, WALL_US)
    assert (welcome.message.rate, welcome.message.rate_per_ms, welcome.message.rooms) == (5, 1_000, ("@ann",))


def test_who_joins_by_itself_is_joined_to_nothing_at_connect():
    """To its own room without a word, which it may join by name; the default room stays what it is."""
    session = Session("g~1", CONFIG, NAMESPACES, manual=True)
    welcome, entry = session.open(ANN, 100.0, WALL_US)
    assert (welcome.message.rooms, session.rooms) == ((), ("@ann",))
    assert entry == Join(envelope.Join("@ann", "g~1", "ann", SILENT), 0, True)
    since = {"since": {"epoch": "e", "seq": 5}}
    assert says(session, type="JOIN", room="@ann", id="j1", payload=since) == [
        Join(envelope.Join("@ann", "g~1", "ann", "j1", Position("e", 5), came_us=WALL_US), 0, False)
    ]
    for room in "abcd":
        assert isinstance(says(session, type="JOIN", room=room)[0], Join)
    assert refused(says(session, type="JOIN", room="e")) is ErrorCode.TOO_MANY_ROOMS
    assert says(session, type="CHAT")[0].envelope.room == "default"


def test_a_token_bounds_the_rooms_joined_at_connect_too():
    """Only those that it allows; the first of them is the default room."""
    session = opened(Identity("ann", join=("news",)))
    assert session.rooms == ("news", "@ann")
    (publish,) = says(session, type="CHAT")
    assert publish.envelope.room == "news"


def test_an_unknown_client_authenticates_first():
    """The token is checked outside, then it is welcomed."""
    session = Session("g~1", CONFIG, NAMESPACES)
    assert session.open(None, 100.0, WALL_US) == []
    assert says(session, type="AUTH", payload={"token": "a.b.c"}) == [Authenticate("a.b.c")]
    welcome, *joins = session.identify(Identity("ann"), 101.0, WALL_US)
    assert isinstance(welcome.message, Welcome)
    assert len(joins) == 3


@pytest.mark.parametrize("kind", ["CHAT", "JOIN", "PING", "WELCOME", "own"])
def test_anything_else_from_an_unknown_client_ends_it(kind):
    """With 4001."""
    sent, close = says(opened(None), type=kind, id="7")
    assert (sent.message.code, sent.message.ref) == (ErrorCode.UNAUTHORIZED, "7")
    assert close == Close(CloseCode.UNAUTHORIZED)


def test_a_frame_from_an_unknown_client_that_cannot_be_parsed_leaves_it_its_time():
    """The connection stays."""
    session = opened(None)
    assert refused(session.receive("?", 100.0, WALL_US).actions) is ErrorCode.INVALID_FORMAT
    assert session.state is State.NEW


@pytest.mark.parametrize("kind", ["CHAT", "JOIN", "LEAVE", "HISTORY", "PING"])
@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"%s","room":"news","id":"7","payload":"\\ud83d"}',
        '{"type":"%s","room":"news\\ud83d","id":"7"}',
        '{"type":"%s","room":"news","payload":{"a":' + "[" * 2_000 + "]" * 2_000 + '},"id":"7"}',
        '{"type":"%s","room":["news"],"id":"7"}',
    ],
    ids=["half an emoji", "half an emoji in the room", "far too deep", "room of a wrong kind"],
)
def test_whatever_is_refused_for_good_says_which_message_it_was(kind, frame):
    """With ``ref``, and not to be sent again: else its sender waits, and sends it again for ever."""
    (sent,) = opened().receive(frame % kind, 100.0, WALL_US).actions
    assert (sent.message.ref, sent.message.retry, sent.message.close) == ("7", False, None)


@pytest.mark.parametrize("name", ["a\nb", "x" * 65, "~1"])
def test_an_id_that_the_rule_refuses_is_told_too(name):
    """Of a JOIN as of any other message."""
    (sent,) = says(opened(), type="JOIN", room="news", id=name)
    assert (sent.message.code, sent.message.ref, sent.message.retry) == (
        ErrorCode.INVALID_MESSAGE,
        name,
        False,
    )


def test_a_token_that_does_not_hold_ends_the_connection():
    """With the reason and the AUTH's id."""
    session = opened(None)
    says(session, type="AUTH", payload={"token": "x"}, id="a1")
    sent, close = session.refuse("The signature does not hold")
    assert (sent.message.message, sent.message.ref) == ("The signature does not hold", "a1")
    assert close == Close(CloseCode.UNAUTHORIZED)


def test_a_fresh_token_is_confirmed_and_brings_new_rights():
    """The rooms stay as they are."""
    session = opened(Identity("ann", publish=()))
    assert refused(says(session, type="CHAT")) is ErrorCode.FORBIDDEN
    assert says(session, type="AUTH", payload={"token": "x"}, id="a1") == [Authenticate("x")]
    assert session.identify(Identity("ann", expires_at=1_764_000_600.0), 100.0, WALL_US) == [
        Send(Authenticated(1_764_000_600_000, "a1"))
    ]
    assert isinstance(says(session, type="CHAT")[0], Publish)


@pytest.mark.parametrize("identity", [Identity("bob"), Identity("ann", expires_at=1_764_000_000.0)])
def test_a_token_of_another_user_or_of_the_past_ends_the_connection(identity):
    """With 4001."""
    assert opened().identify(identity, 100.0, WALL_US)[-1] == Close(CloseCode.UNAUTHORIZED)


def test_a_message_becomes_an_envelope():
    """Field by field; the client's trace context stands beside it for the sampling decision."""
    frame = (
        '{"type":"CHAT","room":"chat:1","payload":{ '
        '"a":1},"id":"7","key":"k","include_sender":true,"traceparent":"00-x"}'
    )
    assert opened().receive(frame, 100.0, WALL_US).actions == [
        Publish(
            envelope.Publish(
                "chat:1", "CHAT", b'{ "a":1}', WALL_US, "g~1", "ann", "7", include_sender=True, key="k"
            ),
            0,
            "00-x",
        )
    ]


def test_every_numbered_message_has_an_id_so_that_a_repeat_on_the_way_is_none():
    """One of our own where the client gave none, new for each message and not the client's to see; ephemeral
    ones need none.
    """
    session = opened()
    found = [says(session, type=kind)[0].envelope.id for kind in ("CHAT", "CHAT", "TYPING", "own")]
    assert found == ["~g~1.1", "~g~1.2", "", "~g~1.3"]
    assert session.answer(envelope.Ack("g~1", "default", "~g~1.1", "e", 3)) == []
    assert session.answer(envelope.Refused("g~1", "~g~1.2", "forbidden", "No"))[0].message.ref == ""
    assert session.undelivered("~g~1.3", ErrorCode.UNAVAILABLE)[0].message.ref == ""


def test_an_id_that_begins_like_our_own_is_refused():
    """invalid_message, whatever the type."""
    for kind in ("CHAT", "JOIN", "PING"):
        assert refused(says(opened(), type=kind, room="r", id="~1")) is ErrorCode.INVALID_MESSAGE


def test_a_message_without_a_room_goes_to_the_default_room():
    """The first that was joined at connect."""
    (publish,) = says(opened(), type="CHAT")
    assert publish.envelope.room == "default"


def test_without_a_default_room_the_room_must_be_said():
    """invalid_room."""
    session = opened(config=SessionConfig(rooms=(), rate=None))
    assert refused(says(session, type="CHAT")) is ErrorCode.INVALID_ROOM


def test_a_binary_payload_stays_bytes():
    """From base64 or from a bin."""
    (first,) = says(opened(), type="CHAT", payload="AAH/", encoding="base64", id="7")
    packed = msgspec.msgpack.encode({"type": "CHAT", "payload": b"\x00\x01\xff", "id": "7"})
    (second,) = opened(codec=codec_msgpack).receive(packed, 100.0, WALL_US).actions
    assert first == second
    assert (first.envelope.payload, first.envelope.binary) == (b"\x00\x01\xff", True)


@pytest.mark.parametrize(
    ("room", "kind", "include_sender", "ephemeral"),
    [
        ("a", "TYPING", False, True),
        ("a", "cursor", False, False),
        ("echo:1", "CHAT", True, False),
        ("echo:1", "cursor", True, True),
    ],
)
def test_the_namespace_says_what_is_ephemeral_and_who_gets_its_own(room, kind, include_sender, ephemeral):
    """By the first pattern that matches the room."""
    (publish,) = says(opened(), type=kind, room=room)
    assert (publish.envelope.include_sender, publish.envelope.ephemeral) == (include_sender, ephemeral)


def test_the_trace_that_the_shell_hands_in_is_carried():
    """Else the envelope has none: what the client gave is no span of ours."""
    session = opened()
    assert (
        session.receive('{"type":"CHAT"}', 100.0, WALL_US, "00-ours").actions[0].envelope.trace == "00-ours"
    )
    assert (
        session.receive('{"type":"CHAT","traceparent":"00-x"}', 100.0, WALL_US).actions[0].envelope.trace
        == ""
    )


@pytest.mark.parametrize("room", ["@ann", "@bob", "*", "g~1", "a b", "ä", "r" * 129])
@pytest.mark.parametrize("kind", ["CHAT", "JOIN", "LEAVE", "HISTORY"])
def test_a_room_that_is_not_a_clients_to_name_is_refused(room, kind):
    """Reserved addresses too: clients reach users only through backends. The own room may be
    joined, read and left.
    """
    if room == "@ann" and kind == "LEAVE":
        return
    if room == "@ann" and kind in ("JOIN", "HISTORY"):
        assert isinstance(says(opened(), type=kind, room=room, id="7")[0], Join | Query)
        return
    assert refused(says(opened(), type=kind, room=room, id="7")) is ErrorCode.INVALID_ROOM


def test_a_namespace_may_ask_for_membership():
    """A JOIN under way is enough, since both go the same way in order."""
    session = opened()
    assert refused(says(session, type="CHAT", room="club:1")) is ErrorCode.NOT_JOINED
    says(session, type="JOIN", room="club:1")
    assert isinstance(says(session, type="CHAT", room="club:1")[0], Publish)
    says(session, type="LEAVE", room="club:1")
    assert refused(says(session, type="CHAT", room="club:1")) is ErrorCode.NOT_JOINED


@pytest.mark.parametrize("kind", ["RESPONSE", "WELCOME", "ACK", "X"])
def test_a_reserved_type_is_refused(kind):
    """unknown_type, with the ref."""
    found = says(opened(), type=kind, id="7")
    assert refused(found) is ErrorCode.UNKNOWN_TYPE
    assert found[0].message.ref == "7"


def test_ping_is_answered_with_its_payload():
    """To the byte."""
    assert opened().receive('{"type":"PING","id":"p","payload":{ "t":1}}', 100.0, WALL_US).actions == [
        Send(Pong(b'{ "t":1}', False, "p"))
    ]


def test_an_ack_is_passed_on():
    """A message that is not numbered has no position."""
    session = opened()
    assert session.answer(envelope.Ack("g~1", "r", "7", "e", 3)) == [Send(Acked("7", "r", "e", 3))]
    assert session.answer(envelope.Ack("g~1", "r", "8", "e", 0)) == [Send(Acked("8", "r"))]


def test_what_did_not_get_through_can_be_sent_again():
    """ERROR unavailable or overloaded, retry."""
    for code in (ErrorCode.UNAVAILABLE, ErrorCode.OVERLOADED):
        (sent,) = opened().undelivered("7", code)
        assert (sent.message.code, sent.message.ref, sent.message.retry) == (code, "7", True)


def test_join_asks_the_router_and_its_answer_is_told():
    """With the position."""
    session = opened()
    assert says(session, type="JOIN", room="r", id="j1", payload={"since": {"epoch": "e", "seq": 5}}) == [
        Join(envelope.Join("r", "g~1", "ann", "j1", Position("e", 5)), 0, True)
    ]
    reply = envelope.Joined("g~1", "r", POSITION, recovered=True, missed=2, ref="j1")
    assert session.answer(reply) == [
        Send(Joined("r", "19ab-1", 12, True, 2, "j1")),
    ]


def test_each_join_is_answered_once_however_often_it_is_asked():
    """A new owner of the shard may be asked again, and may answer what the last one had answered; another
    JOIN is another answer.
    """
    session = opened()
    for ref in ("j1", "j2"):
        says(session, type="JOIN", room="r", id=ref)
    assert [action.envelope.ref for action in renewed(session, "r")] == ["j1", "j2"]
    assert session.entered(entered("r", "j1")) is False
    answers = [
        envelope.Joined("g~1", "r", POSITION, recovered=False, ref=ref)
        for ref in ("j1", "j1", "j2", "j1", "j2")
    ]
    told = [session.answer(answer) for answer in answers]
    assert [bool(actions) for actions in told] == [True, False, True, False, False]
    assert renewed(session, "r") == []
    assert session.entered(entered("r", "j1")) is None


def test_a_member_that_lacks_something_asks_quietly():
    """From where it stands; only bad news is told. What was left or is not answered yet is not asked for."""
    session = opened()
    assert again(session, "r", POSITION) == []
    says(session, type="JOIN", room="r", id="j1")
    assert again(session, "r", POSITION) == []
    session.answer(envelope.Joined("g~1", "r", POSITION, recovered=True, missed=3, ref="j1"))
    (first,) = again(session, "r", POSITION)
    (second,) = again(session, "r", NEXT)
    assert (second.envelope.since, second.envelope.ref != first.envelope.ref) == (NEXT, True)
    # whoever has it renewed asks for this anew by itself
    assert renewed(session, "r") == []
    assert session.entered(entered("r", first.envelope.ref)) is None
    assert session.entered(entered("r", second.envelope.ref)) is True
    good = envelope.Joined("g~1", "r", NEXT, recovered=True, missed=2, ref=second.envelope.ref)
    assert session.answer(good) == []
    (third,) = again(session, "r", POSITION)
    assert session.answer(envelope.Refused("g~1", third.envelope.ref, "internal", "?")) == []
    (fourth,) = again(session, "r", POSITION)
    bad = envelope.Joined("g~1", "r", Position("f", 9), recovered=False, ref=fourth.envelope.ref)
    assert session.answer(bad) == [Send(Joined("r", "f", 9, False))]
    says(session, type="LEAVE", room="r")
    assert again(session, "r", POSITION) == []


def test_a_resync_is_told_to_members():
    """As a JOINED that did not recover, also for everyone's room, which nobody joins."""
    session = opened()
    assert session.resynced("news", POSITION) == [Send(Joined("news", "19ab-1", 12, False))]
    assert session.resynced("*", POSITION) == [Send(Joined("*", "19ab-1", 12, False))]
    assert session.resynced("r", POSITION) == []


def test_history_is_asked_of_the_router_and_answered_once():
    """With the messages as they were; pages are bounded, and the room must be one's own."""
    session = opened()
    assert refused(says(session, type="HISTORY", room="r", id="h1")) is ErrorCode.NOT_JOINED
    assert says(session, type="HISTORY", room="news", id="h1", payload={"before": 9, "limit": 5}) == [
        Query(envelope.HistoryQuery("news", "g~1", "h1", 9, 5), 0)
    ]
    assert says(session, type="HISTORY", room="news")[0].envelope == envelope.HistoryQuery(
        "news", "g~1", "~4", 0, 50
    )
    assert (
        refused(says(session, type="HISTORY", room="news", payload={"limit": 101}))
        is ErrorCode.INVALID_MESSAGE
    )
    assert [action.envelope.ref for action in renewed(session, "news")] == ["~2"]
    messages = (envelope.Deliver("news", "e", 8, "CHAT", b"1", 5_000),)
    page = envelope.HistoryPage("g~1", "news", "h1", messages, more=True)
    assert session.answer(page) == [Send(History("news", messages, True, "h1"))]
    assert session.answer(page) == []
    refusal = envelope.Refused("g~1", "~4", "not_joined", "No")
    assert session.answer(refusal) == [Send(error(ErrorCode.NOT_JOINED, "No"))]
    assert "news" in session.rooms


def test_questions_without_an_answer_are_bounded():
    """Whoever asks and asks is told to wait."""
    session = opened()
    open_now = len([action for action in session.rejoin(0, {}) if action.envelope.ref != STAYS])
    for _ in range(CONFIG.rooms_max + OPEN_MAX - open_now):
        assert isinstance(says(session, type="HISTORY", room="news")[0], Query)
    assert refused(says(session, type="HISTORY", room="news")) is ErrorCode.OVERLOADED
    assert refused(says(session, type="JOIN", room="news")) is ErrorCode.OVERLOADED


def test_joining_again_is_allowed():
    """It is how a client asks for what it has missed; it takes up no second place."""
    session = opened()
    for number in range(10):
        assert isinstance(says(session, type="JOIN", room="r", id=f"j{number}")[0], Join)
    assert session.rooms == ("default", "news", "@ann", "r")


def test_more_rooms_than_the_limit_are_refused():
    """The own room is not counted, and a room that is left makes place."""
    session = opened()
    assert [isinstance(says(session, type="JOIN", room=room)[0], Join) for room in ("a", "b")] == [True, True]
    assert refused(says(session, type="JOIN", room="c")) is ErrorCode.TOO_MANY_ROOMS
    says(session, type="LEAVE", room="a")
    assert isinstance(says(session, type="JOIN", room="c")[0], Join)


def test_a_room_that_the_token_does_not_allow_is_refused():
    """forbidden, and nothing is asked of the router."""
    session = opened()
    assert refused(says(session, type="JOIN", room="vip:1")) is ErrorCode.FORBIDDEN
    assert "vip:1" not in session.rooms


def test_a_since_that_is_none_of_ours_is_refused_before_anything_happens():
    """invalid_message, and the room is not joined."""
    session = opened()
    assert refused(says(session, type="JOIN", room="r", payload={"since": 5})) is ErrorCode.INVALID_MESSAGE
    assert "r" not in session.rooms


def test_a_join_that_the_router_refuses_leaves_no_room_behind():
    """The client is told with its ref; an unknown code is a newer router's."""
    session = opened()
    says(session, type="JOIN", room="r", id="j1")
    reply = envelope.Refused("g~1", "j1", "forbidden", "No")
    assert session.answer(reply) == [Send(error(ErrorCode.FORBIDDEN, "No", "j1"))]
    assert "r" not in session.rooms
    assert refused(session.answer(envelope.Refused("g~1", "9", "brand_new", "?"))) is ErrorCode.INTERNAL


def test_a_refused_second_join_does_not_undo_the_first():
    """The room was joined before."""
    session = opened()
    says(session, type="JOIN", room="r", id="j1")
    session.answer(envelope.Joined("g~1", "r", POSITION, recovered=False, ref="j1"))
    says(session, type="JOIN", room="r", id="j2")
    session.answer(envelope.Refused("g~1", "j2", "internal", "?"))
    assert "r" in session.rooms


def test_leave_takes_effect_at_once_and_is_answered():
    """By the router where it has a ref, else here."""
    session = opened()
    says(session, type="JOIN", room="r")
    says(session, type="JOIN", room="s")
    assert says(session, type="LEAVE", room="r", id="l1") == [
        Exit("r"),
        Leave(envelope.Leave(("r",), "g~1", "l1", "ann"), 0),
    ]
    assert session.answer(envelope.Left("g~1", "r", "l1")) == [Send(Left("r", "l1"))]
    assert says(session, type="LEAVE", room="s") == [
        Exit("s"),
        Leave(envelope.Leave(("s",), "g~1", "", "ann"), 0),
        Send(Left("s")),
    ]


def test_leaving_a_room_that_was_not_joined_is_answered_and_does_nothing():
    """It is so already."""
    assert says(opened(), type="LEAVE", room="r", id="l1") == [Send(Left("r", "l1"))]


def test_a_joined_that_comes_after_the_leave_enters_nothing():
    """The member would be a ghost."""
    session = opened()
    says(session, type="JOIN", room="r")
    says(session, type="LEAVE", room="r", id="l1")
    assert session.answer(envelope.Joined("g~1", "r", POSITION, recovered=False)) == []


def test_the_answer_to_a_leave_does_not_undo_a_join_after_it():
    """They are told apart by the ref."""
    session = opened()
    for kind, ref in (("JOIN", "1"), ("LEAVE", "2"), ("JOIN", "3")):
        says(session, type=kind, room="r", id=ref)
    assert session.answer(envelope.Left("g~1", "r", "2")) == [Send(Left("r", "2"))]
    assert session.answer(envelope.Joined("g~1", "r", POSITION, False, 0, "3")) == [
        Send(Joined("r", "19ab-1", 12, False, 0, "3"))
    ]


def test_a_member_that_is_removed_is_told():
    """A Left that nobody asked for, with its reason; a second one says nothing new."""
    session = opened()
    session.answer(envelope.Joined("g~1", "news", POSITION, recovered=False, ref="~2"))
    left = envelope.Left("g~1", "news", "", "removed")
    assert session.answer(left) == [Exit("news"), Send(Left("news", "", "removed"))]
    assert session.answer(left) == []


def test_a_joined_that_nobody_asked_for_moves_the_position():
    """The room's log began a new life."""
    found = opened().answer(envelope.Joined("g~1", "news", Position("f", 0), recovered=False))
    assert found == [Send(Joined("news", "f", 0, False))]


def test_who_goes_leaves_every_room_that_a_router_may_hold_it_in():
    """Also those whose JOIN is not answered yet; once."""
    session = opened()
    says(session, type="JOIN", room="r")
    says(session, type="LEAVE", room="news")
    assert session.closed() == [
        Exit("default"),
        Exit("@ann"),
        Exit("r"),
        Leave(envelope.Leave(("default", "@ann", "r"), "g~1", "", "ann"), 0, grace=True),
    ]
    assert session.closed() == []
    assert session.answer(envelope.Joined("g~1", "r", POSITION, recovered=False)) == []


def test_too_many_messages_end_the_connection():
    """Five in a second by default; the sixth is 4002."""
    session = opened(config=SessionConfig())
    assert all(isinstance(says(session, type="CHAT")[0], Publish) for _ in range(5))
    sent, close = says(session, type="CHAT", id="7")
    assert (sent.message.code, sent.message.ref, close) == (
        ErrorCode.RATE_LIMITED,
        "7",
        Close(CloseCode.RATE_LIMITED),
    )


@pytest.mark.parametrize(
    "frame", ["?", '{"type":"PING"}', '{"type":"JOIN","room":"r"}', '{"type":"X"}', "{}", b"\xff"]
)
def test_everything_counts(frame):
    """Also what can't be parsed: a flood is a flood."""
    session = opened(config=SessionConfig())
    for _ in range(5):
        assert not isinstance(session.receive(frame, 100.0, WALL_US).actions[-1], Close)
    assert session.receive(frame, 100.0, WALL_US).actions[-1] == Close(CloseCode.RATE_LIMITED)


def test_a_namespace_may_reject_instead():
    """The connection stays and is told when to come again; other rooms go on."""
    session = opened()
    for _ in range(2):
        assert isinstance(says(session, type="CHAT", room="ticker:1")[0], Publish)
    found = says(session, type="CHAT", room="ticker:2", id="7")
    assert found == [Send(error(ErrorCode.RATE_LIMITED, "More than 2 messages in 1000 ms", "7", 500))]
    assert isinstance(says(session, type="CHAT", room="a")[0], Publish)
    assert isinstance(says(session, now=100.5, type="CHAT", room="ticker:1")[0], Publish)


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"CHAT","room":"ticker:1"}',
        "?",
        '{"type":"WELCOME"}',
        '{"type":"CHAT","room":"a b"}',
        '{"type":"JOIN","room":"vip:1"}',
        '{"type":"HISTORY","room":"x","payload":7}',
        '{"type":"CHAT","room":"club:1"}',
    ],
)
def test_whatever_is_refused_again_and_again_is_answered_less_and_less_and_then_closed(frame):
    """Also where a connection has no rate limit: a few at once, then the client is held back after each, then
    4002 with the reason.
    """
    session, now = opened(), 100.0
    answers, held, last = 0, 0.0, []
    while not last or not isinstance(last[-1], Close):
        last = session.receive(frame, now, WALL_US).actions
        if isinstance(last[-1], Hold):
            held += last[-1].seconds
            now += last[-1].seconds
        answers += isinstance(last[0], Send)
        assert answers <= ANSWERS + 20 * PATIENCE_S
    assert PATIENCE_S <= held <= PATIENCE_S + 2
    assert last[-1] == Close(CloseCode.RATE_LIMITED)
    assert last[0].message.message.startswith("Too much that is refused; the last: ")


def test_who_is_over_a_limit_that_rejects_is_held_back_until_it_has_a_place():
    """After the first few answers nothing is read until the next message would be taken."""
    session = opened()
    found = [says(session, type="CHAT", room="ticker:1") for _ in range(2 + ANSWERS + 1)]
    assert [len(actions) for actions in found] == [1] * (2 + ANSWERS) + [2]
    assert found[-1][1] == Hold(0.5)
    assert isinstance(says(session, now=100.5, type="CHAT", room="ticker:1")[0], Publish)


def test_a_message_counts_when_it_came():
    """Ten that came over two seconds pass, although they are handled together."""
    session = opened(config=SessionConfig())
    text = '{"type":"PING"}'
    for number in range(15):
        assert not isinstance(session.receive(text, 102.0, WALL_US, since=100.0).actions[-1], Close), number
    assert session.receive(text, 102.0, WALL_US, since=100.0).actions[-1] == Close(CloseCode.RATE_LIMITED)


def test_a_namespace_may_close_for_its_own_limit():
    """4002."""
    session = opened()
    says(session, type="CHAT", room="strict:1")
    assert says(session, type="CHAT", room="strict:1")[-1] == Close(CloseCode.RATE_LIMITED)


def test_a_room_whose_first_join_was_not_sent_is_not_left():
    """It is forgotten, with what was asked of it; the others are left at the end."""
    session = opened()
    assert isinstance(says(session, type="JOIN", room="r", id="j")[0], Join)
    _, close = session.joins_refused(("r",))
    assert close == Close(CloseCode.OVERLOADED)
    assert session.entered(entered("r", "j")) is None
    left = envelope.Leave(("default", "news", "@ann"), "g~1", "", "ann")
    assert session.closed()[-1] == Leave(left, 0, grace=True)


@pytest.mark.parametrize("code", CloseCode)
def test_who_must_not_come_back_leaves_at_once(code):
    """With grace only who may be back in a moment by itself."""
    session = opened()
    session.end(code)
    assert [action.grace for action in session.closed() if isinstance(action, Leave)] == [
        code.reconnect == "yes"
    ]


def test_a_leave_is_sent_at_once():
    """Who says that it leaves does not come back by itself."""
    session = opened()
    leave = says(session, type="LEAVE", room="news")[1]
    assert (leave.envelope.rooms, leave.grace) == (("news",), False)


@given(st.lists(st.text("abcdef:", min_size=1, max_size=5), unique=True), st.integers(1, 16))
def test_the_leaves_at_the_end_name_each_room_once_and_each_shard_once(rooms, shards):
    """All rooms of one envelope are in the shard that the action names."""
    session = Session("g~1", SessionConfig(rate=None, rooms=(), shards=shards), Namespaces(), manual=True)
    session.open(ANN, 100.0, WALL_US)
    for room in rooms:
        assert says(session, type="JOIN", room=room)[0].shard == shard_of(room, shards)
    found = [action for action in session.closed() if isinstance(action, Leave)]
    assert sorted(room for leave in found for room in leave.envelope.rooms) == sorted([*rooms, "@ann"])
    assert all(shard_of(room, shards) == leave.shard for leave in found for room in leave.envelope.rooms)
    assert len({leave.shard for leave in found}) == len(found)
    assert all(
        (one.envelope.conn, one.envelope.ref, one.envelope.user) == ("g~1", "", "ann") for one in found
    )


@pytest.mark.parametrize(
    ("frame", "kind", "has_shard", "has_question"),
    [
        ({"type": "CHAT"}, "CHAT", True, False),
        ({"type": "my.own"}, "my.own", True, False),
        ({"type": "JOIN", "room": "x"}, "JOIN", True, True),
        ({"type": "HISTORY", "room": "news"}, "HISTORY", True, True),
        ({"type": "LEAVE", "room": "news"}, "LEAVE", False, False),
        ({"type": "LEAVE", "room": "never joined"}, "refused", False, False),
        ({"type": "LEAVE", "room": "never"}, "LEAVE", False, False),
        ({"type": "PING"}, "PING", False, False),
        ({"type": "AUTH", "payload": {"token": "t"}}, "AUTH", False, False),
        ({"type": "AUTH"}, "refused", False, False),
        ({"type": "WELCOME"}, "refused", False, False),
        ("?", "unreadable", False, False),
    ],
)
def test_an_outcome_says_what_a_message_was(frame, kind, has_shard, has_question):
    """What it counts as, the shard that it goes to, and what it asks of a room's history."""
    outcome = opened().receive(json.dumps(frame), 100.0, WALL_US)
    assert (outcome.kind, outcome.shard != NO_SHARD, outcome.question is not None) == (
        kind,
        has_shard,
        has_question,
    )


def test_what_an_unknown_client_may_not_say_counts_as_refused():
    """And so does whatever comes when all is over."""
    session = opened(None)
    assert [session.receive('{"type":"CHAT"}', 100.0, WALL_US).kind for _ in range(2)] == ["refused"] * 2
    assert session.state is State.CLOSED


def test_a_request_is_asked_and_answered_once():
    """Its answer may come in parts; one without has no number."""
    session = opened()
    (asked,) = says(session, type="REQUEST", id="r1", service="s", payload=[1])
    assert isinstance(asked, Request)
    assert (asked.ref, asked.service, asked.payload) == ("r1", "s", b"[1]")
    assert session.responded(Responded("r1", b"1", False, 1, True)) == [
        Send(Response("r1", b"1", n=1, more=True))
    ]
    assert session.responded(Responded("r1", b"2", False, 2, False)) == [Send(Response("r1", b"2", n=2))]
    assert session.responded(Responded("r1", b"3", False, 3, False)) == []
    says(session, type="REQUEST", id="r1", service="s")
    assert session.responded(Responded("r1", b"1", True, 1, False)) == [Send(Response("r1", b"1", True))]


def test_a_request_that_is_sent_again_while_it_is_open_has_one_answer():
    """It is asked once."""
    session = opened()
    assert len(says(session, type="REQUEST", id="r1", service="s")) == 1
    assert says(session, type="REQUEST", id="r1", service="s") == []


def test_a_request_fails_or_is_accepted_once():
    """And only while it is open."""
    session = opened()
    for ref in ("a", "b"):
        says(session, type="REQUEST", id=ref, service="s")
    failed = RequestFailed("a", ErrorCode.NO_SERVICE, "Nobody serves this", 5)
    assert session.request_failed(failed) == [Send(error(ErrorCode.NO_SERVICE, "Nobody serves this", "a", 5))]
    assert session.request_failed(failed) == []
    assert session.request_accepted("b") == [Send(Accepted("b"))]
    assert (session.request_accepted("b"), session.request_accepted("c")) == ([], [])


def test_a_cancel_ends_a_request_and_tells_the_service():
    """Nothing comes of one that is over, or never was; without a ref it means nothing."""
    session = opened()
    assert says(session, type="CANCEL", ref="r1") == []
    says(session, type="REQUEST", id="r1", service="s")
    cancel, told = says(session, type="CANCEL", ref="r1")
    assert cancel == CancelRequest("r1")
    assert told == Send(error(ErrorCode.CANCELLED, "You have cancelled this", "r1"))
    assert session.responded(Responded("r1", b"1", False, 1, False)) == []
    assert says(session, type="CANCEL", ref="r1") == []
    assert refused(says(session, type="CANCEL")) is ErrorCode.INVALID_MESSAGE


def test_parts_that_are_read_too_slowly_end_their_request_alone():
    """With the service told."""
    session = opened()
    says(session, type="REQUEST", id="r1", service="s")
    cancel, told = session.reads_too_slowly("r1")
    assert (cancel, refused([told])) == (CancelRequest("r1"), ErrorCode.OVERLOADED)
    assert session.reads_too_slowly("r1") == []


def test_the_end_of_a_connection_cancels_what_is_open():
    """Nothing is told to its client any more."""
    session = opened()
    for ref in ("a", "b", "c"):
        says(session, type="REQUEST", id=ref, service="s")
    session.responded(Responded("b", b"1", False, 1, False))
    assert session.closed()[-2:] == [CancelRequest("a"), CancelRequest("c")]
    assert session.responded(Responded("a", b"1", False, 1, False)) == []
    assert session.request_failed(RequestFailed("a", ErrorCode.TIMEOUT, "?")) == []
    assert (session.request_accepted("a"), session.reads_too_slowly("c")) == ([], [])


def test_a_request_that_is_refused_is_not_open():
    """A service's name out of the rule; none at all; more than may be open."""
    session = opened()
    assert refused(says(session, type="REQUEST", id="r1", service="a b")) is ErrorCode.INVALID_MESSAGE
    assert refused(says(session, type="REQUEST", service="s")) is ErrorCode.INVALID_MESSAGE
    for number in range(CONFIG.calls_max):
        says(session, type="REQUEST", id=f"r{number}", service="s")
    assert refused(says(session, type="REQUEST", id="x", service="s")) is ErrorCode.OVERLOADED
    assert session.responded(Responded("x", b"1", False, 1, False)) == []


@pytest.mark.parametrize("codec", [codec_json, codec_msgpack])
def test_payloads_are_checked_where_the_namespace_says_so(codec):
    """What does not fit its type's schema is refused for good with what is wrong, in both spellings; other
    types, other rooms and what fits pass.
    """
    schema = {"type": "object", "required": ["price"], "properties": {"price": {"type": "number"}}}
    trades = {"name": "trades", "pattern": "trades:*", "check": True, "schemas": {"deal": schema}}
    session = Session("g~1", CONFIG, Namespaces.parse([trades]), codec)
    session.open(ANN, 100.0, WALL_US)
    encode = msgspec.json.encode if codec is codec_json else msgspec.msgpack.encode

    def sends(room: str, kind: str, payload):
        frame = {"type": kind, "room": room, "id": "m1", "payload": payload}
        return session.receive(encode(frame), 100.0, WALL_US).actions

    for room, kind, payload in [
        ("trades:a", "deal", {"price": 1.5}),
        ("trades:a", "CHAT", "anything"),
        ("other", "deal", {"price": "x"}),
    ]:
        (action,) = sends(room, kind, payload)
        assert isinstance(action, Publish)
    wrong = sends("trades:a", "deal", {"price": "x"})
    assert wrong == [
        Send(error(ErrorCode.INVALID_PAYLOAD, "payload: Expected `float`, got `str` - at `$.price`", "m1"))
    ]
    frame = {"type": "deal", "room": "trades:a", "id": "m1", "payload": "AP8=", "encoding": "base64"}
    found = session.receive(encode(frame), 100.0, WALL_US).actions
    assert refused(found) is ErrorCode.INVALID_PAYLOAD
