"""The session of a client that speaks the Pusher protocol: inputs in, exact actions out."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.actions import (
    Close,
    Exit,
    Follow,
    Hold,
    Join,
    Leave,
    Ping,
    Publish,
    Query,
    SendText,
    TellWebhooks,
)
from gateway.core.permissions import Identity
from gateway.core.pusher_closes import PusherClose
from gateway.core.pusher_session import FRAMES, Handshake, PusherSession
from gateway.core.session import SessionConfig, State
from warren import envelope
from warren.address import shard_of
from warren.errors import CloseCode, ErrorCode
from warren.log_entries import PRESENCE_USERS
from warren.namespaces import Namespaces
from warren.position import Position
from warren.pusher import channels
from warren.pusher.apps import App, Apps, Webhook
from warren.pusher.gateway_events import GatewayEvent

SECRET = "7ad3773142a6692b25b8"
APP = App(id="shop", key="k", secret=(SECRET,), client_events=True, channels=3, members=2, rate=2)
CONN = "g1~1f"
SHARDS = 4


class Source:
    def __init__(self, *apps):
        self.apps = Apps(apps or (APP,))


def sign(text):
    return "k:" + hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


class Rig:
    def __init__(self, *apps, handshake=None, ready=True):
        self.source = Source(*apps)
        config = SessionConfig(shards=SHARDS)
        self.session = PusherSession(
            CONN, config, Namespaces(), self.source, handshake or Handshake("k", "7")
        )
        self.session.open(None, 0.0, 1)
        self.now = 1.0
        if ready:
            self.session.identify(self.session.guest, 0.0, 1)

    @property
    def socket(self):
        return channels.socket_of(CONN)

    def say(self, event, data=None, channel=None):
        frame = {"event": event, "data": data} | ({"channel": channel} if channel else {})
        return self.session.receive(json.dumps(frame), self.now, 1_000).actions

    def subscribe(self, channel, auth=None, data=None):
        wanted = {"channel": channel, "auth": auth, "channel_data": data}
        return self.say(
            "pusher:subscribe", {name: value for name, value in wanted.items() if value is not None}
        )

    def private(self, channel):
        return self.subscribe(channel, sign(f"{self.socket}:{channel}"))

    def presence(self, channel, user, **info):
        data = json.dumps({"user_id": user} | ({"user_info": info} if info else {}))
        return self.subscribe(channel, sign(f"{self.socket}:{channel}:{data}"), data)

    def joined(self, join, seq=0):
        position = Position("e", seq)
        return self.session.answer(
            envelope.Joined(CONN, join.envelope.room, position, False, ref=join.envelope.ref)
        )

    def in_private(self, channel="private-a"):
        (join,) = self.private(channel)
        self.joined(join)
        return join.envelope.room


def frames(actions):
    """Return what is told, its data parsed."""
    found = []
    for action in actions:
        if isinstance(action, SendText):
            frame = json.loads(action.text)
            data = frame.get("data")
            found.append((frame["event"], json.loads(data) if isinstance(data, str) else data))
    return found


def errors(actions):
    return [data for event, data in frames(actions) if event in ("pusher:error", "pusher:subscription_error")]


def shard(room):
    return shard_of(room, SHARDS)


# ── coming in ───────────────────────────────────────────────────────────────────────────────────────────────


def test_who_comes_in_is_told_its_socket_id():
    """And asked for nothing more."""
    rig = Rig(ready=False)
    actions = rig.session.identify(rig.session.guest, 0.0, 1)
    assert frames(actions) == [
        ("pusher:connection_established", {"socket_id": rig.socket, "activity_timeout": 120})
    ]
    assert (rig.session.state, rig.session.user) == (State.READY, "pusher:shop:")
    assert rig.session.identify(rig.session.guest, 0.0, 1) == []


@pytest.mark.parametrize(
    ("handshake", "code"),
    [
        (Handshake("unknown", "7"), 4001),
        (Handshake("off", "7"), 4003),
        (Handshake("k", "7", PusherClose.OVER_QUOTA), 4004),
        (Handshake("k", "8"), 4007),
        (Handshake("k", ""), 4008),
        (Handshake("k", "7", PusherClose.UNAUTHORIZED, "not this page"), 4009),
    ],
)
def test_who_may_not_come_in_is_closed_with_the_reason(handshake, code):
    """And nothing is told or left after it."""
    rig = Rig(APP, App(id="o", key="off", secret=(SECRET,), enabled=False), handshake=handshake, ready=False)
    actions = rig.session.identify(rig.session.guest, 0.0, 1)
    assert errors(actions)[0]["code"] == rig.session.close_code == code
    assert isinstance(actions[-1], Close)
    assert rig.session.state is State.CLOSED
    assert rig.session.receive("{}", 1.0, 1).actions == []
    assert rig.session.closed() == []


# ── channels ────────────────────────────────────────────────────────────────────────────────────────────────


def test_to_subscribe_is_to_join_the_room():
    """It succeeds once a router says so; a second time is refused; to unsubscribe is to leave."""
    rig = Rig()
    room = "pusher:shop:news"
    (join,) = rig.subscribe("news")
    assert join == Join(envelope.Join(room, CONN, "pusher:shop:", join.envelope.ref), shard(room), True)
    assert (
        rig.session.entered(envelope.Entered(CONN, room, Position("e", 0), join.envelope.ref, None, 5))
        is False
    )
    assert frames(rig.joined(join)) == [("pusher_internal:subscription_succeeded", {})]
    assert rig.joined(join) == []
    assert "Existing subscription" in errors(rig.subscribe("news"))[0]["message"]
    assert rig.say("pusher:unsubscribe", {"channel": "news"}) == [
        Exit(room), Leave(envelope.Leave((room,), CONN, "", "pusher:shop:"), shard(room)),
    ]  # fmt: skip
    assert rig.say("pusher:unsubscribe", {"channel": "news"}) == []
    assert rig.joined(join) == []


def test_a_presence_channel_is_joined_as_the_member_and_followed():
    """With what its app has signed; the list comes by an input of its own."""
    rig = Rig()
    room = "pusher:shop:presence-a"
    (join,) = rig.presence("presence-a", "7", name="Ann")
    assert (join.envelope.user, json.loads(join.envelope.info), join.envelope.presence) == (
        "pusher:shop:7", {"name": "Ann"}, PRESENCE_USERS,
    )  # fmt: skip
    (follow,) = rig.joined(join)
    assert follow == Follow(room, shard(room), True, "pusher:shop:7", join.envelope.info, 2)
    assert frames(rig.session.listed(room, '{"presence":{}}')) == [
        ("pusher_internal:subscription_succeeded", {"presence": {}})
    ]
    full = rig.session.listed(room, "")
    assert errors(full) == [
        {"type": "LimitReached", "error": "At most 2 members in a presence channel", "status": 4004}
    ]
    assert full[:3] == [
        Exit(room), Follow(room, shard(room), on=False),
        Leave(envelope.Leave((room,), CONN, "", "pusher:shop:"), shard(room)),
    ]  # fmt: skip
    assert rig.session.listed(room, "{}") == []


def test_only_what_the_app_has_signed_is_joined():
    """The signature is of this socket, this channel and this member."""
    rig = Rig()
    data = json.dumps({"user_id": "7"})
    right = sign(f"{rig.socket}:presence-a:{data}")
    for channel, auth, member in (
        ("private-a", None, None),
        ("private-a", "", None),
        ("private-a", "k", None),
        ("private-a", sign(f"{rig.socket}:private-b"), None),
        ("private-a", sign("1.1:private-a"), None),
        ("private-a", sign(f"{rig.socket}:private-a").replace("k:", "x:"), None),
        ("presence-a", right, None),
        ("presence-a", right, json.dumps({"user_id": "8"})),
        ("presence-a", sign(f"{rig.socket}:presence-a"), data),
    ):
        actions = rig.subscribe(channel, auth, member)
        assert [error["status"] for error in errors(actions)] == [401], (channel, auth)
        assert not any(isinstance(action, Join) for action in actions)
    for wrong in ("{}", "x", '{"user_id":""}', json.dumps({"user_id": "ä" * 40})):
        actions = rig.subscribe("presence-a", sign(f"{rig.socket}:presence-a:{wrong}"), wrong)
        assert [error["status"] for error in errors(actions)] == [400], wrong
    assert rig.session.rooms == ()


def test_a_connection_has_a_limit_of_channels():
    """And is told of it."""
    rig = Rig()
    for number in range(3):
        rig.subscribe(f"c{number}")
    assert errors(rig.subscribe("c3"))[0]["type"] == "LimitReached"
    rig.say("pusher:unsubscribe", {"channel": "c0"})
    assert any(isinstance(action, Join) for action in rig.subscribe("c3"))


def test_a_long_name_is_told_with_its_members():
    """Since the room's name does not tell it."""
    rig = Rig()
    long = "c" * 200
    (join,) = rig.subscribe(long)
    assert json.loads(join.envelope.info) == {"channel": long}
    assert join.envelope.presence == PRESENCE_USERS
    assert rig.session.channel_of(join.envelope.room) == long
    assert frames(rig.joined(join)) == [("pusher_internal:subscription_succeeded", {})]  # it is not followed


