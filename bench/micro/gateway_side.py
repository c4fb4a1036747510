"""The gateway's part of a message's path: frame parser, codecs, session, hub, outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, cycle

import msgspec

from bench.micro.shared_side import AT_US, deliver
from gateway.core import codec_json, codec_msgpack
from gateway.core.client_messages import Codec
from gateway.core.hub import Hub, Member
from gateway.core.outbox import Outbox
from gateway.core.permissions import Identity
from gateway.core.recent_messages import RecentMessages
from gateway.core.session import Session, SessionConfig
from gateway.core.websocket import frames
from gateway.core.websocket.frame_parser import FrameParser
from warren import envelope as wire
from warren.namespaces import Namespaces
from warren.position import Position

TEXT = '{"type":"CHAT","room":"chat:room","id":"id1","payload":{"text":"' + "x" * 170 + '"},"version":"1.0"}'
PACKED = msgspec.msgpack.encode(
    {"type": "CHAT", "room": "chat:room", "id": "id1", "payload": {"text": "x" * 170}, "version": "1.0"}
)
FRESH = 50_000  # numbered messages that are built before anything is measured


def read_frame() -> Callable[[], object]:
    """A masked text frame of 250 bytes ▶ str."""
    parser = FrameParser(1024 * 1024, deflate=False)
    payload, key = TEXT.encode(), b"\x37\xfa\x21\x3d"
    frame = b"\x81\xfe" + len(payload).to_bytes(2, "big") + key
    frame += bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))

    def run() -> None:
        parser.feed(frame)
        parser.next()

    return run


def decode(codec: Codec, data: str | bytes) -> Callable[[], Callable[[], object]]:
    return lambda: lambda: codec.decode(data)


def encode(codec: Codec) -> Callable[[], Callable[[], object]]:
    message = deliver(1)
    return lambda: lambda: codec.encode_delivery(message)


def frame_deflated() -> Callable[[], object]:
    payload = codec_json.encode_delivery(deliver(1))
    return lambda: frames.frame(payload, frames.TEXT, frames.FULL_WINDOW)


def session() -> Session:
    """Return the session of an authenticated client."""
    made = Session("g0~1", SessionConfig(rate=None, rooms=("chat:room",)), Namespaces())
    made.open(Identity("user1"), 0.0, AT_US)
    return made


def receive() -> Callable[[], object]:
    """A CHAT as text ▶ what is to be published."""
    one = session()
    return lambda: one.receive(TEXT, 0.0, AT_US)


def acknowledge() -> Callable[[], object]:
    """An Ack ▶ the frame for its sender."""
    one = session()
    ack = wire.Ack("g0~1", "chat:room", "id1", "1-1", 7)

    def run() -> None:
        for action in one.answer(ack):
            frames.message_frame(action.message, frames.JSON, AT_US // 1_000)  # type: ignore[union-attr]

    return run


def hub_of(members: int) -> tuple[Hub, list[Member]]:
    hub = Hub(recent=RecentMessages(Namespaces(), 1 << 20, 64 << 20))
    made = [Member(f"g0~{number:x}", f"user{number}", frames.JSON, Outbox()) for number in range(members)]
    for member in made:
        hub.add(member)
        hub.join("chat:room", member.id, Position("1-1", 0))
    return hub, made


def numbered() -> Iterator[wire.Deliver]:
    """Return an endless sequence of consecutive messages; most of them are built in advance."""
    fresh = [deliver(seq) for seq in range(1, FRESH)]
    return (fresh[seq - 1] if seq < FRESH else deliver(seq) for seq in count(1))


def hub_deliver(members: int, messages: int) -> Callable[[], Callable[[], object]]:
    """Messages ▶ the outboxes of a room's members, and out of them."""

    def make() -> Callable[[], object]:
        hub, made = hub_of(members)
        stream = numbered()

        def run() -> None:
            hub.deliver([next(stream) for _ in range(messages)], AT_US // 1_000)
            for member in made:
                member.outbox.take(1 << 20)

        return run

    return make


def outbox() -> Callable[[], object]:
    """One chunk in and out."""
    one, chunk = Outbox(), b"x" * 250

    def run() -> None:
        one.put(chunk)
        one.take(1 << 20)

    return run


def outbox_waiting() -> Callable[[], object]:
    """100 chunks in, and out together."""
    one, chunk = Outbox(), b"x" * 250

    def run() -> None:
        for _ in range(100):
            one.put(chunk)
        one.take(1 << 20)

    return run


def join_and_leave() -> Callable[[], object]:
    hub, _ = hub_of(100)
    rooms = cycle([f"chat:{number}" for number in range(100)])
    position = Position("1-1", 0)

    def run() -> None:
        room = next(rooms)
        hub.join(room, "g0~1", position)
        hub.leave(room, "g0~1")

    return run


BENCHES: dict[str, Callable[[], Callable[[], object]]] = {
    "frame parser, a frame of 250 bytes": read_frame,
    "codec json decode": decode(codec_json, TEXT),
    "codec json encode": encode(codec_json),
    "codec msgpack decode": decode(codec_msgpack, PACKED),
    "codec msgpack encode": encode(codec_msgpack),
    "frame with deflate": frame_deflated,
    "session receive": receive,
    "session answer, an ACK": acknowledge,
    "hub deliver, 1 message to 10 members": hub_deliver(10, 1),
    "hub deliver, 1 message to 1,000 members": hub_deliver(1_000, 1),
    "hub deliver, 100 messages to 1,000 members": hub_deliver(1_000, 100),
    "hub join and leave": join_and_leave,
    "outbox, 1 in and out": outbox,
    "outbox, 100 in and out": outbox_waiting,
}
