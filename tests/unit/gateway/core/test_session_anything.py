"""session: whatever comes, in whatever order, nothing raises and the rules hold."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import codec_msgpack
from gateway.core.actions import Close, Exit, Join, Leave, Publish, Query, Send
from gateway.core.client_messages import Joined
from gateway.core.session import Identity, Session, SessionConfig, State
from gateway.core.websocket.frames import PUSHER, VARIANTS, message_frame
from warren import envelope
from warren.namespaces import Namespaces, RateLimit, RoomPolicy
from warren.position import Position

NAMESPACES = Namespaces(
    [
        RoomPolicy("echo", "echo:*", include_sender=True, ephemeral_types=("TYPING", "cursor")),
        RoomPolicy("club", "club:*", publish="members"),
        RoomPolicy("vip", "vip:*", join="token"),
        RoomPolicy("ticker", "ticker:*", rate=RateLimit(2, 1_000, "reject")),
        RoomPolicy("strict", "strict:*", rate=RateLimit(1, 1_000, "close")),
    ]
)
WALL_US = 1_764_000_000_000_000
POSITION = Position("19ab-1", 12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["CHAT", "TYPING", "own", "JOIN", "LEAVE", "HISTORY", "PING", "AUTH", "X", "ACK"]
        )
        | VALUES
    },
    optional={
        "room": st.sampled_from(["a", "club:1", "ticker:1", "vip:1", "@ann", "*", "g~1", "", "ü"]) | VALUES,
        "payload": VALUES
        | st.fixed_dictionaries(
            {"since": st.fixed_dictionaries({"epoch": st.just("e"), "seq": st.integers()})}
        )
        | st.fixed_dictionaries({"before": st.integers(), "limit": st.integers(-1, 200)})
        | st.just({"token": "x"}),
        "id": st.sampled_from(["1", "2", ""]) | VALUES,
        "encoding": st.just("base64"),
    },
)
ROOMS = st.sampled_from(["a", "default", "club:1", "@ann"])
REFS = st.sampled_from(["", "1", "2", "~1", "~2", "~3"])
ANSWERS = (
    st.builds(
        envelope.Joined, st.just("g~1"), ROOMS, st.just(POSITION), st.booleans(), st.integers(0, 3), REFS
    )
    | st.builds(
        envelope.HistoryPage,
        st.just("g~1"),
        ROOMS,
        REFS,
        st.sampled_from([(), (envelope.Deliver("a", "e", 1, "CHAT", b"1", 5_000, id="~x"),)]),
        st.booleans(),
    )
    | st.builds(envelope.Left, st.just("g~1"), ROOMS, REFS)
    | st.builds(envelope.Ack, st.just("g~1"), ROOMS, REFS, st.just("e"), st.integers(0, 3))
    | st.builds(envelope.Refused, st.just("g~1"), REFS, st.sampled_from(["forbidden", "?"]), st.just("no"))
)
STEPS = (
    st.tuples(st.just("receive"), MESSAGES.map(json.dumps) | st.text() | st.binary())
    | st.tuples(st.just("answer"), ANSWERS)
    | st.tuples(st.just("tick"), st.integers(0, 20_000))
    | st.tuples(st.just("rejoin"), ROOMS)
    | st.tuples(st.just("resynced"), ROOMS)
    | st.tuples(st.just("joins_refused"), st.lists(ROOMS, max_size=1))
    | st.tuples(st.just("degraded"), st.booleans())
    | st.tuples(st.just("drain"), st.integers(0, 100))
    | st.tuples(
        st.just("identify"), st.sampled_from([Identity("ann"), Identity("bob"), Identity("ann", (), ())])
    )
)


@given(st.booleans(), st.lists(STEPS, max_size=30), st.booleans())
@settings(deadline=None, max_examples=300)
def test_nothing_raises_and_the_rules_hold(known, steps, msgpack):
    """Every answer can be spelled and sent; rooms told as joined were held; an ERROR precedes each close, and
    nothing follows it.
    """
    config = SessionConfig(rooms_max=4, rate=RateLimit(20, 1_000))
    session = Session("g~1", config, NAMESPACES, *((codec_msgpack,) if msgpack else ()))
    now, entered, ended, done, refused = 100.0, set(), False, [], set()
    done.append(session.open(Identity("ann") if known else None, now, WALL_US))
    for kind, value in steps:
        if kind == "tick":
            now += value / 1_000
            done.append(session.tick(now))
        elif kind == "receive":
            done.append(session.receive(value, now, WALL_US).actions)
        elif kind == "identify":
            done.append(session.identify(value, now, WALL_US))
        elif kind == "answer":
            done.append(session.answer(value))
        elif kind == "rejoin":
            done.append(session.rejoin(0, {value: POSITION}))
        elif kind == "resynced":
            done.append(session.resynced(value, POSITION))
        else:
            refused.update(value if kind == "joins_refused" else ())  # what these name nobody has entered
            done.append(getattr(session, kind)(value))
        assert not (ended and done[-1])
        ended = ended or session.state is State.CLOSED
        assert len(session.rooms) <= config.rooms_max + 1
    flat = [action for found in done for action in found]
    for place, action in enumerate(flat):
        match action:
            case Send(message):
                if isinstance(message, Joined):
                    entered.add(message.room)
                # the Pusher protocol has no words for these
                assert all(message_frame(message, variant, 5) for variant in VARIANTS if variant < PUSHER)
                assert not getattr(message, "ref", "").startswith("~")
            case Publish() | Join() | Leave() | Query():
                envelope.decode(envelope.encode([action.envelope]))
            case Exit(room):
                entered.discard(room)
            case Close(code):
                assert place == len(flat) - 1
                assert flat[place - 1].message.close == code
    assert entered - refused <= set(session.rooms)