def test_a_cache_channel_gives_its_last_event_unless_a_later_one_has_come():
    """Of a server; without any it says so."""
    for messages, standing, told in (
        ([("price", b"1"), ("price", b"2"), ("client-x", b"3")], 3, [("price", 2)]),
        ([("price", b"1")], 4, []),  # given meanwhile
        ([("client-x", b"3"), ("pusher:error", b"{}")], 3, [("pusher:cache_miss", {})]),
        ([], 3, [("pusher:cache_miss", {})]),
    ):
        rig = Rig()
        room = "pusher:shop:cache-a"
        (join,) = rig.subscribe("cache-a")
        succeeded, query = rig.joined(join, 3)
        assert isinstance(succeeded, SendText)
        assert isinstance(query, Query)
        found = tuple(envelope.Deliver(room, "e", 1, kind, payload, 0) for kind, payload in messages)
        page = envelope.HistoryPage(CONN, room, query.envelope.ref, found, False)
        assert frames(rig.session.cached(page, Position("e", standing))) == told
        assert rig.session.cached(page, Position("e", standing)) == []


# ── client events ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_client_event_is_a_message_of_the_member():
    """Its data as it stands; of a cache channel it is not kept."""
    rig = Rig()
    (join,) = rig.presence("presence-a", "7")
    rig.joined(join)
    (publish,) = rig.say("client-typing", {"on": True}, "presence-a")
    assert isinstance(publish, Publish)
    sent = publish.envelope
    assert (sent.room, sent.type, sent.payload, sent.conn, sent.user, sent.ephemeral, sent.include_sender) == (
        "pusher:shop:presence-a", "client-typing", b'{"on": true}', CONN, "pusher:shop:7", False, False,
    )  # fmt: skip
    assert sent.id.startswith("~")
    rig.now += 2
    room = rig.in_private("private-cache-a")
    (publish,) = rig.say("client-x", "text", "private-cache-a")
    assert (publish.envelope.room, publish.envelope.ephemeral, publish.envelope.payload) == (
        room,
        True,
        b'"text"',
    )


