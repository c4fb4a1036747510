"""The HTTP API: who is let in, what is refused and how, and what it may cost."""

import asyncio
import json
import logging
from dataclasses import replace

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from tests.support.eventually import MS, eventually
from tests.support.gateways import logged
from tests.support.ports import free_port
from tests.support.raw import ask
from tests.support.router_context import router_context
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core.api_keys import EVERYTHING, ApiKey, ApiKeys, KeyRate, Scope, hash_of
from router.core.attempt_limits import FAILURES
from router.core.placement import Placement
from router.shell import http_api
from router.shell.control import Control
from router.shell.http_api import HttpApi, HttpApiLimits
from router.shell.message_writer import MessageWriter
from router.shell.peer_messages import PeerMessages
from router.shell.router_calls import RouterCalls
from warren.batch import BatchLimits
from warren.contract.installation import SampleList
from warren.contract.problem import PROBLEM_TYPE
from warren.envelope import Publish, decode
from warren.namespaces import Namespaces
from warren.topology import Topology

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
KEYS = ApiKeys(
    [
        ApiKey("all", (hash_of(b"k"),), EVERYTHING),
        ApiKey("chat", (hash_of(b"chat"),), (Scope("publish", "chat:*"),)),
        ApiKey("slow", (hash_of(b"slow"),), EVERYTHING, KeyRate(3, 1_000)),
        ApiKey("old", (hash_of(b"old"),), EVERYTHING, None, 1),
    ]
)
NAMESPACES = Namespaces.parse(
    [{"name": "trades", "pattern": "trades:*", "schemas": {"deal.done": {"type": "object"}}}]
)
BODY = {"address": "room.chat:a", "payload": {"text": "hi"}}


class Known:
    """Keys that are known already."""

    def __init__(self):
        self.keys = KEYS

    async def start(self):
        pass

    async def stop(self):
        pass


class Whole:
    """What is known of the whole installation."""

    def answer(self, body):
        return SampleList(every_ms=2_000, samples=[])


class Harness:
    def __init__(self, connections=100):
        self.bus, self.clock = ScriptedBus(), ManualClock()
        self.context = router_context(self.bus, clock=self.clock, topology=Topology(shards=1))
        self.outbox = PeerMessages(self.context)
        calls = RouterCalls("r1", Placement("r1", 1), self.outbox, self.context.metrics)
        self.writer = MessageWriter(self.context, BatchLimits())
        self.keys = Known()
        limits = HttpApiLimits("127.0.0.1", free_port(), connections, max_payload=1_000)
        control = Control(self.context, self.writer, calls, [], Whole())
        self.api = HttpApi(self.context, control, self.keys, limits, NAMESPACES)
        self.port = limits.port

    async def start(self):
        await self.api.start()
        self.session = aiohttp.ClientSession(f"http://127.0.0.1:{self.port}")
        return self

    async def stop(self):
        self.bus.release()
        await self.session.close()
        await self.api.stop()
        await self.writer.close()
        await self.outbox.close()

    async def ask(self, path="/v1/publish", body=BODY, *, key="k", method="POST", **headers):
        """Return the status and the answer; where it is a refusal, see that it is a whole problem."""
        own = {"Authorization": f"Bearer {key}"} if key else {}
        data = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        kind = {} if data is None else {"Content-Type": "application/json"}
        sent = {**own, **kind, **headers}
        async with self.session.request(method, path, data=data, headers=sent) as response:
            text = await response.read()
            self.headers = response.headers
            if response.status >= 400 and method != "HEAD":
                check(response.status, response.headers, text)
            return response.status, json.loads(text) if text and "json" in response.content_type else text

    def written(self):
        envelopes = [each for published in self.bus.published for each in decode(published.body)]
        return [each for each in envelopes if isinstance(each, Publish)]


def check(status, headers, text):
    problem = json.loads(text)
    assert headers["Content-Type"] == PROBLEM_TYPE
    assert problem["status"] == status
    assert problem["type"] == f"/v1/#{problem['code']}"
    assert isinstance(problem["retry"], bool)
    assert problem["detail"]
    assert len(problem["trace_id"]) == 32
    assert ("Retry-After" in headers) == ("retry_after_ms" in problem)


@pytest_asyncio.fixture
async def harness():
    harness = await Harness().start()
    yield harness
    await harness.stop()


