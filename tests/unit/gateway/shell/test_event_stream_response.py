"""The head of a stream, and what pages of other origins may read."""

from __future__ import annotations

import pytest

from gateway.shell.event_stream_response import head, preflight, shared_with


@pytest.mark.parametrize("chunked", [True, False])
def test_a_head_is_whole(chunked: bool):
    """One status line, each header once, and an empty line; nobody keeps or holds back what follows."""
    text = head([("Vary", "Origin")], chunked=chunked).decode()
    assert text.startswith("HTTP/1.1 200 OK\r\n")
    assert text.endswith("\r\n\r\n")
    headers = [line.split(": ")[0].lower() for line in text.split("\r\n")[1:-2]]
    assert len(headers) == len(set(headers))
    assert {"cache-control", "x-accel-buffering", "content-type", "vary", "connection"} < set(headers)
    assert ("transfer-encoding" in headers) == chunked


def test_who_may_read_is_named():
    """With cookies; where anybody may, without them, since any page could use them. Caches keep the answers
    apart.
    """
    named = dict(shared_with("https://app.test", ["https://app.test"]))
    assert named["Access-Control-Allow-Origin"] == "https://app.test"
    assert named["Access-Control-Allow-Credentials"] == "true"
    anybody = dict(shared_with("https://app.test", ["*"]))
    assert anybody["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in anybody
    assert named["Vary"] == anybody["Vary"] == "Origin"
    assert dict(shared_with("", [])) == {"Vary": "Origin"}


def test_a_preflight_says_what_may_be_sent():
    """What ours sends, for as long as a browser remembers."""
    said = dict(preflight())
    assert said["Access-Control-Allow-Methods"] == "GET, POST"
    assert "Last-Event-ID" in said["Access-Control-Allow-Headers"]
    assert int(said["Access-Control-Max-Age"]) > 0
