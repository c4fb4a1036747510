"""What a backend's body is, and whether it can be passed on as JSON."""

import pytest

from warren.message_rules import MAX_DEPTH
from warren.payloads import is_binary, is_json


@pytest.mark.parametrize(
    ("content_type", "binary"),
    [
        (None, False),
        ("", False),
        ("application/json", False),
        (" Application/JSON; charset=utf-8", False),
        ("application/octet-stream", True),
        ("text/plain", None),
        ("json", None),
    ],
)
def test_the_content_type_says_what_a_body_is(content_type: str | None, binary: bool | None) -> None:
    """JSON where it says nothing, and None where it is neither."""
    assert is_binary(content_type) is binary


@pytest.mark.parametrize(
    ("body", "good"),
    [
        (b"null", True),
        (b'{"a": [1, 2.5, "x"]}', True),
        (b" 1 ", True),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, True),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), False),
        (b"[" * 100_000, False),
        (b"", False),
        (b"{", False),
        (b"1 2", False),
        (b"NaN", False),
        (b'"\xff"', False),
    ],
)
def test_json_is_one_whole_value_in_utf_8_that_everyone_can_read(body: bytes, good: bool) -> None:
    """It is put into frames as it is."""
    assert is_json(body) is good
