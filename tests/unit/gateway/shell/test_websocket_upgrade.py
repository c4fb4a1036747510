"""What an upgrade's headers decide."""

from __future__ import annotations

import ipaddress

import pytest
from aiohttp import HttpVersion10, HttpVersion11
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.shell import websocket_upgrade


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [
        ([], ""),
        (["bearer.abc"], ""),
        (["bearer.abc", "grant.d.e"], ""),
        (["grant.d.e", "warren.v1"], "warren.v1"),
        (["mqtt", "grant.d.e"], None),
        (["warren.v1"], "warren.v1"),
        (["bearer.abc", "warren.v1.msgpack", "warren.v1"], "warren.v1.msgpack"),
        (["mqtt", "warren.v1"], "warren.v1"),
        (["mqtt"], None),
        (["mqtt", "bearer.abc"], None),
        (["WARREN.V1"], None),
    ],
)
def test_the_first_subprotocol_we_speak_is_chosen(offers, chosen):
    """Tokens and grants are no subprotocols; where none was offered there is none, where none is spoken None."""
    assert websocket_upgrade.choose_subprotocol(offers) == chosen


NETWORKS = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "2001:db8::/32")))


@pytest.mark.parametrize(
    ("peer", "headers", "trusted", "address"),
    [
        ("203.0.113.1", ["1.2.3.4"], NETWORKS, "203.0.113.1"),
        ("10.0.0.1", [], NETWORKS, "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4"], (), "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4"], NETWORKS, "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4", "10.9.9.9"], NETWORKS, "1.2.3.4"),
        ("10.0.0.1", ["10.0.0.2"], NETWORKS, "10.0.0.2"),
        ("10.0.0.1", ["junk"], NETWORKS, "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4:5678"], NETWORKS, "1.2.3.4"),
        ("2001:db8::1", ['"[2001:db9::7]:99"'], NETWORKS, "2001:db9::7"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], NETWORKS, "1.2.3.4"),
        ("", ["1.2.3.4"], NETWORKS, ""),
    ],
)
def test_the_client_behind_trusted_proxies(peer, headers, trusted, address):
    """The last address that no trusted proxy has is the client's; what stands before it is not believed."""
    assert websocket_upgrade.client_address(peer, headers, trusted) == address


@given(st.text(max_size=80), st.lists(st.text(max_size=40), max_size=3))
def test_no_header_raises(text, values):
    """Whatever a client writes into its headers, nothing is raised."""
    websocket_upgrade.choose_subprotocol(websocket_upgrade.parse_list(text))
    websocket_upgrade.client_address("10.0.0.1", values, NETWORKS)


HANDSHAKE = {
    "Host": "chat.example",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def headers(**changed: str) -> CIMultiDictProxy[str]:
    named = {name.replace("_", "-"): value for name, value in changed.items()}
    return CIMultiDictProxy(CIMultiDict(HANDSHAKE | named))


def test_an_upgrade_is_answered_by_the_book():
    """The accept value is that of RFC 6455 section 1.3; what was chosen is named, and nothing else."""
    plain = websocket_upgrade.answer(headers(), HttpVersion11, "", "").decode()
    assert plain.split("\r\n") == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "",
        "",
    ]
    rich = websocket_upgrade.answer(
        headers(Upgrade="WebSocket"), HttpVersion11, "warren.v1", "permessage-deflate; x"
    ).decode()
    assert "\r\nSec-WebSocket-Protocol: warren.v1\r\n" in rich
    assert "\r\nSec-WebSocket-Extensions: permessage-deflate; x\r\n" in rich


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"Upgrade": "h2c"}, "WebSockets only"),
        ({"Connection": "keep-alive"}, "WebSockets only"),
        ({"Sec_WebSocket_Version": "8"}, "version"),
        ({"Sec_WebSocket_Version": ""}, "version"),
        ({"Sec_WebSocket_Key": ""}, "Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": "c2hvcnQ="}, "Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": "not base64!"}, "Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Key": "\udce9"}, "Sec-WebSocket-Key"),
        ({"Host": ""}, "Host"),
        ({"Content_Length": "5"}, "no body"),
        ({"Transfer_Encoding": "chunked"}, "no body"),
    ],
)
def test_what_asks_for_no_websocket_is_refused(changed: dict[str, str], named: str):
    """Each part of the handshake must be there and right, there is no body, and the refusal says what is
    wrong.
    """
    with pytest.raises(websocket_upgrade.NoWebSocket, match=named):
        websocket_upgrade.answer(headers(**changed), HttpVersion11, "", "")


@pytest.mark.parametrize("name", ["Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version"])
def test_what_may_stand_there_once_is_refused_twice(name: str):
    """RFC 6455 section 11.3 and RFC 9112: two values leave open which one counts."""
    twice = CIMultiDict(HANDSHAKE)
    twice.add(name, HANDSHAKE[name])
    with pytest.raises(websocket_upgrade.NoWebSocket, match=name):
        websocket_upgrade.answer(CIMultiDictProxy(twice), HttpVersion11, "", "")


def test_an_upgrade_needs_http_1_1():
    """HTTP/1.0 knows no upgrade; the refusal names the setting of the proxy that is the usual cause. An empty
    body is none.
    """
    with pytest.raises(websocket_upgrade.NoWebSocket, match="proxy_http_version"):
        websocket_upgrade.answer(headers(), HttpVersion10, "", "")
    assert websocket_upgrade.answer(headers(Content_Length="0"), HttpVersion11, "", "").startswith(
        b"HTTP/1.1 101 "
    )


def test_the_headers_that_were_chosen_are_kept():
    """Whatever their case; a repeated one as one, a long one cut, and what is no text replaced."""
    sent = CIMultiDictProxy(
        CIMultiDict(
            [("Cookie", "a=\udcff1"), ("X-Tag", "x"), ("x-tag", "y"), ("Long", "z" * 5_000), ("Other", "no")]
        )
    )
    long = "z" * websocket_upgrade.HEADER_MAX
    assert websocket_upgrade.chosen_headers(sent, ("cookie", "x-tag", "long", "absent")) == (
        ("cookie", "a=?1"), ("x-tag", "x, y"), ("long", long)
    )  # fmt: skip
    assert websocket_upgrade.chosen_headers(sent, ()) == ()