def test_client_events_are_refused_with_4301_and_the_connection_stays():
    """Where they may not go, where they are not enabled, and beyond their rate."""
    rig = Rig()
    rig.in_private()
    rig.subscribe("news")
    for channel, event, data in (
        ("news", "client-a", 1),
        ("private-b", "client-a", 1),
        ("private-encrypted-a", "client-a", 1),
        ("", "client-a", 1),
        ("private-a", "client-" + "x" * 200, 1),
        ("private-a", "client-a", "x" * 10_241),
        ("private-a", "client-a", "ä" * 5_121),
    ):
        rig.now += 1
        assert [error["code"] for error in errors(rig.say(event, data, channel))] == [4301], (channel, event)
    rig.now += 10
    said = [rig.say("client-a", number, "private-a") for number in range(4)]
    assert [len(errors(actions)) for actions in said] == [0, 0, 1, 1]
    assert rig.session.state is State.READY
    silent = Rig(App(id="shop", key="k", secret=(SECRET,)))
    silent.in_private()
    assert "not enabled" in errors(silent.say("client-a", 1, "private-a"))[0]["message"]


# ── users ───────────────────────────────────────────────────────────────────────────────────────────────────


def sign_in(rig, user, auth=None):
    data = json.dumps({"id": user})
    return rig.say("pusher:signin", {"auth": auth or sign(f"{rig.socket}::user::{data}"), "user_data": data})


