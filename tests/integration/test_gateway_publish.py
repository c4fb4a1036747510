"""What is said by ``POST /publish``: for a stream, wherever it is, and without one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.client import connect
from tests.support.event_stream import EventSource
from tests.support.eventually import MS, eventually
from tests.support.gateways import House, gateway_settings
from tests.support.raw import ask
from tests.support.tokens import SECRET, Signer

from gateway.app import Gateway
from gateway.core.sse.post_body import FRAMES_MAX
from gateway.shell import stream_posts
from gateway.shell.publish_endpoint import AROUND_BYTES
from warren import envelope
from warren.address import shard_of, user_room
from warren.namespaces import Namespaces
from warren.settings import NamespaceSettings

JWT = {"auth": "jwt", "jwt_secret": SECRET}
PING = {"type": "PING"}


class Poster:
    """Posts, by whatever gateway."""

    def __init__(self, home: House, http: ClientSession) -> None:
        self._home = home
        self._http = http

    async def __call__(
        self,
        gateway: Gateway,
        query: str,
        body: Any,
        *,
        bearer: str = "",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any, Any]:
        """Return the status, the body (parsed where it is JSON) and the headers of the answer."""
        added = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        url = self._home.url(gateway, f"/publish?{query}", scheme="http")
        async with self._http.post(url, data=data, headers={**added, **(headers or {})}) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text[:1] == "{" else text, answer.headers

    async def frames(self, gateway: Gateway, source: EventSource, *frames: object) -> int:
        """Post frames for a stream; return the status."""
        return (await self(gateway, f"connection={source.id}", frames, bearer=source.post))[0]


@pytest.fixture
async def post(home: House) -> AsyncIterator[Poster]:
    async with ClientSession() as http:
        yield Poster(home, http)


def stream(home: House, gateway: Gateway, query: str = "room=a&user=ann") -> EventSource:
    """Open a stream at a gateway."""
    return EventSource([home.url(gateway, f"/sse?{query}", scheme="http")])


# ── for a stream ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_post_may_reach_any_gateway(home: House, post: Poster) -> None:
    """It goes by the broker to the stream's own, in order, and counts once however often it comes."""
    first, second = await home.gateway(), await home.gateway()
    async with stream(home, first) as ann, await connect(home.url(first), user="bob") as bob:
        await bob.join("a")
        await ann.expect("JOINED", room="a")
        for number in range(20):
            frames = [{"type": "CHAT", "room": "a", "payload": number, "id": f"m{number}"}, PING]
            for gateway in (second, first):
                assert await post.frames(gateway, ann, *frames) == 202
                await ann.expect("PONG")
            await ann.expect("ACK", ref=f"m{number}")
        await bob.expect("CHAT", payload=19)
        assert [chat["payload"] for chat in bob.of_type("CHAT")] == list(range(20))


async def test_the_secret_may_stand_in_the_address(home: House, post: Poster) -> None:
    """With a body of text/plain a browser asks for no leave before it sends."""
    first, second = await home.gateway(), await home.gateway()
    async with stream(home, first) as ann:
        await ann.expect("JOINED", room="a")
        for gateway in (first, second):
            query = f"connection={ann.id}&post={ann.post}"
            status, _, headers = await post(
                gateway,
                query,
                [PING],
                headers={"Origin": f"http://127.0.0.1:{gateway.port}", "Content-Type": "text/plain"},
            )
            assert status == 202
            assert headers["Access-Control-Allow-Origin"] == f"http://127.0.0.1:{gateway.port}"
            await ann.expect("PONG")


async def test_nobody_posts_for_another(home: House, post: Poster) -> None:
    """Not without the secret, not with another's, not for a WebSocket, not for nobody; nothing arrives."""
    first, second = await home.gateway(), await home.gateway()
    async with (
        stream(home, first) as ann,
        stream(home, first, "room=a&user=eve") as eve,
        await connect(home.url(first), user="bob") as bob,
    ):
        for source in (ann, eve):
            await source.expect("JOINED", room="a")
        chat = [{"type": "CHAT", "room": "a", "payload": "forged", "id": "f"}]
        large = [*chat, {"type": "CHAT", "payload": "x" * 100_000}]
        for gateway in (first, second):
            for body in (chat, large):
                assert (await post(gateway, f"connection={ann.id}", body))[0] == 401
                assert (await post(gateway, f"connection={ann.id}", body, bearer=eve.post))[0] == 403
                assert (await post(gateway, f"connection={bob.id}", body, bearer=eve.post))[0] == 410
                assert (await post(gateway, "connection=nobody~1", body, bearer=eve.post))[0] == 410
                assert (await post(gateway, f"connection={first.id}~fff", body, bearer=eve.post))[0] == 410
                assert (await post(gateway, "connection=", body, bearer=eve.post))[0] == 410
                assert (await post(gateway, "connection=%00%0a", body, bearer=eve.post))[0] == 410
        assert await post.frames(second, eve, PING) == 202
        await eve.expect("PONG")
    assert home.router.of(envelope.Publish) == []


