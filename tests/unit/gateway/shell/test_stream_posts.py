"""Posts for streams: here, elsewhere, and what is between."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.eventually import MS, eventually
from tests.support.scripted_bus import ManualClock, ScriptedBus

from gateway.core.outbox import Outbox
from gateway.core.sse.position_vector import PositionVector
from gateway.core.sse.post_body import digest_of
from gateway.shell import stream_posts
from gateway.shell.event_stream_transport import EventStreamTransport
from gateway.shell.stream_posts import BUSY, FOREIGN, FULL, GONE, TAKEN, UNKNOWN, UNREADABLE, StreamPosts
from gateway.shell.websocket_transport import TransportContext
from warren import envelope
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.metrics import GatewayMetrics
from warren.topology import Topology

SECRET = digest_of("s")
BODY = b'[{"type":"PING"}]'


class Rig:
    """A gateway ``g`` on a scripted bus, with a stream ``g~1``, and a WebSocket ``g~2``."""

    def __init__(self) -> None:
        self.bus, self.metrics = ScriptedBus(), GatewayMetrics()
        quiet: Any = SimpleNamespace(since=0.0, register=lambda _: None, came=lambda _: None)
        context = TransportContext(lambda: 0.0, 1.0, quiet, quiet)
        self.stream = EventStreamTransport(Outbox(), context, PositionVector(), 1_000)
        self.stream.post_digest = SECRET
        self.socket = SimpleNamespace(is_closing=lambda: False)
        self.stream._transport = self.socket  # type: ignore[assignment]
        here = {"g~1": SimpleNamespace(transport=self.stream), "g~2": SimpleNamespace(transport=object())}
        connections: Any = SimpleNamespace(find=here.get)
        self.posts = StreamPosts(
            "g", self.bus, Topology(shards=4), connections, ManualClock(), self.metrics
        )  # fmt: skip

    def sent(self) -> list[tuple[str, bool, bool, envelope.Envelope]]:
        """Return what was sent: the key, whether it was mandatory and persistent, and what."""
        assert {one.exchange for one in self.bus.published} <= {"warren.egress"}
        return [
            (one.key, one.mandatory, one.persistent, each)
            for one in self.bus.published
            for each in envelope.decode(one.body)
        ]


@pytest.fixture
async def rig():
    made = Rig()
    yield made
    await made.posts.close()


async def test_a_post_for_a_stream_here_is_taken(rig: Rig):
    """Its messages wait there; another one waits outside until they are read. Nothing is sent."""
    assert await rig.posts.post("g~1", SECRET, b"") is TAKEN
    assert await rig.posts.post("g~1", SECRET, BODY) is TAKEN
    assert await rig.posts.post("g~1", SECRET, BODY) is BUSY
    assert list(rig.stream._posted) == [b'{"type":"PING"}']
    assert rig.bus.published == []
    lines = rig.metrics.render()[0].decode()
    assert 'posts_total{status="202"} 1.0' in lines
    assert 'posts_total{status="429"} 1.0' in lines


@pytest.mark.parametrize(
    ("conn", "digest", "body", "outcome"),
    [
        ("g~1", digest_of("t"), BODY, FOREIGN),
        ("g~1", b"", BODY, FOREIGN),
        ("g~2", SECRET, BODY, GONE),
        ("g~3", SECRET, BODY, GONE),
        ("g~1", SECRET, b"7", UNREADABLE),
    ],
)
async def test_what_is_not_taken_leaves_nothing(rig: Rig, conn: str, digest: bytes, body: bytes, outcome):
    """Whether it came to us or was passed on."""
    assert await rig.posts.post(conn, digest, body) is outcome
    rig.posts.passed(envelope.Post("h", 7, conn, digest, body))
    await eventually(
        lambda: rig.sent() == [("h", True, False, envelope.PostAnswer(7, outcome.status, outcome.says))]
    )
    assert not rig.stream.posted


async def test_a_stream_that_ends_takes_nothing(rig: Rig):
    """It is gone."""
    rig.stream._deadline = 5.0
    assert await rig.posts.post("g~1", SECRET, BODY) is GONE


async def test_a_post_for_a_stream_elsewhere_is_passed_on(rig: Rig):
    """To the queue of its gateway, with the secret's digest, and the answer is awaited; one that comes late
    or twice is nobody's.
    """
    posting = asyncio.create_task(rig.posts.post("h~5", SECRET, BODY))
    await eventually(lambda: rig.sent() == [("h", True, False, envelope.Post("g", 1, "h~5", SECRET, BODY))])
    rig.posts.answered(envelope.PostAnswer(2, 202))
    assert not posting.done()
    for _ in range(2):
        rig.posts.answered(envelope.PostAnswer(1, 202))
    assert await posting is TAKEN
    rig.posts.answered(envelope.PostAnswer(1, 410, "late"))
    posting = asyncio.create_task(rig.posts.post("h~5", SECRET, BODY))
    await eventually(lambda: len(rig.sent()) == 2)
    rig.posts.answered(envelope.PostAnswer(2, 403, "no"))
    outcome = await posting
    assert (outcome.status, outcome.says) == (403, "no")


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(Unroutable("gone"), GONE), (BusUnavailable("away"), UNKNOWN), (NotConfirmed("cut"), UNKNOWN)],
)
async def test_what_does_not_get_there_is_told(rig: Rig, failure: Exception, outcome):
    """A gateway that is gone has no streams; of the rest nobody knows."""
    rig.bus.outcomes["h"].append(failure)
    assert await rig.posts.post("h~5", SECRET, BODY) is outcome
    assert not rig.posts._asked
    assert rig.posts._bytes == 0


async def test_no_answer_is_not_awaited_for_ever(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    """Nor by many, nor with many bytes, nor when the gateway goes."""
    monkeypatch.setattr(stream_posts, "ANSWER_S", 50 * MS)
    assert await rig.posts.post("h~5", SECRET, BODY) is UNKNOWN
    monkeypatch.setattr(stream_posts, "ANSWER_S", 60.0)
    monkeypatch.setattr(stream_posts, "UNDER_WAY", 2)
    waiting = [asyncio.create_task(rig.posts.post("h~5", SECRET, BODY)) for _ in range(2)]
    await eventually(lambda: len(rig.posts._asked) == 2)
    assert await rig.posts.post("h~5", SECRET, BODY) is FULL
    monkeypatch.setattr(stream_posts, "UNDER_WAY", 3)
    monkeypatch.setattr(stream_posts, "UNDER_WAY_BYTES", 3 * len(BODY) - 1)
    assert await rig.posts.post("h~5", SECRET, BODY) is FULL
    await rig.posts.close()
    assert await asyncio.gather(*waiting) == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("conn", ["", "h", "~1", "h~", "h~1~2", "warren.all~1", "h\n~1", "*~1"])
async def test_what_is_no_connection_goes_nowhere(rig: Rig, conn: str):
    """No routing key is made of what a stranger says."""
    assert await rig.posts.post(conn, SECRET, BODY) is GONE
    assert rig.bus.published == []


async def test_an_answer_that_can_not_be_sent_is_counted(rig: Rig):
    """Its asker's client repeats the post."""
    rig.bus.outcomes["h"].append(Unroutable("gone"))
    rig.posts.passed(envelope.Post("h", 7, "g~1", SECRET, BODY))
    await eventually(lambda: 'drops_total{reason="post_answer_lost"} 1.0' in rig.metrics.render()[0].decode())
    await rig.posts.close()
    rig.posts.passed(envelope.Post("h", 8, "g~1", SECRET, BODY))
    assert 'drops_total{reason="post_answer_overflow"} 1.0' in rig.metrics.render()[0].decode()