def test_who_signs_in_is_in_the_users_own_room_and_hears_of_it_by_subscribing():
    """Backends reach it from then on; what is said there it is given once it asks."""
    rig = Rig()
    room = "@pusher:shop:7"
    assert errors(rig.subscribe("#server-to-user-7"))[0]["type"] == "AuthError"
    told, join = sign_in(rig, "7")
    assert frames([told]) == [("pusher:signin_success", {"user_data": '{"id": "7"}'})]
    assert (join.envelope.room, rig.session.user) == (room, "pusher:shop:7")
    assert rig.session.entered(envelope.Entered(CONN, room, Position("e", 0), join.envelope.ref)) is None
    assert errors(rig.subscribe("#server-to-user-8"))[0]["type"] == "AuthError"
    (join,) = rig.subscribe("#server-to-user-7")
    assert rig.session.entered(envelope.Entered(CONN, room, Position("e", 0), join.envelope.ref)) is False
    assert frames(rig.joined(join)) == [("pusher_internal:subscription_succeeded", {})]
    assert rig.say("pusher:unsubscribe", {"channel": "#server-to-user-7"}) == [Exit(room)]
    assert len(sign_in(rig, "7")) == 1  # again: it is the same


@pytest.mark.parametrize(
    ("user", "auth"), [("7", "k:0"), ("7", sign("1.1::user::{}")), ("", None), ("x" * 200, None)]
)
def test_who_may_not_sign_in_is_closed(user, auth):
    """With 4009; so is who wants to be another."""
    rig = Rig()
    actions = sign_in(rig, user, auth)
    assert (errors(actions)[0]["code"], rig.session.state) == (4009, State.CLOSED)
    rig = Rig()
    sign_in(rig, "7")
    assert errors(sign_in(rig, "8"))[0]["code"] == 4009


# ── what routers and backends say ───────────────────────────────────────────────────────────────────────────


def test_a_backend_can_take_it_out_of_a_channel_or_close_it():
    """It is told of both."""
    rig = Rig()
    room = rig.in_private()
    actions = rig.session.answer(envelope.Left(CONN, room, "", "removed"))
    assert (actions[0], errors(actions)[0]["status"]) == (Exit(room), 403)
    assert rig.session.answer(envelope.Left(CONN, room, "", "removed")) == []
    actions = rig.session.answer(envelope.Dismissed(CONN, int(CloseCode.DISCONNECTED), "go"))
    assert (errors(actions), rig.session.close_code) == ([{"code": 4009, "message": "go"}], 4009)


def test_what_a_router_refuses_is_no_subscription():
    """Where it is barred from the room, for example."""
    rig = Rig()
    (join,) = rig.private("private-a")
    actions = rig.session.answer(envelope.Refused(CONN, join.envelope.ref, "blocked", "no"))
    assert errors(actions) == [{"type": "AuthError", "error": "no", "status": 403}]
    assert (rig.session.rooms, rig.session.channel_of("pusher:shop:private-a")) == ((), "")
    assert errors(rig.session.answer(envelope.Refused(CONN, "x", "internal", "later")))
    assert errors(rig.session.undelivered("~1", ErrorCode.UNAVAILABLE))
    assert rig.session.answer(envelope.Ack(CONN, "r", "i", "e", 1)) == []
    assert rig.session.answer(envelope.TokensRevoked("u", "t")) == []
    assert errors(rig.session.answer(envelope.TokensRevoked("u", "", 5)))[0]["code"] == 4009


