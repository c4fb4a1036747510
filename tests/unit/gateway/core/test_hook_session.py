"""hook_session: sessions whose rooms and messages a backend decides about."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.actions import Close, Consult, Exit, Hold, Join, Leave, Publish, Send
from gateway.core.client_messages import Error, Joined, Left, Pong, Welcome
from gateway.core.error_rate_limit import ANSWERS
from gateway.core.grants import SKEW_S, GrantKeys
from gateway.core.hook_desk import Allowed, Ask, Denied, HookDesk, Tell, Undecided, Waiter
from gateway.core.hook_messages import HookAnswer, HookMessage, HookQuery
from gateway.core.hook_session import RIGHTS_MAX
from gateway.core.hook_waits import BEHIND_MAX, OPEN_MAX
from gateway.core.permissions import Identity
from gateway.core.session import Session, SessionConfig, State
from warren import envelope
from warren.contract.client_frames import GRANT_MAX
from warren.errors import CloseCode, ErrorCode
from warren.log_entries import PRESENCE_OFF, PRESENCE_USERS
from warren.namespaces import Namespaces, PresencePolicy, RoomPolicy
from warren.position import Position

POLICIES = (
    RoomPolicy("asked", "asked:*", hooks=("join",), presence=PresencePolicy("users")),
    RoomPolicy("watched", "watched:*", hooks=("publish",)),
    RoomPolicy("both", "both:*", publish="members", hooks=("join", "publish")),
    RoomPolicy("vip", "vip:*", join="token"),
)
NAMESPACES = Namespaces(POLICIES)
CONNECT = Namespaces(POLICIES, connect_hook=True)
CONFIG = SessionConfig(rooms=("default",), rooms_max=500, rate=None)
WALL_US = 1_764_000_000_000_000
WALL_S = WALL_US // 1_000_000
NOW = 100.0
POSITION = Position("e", 12)
YES, NO = Allowed(HookAnswer(True)), Denied("not yours")


def opened(identity: Identity | None = None, namespaces: Namespaces = NAMESPACES, **more) -> Session:
    made = Session("g~1", CONFIG, namespaces, **more)
    made.open(identity or Identity("ann"), NOW, WALL_US)
    return made


def says(session: Session, now_us: int = WALL_US, **fields):
    return session.receive(json.dumps(fields), NOW, now_us).actions


def decided(session: Session, ticket: int, verdict, now_us: int = WALL_US):
    """Return all actions that follow from a decision."""
    outcomes = session.decided(ticket, verdict, NOW, now_us)
    return [action for outcome in outcomes for action in outcome.actions]


def asked(actions) -> Consult:
    (action,) = actions
    assert isinstance(action, Consult)
    return action


def refused(actions) -> Error:
    (action,) = actions
    assert isinstance(action.message, Error)
    return action.message


# ── connect ─────────────────────────────────────────────────────────────────────────────────────────────────


def connecting(identity: Identity | None = None, **more) -> tuple[Session, Consult]:
    session = Session("g~1", CONFIG, CONNECT, headers=(("cookie", "c"),), **more)
    return session, asked(session.open(identity or Identity("ann", claims=b"{}"), NOW, WALL_US))


def test_a_client_comes_in_once_a_backend_lets_it():
    """It is asked with claims and headers; until then nothing is read of it, and afterwards all is as
    without.
    """
    session, question = connecting()
    assert question == Consult(1, HookQuery("connect", "ann", "g~1", b"{}", (("cookie", "c"),)))
    assert (session.unread, session.state, session.user) == (True, State.NEW, "")
    welcome, *joins = decided(session, 1, YES)
    assert isinstance(welcome.message, Welcome)
    assert [join.envelope.room for join in joins] == ["default", "@ann"]
    assert (session.unread, session.state, session.user) == (False, State.READY, "ann")
    assert decided(session, 1, YES) == []


def test_a_backend_says_who_comes_in_and_where():
    """Another name, what others see, and rooms beyond what token and namespace allow; no hook is asked about
    those.
    """
    session, _ = connecting(Identity("token", join=("default",)))
    answer = HookAnswer(True, user="kim", info=b'{"n":1}', rooms=("asked:a", "vip:b", "asked:a"))
    welcome, *joins = decided(session, 1, Allowed(answer))
    assert (welcome.message.user, welcome.message.rooms) == ("kim", ("default", "asked:a", "vip:b", "@kim"))
    shown = {join.envelope.room: (join.envelope.presence, join.envelope.info) for join in joins}
    assert shown["asked:a"] == (PRESENCE_USERS, b'{"n":1}')
    assert shown["vip:b"] == (PRESENCE_OFF, b"")
    assert isinstance(says(session, type="JOIN", room="asked:a")[0], Join)


def test_a_fresh_token_keeps_what_the_backend_has_said():
    """It has to name whom the first one named, not whom the backend has made of that."""
    session, _ = connecting(Identity("token", join=("default",)))
    decided(session, 1, Allowed(HookAnswer(True, user="kim", rooms=("vip:b",))))
    (told,) = session.identify(Identity("token", join=("default",), expires_at=WALL_S + 9), NOW, WALL_US)
    assert isinstance(told, Send)
    assert session.user == "kim"
    assert session.identify(Identity("other"), NOW, WALL_US)[-1] == Close(CloseCode.UNAUTHORIZED)


def test_who_is_not_let_in_is_told_why():
    """By 4001, as with a token that does not hold."""
    session, _ = connecting()
    sent, close = decided(session, 1, NO)
    assert (sent.message.code, sent.message.message) == (ErrorCode.UNAUTHORIZED, "not yours")
    assert close == Close(CloseCode.UNAUTHORIZED)


def test_who_can_not_be_asked_about_comes_again():
    """Never 4001, which would make it fetch a fresh token: 1013, and when."""
    session, _ = connecting()
    sent, close = decided(session, 1, Undecided("timeout", 2_500))
    assert (sent.message.retry_after_ms, sent.message.reconnect, close) == (
        2_500, "yes", Close(CloseCode.OVERLOADED)
    )  # fmt: skip


def test_a_slow_backend_is_not_the_client_s_fault():
    """Its time to send a token is over, and it did; the token's own end counts as ever."""
    session, _ = connecting()
    assert session.tick(NOW + 29.0) == []
    expiring, _ = connecting(Identity("ann", expires_at=WALL_S + 5))
    assert expiring.tick(NOW + 6.0)[-1] == Close(CloseCode.UNAUTHORIZED)
    assert decided(expiring, 1, YES) == []


