"""A post's body and its secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sse.post_body import FRAMES_MAX, digest_of, is_same, split


def test_frames_are_cut_out_as_they_are():
    """In their order, with all that is in them; what is wrong inside is not looked at."""
    assert split(b' [ {"type": "CHAT", "payload": [1, {}]} ,7,"x"\n]') == [
        b'{"type": "CHAT", "payload": [1, {}]}',
        b"7",
        b'"x"',
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"[1",
        b"[1,]",
        b"[1]x",
        b"null",
        b"1",
        b"[" * 200_000,
        b"[" + b",".join([b"1"] * (FRAMES_MAX + 1)) + b"]",
    ],
)
def test_what_is_no_post_is_none(body: bytes):
    """However deep or long it is."""
    assert split(body) is None


def test_as_many_as_there_may_be():
    """One more is none."""
    assert split(b"[" + b",".join([b"1"] * FRAMES_MAX) + b"]") == [b"1"] * FRAMES_MAX


@given(st.binary(max_size=80))
def test_any_bytes_are_looked_at_without_a_fault(body: bytes):
    """A post or none."""
    found = split(body)
    assert found is None or all(found)


@given(st.text(), st.text())
def test_a_digest_tells_secrets_apart(one: str, other: str):
    """Also where a secret is text that UTF-8 can't hold."""
    assert is_same(digest_of(one), digest_of(one))
    if one.encode(errors="replace") != other.encode(errors="replace"):
        assert not is_same(digest_of(one), digest_of(other))
    assert not is_same(digest_of(one), b"")