def test_it_joins_again_as_whom_it_was_there():
    """With what its rooms show of it, and what was not answered yet."""
    rig = Rig()
    (member,) = rig.presence("presence-a", "7", name="Ann")
    rig.session.entered(
        envelope.Entered(CONN, member.envelope.room, Position("e", 0), member.envelope.ref, None, 5)
    )
    rig.joined(member)
    (asked,) = rig.subscribe("news")
    sign_in(rig, "9")
    standing = {member.envelope.room: Position("e", 4)}
    again = [
        join
        for each in range(SHARDS)
        for join in rig.session.rejoin(
            each, {room: at for room, at in standing.items() if shard(room) == each}
        )
    ]
    by_room = {join.envelope.room: join.envelope for join in again}
    assert set(by_room) == {member.envelope.room, asked.envelope.room, "@pusher:shop:9", CONN}
    first = by_room[member.envelope.room]
    assert (first.user, first.info, first.presence, first.since, first.came_us) == (
        "pusher:shop:7", member.envelope.info, PRESENCE_USERS, Position("e", 4), 5,
    )  # fmt: skip


# ── time and the end ────────────────────────────────────────────────────────────────────────────────────────


def test_a_ping_is_answered_and_what_is_none_of_the_protocol_is_named():
    """The connection stays."""
    rig = Rig()
    assert frames(rig.say("pusher:ping")) == [("pusher:pong", {})]
    assert rig.say("pusher:pong") == []
    for text in (
        "x",
        '{"event":"hello"}',
        '{"event":"pusher:subscribe"}',
        '{"event":"pusher:subscribe","data":{}}',
    ):
        (error,) = errors(rig.session.receive(text, rig.now, 1).actions)
        assert error["code"] is None
        assert error["message"]


def test_a_flood_is_held_back_and_one_of_rubbish_is_closed():
    """Frames beyond a budget wait; who sends only what is refused ends after a while."""
    rig = Rig()
    held = [rig.say("pusher:ping") for _ in range(FRAMES + 2)]
    assert not any(isinstance(action, Hold) for action in held[0])
    assert any(isinstance(action, Hold) for action in held[-1])
    rig = Rig()
    sent = 0
    while rig.session.state is not State.CLOSED and sent < 10_000:
        sent += 1
        rig.now += 0.01
        actions = rig.session.receive("rubbish", rig.now, 1).actions
        holds = [action.seconds for action in actions if isinstance(action, Hold)]
        rig.now += sum(holds)
    assert rig.session.close_code == 4100
    assert sent < 1_000


def test_a_drain_closes_at_its_slot_with_a_code_to_come_back_at_once():
    """There is no frame for it in the protocol."""
    rig = Rig()
    rig.session.tick(10.0)
    assert rig.session.drain(2_000) == []
    assert rig.session.tick(11.0) == []
    actions = rig.session.tick(12.0)
    assert (errors(actions)[0]["code"], rig.session.close_code) == (4200, 4200)
    fresh = Rig(ready=False)
    assert errors(fresh.session.drain(2_000))[0]["code"] == 4200


def test_the_heartbeat_is_the_websockets():
    """Clients answer its pings; who does not is closed with 4201."""
    rig = Rig()
    assert rig.session.tick(31.0) == [Ping()]
    assert errors(rig.session.tick(62.0))[0]["code"] == 4201


def test_another_file_of_apps_counts_for_those_who_are_here():
    """A new secret from then on; who has no app any more is closed."""
    rig = Rig()
    rig.source.apps = Apps([App(id="shop", key="k", secret=("another-secret-1234",))])
    assert rig.session.tick(2.0) == []
    assert errors(rig.private("private-a"))[0]["status"] == 401
    for apps, code in (
        (Apps(), 4001),
        (Apps([App(id="other", key="k", secret=(SECRET,))]), 4001),
        (Apps([App(id="shop", key="k", secret=(SECRET,), enabled=False)]), 4003),
    ):
        rig = Rig()
        rig.source.apps = apps
        assert (errors(rig.session.tick(2.0))[0]["code"], rig.session.close_code) == (code, code)
        assert rig.session.tick(3.0) == []