def test_who_has_no_name_is_asked_about_without_one():
    """The made-up one says nothing, and would make each question another."""
    _, question = connecting(Identity("guest-1", anonymous=True, nameless=True))
    assert question.query.user == ""


def test_a_client_shows_its_grant_when_it_connects():
    """From its upgrade, or beside its token in AUTH; WELCOME brings the one that the answer has, once."""
    session, question = connecting(grant="g")
    assert question.query.grant == "g"
    welcome, *_ = decided(session, 1, Allowed(HookAnswer(True), "signed", WALL_S + 60))
    assert welcome.message.grant == "signed"
    auth = Session("g~1", CONFIG, CONNECT)
    auth.open(None, NOW, WALL_US)
    says(auth, type="AUTH", payload={"token": "t", "grant": "h"})
    assert asked(auth.identify(Identity("ann"), NOW, WALL_US)).query.grant == "h"
    says(auth, type="AUTH", payload={"token": "t"})
    (known, *_) = decided(auth, 1, by_grant(AFTER))
    assert known.message.grant == ""
    says(auth, type="AUTH", payload={"token": "fresh", "grant": "another"})
    assert isinstance(auth.identify(Identity("ann", issued_s=5), NOW, WALL_US)[0], Send)
    assert auth._grant == ""


def test_where_no_backend_decides_a_grant_is_nothing():
    """It is not kept either."""
    session = opened(grant="g")
    assert session.state is State.READY
    assert session._grant == ""


def test_an_anonymous_client_says_by_which_name_it_comes_back():
    """Its own, or the one that was made up; one with a token says none."""
    _, question = connecting(Identity("guest-1", anonymous=True, nameless=True))
    assert (question.query.user, question.query.anonymous) == ("", "guest-1")
    _, question = connecting(Identity("ann", anonymous=True))
    assert (question.query.user, question.query.anonymous) == ("ann", "ann")
    _, question = connecting()
    assert question.query.anonymous == ""


def test_a_pod_that_goes_asks_no_more():
    """Who is not in yet goes elsewhere."""
    session, _ = connecting()
    assert session.drain(1_000)[-1] == Close(CloseCode.DRAINING)
    assert decided(session, 1, YES) == []


# ── join ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_join_waits_for_the_backend():
    """And is then what it was; JOINED brings the grant, once."""
    session = opened()
    grant = "g" * 40
    since = {"epoch": "e", "seq": 5}
    payload = {"since": since, "grant": grant}
    assert asked(says(session, type="JOIN", room="asked:a", id="j", payload=payload)) == Consult(
        1, HookQuery("join", "ann", "g~1", room="asked:a", namespace="asked", grant=grant)
    )
    assert "asked:a" not in session.rooms
    given_now = Allowed(HookAnswer(True, info=b"7"), "signed", WALL_S + 60)
    assert decided(session, 1, given_now) == [
        Join(envelope.Join("asked:a", "g~1", "ann", "j", Position("e", 5), b"7", PRESENCE_USERS), 0, True)
    ]
    reply = envelope.Joined("g~1", "asked:a", POSITION, recovered=True, ref="j")
    assert session.answer(reply) == [Send(Joined("asked:a", "e", 12, True, 0, "j", "signed"))]
    assert session.resynced("asked:a", POSITION) == [Send(Joined("asked:a", "e", 12, recovered=False))]