async def test_a_message_goes_into_the_log(harness):
    """With the header as its id, and the trace of its sender."""
    status, answer = await harness.ask(**{"Idempotency-Key": "m1", "traceparent": TRACE})
    assert (status, answer) == (200, {"id": "m1", "address": "room.chat:a"})
    assert harness.headers["Cache-Control"] == "no-store"
    assert harness.headers["Server"] == "warren"
    (message,) = harness.written()
    assert (message.room, message.id, message.payload) == ("chat:a", "m1", b'{"text":"hi"}')


async def test_only_a_key_lets_in(harness):
    """None, a wrong one, one that has expired, one of another scheme; before the body is looked at."""
    for key, words in (("", "needed"), ("x", "not known"), ("old", "old has expired")):
        status, problem = await harness.ask(key=key, body=b"{")
        assert (status, problem["code"]) == (401, "unauthorized")
        assert words in problem["detail"]
        assert harness.headers["WWW-Authenticate"].startswith("Bearer")
    assert (await harness.ask(key="", Authorization="Basic k"))[0] == 401
    assert (await harness.ask(key="", Authorization="bearer k"))[0] == 200
    assert (await harness.ask(key="k\xe9"))[0] == 401
    assert len(harness.written()) == 1


async def test_a_key_does_what_its_scopes_allow(harness, caplog):
    """A refusal names the scope that is missing, and has a line with the name of the key alone."""
    assert (await harness.ask(key="chat"))[0] == 200
    with caplog.at_level(logging.WARNING):
        status, problem = await harness.ask(key="chat", body={**BODY, "address": "user.ann"})
    assert (status, problem["code"]) == (403, "forbidden")
    assert "publish:@ann" in problem["detail"]
    (line,) = logged(caplog.records, "control_publish")
    assert (line["by"], line["trace_id"]) == ("chat", problem["trace_id"])


async def test_a_problem_has_the_trace_of_its_request(harness):
    """So that both sides find the same line."""
    _, problem = await harness.ask(body=b"{", traceparent=TRACE)
    assert problem["trace_id"] == TRACE[3:35]


async def test_keys_that_are_replaced_count_at_once(harness):
    """Also on a connection that is open."""
    assert (await harness.ask())[0] == 200
    harness.keys.keys = ApiKeys()
    assert (await harness.ask())[0] == 401


async def test_a_key_is_used_at_its_rate(harness):
    """A batch counts as many as it has messages; others are not held up."""
    assert (await harness.ask(key="slow"))[0] == 200
    batch = {"messages": [BODY] * 5}
    assert (await harness.ask("/v1/batch", batch, key="slow"))[0] == 200
    status, problem = await harness.ask(key="slow")
    assert (status, problem["code"], problem["retry"]) == (429, "rate_limited", True)
    assert int(harness.headers["Retry-After"]) * 1_000 >= problem["retry_after_ms"] > 0
    assert (await harness.ask())[0] == 200
    harness.clock.advance(5.0)
    assert (await harness.ask(key="slow"))[0] == 200


async def test_wrong_keys_from_one_address_are_told_to_wait(harness, caplog):
    """The log is not flooded; a right key at the same address is let in."""
    with caplog.at_level(logging.WARNING):
        statuses = [(await harness.ask(key=f"guess{number}"))[0] for number in range(FAILURES.count + 5)]
    assert statuses == [401] * FAILURES.count + [429] * 5
    assert len(logged(caplog.records, "api_key_refused")) == FAILURES.count
    assert "guess" not in caplog.text
    assert (await harness.ask())[0] == 200


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"path": "/"}, 404, "not_found"),
        ({"path": "/v1/dance"}, 404, "not_found"),
        ({"path": "/v1/publish/"}, 404, "not_found"),
        ({"method": "GET", "body": None}, 405, "method_not_allowed"),
        ({"method": "PATCH"}, 405, "method_not_allowed"),
        ({"method": "OPTIONS", "body": None, "Origin": "https://a.example"}, 405, "method_not_allowed"),
        ({"path": "/v1/", "method": "POST"}, 405, "method_not_allowed"),
        ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        ({"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
        ({"body": b"{"}, 400, "invalid_format"),
        ({"body": b""}, 400, "invalid_message"),
        ({"body": {"address": "x"}}, 400, "invalid_message"),
        ({"body": {**BODY, "payload": "x" * 2_000}}, 413, "message_too_large"),
        ({"body": b" " * 200_000}, 413, "message_too_large"),
        ({"Expect": "a-miracle"}, 417, "expectation_failed"),
        ({"Idempotency-Key": ""}, 400, "invalid_message"),
        ({"Expect": "", "body": b"{"}, 400, "invalid_format"),
    ],
)
async def test_whatever_is_refused_is_a_problem_under_its_status(harness, asked, status, code):
    """And nothing is written."""
    found, problem = await harness.ask(**asked)
    assert (found, problem["code"]) == (status, code)
    assert ("Allow" in harness.headers) == (status == 405)
    assert harness.written() == []


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"HELLO\r\n\r\n", 400, "invalid_format"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 10_000 + b"\r\n", 431, "headers_too_large"),
        (b"POST /v1/publish HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400, "invalid_format"),
    ],
)
async def test_what_is_no_request_is_a_problem_too(harness, sent, status, code):
    """It is written before there is a request to answer."""
    answer = await ask(harness.port, sent)
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, code)
    assert f"Content-Type: {PROBLEM_TYPE}" in head