async def test_a_post_to_a_stream_that_is_gone_says_so(home: House, post: Poster) -> None:
    """Its client opens it again."""
    first, second = await home.gateway(), await home.gateway()
    async with stream(home, first) as ann:
        await ann.expect("JOINED", room="a")
    await eventually(lambda: len(first.connections) == 0)
    assert await post.frames(first, ann, PING) == 410
    assert await post.frames(second, ann, PING) == 410
    await first.stop()
    home.gateways.remove(first)
    assert await post.frames(second, ann, PING) == 410


@pytest.mark.parametrize(
    "body",
    [" ", "[]", "{}", "[", "null", '[{"type":"PING"}', "\xff", "[" * 100_000, [PING] * (FRAMES_MAX + 1)],
)
async def test_a_body_that_is_none_is_refused(home: House, post: Poster, body: Any) -> None:
    """With what it should be; the stream goes on."""
    first, second = await home.gateway(), await home.gateway()
    async with stream(home, first) as ann:
        await ann.expect("JOINED", room="a")
        for gateway in (first, second):
            data = body.encode("latin-1") if isinstance(body, str) else body
            status, says, _ = await post(gateway, f"connection={ann.id}", data, bearer=ann.post)
            assert status == 400
            assert "JSON array" in says
        assert await post.frames(first, ann, 7, {"id": "x"}, PING) == 202
        await ann.expect("PONG")
        assert [error["payload"]["code"] for error in ann.of_type("ERROR")] == [
            "invalid_format",
            "invalid_message",
        ]


async def test_how_long_a_body_may_be(home: House, post: Poster) -> None:
    """As long as a message, and a little around it; a message beyond the limit ends the stream as it ends a
    WebSocket.
    """
    first, second = (
        await home.gateway(gateway_settings(limits={"message_bytes": 100_000})),
        await home.gateway(gateway_settings(limits={"message_bytes": 100_000})),
    )
    async with stream(home, first) as ann:
        await ann.expect("JOINED", room="a")
        for gateway in (first, second):
            fits = {"type": "CHAT", "room": "a", "payload": "x" * 99_000, "id": f"m{gateway.id}"}
            assert await post.frames(gateway, ann, fits) == 202
            await ann.expect("ACK", ref=f"m{gateway.id}")
            large = "[" + '"' + "x" * (100_000 + AROUND_BYTES) + '"]'
            assert (await post(gateway, f"connection={ann.id}", large, bearer=ann.post))[0] == 413
        head = f"POST /publish?connection={ann.id}&post={ann.post} HTTP/1.1\r\nHost: h\r\n"
        chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
        assert " 411 " in await ask(first.port, chunked.encode())
        assert " 400 " in await ask(first.port, f"{head}Content-Length: 0\r\n\r\n".encode())
        assert await post.frames(second, ann, {"type": "CHAT", "room": "a", "payload": "x" * 100_001}) == 202
        await ann.expect("ERROR", payload__code="message_too_large")
        await ann.ended()
        assert ann.closes[-1]["code"] == 4003
        assert ann.closes[-1]["reconnect"] == "no"


async def test_a_second_post_waits_for_the_first(home: House, post: Poster) -> None:
    """While a client is held back its next post is refused for a while: at most one waits."""
    first, second = (
        await home.gateway(gateway_settings(limits={"read_bytes": 262_144, "read_bytes_per_s": 1_024})),
        await home.gateway(),
    )
    for number in range(40):
        home.publish("a", json.dumps("x" * 10_000 + str(number)))
    await home.router.settled()
    async with stream(home, first) as ann:
        await ann.expect("JOINED", room="a")
        reads = [{"type": "HISTORY", "room": "a", "id": f"h{number}"} for number in range(3)]
        assert await post.frames(first, ann, *reads) == 202
        await ann.expect("HISTORY")
        for gateway in (first, second):
            status, _, headers = await post(gateway, f"connection={ann.id}", [PING], bearer=ann.post)
            assert status == 429
            assert headers["Retry-After"] == "1"