def test_a_member_is_not_asked_about_again():
    """Its JOIN fills a gap; nor is its own room."""
    session = opened()
    says(session, type="JOIN", room="asked:a", id="j")
    decided(session, 1, YES)
    assert isinstance(says(session, type="JOIN", room="asked:a", id="k")[0], Join)
    assert isinstance(says(opened(), type="JOIN", room="@ann")[0], Join)
    says(session, type="LEAVE", room="asked:a")
    assert isinstance(says(session, type="JOIN", room="asked:a")[0], Consult)


def test_no_room_is_joined_at_connect_that_a_backend_decides_about():
    """Whatever the settings say."""
    session = Session("g~1", SessionConfig(rooms=("asked:a", "b")), NAMESPACES)
    welcome, *_ = session.open(Identity("ann"), NOW, WALL_US)
    assert welcome.message.rooms == ("b", "@ann")


def test_a_join_that_is_denied_is_told_so():
    """And one about which nobody could be asked: when to try again, and that is not its fault."""
    session = opened()
    says(session, type="JOIN", room="asked:a", id="j")
    told = refused(decided(session, 1, NO))
    assert (told.code, told.message, told.ref, told.retry) == (ErrorCode.FORBIDDEN, "not yours", "j", False)
    for ticket, failure, code in (
        (2, "timeout", ErrorCode.UNAVAILABLE),
        (3, "overloaded", ErrorCode.OVERLOADED),
    ):
        says(session, type="JOIN", room="asked:a", id="j")
        told = refused(decided(session, ticket, Undecided(failure, 700)))
        assert (told.code, told.ref, told.retry, told.retry_after_ms) == (code, "j", True, 700)
    assert session.rooms == ("default", "@ann")


def test_who_is_denied_again_and_again_is_held_back():
    """A refusal is a refusal, whoever decides; where nobody can be asked it is not the client's doing."""
    session = opened()
    for ticket in range(1, ANSWERS + 2):
        says(session, type="JOIN", room="asked:a")
        actions = decided(session, ticket, NO)
    assert isinstance(actions[-1], Hold)
    calm = opened()
    for ticket in range(1, ANSWERS + 2):
        says(calm, type="JOIN", room="asked:a")
        (told,) = decided(calm, ticket, Undecided("timeout", 1))
        assert isinstance(told, Send)


@pytest.mark.parametrize("grant", [7, "x" * (GRANT_MAX + 1), ["a"]])
def test_a_grant_that_is_no_text_is_refused(grant):
    """Before anybody is asked."""
    told = refused(says(opened(), type="JOIN", room="asked:a", payload={"grant": grant}))
    assert told.code is ErrorCode.INVALID_MESSAGE


def test_a_token_s_bounds_hold_whatever_a_backend_says():
    """Before it is asked, and when it answers: the client may have shown another token meanwhile."""
    session = opened(Identity("ann", join=("default",)))
    assert refused(says(session, type="JOIN", room="asked:a")).code is ErrorCode.FORBIDDEN
    session = opened()
    says(session, type="JOIN", room="asked:a", id="j")
    session.identify(Identity("ann", join=("default",)), NOW, WALL_US)
    assert refused(decided(session, 1, YES)).code is ErrorCode.FORBIDDEN


# ── publish ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_waits_for_the_backend():
    """It has the time at which it came; the backend is shown all of it."""
    session = opened()
    assert asked(says(session, type="CHAT", room="watched:a", id="m", payload={"t": 1}, key="k")) == Consult(
        1,
        HookQuery(
            "publish", "ann", "g~1", room="watched:a", namespace="watched",
            message=HookMessage("CHAT", b'{"t": 1}', id="m", key="k"),
        ),
    )  # fmt: skip
    (publish,) = decided(session, 1, YES, WALL_US + 400_000)
    assert (publish.envelope.payload, publish.envelope.at_us, publish.envelope.id) == (
        b'{"t": 1}', WALL_US, "m"
    )  # fmt: skip


def test_a_backend_changes_what_is_said():
    """For that message; what is binary may become text and text binary."""
    session = opened()
    says(session, type="CHAT", room="watched:a", payload="damn")
    (publish,) = decided(session, 1, Allowed(HookAnswer(True, payload=b'"d***"')))
    assert (publish.envelope.payload, publish.envelope.binary) == (b'"d***"', False)
    says(session, type="CHAT", room="watched:a", payload=1)
    (publish,) = decided(session, 2, Allowed(HookAnswer(True, payload=b"\xff", binary=True)))
    assert (publish.envelope.payload, publish.envelope.binary) == (b"\xff", True)


