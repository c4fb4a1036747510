"""Attacks on everything before a WebSocket is open: sockets, HTTP, the upgrade, tokens. Also on ``/ws/echo``,
which has no rate limit.
"""

from __future__ import annotations

from bench.attack.frames import PING, deflated, frame
from bench.attack.message_patterns import LARGE
from bench.attack.plans import Attack, Plan, Scene, Swarm

KIND = "edge"
GET = b"GET /ws HTTP/1.1\r\nHost: h\r\n"
NOWHERE = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
STATS = b"GET /websocket-stats HTTP/1.1\r\nHost: h\r\n\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500  # TLS
POST = b"POST /ws HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n"
CHUNKED = b"POST /ws HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
ASKED = frame(b"", PING)


def _over_and_over(request: bytes) -> tuple[Plan, ...]:
    """Request after request on the same connections."""
    return (Swarm(4, raw=request, again=request * 100, returns=0.0),)


def _large_head(_: Scene) -> tuple[Plan, ...]:
    hops = b"X-Forwarded-For: " + b"10.0.0.1, " * 250 + b"10.0.0.1\r\n"
    offers = b"Sec-WebSocket-Protocol: " + b"a," * 1_000 + b"b\r\n"
    extensions = (
        b"Sec-WebSocket-Extensions: " + b"permessage-deflate; server_max_window_bits=9, " * 45 + b"x\r\n"
    )
    return (Swarm(20, headers=hops + offers + extensions, once=ASKED, hangs_up=True, returns=0.0),)


def _tokens(_: Scene) -> tuple[Plan, ...]:
    return (
        Swarm(20, once=frame(b'{"type":"AUTH","payload":{"token":"%s"}}' % (b"e30." * 2_000)), returns=0.0),
    )


def _many_headers(_: Scene) -> tuple[Plan, ...]:
    return (
        Swarm(
            20,
            headers=b"".join(b"a%x: b\r\n" % number for number in range(3_000)),
            once=ASKED,
            hangs_up=True,
            returns=0.0,
        ),
    )


ATTACKS: tuple[Attack, ...] = (
    Attack("sockets", KIND, "3,000 connections on which nothing is said", lambda _: (Swarm(3_000, raw=b"G", opens_per_s=1_500, returns=None),)),
    Attack("upgrades", KIND, "20 strangers who upgrade and hang up, again and again", lambda _: (Swarm(20, hangs_up=True, once=ASKED, returns=0.0),)),
    Attack("upgrades-members", KIND, "20 members who do", lambda _: (Swarm(20, token="member", hangs_up=True, once=ASKED, returns=0.0),)),
    Attack("upgrades-refused", KIND, "requests to /ws that are no upgrade, on four connections", lambda _: _over_and_over(GET + b"\r\n")),
    Attack("not-found", KIND, "requests for what is not there", lambda _: _over_and_over(NOWHERE)),
    Attack("stats", KIND, "requests for /websocket-stats", lambda _: _over_and_over(STATS)),
    Attack("not-found-unread", KIND, "the same by 20 who read no answer", lambda _: (Swarm(20, raw=NOWHERE, again=NOWHERE * 2_000, reads=False),)),
    Attack("no-http", KIND, "20 who speak TLS to a port that has none", lambda _: (Swarm(20, raw=HELLO, returns=0.02),)),
    Attack("heads-slow", KIND, "1,000 who send a line of their request every second", lambda _: (Swarm(1_000, raw=GET, again=b"X-A: b\r\n", every=1.0, opens_per_s=500),)),
    Attack("heads-endless", KIND, "20 who send a head without end", lambda _: (Swarm(20, raw=GET, again=b"X-A: b\r\n" * 500, returns=0.02),)),
    Attack("heads-large", KIND, "20 whose heads are full of proxies, protocols and offers", _large_head),
    Attack("heads-many", KIND, "20 whose heads have 3,000 lines", _many_headers),
    Attack("bodies", KIND, "20 who send a body without end to /ws", lambda _: (Swarm(20, raw=POST, again=b"x" * 65_536, returns=0.02),)),
    Attack("bodies-chunked", KIND, "20 who send one in chunks of a byte", lambda _: (Swarm(20, raw=CHUNKED, again=b"1\r\nx\r\n" * 10_000, returns=0.02),)),
    Attack("tokens-bad", KIND, "20 strangers with tokens of another secret", lambda _: (Swarm(20, token="bad", returns=0.0),)),
    Attack("tokens-no-jwt", KIND, "20 strangers who AUTH with 8 kB that is no token", _tokens),
    Attack("echo", KIND, "one at /ws/echo: messages of two bytes", lambda _: (Swarm(1, path="/ws/echo", again=frame(b"{}") * 10_000),)),
    Attack("echo-large", KIND, "one at /ws/echo: messages of 1 MiB, compressed both ways", lambda _: (Swarm(1, path="/ws/echo", deflate=True, again=deflated(b"ab" * (LARGE // 2)) * 10),)),
)  # fmt: skip
