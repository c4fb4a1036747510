"""Origins: which pages may connect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.origins import LOCAL, is_entry, origin_allowed


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("https://example.com", "example.com", True),
        ("https://example.com", "example.com:443", True),
        ("http://example.com", "example.com:80", True),
        ("https://example.com:443", "example.com", True),
        ("http://example.com:80", "EXAMPLE.com", True),
        ("HTTPS://Example.COM", "example.com:443", True),
        ("http://example.com:8080", "example.com:8080", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://[::1]", "[0:0:0:0:0:0:0:1]:80", True),
        ("https://example.com", "example.com:80", False),
        ("http://example.com", "example.com:443", False),
        ("https://example.com:8443", "example.com", False),
        ("https://example.com", "example.com:8443", False),
        ("https://example.com@evil.test", "example.com", False),
        ("https://example.com:443@evil.test", "example.com:443", False),
        ("https://evil.test/example.com", "example.com", False),
        ("https://evil.test#example.com", "example.com", False),
        ("https://evil.test\\example.com", "example.com", False),
        ("https://example.com.evil.test", "example.com", False),
        ("https://example.com, https://evil.test", "example.com", False),
        ("null", "null", False),
        ("null", "", False),
        ("example.com", "example.com", False),
        ("https://", "", False),
        ("https://*", "*", False),
        ("https://example.com", "user@example.com", False),
        ("https://example.com", "", False),
    ],
)
def test_a_page_of_the_same_host_may_connect(origin: str, host: str, same: bool) -> None:
    """A default port is the same as none, case counts for nothing, and what only looks like the host is
    another.
    """
    assert origin_allowed(origin, host, ()) is same


@pytest.mark.parametrize(
    ("origin", "allowed", "may"),
    [
        ("", (), True),
        ("https://evil.test", ("*",), True),
        ("null", ("*",), True),
        ("null", ("null",), True),
        ("null", ("https://*.example",), False),
        ("https://app.example", ("https://APP.example:443/",), True),
        ("https://app.example:443", ("https://app.example",), True),
        ("https://app.example:444", ("https://app.example",), False),
        ("https://CHAT.example", (), True),
        ("https://evil.test", (), False),
        ("null", (), False),
        ("http://[", (), False),
        ("http://[", ("https://*.example",), False),
        ("https://app.example", ("https://app.example/",), True),
        ("http://a.app.example", ("https://*.app.example",), False),
        ("http://app.example", ("https://app.example",), False),
        ("https://a.b.app.example", ("https://*.app.example",), True),
        ("https://app.example", ("https://*.app.example",), False),
        ("https://evil.test/.app.example", ("https://*.app.example",), False),
        ("https://evil.test:1.app.example", ("https://*.app.example",), False),
        ("https://x@y.app.example", ("https://*.app.example",), False),
        ("https://app-7.example", ("https://app-*.example",), True),
        ("https://a.app.example:8443", ("https://*.app.example",), False),
        ("https://a.app.example:8443", ("https://*.app.example:*",), True),
        ("http://localhost", LOCAL, True),
        ("http://localhost:5173", LOCAL, True),
        ("http://127.0.0.1:3000", LOCAL, True),
        ("http://[::1]:3000", LOCAL, True),
        ("https://localhost:5173", LOCAL, False),
        ("http://localhost.evil.test:5173", LOCAL, False),
        ("http://localhost:evil", LOCAL, False),
        ("http://localhost:*", LOCAL, False),
        ("capacitor://localhost", ("capacitor://localhost",), True),
    ],
)
def test_a_page_of_another_host_may_connect_where_it_is_listed(
    origin: str, allowed: tuple[str, ...], may: bool
) -> None:
    """A star stands for a part of the host, or for any port."""
    assert origin_allowed(origin, "chat.example", allowed) is may


@pytest.mark.parametrize(
    "text", ["*", "null", "https://a", "https://a/", "https://*.a", "http://localhost:*", "http://[::1]:8080"]
)
def test_what_can_be_listed(text: str) -> None:
    """Origins, with one star in the host and one for the port."""
    assert is_entry(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.example",
        "https://",
        "https://a/b",
        "https://*.*.a",
        "https://u@a",
        "https://[::1",
        "http://a:b",
    ],
)
def test_what_cannot_be_listed(text: str) -> None:
    """Anything that no page's origin could match."""
    assert not is_entry(text)


@given(st.text(max_size=60), st.text(max_size=40), st.lists(st.text(max_size=30), max_size=3))
def test_nothing_raises_and_nothing_unlisted_gets_in(origin: str, host: str, allowed: list[str]) -> None:
    """Whatever stands in headers and in the list."""
    for each in (origin, f"https://{origin}", f"https://{host}@{origin}"):
        may = origin_allowed(each, host, allowed)
        if may and each and "*" not in allowed:
            assert "@" not in each


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){0,2}", fullmatch=True),
    st.integers(1, 65_535),
)
def test_a_host_is_its_own_origin_whatever_the_port(scheme: str, host: str, port: int) -> None:
    """With the port said on both sides, and on one side only where it is the default."""
    default = {"http": 80, "https": 443}[scheme]
    assert origin_allowed(f"{scheme}://{host}:{port}", f"{host}:{port}", ())
    assert origin_allowed(f"{scheme}://{host}", f"{host}:{port}", ()) is (port == default)
    assert origin_allowed(f"{scheme}://{host}:{port}", host, ()) is (port == default)


@given(st.text(max_size=80), st.lists(st.text(max_size=20), max_size=3))
def test_no_origin_raises(text: str, allowed: list[str]) -> None:
    """Whatever stands in the header and in the list: and a star lets everything in."""
    assert origin_allowed(text, "h", ("*", *allowed)) is True
    origin_allowed(text, "h", allowed)
    origin_allowed("http://" + text, "h", allowed)