def test_a_message_that_is_denied_is_told_its_sender():
    """As is one about which nobody could be asked."""
    session = opened()
    says(session, type="CHAT", room="watched:a", id="m")
    told = refused(decided(session, 1, NO))
    assert (told.code, told.ref, told.retry) == (ErrorCode.FORBIDDEN, "m", False)
    says(session, type="CHAT", room="watched:a", id="m")
    told = refused(decided(session, 2, Undecided("no_service", 1_000)))
    assert (told.code, told.ref, told.retry_after_ms) == (ErrorCode.UNAVAILABLE, "m", 1_000)


def test_what_follows_to_the_room_keeps_its_order():
    """Also a LEAVE and a JOIN; other rooms, and what is to none, do not wait."""
    session = opened()
    session.decided(asked(says(session, type="JOIN", room="both:a")).ticket, YES, NOW, WALL_US)
    first = asked(says(session, type="CHAT", room="both:a", payload=1))
    for message in (
        {"type": "CHAT", "room": "both:a", "payload": 2},
        {"type": "LEAVE", "room": "both:a"},
        {"type": "CHAT", "room": "both:a", "payload": 3, "id": "m3"},
        {"type": "JOIN", "room": "both:a"},
    ):
        assert says(session, **message) == []
    assert isinstance(says(session, type="CHAT", room="default", payload=9)[0], Publish)
    assert isinstance(says(session, type="PING")[0].message, Pong)
    one, second = decided(session, first.ticket, YES)
    assert (one.envelope.payload, second.query.message.payload) == (b"1", b"2")
    two, left, gone, told, refusal, third = decided(session, second.ticket, YES)
    assert two.envelope.payload == b"2"
    assert isinstance(left, Exit)
    assert isinstance(gone, Leave)
    assert told.message.room == "both:a"
    assert (refusal.message.code, refusal.message.ref) == (ErrorCode.NOT_JOINED, "m3")
    assert third.query.hook == "join"


def test_what_is_said_behind_a_join_is_a_member_s():
    """Though membership is needed: it waits until the JOIN is decided."""
    session = opened()
    join = asked(says(session, type="JOIN", room="both:a"))
    assert says(session, type="CHAT", room="both:a", payload=1) == []
    joined, chat = decided(session, join.ticket, YES)
    assert isinstance(joined, Join)
    assert chat.query.hook == "publish"
    denied = opened()
    join = asked(says(denied, type="JOIN", room="both:a"))
    says(denied, type="CHAT", room="both:a", payload=1, id="m")
    no, told = decided(denied, join.ticket, NO)
    assert (no.message.code, told.message.code, told.message.ref) == (
        ErrorCode.FORBIDDEN, ErrorCode.NOT_JOINED, "m"
    )  # fmt: skip


def test_a_client_that_runs_ahead_is_not_read():
    """Beyond sixteen messages behind one, and beyond a few rooms that are being decided."""
    session = opened()
    first = asked(says(session, type="CHAT", room="watched:a", payload=0))
    for number in range(BEHIND_MAX):
        assert not session.unread
        says(session, type="CHAT", room="watched:a", payload=number)
    assert session.unread
    assert session.held_bytes > 0
    decided(session, first.ticket, YES)
    assert not session.unread
    many = opened()
    for number in range(OPEN_MAX):
        assert not many.unread
        says(many, type="JOIN", room=f"asked:{number}")
    assert many.unread


def test_a_right_that_lasts_is_not_asked_about():
    """By an answer to a message that says so, by a JOIN's right to publish, until its time is over."""
    session = opened()
    says(session, type="CHAT", room="watched:a")
    decided(session, 1, Allowed(HookAnswer(True, ttl_s=60), "", WALL_S + 60))
    assert isinstance(says(session, WALL_US + 59_999_999, type="CHAT", room="watched:a")[0], Publish)
    assert isinstance(says(session, type="CHAT", room="watched:b")[0], Consult)
    assert isinstance(says(session, WALL_US + 60_000_000, type="CHAT", room="watched:a")[0], Consult)
    member = opened()
    says(member, type="JOIN", room="both:a")
    decided(member, 1, Allowed(HookAnswer(True, publish=True), "signed", WALL_S + 60))
    assert isinstance(says(member, type="CHAT", room="both:a")[0], Publish)


def test_rights_are_bounded():
    """Of rooms that were asked about long ago it is asked again."""
    session = opened()
    for number in range(RIGHTS_MAX + 1):
        ticket = asked(says(session, type="CHAT", room=f"watched:{number}")).ticket
        decided(session, ticket, Allowed(HookAnswer(True), "", WALL_S + 60))
    assert isinstance(says(session, type="CHAT", room="watched:1")[0], Publish)
    assert isinstance(says(session, type="CHAT", room="watched:0")[0], Consult)