def request(body=b"", *more):
    head = b"POST /v1/publish HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n"
    return head + b"".join(line + b"\r\n" for line in more) + b"\r\n" + body


async def test_a_body_that_does_not_come_is_not_waited_for(harness, monkeypatch):
    """408, and the connection ends."""
    monkeypatch.setattr(http_api, "BODY_S", 20 * MS)
    answer = await ask(harness.port, request(b"{", b"Content-Length: 100"))
    assert answer.startswith("HTTP/1.1 408 ")
    assert json.loads(answer.partition("\r\n\r\n")[2])["code"] == "request_timeout"


async def test_a_body_of_unknown_length_is_read_as_far_as_it_may_go(harness):
    """And one in broken pieces is a problem."""
    body = msgspec.json.encode(BODY)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    answer = await ask(harness.port, request(chunked, b"Transfer-Encoding: chunked", b"Connection: close"))
    assert answer.startswith("HTTP/1.1 200 ")
    large = b"%x\r\n%s\r\n" % (200_000, b" " * 200_000)
    answer = await ask(harness.port, request(large, b"Transfer-Encoding: chunked", b"Connection: close"))
    assert answer.startswith("HTTP/1.1 413 ")
    answer = await ask(harness.port, request(b"zz\r\n", b"Transfer-Encoding: chunked"))
    assert answer.startswith("HTTP/1.1 400 ")