async def test_the_rate_counts_as_by_a_websocket(home: House, post: Poster) -> None:
    """What is posted beyond it ends the stream with 4002, or is refused where the namespace says so."""
    text = '- {name: ticker, pattern: "ticker:*", rate: {count: 1, per_ms: 60000, policy: reject}}'
    namespaces = NamespaceSettings(namespaces=Namespaces.parse(text))
    gateway = await home.gateway(gateway_settings(limits={"rate": 5}, namespaces=namespaces))
    async with stream(home, gateway, "room=ticker:1&user=ann") as ann:
        await ann.expect("JOINED", room="ticker:1")
        chats = [{"type": "CHAT", "room": "ticker:1", "id": f"t{number}"} for number in range(2)]
        assert await post.frames(gateway, ann, *chats) == 202
        await ann.expect("ACK", ref="t0")
        await ann.expect("ERROR", ref="t1", payload__code="rate_limited")
        assert await post.frames(gateway, ann, *[PING] * 20) == 202
        await eventually(lambda: ann.closes)
        assert (ann.closes[0]["code"], ann.closes[0]["reconnect"]) == (4002, "yes")


async def test_while_the_broker_is_away_posts_elsewhere_are_to_be_repeated(home: House, post: Poster) -> None:
    """503 with Retry-After; those at the stream's own gateway are taken."""
    first, second = await home.gateway(), await home.gateway()
    async with stream(home, first) as ann:
        await ann.expect("JOINED", room="a")
        home.broker.cut(second.bus)
        status, says, headers = await post(second, f"connection={ann.id}", [PING], bearer=ann.post)
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "same ids" in says
        assert await post.frames(first, ann, PING) == 202
        home.broker.restore(second.bus)
        await eventually(lambda: not second.readiness.reasons())
        assert await post.frames(second, ann, PING) == 202


async def test_thousands_of_posts_are_bounded(
    home: House, post: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait for another gateway that says nothing: the rest is refused at once, and all is given
    back.
    """
    monkeypatch.setattr(stream_posts, "UNDER_WAY", 8)
    monkeypatch.setattr(stream_posts, "ANSWER_S", 300 * MS)
    first, second = await home.gateway(), await home.gateway()
    async with stream(home, first) as ann:
        await ann.expect("JOINED", room="a")
        monkeypatch.setattr(first._link._ends.posts, "passed", lambda _: None)
        statuses = await asyncio.gather(*(post.frames(second, ann, PING) for _ in range(40)))
        assert set(statuses) == {503}
        posts = second._link._ends.posts
        assert not posts._asked
        assert posts._bytes == 0
        monkeypatch.undo()
        assert await post.frames(second, ann, PING) == 202
        mixed = await asyncio.gather(
            *(post.frames(gateway, ann, PING) for gateway in (first, second) for _ in range(150))
        )
        assert set(mixed) <= {202, 429}
        await eventually(lambda: len(ann.of_type("PONG")) == 1 + mixed.count(202))


async def test_a_body_that_does_not_come_ends(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends half of it, or nothing, takes no place for long."""
    monkeypatch.setattr("gateway.shell.publish_endpoint.BODY_S", 200 * MS)
    gateway = await home.gateway()
    async with stream(home, gateway) as ann:
        await ann.expect("JOINED", room="a")
        head = f"POST /publish?connection={ann.id}&post={ann.post} HTTP/1.1\r\nHost: h\r\n"
        answer = await ask(gateway.port, f"{head}Content-Length: 1000\r\n\r\n[".encode())
        assert " 408 " in answer


# ── without one ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_message_is_acknowledged_and_counts_once(home: House, post: Poster) -> None:
    """By its id, whichever gateway it reaches; its client joins no room and is nobody's connection."""
    first = await home.gateway(gateway_settings(auth=JWT))
    second = await home.gateway(gateway_settings(auth=JWT))
    token = Signer().token("ann")
    async with await connect(home.url(first), token=Signer().token("bob")) as bob:
        await bob.join("a")
        chat = {"type": "CHAT", "room": "a", "payload": {"n": 1}, "id": "m1"}
        for gateway in (first, second, first):
            status, ack, _ = await post(gateway, "", chat, bearer=token)
            assert status == 200
            assert ack["type"] == "ACK"
            assert (ack["ref"], ack["room"], ack["payload"]["seq"]) == ("m1", "a", 1)
        assert (await bob.expect("CHAT"))["sender"] == "ann"
        status, ack, _ = await post(second, f"token={token}", {"type": "CHAT", "room": "a"})
        assert (status, ack["payload"]["seq"]) == (200, 2)
        await bob.expect("CHAT", seq=2)
        assert len(bob.of_type("CHAT")) == 2
    assert not [join for join in home.router.of(envelope.Join) if join.user == "ann"]
    assert len(first.connections) == len(second.connections) == 0
    assert first.hub.connections == 0


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        ({"type": "CHAT", "room": "club:1", "id": "m"}, 403, "not_joined"),
        ({"type": "CHAT", "room": "vip:1", "id": "m"}, 403, "forbidden"),
        ({"type": "CHAT", "room": "@bob", "id": "m"}, 400, "invalid_room"),
        ({"type": "CHAT", "id": "m"}, 400, "invalid_message"),
        ({"type": "JOIN", "room": "a", "id": "m"}, 400, "invalid_message"),
        ({"type": "REQUEST", "room": "a", "id": "m"}, 400, "invalid_message"),
        ({"type": "CHAT", "room": "a", "id": "m", "receipt": "seen"}, 400, "invalid_message"),
        ({"type": "CHAT", "room": "a", "id": "~m"}, 400, "invalid_message"),
        ("{", 400, "invalid_format"),
        ("[]", 400, "invalid_format"),
    ],
)
async def test_one_message_is_refused_with_a_status(
    home: House, post: Poster, message: Any, status: int, code: str
) -> None:
    """The same errors as by a WebSocket, each with its status; membership can't be had without a
    connection.
    """
    text = """
- {name: club, pattern: "club:*", publish: members}
- {name: vip, pattern: "vip:*", publish: token}
"""
    namespaces = NamespaceSettings(namespaces=Namespaces.parse(text))
    gateway = await home.gateway(gateway_settings(auth=JWT, namespaces=namespaces))
    got, error, _ = await post(gateway, "", message, bearer=Signer().token("ann"))
    assert (got, error["type"], error["payload"]["code"]) == (status, "ERROR", code)
    assert "close" not in error["payload"]
    assert home.router.of(envelope.Publish) == []