def test_an_answer_that_nobody_waits_for_changes_nothing():
    """A second one, one to another's question, and one that comes when all is over."""
    session = opened()
    ticket = asked(says(session, type="CHAT", room="watched:a")).ticket
    assert len(decided(session, ticket, YES)) == 1
    assert decided(session, ticket, YES) == []
    assert decided(session, 99, YES) == []
    assert decided(opened(), 1, YES) == []
    ticket = asked(says(session, type="CHAT", room="watched:a")).ticket
    session.closed()
    assert decided(session, ticket, YES) == []
    assert (session.unread, session.held_bytes) == (False, 0)


def test_an_end_in_the_middle_ends_what_waits():
    """Who is refused once too often is closed, and nothing more that it said is handled."""
    session = opened()
    first = asked(says(session, type="CHAT", room="watched:a"))
    says(session, type="CHAT", room="watched:a", payload=2)
    session.end(CloseCode.TOO_SLOW)
    assert decided(session, first.ticket, YES) == []
    patient, now = opened(), NOW
    while patient.state is State.READY:
        now += 0.05
        for payload in (1, 2):
            patient.receive(
                json.dumps({"type": "CHAT", "room": "watched:a", "payload": payload}), now, WALL_US
            )
        ticket = patient._hooks._ticket
        outcomes = patient.decided(ticket, NO, now, WALL_US)
        if patient.state is State.READY:
            patient.decided(ticket + 1, YES, now, WALL_US)
    assert outcomes[-1].actions[-1] == Close(CloseCode.RATE_LIMITED)


@given(st.lists(st.tuples(st.sampled_from(["say", "yes", "no", "away"]), st.integers(0, 2)), max_size=60))
def test_each_room_s_messages_keep_their_order(script):
    """Whatever is allowed, denied or undecided, in whatever order the rooms' answers come: what is published
    of a room is what was said there, in that order, less what was refused; and everything is answered.
    """
    session, number = opened(), 0
    said: dict[str, list[int]] = {}
    came: dict[str, list[int]] = {}
    refusals: list[str] = []
    questions: list[Consult] = []

    def follow(actions) -> None:
        for action in actions:
            match action:
                case Consult():
                    questions.append(action)
                case Publish():
                    came.setdefault(action.envelope.room, []).append(int(action.envelope.payload))
                case Send(message=Error()):
                    refusals.append(action.message.ref)

    verdicts = {"yes": YES, "no": NO, "away": Undecided("timeout", 1)}
    for what, which in script:
        if what == "say" and not session.unread:
            number += 1
            room = f"watched:{which}"
            said.setdefault(room, []).append(number)
            follow(says(session, type="CHAT", room=room, payload=number, id=str(number)))
        elif what != "say" and questions:
            question = questions.pop(which % len(questions))
            follow(decided(session, question.ticket, verdicts[what]))
    while questions:
        follow(decided(session, questions.pop().ticket, YES))
    gone = set(map(int, refusals))
    for room, numbers in said.items():
        assert came.get(room, []) == [each for each in numbers if each not in gone]
    assert session.held_bytes == 0


def test_what_was_said_behind_something_undecided_is_for_repeating_too():
    """Else it would be heard before what its sender repeats, or refused for good for want of a JOIN that is
    repeated. What does not need the backend goes on.
    """
    session = opened()
    first = asked(says(session, type="CHAT", room="watched:a", id="1"))
    for message in ({"type": "CHAT", "id": "2"}, {"type": "own", "id": "3"}, {"type": "LEAVE", "id": "4"}):
        assert says(session, **message, room="watched:a") == []
    told = decided(session, first.ticket, Undecided("timeout", 700))
    assert [(each.message.ref, each.message.retry_after_ms) for each in told[:3]] == [
        ("1", 700), ("2", 700), ("3", 700)
    ]  # fmt: skip
    assert len(told) == 4
    assert told[3].message.ref == "4"
    assert isinstance(says(session, type="CHAT", room="watched:a")[0], Consult)
    member = opened()
    join = asked(says(member, type="JOIN", room="both:a", id="j"))
    says(member, type="CHAT", room="both:a", id="m")
    again = says(member, type="JOIN", room="both:a", id="k")
    says(member, type="CHAT", room="both:a", id="n")
    assert again == []
    no, behind, question = decided(member, join.ticket, Undecided("timeout", 700))
    assert (no.message.code, behind.message.code, behind.message.ref) == (
        ErrorCode.UNAVAILABLE, ErrorCode.UNAVAILABLE, "m"
    )  # fmt: skip
    joined, chat = decided(member, question.ticket, YES)
    assert isinstance(joined, Join)
    assert chat.query.message.id == "n"


def test_a_guest_joins_by_the_name_that_was_made_up_for_it():
    """So a grant of it is of nobody else."""
    session = opened(Identity("guest-1", anonymous=True, nameless=True))
    assert asked(says(session, type="JOIN", room="asked:a")).query.user == "guest-1"


# ── revocations ─────────────────────────────────────────────────────────────────────────────────────────────