def test_the_end_leaves_everything():
    """And is told with a code whose range says what to do next."""
    rig = Rig()
    (member,) = rig.presence("presence-a", "7")
    rig.joined(member)
    room = member.envelope.room
    actions = rig.session.end(CloseCode.TOO_SLOW)
    assert (errors(actions)[0]["code"], actions[-1]) == (4100, Close(CloseCode.TOO_SLOW, "Too slow"))
    assert rig.session.end(CloseCode.TOO_SLOW) == []
    left = rig.session.closed()
    assert Follow(room, shard(room), on=False) in left
    assert Exit(room) in left
    assert any(isinstance(action, Leave) and action.grace for action in left)
    assert rig.session.closed() == []
    assert (rig.session.degraded(True), rig.session.resynced(room, Position("e", 1))) == ([], [])


def test_an_anonymous_identity_is_nobody():
    """The guest's user is one that no id is mapped to."""
    assert Rig().session.guest == Identity(user="pusher:shop:", anonymous=True)


def test_webhooks_are_told_of_what_they_want():
    """Client events with who has said them, and cache channels without an event; of nothing else."""
    hook = Webhook("https://a.example/", ("client_event", "cache_miss"), "presence-")
    rig = Rig(App(id="shop", key="k", secret=(SECRET,), client_events=True, webhooks=(hook,)))
    (join,) = rig.presence("presence-cache-a", "7")
    _, query = rig.joined(join)
    page = envelope.HistoryPage(CONN, join.envelope.room, query.envelope.ref, (), False)
    _, told = rig.session.cached(page, Position("e", 0))
    assert told == TellWebhooks(
        GatewayEvent(f"{CONN}.1", "cache_miss", "shop", "presence-cache-a", user_id="")
    )
    _, told = rig.say("client-x", {"n": 1}, "presence-cache-a")
    assert told == TellWebhooks(
        GatewayEvent(
            f"{CONN}.2", "client_event", "shop", "presence-cache-a", "client-x", '{"n": 1}', rig.socket, "7"
        )
    )
    rig.in_private("private-cache-a")
    assert len(rig.say("client-x", 1, "private-cache-a")) == 1


NAMES = [
    "news",
    "private-a",
    "presence-a",
    "cache-a",
    "#server-to-user-7",
    "",
    "a b",
    "x" * 200,
    "private-" + "=" * 190,
]
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda each: st.lists(each, max_size=3)
)
DATA = ANY | st.fixed_dictionaries(
    {}, optional={"channel": st.sampled_from(NAMES) | ANY, "auth": ANY, "channel_data": ANY, "user_data": ANY}
)
FRAME = st.text(max_size=20) | st.fixed_dictionaries(
    {
        "event": st.sampled_from(
            ["pusher:subscribe", "pusher:unsubscribe", "pusher:signin", "client-x", "pusher:x"]
        )
        | ANY
    },
    optional={"data": DATA | DATA.map(json.dumps), "channel": st.sampled_from(NAMES) | ANY},
).map(json.dumps)


@given(
    st.lists(
        st.one_of(FRAME, st.sampled_from(["private", "presence", "sign in", "joined", "left", "listed"])),
        max_size=20,
    )
)
def test_whatever_is_said_it_never_raises_and_nothing_follows_a_close(steps):
    """Every answer is a frame, and a closed session has nothing more to do."""
    rig, joins, closed = Rig(), [], False
    for step in steps:
        rig.now += 1
        match step:
            case "private":
                actions = rig.private("private-a")
            case "presence":
                actions = rig.presence("presence-a", "7")
            case "sign in":
                actions = sign_in(rig, "7")
            case "joined":
                actions = rig.joined(joins[-1]) if joins else []
            case "left":
                room = joins[-1].envelope.room if joins else "pusher:shop:a"
                actions = rig.session.answer(envelope.Left(CONN, room, "", "removed"))
            case "listed":
                actions = rig.session.listed(joins[-1].envelope.room if joins else "x", "{}")
            case text:
                actions = rig.session.receive(text, rig.now, 1).actions
        assert not (closed and actions)
        joins += [action for action in actions if isinstance(action, Join)]
        frames(actions)
        closed = closed or any(isinstance(action, Close) for action in actions)
    rig.session.tick(rig.now)
    rig.session.closed()
    assert rig.session.rooms == ()