async def test_one_message_needs_a_token_that_holds(home: House, post: Poster) -> None:
    """401 says what to show; no body is read."""
    gateway = await home.gateway(gateway_settings(auth=JWT))
    chat = {"type": "CHAT", "room": "a", "id": "m"}
    for token in ("", "rubbish", Signer().token("ann", expires_in_s=-60)):
        status, error, headers = await post(gateway, "", chat, bearer=token)
        assert (status, error["payload"]["code"]) == (401, "unauthorized")
        assert headers["WWW-Authenticate"] == "Bearer"


async def test_one_message_is_not_a_way_around_a_backend(
    home: House, post: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is blocked, or whose token was revoked, says nothing; and where no router answers, nobody does."""
    gateway = await home.gateway(gateway_settings(auth=JWT))
    shard = shard_of(user_room("ann"), 4)
    chat = {"type": "CHAT", "room": "a", "id": "m"}
    token = Signer().token("ann", jti="t1")
    fold = home.router.folds[shard]
    fold._access.revoke("ann", "t1", 0, 0)
    status, error, _ = await post(gateway, "", chat, bearer=token)
    assert (status, error["payload"]["message"]) == (401, "The token was revoked")
    assert (await post(gateway, "", chat, bearer=Signer().token("ann", jti="t2")))[0] == 200
    fold._access.block(user_room("ann"), "ann", 0)
    status, error, _ = await post(gateway, "", chat, bearer=Signer().token("ann", jti="t2"))
    assert (status, error["payload"]["code"]) == (403, "disconnected")
    fold._access.unblock(user_room("ann"), "ann")
    home.router.answers = False
    monkeypatch.setattr("gateway.shell.one_messages.ANSWER_S", 50 * MS)
    status, error, headers = await post(gateway, "", chat, bearer=Signer().token("ann", jti="t2"))
    assert (status, error["payload"]["code"], headers["Retry-After"]) == (503, "unavailable", "1")


async def test_one_message_counts_in_the_users_rate(home: House, post: Poster) -> None:
    """Each user has that of a connection, whatever tokens it shows."""
    gateway = await home.gateway(gateway_settings(auth=JWT, limits={"rate": 3, "rate_per_ms": 600_000}))
    statuses = [
        (await post(gateway, "", {"type": "CHAT", "room": "a"}, bearer=Signer().token(user)))[0]
        for user in ("ann", "ann", "ann", "ann", "bob", "ann")
    ]
    assert statuses == [200, 200, 200, 429, 200, 429]


async def test_one_message_finds_no_place_in_a_full_pod(home: House, post: Poster) -> None:
    """503, and it may be sent again."""
    gateway = await home.gateway(gateway_settings(limits={"connections": 1}))
    async with await connect(home.url()):
        status, error, headers = await post(gateway, "user=ann", {"type": "CHAT", "room": "a", "id": "m"})
        assert (status, error["payload"]["code"], headers["Retry-After"]) == (503, "overloaded", "1")
    await eventually(lambda: len(gateway.connections) == 0)
    assert (await post(gateway, "user=ann", {"type": "CHAT", "room": "a", "id": "m"}))[0] == 200


async def test_a_user_name_that_is_none_is_told(home: House, post: Poster) -> None:
    """As at a WebSocket."""
    gateway = await home.gateway()
    status, error, _ = await post(gateway, "user=@ann", {"type": "CHAT", "room": "a"})
    assert status == 401
    assert "user" in error["payload"]["message"]