VOID_S = WALL_S - 1_000
BEFORE, AFTER = VOID_S - 1, VOID_S + SKEW_S


def by_grant(given_s: int, info: bytes = b"") -> Allowed:
    return Allowed(HookAnswer(True, info=info), "", WALL_S + 60, "grant", given_s)


def joined(session: Session, room: str, verdict, **fields) -> Join:
    """Have it join a room as was decided; return what goes to the routers."""
    question = asked(says(session, type="JOIN", room=room, **fields))
    (join,) = decided(session, question.ticket, verdict)
    return join


@pytest.mark.parametrize("source", ["grant", "cache"])
def test_a_room_that_was_joined_by_what_turns_out_to_be_void_is_asked_about_anew(source):
    """Without the grant, as for one whose grants were revoked; it stays there where the backend allows that,
    and what the backend says now counts.
    """
    session = opened()
    joined(session, "asked:a", msgspec.structs.replace(by_grant(BEFORE, b'"old"'), source=source), id="j")
    joined(session, "both:a", by_grant(AFTER))
    joined(session, "both:b", YES)
    question = asked(session.grants_revoked(VOID_S))
    assert question.query == HookQuery("join", "ann", "g~1", room="asked:a", namespace="asked", void_s=VOID_S)
    assert session.grants_revoked(VOID_S) == []
    answer = HookAnswer(True, publish=True, info=b'"new"')
    (inform,) = decided(session, question.ticket, Allowed(answer, "signed", WALL_S + 60))
    assert (inform.envelope.room, inform.envelope.info) == ("asked:a", b'"new"')
    assert "asked:a" in session.rooms
    assert decided(session, question.ticket, NO) == []
    (told,) = session.answer(envelope.Joined("g~1", "asked:a", POSITION, False, 0, "j"))
    assert told.message.grant == "signed"


def test_who_must_not_be_there_leaves_the_room():
    """The client hears it, also in answer to its JOIN where that has none yet; of its other rooms nothing."""
    session = opened()
    join = joined(session, "asked:a", by_grant(BEFORE), id="j")
    question = asked(session.grants_revoked(VOID_S))
    exit_, leave, refusal, left = decided(session, question.ticket, NO)
    assert (exit_, leave.envelope.rooms, leave.shard) == (Exit("asked:a"), ("asked:a",), join.shard)
    assert (refusal.message.code, refusal.message.ref, refusal.message.message) == (
        ErrorCode.FORBIDDEN, "j", "not yours"
    )  # fmt: skip
    assert left.message == Left("asked:a", "", "forbidden")
    assert "asked:a" not in session.rooms
    assert isinstance(asked(says(session, type="JOIN", room="asked:a")), Consult)


def test_where_nobody_can_be_asked_the_room_is_left_too():
    """Closed by default; the client may ask to join again."""
    session = opened()
    joined(session, "asked:a", by_grant(BEFORE), id="j")
    question = asked(session.grants_revoked(VOID_S))
    _, _, refusal, left = decided(session, question.ticket, Undecided("timeout", 700))
    assert (refusal.message.code, refusal.message.retry_after_ms) == (ErrorCode.UNAVAILABLE, 700)
    assert left.message == Left("asked:a", "", "unavailable")


def test_once_it_is_known_a_revocation_goes_with_each_question():
    """So the desk asks the backend, whatever the client shows; also where the revocation came as it was made."""
    session = opened()
    assert session.grants_revoked(VOID_S) == []
    asked_now = asked(says(session, type="JOIN", room="asked:a", payload={"grant": "g"}))
    assert (asked_now.query.grant, asked_now.query.void_s) == ("g", VOID_S)
    assert asked(says(session, type="CHAT", room="watched:a")).query.void_s == VOID_S
    live = opened(Identity("ann", issued_s=WALL_S))
    assert live.answer(envelope.TokensRevoked("ann", "", WALL_S - 9), WALL_US) == []
    assert asked(says(live, type="JOIN", room="asked:a")).query.void_s == WALL_S + 1
    assert live.grants_revoked(VOID_S) == []  # of an earlier one that is no news


def test_a_revocation_that_is_heard_as_it_is_made_leaves_members_where_they_are():
    """What was granted does not count any more; who was in by then stays, as with any revocation."""
    session = opened(Identity("ann", issued_s=WALL_S))
    joined(session, "asked:a", by_grant(BEFORE))
    assert session.answer(envelope.TokensRevoked("ann", "", WALL_S - 9), WALL_US) == []
    assert "asked:a" in session.rooms


def test_a_gateway_that_was_cut_off_hears_of_a_revocation_when_it_joins_again():
    """The same room, with word of a revocation that was made meanwhile."""
    session = opened()
    session.grants_revoked(VOID_S - 5_000)
    joined(session, "asked:a", by_grant(BEFORE))
    session.rejoin(0, {})
    assert asked(session.grants_revoked(VOID_S)).query.room == "asked:a"


