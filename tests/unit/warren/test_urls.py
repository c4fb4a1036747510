"""URLs: what is taken, what is refused, and that nothing of what is refused is repeated."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from warren.urls import BrokerAddress, WrongURL, check_http, check_listen_host, parse_broker

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)


def why(text: str) -> str:
    with pytest.raises(WrongURL) as caught:
        parse_broker(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("amqp://h", BrokerAddress("amqp", "h")),
        ("AMQPS://h.example:5671/", BrokerAddress("amqps", "h.example", 5671, vhost="/")),
        ("amqp://u:p@10.0.0.1:1//", BrokerAddress("amqp", "10.0.0.1", 1, "u", "p", "/")),
        ("amqp://u:p@[::1]:5672/%2F", BrokerAddress("amqp", "::1", 5672, "u", "p", "/")),
        ("amqp://u:a%2Fb%40%23%3F@h_1/v%2Fw", BrokerAddress("amqp", "h_1", None, "u", "a/b@#?", "v/w")),
        ("amqp://u:a@b@h/", BrokerAddress("amqp", "h", None, "u", "a@b", "/")),
        ("amqp://u@h?heartbeat=0", BrokerAddress("amqp", "h", None, "u", options={"heartbeat": "0"})),
        ("amqps://h?cafile=/a%20b.pem", BrokerAddress("amqps", "h", options={"cafile": "/a b.pem"})),
    ],
)
def test_an_address_is_taken_apart(text: str, address: BrokerAddress) -> None:
    """Escapes are undone, and an empty path, ``//`` and ``%2F`` are the virtual host "/"."""
    assert parse_broker(text) == address
    assert parse_broker(address.url) == address
    assert "p" not in repr(address).partition("password")[2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("amqp://w:se/cret@h/", "a delimiter in it is not escaped"),
        ("amqp://w:se#cret@h/", "a delimiter in it is not escaped"),
        ("amqp://w:se?cret@h/", "a delimiter in it is not escaped"),
        ("amqp://w:a@b/c@h/", "a delimiter in it is not escaped"),
        ("amqp://w:se cret@h/", "a blank"),
        ("amqp://w:se\\cret@h/", "a backslash"),
        ("amqp://w:se%cret@h/", "a % that is not followed"),
        ("amqp://w:%ff@h/", "not UTF-8"),
        ("amqp://w:se[cret@h/", "a bracket before the @"),
        ("amqp://:secret@h/", "a password and no user"),
        ("amqp://w:secret@/", "names no host"),
        ("amqp://w:secret@:5672/", "names no host"),
        ("amqp://", "names no host"),
        ("amqp://h:70000/", "no number from 1 to 65535"),
        ("amqp://h:0/", "no number from 1 to 65535"),
        ("amqp://h:secret/", "no number from 1 to 65535"),
        ("amqp://h:٣/", "no number from 1 to 65535"),
        ("amqp://[::1", "in brackets"),
        ("amqp://[::1]5672", "in brackets"),
        ("amqp://[h]", "in brackets"),
        ("amqp://::1/", "in brackets"),
        ("amqp://1.2.3.400", "neither an IPv4 address"),
        ("amqp://-h", "no name of a host"),
        ("amqp://h..x", "no name of a host"),
        ("amqp://h/a/b", "a / that is not escaped"),
        ("amqp://h?heartbeat=abc", "heartbeat must be a number"),
        ("amqp://h?heartbeat=70000", "heartbeat must be a number"),
        ("amqp://h?timeout=0", "timeout must be a number"),
        ("amqp://h?auth=secret", "plain or external"),
        ("amqp://h?secret=1", "each of its options is one of"),
        ("amqp://h?secret", "no name=value"),
        ("amqp://h?heartbeat=1&heartbeat=2", "given once"),
        ("amqp://h?cafile=/x", "which only amqps:// speaks"),
        ("amqps://h?no_verify_ssl=secret", "0 or 1"),
        ("amqps://h?cadata=secret!", "in base64"),
        ("amqps://h?cafile=", "not empty"),
        ("http://h", "does not begin with amqp:// or amqps://"),
        ("h:5672", "does not begin with amqp:// or amqps://"),
        ("", "does not begin with amqp:// or amqps://"),
    ],
)
def test_a_wrong_address_is_refused_with_a_reason(text: str, reason: str) -> None:
    """The reason names what to look for, and nothing of the address."""
    said = why(text)
    assert reason in said
    assert "secret" not in said
    assert "cret" not in said


@given(TEXTS, TEXTS, TEXTS, st.sampled_from(["h", "h.example", "10.0.0.1", "[2001:db8::1]"]))
def test_what_is_escaped_arrives_at_the_driver_as_it_was(
    user: str, password: str, vhost: str, host: str
) -> None:
    """Any user, password and virtual host get through our parser and through the driver's, and back."""
    escaped = [quote(part, safe="") for part in (user, password, vhost)]
    address = parse_broker(f"amqp://{escaped[0]}:{escaped[1]}@{host}:5672/{escaped[2]}")
    assert (address.user, address.password, address.vhost) == (user, password, vhost)
    url = URL(address.url)
    assert (url.user, url.password, url.port, url.host) == (user, password, 5672, host.strip("[]"))
    assert parse_broker(address.url) == address


@given(st.text(max_size=60), st.sampled_from(["amqp://", "amqps://", "amqp://u:", "http://", ""]))
def test_anything_is_an_address_or_a_wrong_one(text: str, begin: str) -> None:
    """Nothing else is ever raised, also not later by the driver that is given what was taken."""
    try:
        address = parse_broker(begin + text)
    except WrongURL:
        return
    url = URL(address.url)
    assert url.host
    assert (url.password or "") == address.password


@given(st.text("abcdefgh0123456789/?#@:[]%, \\", min_size=8, max_size=30))
def test_no_part_of_a_password_is_repeated(password: str) -> None:
    """Whatever is in a password, what is said of its address has no three characters of it in a row that are
    not in every reason.
    """
    said = ""
    try:
        parse_broker(f"amqp://warren:{password}@broker.example:5672/")
    except WrongURL as wrong:
        said = str(wrong)
    assert not [at for at in range(len(password) - 4) if password[at : at + 5] in said]


@pytest.mark.parametrize(
    "text", ["http://h:4318", "https://u:p%2F@[::1]/a?b=c", "http://collector.svc.cluster.local./v1"]
)
def test_an_http_address_is_taken(text: str) -> None:
    """With a user, a path and a query."""
    check_http(text)


@pytest.mark.parametrize(
    "text",
    ["h:4318", "http://", "http://h:x", "http://h:70000", "http://u:se/cret@h", "ftp://h", "http://[::1"],
)
def test_a_wrong_http_address_is_refused(text: str) -> None:
    """By the same rules as a broker's."""
    with pytest.raises(WrongURL) as caught:
        check_http(text)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "127.0.0.1", "localhost", "gateway-0.svc", "*"])
def test_a_host_to_listen_on(text: str) -> None:
    """An address of either family, a name, or every address."""
    check_listen_host(text)


@pytest.mark.parametrize("text", ["[::]", "1.2.3", "0.0.0.0:80", "::x", "a b", "http://h", "-", "a..b"])
def test_no_host_to_listen_on(text: str) -> None:
    """Brackets, ports and URLs do not belong there."""
    with pytest.raises(WrongURL):
        check_listen_host(text)
