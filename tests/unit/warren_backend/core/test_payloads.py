"""Payloads become bodies, or an error that says why not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.message_rules import too_deep as rule
from warren_backend.core import payloads


@pytest.mark.parametrize(
    ("payload", "body", "kind"),
    [
        ({"a": "é"}, '{"a":"é"}'.encode(), "application/json"),
        (None, b"null", "application/json"),
        ("text", b'"text"', "application/json"),
        (b"\x00", b"\x00", "application/octet-stream"),
        (bytearray(b"\x01"), b"\x01", "application/octet-stream"),
        (memoryview(b"\x02"), b"\x02", "application/octet-stream"),
    ],
)
def test_json_and_bytes(payload: object, body: bytes, kind: str) -> None:
    """The content type tells which; and back again."""
    assert payloads.encoded(payload) == (body, kind)
    assert payloads.decoded(body, kind) == (payload if kind.endswith("json") else body)


def nested(depth: int) -> object:
    found: object = 1
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (object(), "is no JSON"),
        ({1j: 1}, "is no JSON"),
        (float("nan"), "is no JSON"),
        ("\ud800", "surrogate"),
        (nested(129), "nests too deep"),
        (nested(100_000), "nests too deep"),
    ],
)
def test_what_can_not_be_sent_says_so(payload: object, said: str) -> None:
    """A ValueError, whatever the parser raises."""
    with pytest.raises(ValueError, match=said):
        payloads.encoded(payload)


@pytest.mark.parametrize(
    ("body", "kind"), [(b"{", None), (b"\xff", "application/json"), (b"[" * 100_000, None), (b"", None)]
)
def test_what_can_not_be_read_says_so(body: bytes, kind: str | None) -> None:
    """A ValueError, too."""
    with pytest.raises(ValueError, match=r"no JSON|too deep"):
        payloads.decoded(body, kind)


texts = st.recursive(
    st.text(alphabet='a"\\[]{}', max_size=5), lambda inner: st.lists(inner, max_size=2), max_leaves=8
)


@given(texts, st.integers(0, 140))
def test_depth_is_counted_as_warren_counts_it(value: object, around: int) -> None:
    """Brackets in strings are text."""
    for _ in range(around):
        value = [value]
    text = payloads.json.dumps(value)
    assert payloads.too_deep(text) == rule(text.encode())