def test_rights_that_were_granted_before_are_gone():
    """The next message is asked about, and no JOINED brings a grant of before."""
    session = opened()
    joined(session, "both:a", Allowed(HookAnswer(True, publish=True), "old", WALL_S + 60), id="j")
    session.grants_revoked(VOID_S)
    assert isinstance(says(session, type="CHAT", room="both:a")[0], Consult)
    (told,) = session.answer(envelope.Joined("g~1", "both:a", POSITION, False, 0, "j"))
    assert told.message.grant == ""


def test_what_the_client_does_meanwhile_counts():
    """A room that it has left is not left again; one that it has joined anew was decided anew."""
    session = opened()
    for room in ("asked:a", "asked:b", "asked:c"):
        joined(session, room, by_grant(BEFORE))
    first, second, third = session.grants_revoked(VOID_S)
    says(session, type="LEAVE", room="asked:a")
    says(session, type="LEAVE", room="asked:b")
    joined(session, "asked:b", YES)
    session.answer(envelope.Enrolled("g~1", ("asked:c",)))
    for question in (first, second, third):
        assert decided(session, question.ticket, NO) == []
    assert {"asked:b", "asked:c"} <= set(session.rooms)


def test_many_rooms_are_asked_about_a_few_at_a_time():
    """None is left out, and the client goes on meanwhile."""
    session, rooms = opened(), [f"asked:{number}" for number in range(30)]
    for room in rooms:
        joined(session, room, by_grant(BEFORE))
    out, found, most = session.grants_revoked(VOID_S), [], 0
    while out:
        most = max(most, len(out))
        question = out.pop(0)
        found.append(question.query.room)
        out += decided(session, question.ticket, YES)
        assert not session.unread
    assert (found, most) == (rooms, 8)


def let_in(verdict: Allowed, identity: Identity | None = None) -> Session:
    session, question = connecting(identity)
    assert isinstance(decided(session, question.ticket, verdict)[0].message, Welcome)
    return session


def test_who_was_let_in_by_what_turns_out_to_be_void_is_asked_about_anew():
    """As it came, and without its grant; where the backend lets it, it stays as that says now."""
    session = let_in(by_grant(BEFORE))
    question = asked(session.grants_revoked(VOID_S))
    assert question.query == HookQuery("connect", "ann", "g~1", b"{}", (("cookie", "c"),), void_s=VOID_S)
    assert decided(session, question.ticket, YES) == []
    assert (session.state, session.user) == (State.READY, "ann")
    assert let_in(by_grant(AFTER)).grants_revoked(VOID_S) == []
    assert let_in(YES).grants_revoked(VOID_S) == []
    guest = let_in(by_grant(BEFORE), Identity("guest-1", anonymous=True, nameless=True))
    question = asked(guest.grants_revoked(VOID_S)).query
    assert (question.user, question.anonymous) == ("", "guest-1")


@pytest.mark.parametrize(
    ("verdict", "code", "says_why"),
    [
        (NO, CloseCode.UNAUTHORIZED, "not yours"),
        (Undecided("timeout", 700), CloseCode.OVERLOADED, "can't be asked"),
        (Allowed(HookAnswer(True, user="eve")), CloseCode.UNAUTHORIZED, "another name"),
    ],
)
def test_who_is_not_let_in_any_more_is_closed(verdict, code, says_why):
    """Closed by default; and a connection has one user for its whole life."""
    session = let_in(Allowed(HookAnswer(True, user="kim"), "", WALL_S + 60, "grant", BEFORE))
    joined(session, "both:b", by_grant(BEFORE))
    first, second = session.grants_revoked(VOID_S)
    assert (first.query.hook, first.query.user, second.query.room) == ("connect", "ann", "both:b")
    sent, close = decided(session, first.ticket, verdict)
    assert says_why in sent.message.message
    assert close == Close(code)
    assert decided(session, second.ticket, YES) == []


def test_what_a_backend_says_anew_of_a_connection_counts():
    """Rooms that only the earlier word opened are left, or asked about; what others see is what it says now."""
    answer = HookAnswer(True, user="kim", rooms=("vip:a", "asked:a", "asked:b"), info=b'"old"')
    session = let_in(Allowed(answer, "", WALL_S + 60, "cache", BEFORE))
    question = asked(session.grants_revoked(VOID_S))
    fresh = HookAnswer(True, user="kim", rooms=("asked:b",), info=b'"new"')
    exit_, leave, left, *informs, again = decided(session, question.ticket, Allowed(fresh))
    assert (exit_, leave.envelope.rooms, left.message.room) == (Exit("vip:a"), ("vip:a",), "vip:a")
    assert {(each.envelope.room, each.envelope.info) for each in informs} == {
        ("asked:a", b'"new"'), ("asked:b", b'"new"')
    }  # fmt: skip
    assert (again.query.hook, again.query.room) == ("join", "asked:a")
    assert [each.message.room for each in decided(session, again.ticket, NO)[2:]] == ["asked:a"]
    assert "asked:b" in session.rooms