async def test_the_second_request_of_a_connection_is_bounded_like_the_first(harness):
    """A head without an end is cut off."""
    body = msgspec.json.encode(BODY)
    first = request(body, b"Content-Length: %d" % len(body))
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.port)
    for _ in range(3):
        writer.write(first)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    writer.write(b"POST /v1/publish HTTP/1.1\r\n")
    for _ in range(40):
        writer.write(b"X: " + b"a" * 1_000 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_all_bodies_together_are_bounded(harness, monkeypatch):
    """One more is told to come again, and comes when there is room."""
    body = msgspec.json.encode(BODY)
    monkeypatch.setattr(http_api, "BODIES_BYTES", 2 * len(body))
    harness.bus.held = True
    waiting = [asyncio.create_task(harness.ask()) for _ in range(2)]
    await eventually(harness.written)
    await asyncio.sleep(0)
    status, problem = await harness.ask()
    assert (status, problem["code"], problem["retry"]) == (503, "overloaded", True)
    assert harness.headers["Retry-After"]
    harness.bus.release()
    assert [status for status, _ in await asyncio.gather(*waiting)] == [200, 200]
    assert (await harness.ask())[0] == 200


async def test_one_key_can_not_have_all_connections():
    """Half of them are for the others."""
    harness = await Harness(connections=4).start()
    harness.bus.held = True
    waiting = [asyncio.create_task(harness.ask(key="chat")) for _ in range(2)]
    await eventually(
        lambda: (
            harness.context.metrics.registry.get_sample_value("warren_router_waiting", {"buffer": "http_api"})
            == 2
        )
    )
    assert (await harness.ask(key="chat"))[0] == 503
    harness.bus.release()
    assert [status for status, _ in await asyncio.gather(*waiting)] == [200, 200]
    await harness.stop()


async def test_one_connection_too_many_is_told_so():
    """As a problem, at once."""
    harness = await Harness(connections=1).start()
    _, writer = await asyncio.open_connection("127.0.0.1", harness.port)
    answer = ""
    for _ in range(50):
        answer = await ask(harness.port, b"GET /v1/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        if " 503 " in answer:
            break
    assert answer.startswith("HTTP/1.1 503 ")
    assert "Retry-After: 1" in answer
    assert json.loads(answer.partition("\r\n\r\n")[2])["code"] == "overloaded"
    writer.close()
    await harness.stop()


async def test_a_fault_of_ours_says_nothing_but_where_to_look(harness, monkeypatch, caplog):
    """The trace id is in the log."""

    async def fails(*_):
        raise ValueError("a secret")

    monkeypatch.setattr(harness.api._control, "do", fails)
    with caplog.at_level(logging.ERROR):
        status, problem = await harness.ask()
    assert (status, problem["code"]) == (500, "internal")
    assert "secret" not in json.dumps(problem)
    (line,) = logged(caplog.records, "http_api_failed")
    assert line["trace_id"] == problem["trace_id"]


async def test_the_document_and_the_page_are_for_everyone(harness):
    """They tell nothing of this installation."""
    status, document = await harness.ask("/v1/openapi.json", None, key="", method="GET")
    assert (status, document["openapi"]) == (200, "3.1.0")
    status, page = await harness.ask("/v1/", None, key="", method="GET")
    assert status == 200
    assert b"<!doctype html>" in page
    assert "default-src 'none'" in harness.headers["Content-Security-Policy"]
    assert (await harness.ask("/v1/", None, key="", method="HEAD"))[0] == 200
    assert (await harness.ask("/v1", None, key="", method="GET"))[0] == 200


async def test_without_a_port_nothing_listens():
    """It is off by default."""
    harness = Harness()
    harness.api._limits = HttpApiLimits("127.0.0.1", 0)
    await harness.api.start()
    assert harness.api.port == 0
    await harness.api.stop()


async def test_the_asyncapi_document_has_the_applications_schemas_and_takes_a_key(harness):
    """Whoever has a key may read what messages look like; nobody else, and nobody may change it."""
    status, document = await harness.ask("/v1/asyncapi.json", None, key="chat", method="GET")
    assert (status, document["asyncapi"]) == (200, "3.0.0")
    assert document["components"]["schemas"]["trades.deal.done"] == {"type": "object"}
    assert (await harness.ask("/v1/asyncapi.json", None, key="", method="GET"))[0] == 401
    assert (await harness.ask("/v1/asyncapi.json", None, method="POST"))[0] == 405


async def test_a_key_is_told_what_it_may_do(harness):
    """A page offers nothing else by that; whoever has none, or an old one, learns nothing."""
    status, rights = await harness.ask("/v1/key", None, key="chat", method="GET")
    assert (status, rights) == (
        200,
        {"name": "chat", "scopes": [{"verb": "publish", "pattern": "chat:*"}]},
    )
    for key in ("", "wrong", "old"):
        assert (await harness.ask("/v1/key", None, key=key, method="GET"))[0] == 401
    assert (await harness.ask("/v1/key", {}, key="chat"))[0] == 405


async def test_the_whole_installation_needs_a_scope_of_its_own(harness):
    """For all of its paths the same."""
    status, answer = await harness.ask("/v1/samples?after=5", None, method="GET")
    assert (status, answer) == (200, {"every_ms": 2_000, "samples": []})
    for path in ("overview", "samples", "gateways", "shards"):
        status, problem = await harness.ask(f"/v1/{path}", None, key="chat", method="GET")
        assert (status, problem["detail"]) == (403, "The key has no scope that covers overview.")


async def test_the_admin_page_is_everybodys_and_may_be_off(harness):
    """It holds no secret; where it is off its paths are as unknown as any."""
    status, page = await harness.ask("/admin/", None, key="", method="GET")
    assert status == 200
    assert b"<!doctype html>" in page
    assert "frame-ancestors 'none'" in harness.headers["Content-Security-Policy"]
    assert harness.headers["Server"] == "warren"
    assert (await harness.ask("/admin/main.js", None, key="", method="HEAD"))[0] == 200
    assert (await harness.ask("/admin/main.js", {}))[0] == 405
    assert "/admin/" in (await harness.ask("/", None, method="GET"))[1]["detail"]
    await harness.api.stop()
    off = replace(harness.api._limits, admin=False)
    api = HttpApi(harness.context, harness.api._control, harness.keys, off)
    await api.start()
    try:
        assert (await harness.ask("/admin/", None, method="GET"))[0] == 404
        assert "/admin/" not in (await harness.ask("/", None, method="GET"))[1]["detail"]
    finally:
        await api.stop()