def test_after_the_end_nothing_is_asked():
    """The client has gone."""
    session = opened()
    joined(session, "asked:a", by_grant(BEFORE))
    session.closed()
    assert session.grants_revoked(VOID_S) == []


# ── a storm ─────────────────────────────────────────────────────────────────────────────────────────────────


class Pod:
    """Sessions and a desk, and a backend that allows everything for an hour."""

    def __init__(self) -> None:
        self.desk = HookDesk(GrantKeys([b"k" * 32]), 1.0, 1_000)
        self.sessions: dict[str, Session] = {}
        self.waiting: list[Ask] = []
        self.asked: list[str] = []
        self.grants: dict[str, str] = {}

    def connects(self, conn: str, user: str, grant: str = "") -> None:
        """A client comes back where a backend lets it in."""
        session = self.sessions[conn] = Session(conn, CONFIG, CONNECT, manual=True, grant=grant)
        self.do(conn, session.open(Identity(user), NOW, WALL_US))

    def back(self, conn: str, user: str, grant: str = "") -> None:
        """A client comes back and joins its room."""
        session = self.sessions[conn] = Session(conn, CONFIG, NAMESPACES, manual=True)
        session.open(Identity(user), NOW, WALL_US)
        payload = {"since": {"epoch": "e", "seq": 1}} | ({"grant": grant} if grant else {})
        frame = json.dumps({"type": "JOIN", "room": "asked:a", "id": "j", "payload": payload})
        self.do(conn, session.receive(frame, NOW, WALL_US).actions)

    def do(self, conn: str, actions) -> None:
        for action in actions:
            match action:
                case Consult():
                    waiter = Waiter(conn, action.ticket)
                    self.steps(self.desk.consult(action.query, waiter, NOW, WALL_US / 1_000_000))
                case Join():
                    joined = envelope.Joined(conn, action.envelope.room, POSITION, True, 0, "j")
                    self.do(conn, self.sessions[conn].answer(joined))
                case Send(message=Joined(grant=grant) | Welcome(grant=grant)) if grant:
                    self.grants[conn] = grant

    def steps(self, steps) -> None:
        for step in steps:
            match step:
                case Ask():
                    self.waiting.append(step)
                    self.asked.append(step.caller)
                case Tell():
                    for waiter in step.waiters:
                        for outcome in self.sessions[waiter.conn].decided(
                            waiter.ticket, step.verdict, NOW, WALL_US
                        ):
                            self.do(waiter.conn, outcome.actions)

    def answer_all(self) -> None:
        body = b'{"allow":true,"ttl":3600}'
        while self.waiting:
            self.steps(self.desk.answered(self.waiting.pop(0).number, body, NOW + 0.1, WALL_US / 1_000_000))

    @property
    def members(self) -> int:
        return sum("asked:a" in session.rooms for session in self.sessions.values())


CLIENTS, USERS = 20_000, 2_000


def test_a_storm_without_grants_asks_once_for_each_user():
    """Twenty thousand clients of two thousand users come to a pod that knows nothing."""
    pod = Pod()
    for number in range(CLIENTS):
        pod.back(f"g~{number:x}", f"u{number % USERS}")
    pod.answer_all()
    assert pod.members == CLIENTS
    assert (len(pod.asked), len(set(pod.asked))) == (USERS, USERS)
    assert len(pod.grants) == CLIENTS
    assert len(pod.desk) == 0


def test_a_storm_with_grants_asks_nobody():
    """Twenty thousand clients come back to a pod that has never heard of them."""
    keys = Pod()
    grants = []
    for number in range(USERS):
        keys.back(f"g~{number:x}", f"u{number}")
        keys.answer_all()
        grants.append(keys.grants[f"g~{number:x}"])
    pod = Pod()
    for number in range(CLIENTS):
        pod.back(f"h~{number:x}", f"u{number % USERS}", grants[number % USERS])
    assert (pod.members, pod.asked, len(pod.desk.cache)) == (CLIENTS, [], 0)


def test_a_storm_that_connects_with_grants_asks_nobody():
    """Twenty thousand clients, whom a backend let in before, come to a pod that has never heard of them."""
    keys, pod = Pod(), Pod()
    for number in range(USERS):
        keys.connects(f"g~{number:x}", f"u{number}")
        keys.answer_all()
    grants = list(keys.grants.values())
    for number in range(CLIENTS):
        pod.connects(f"h~{number:x}", f"u{number % USERS}", grants[number % USERS])
    assert all(session.state is State.READY for session in pod.sessions.values())
    assert (len(pod.sessions), pod.asked, len(pod.desk.cache)) == (CLIENTS, [], 0)
