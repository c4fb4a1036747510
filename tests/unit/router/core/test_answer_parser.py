"""A service's durable answer becomes a message of the user's own room, or is set aside with the reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.answer_parser import DurableAnswer, parse_answer
from warren.durable_answers import answer_of
from warren.envelope import Publish

ANSWER = {"request": "ann~r1", "body": b'{"ok":true}'}


def parsed(**fields) -> Publish | str:
    return parse_answer(DurableAnswer(**{**ANSWER, **fields}), now_us=7, max_bytes=100)


def test_an_answer_is_a_message_of_the_one_who_asked() -> None:
    """Numbered like any other of that room, and under an id by which it counts once."""
    assert parsed() == Publish("@ann", "RESPONSE", b'{"ok":true}', 7, id="~/1/r1")
    assert parsed(number=1) == parsed(more=False) == parsed()


def test_the_parts_of_an_answer_have_ids_of_their_own() -> None:
    """And so counts each of them once, though the service has said all of it twice."""
    parts = [parsed(number=1, more=True), parsed(number=2, more=True), parsed(number=3)]
    assert [part.id for part in parts if isinstance(part, Publish)] == ["~/1+/r1", "~/2+/r1", "~/3/r1"]


def test_bytes_are_passed_on_as_bytes() -> None:
    """By their content type."""
    found = parsed(body=b"\xff", content_type="application/octet-stream")
    assert isinstance(found, Publish)
    assert (found.payload, found.binary) == (b"\xff", True)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"request": None}, "invalid correlation_id: it must be the one of the request"),
        ({"request": "g1~"}, "invalid correlation_id: it must be the one of the request"),
        ({"request": "@ann~r"}, "invalid correlation_id: it must be the one of the request"),
        ({"more": True}, "invalid header n: a durable answer in parts numbers all of them, 1, 2, 3 …"),
        ({"number": 0}, "invalid header n: a durable answer in parts numbers all of them, 1, 2, 3 …"),
        ({"number": True}, "invalid header n: a durable answer in parts numbers all of them, 1, 2, 3 …"),
        ({"number": "1"}, "invalid header n: a durable answer in parts numbers all of them, 1, 2, 3 …"),
        ({"number": 10**9}, "invalid header n: a durable answer in parts numbers all of them, 1, 2, 3 …"),
        ({"error": "x"}, "invalid header error: a durable answer says in its body what is wrong"),
        ({"body": b"x" * 101}, "too large: 101 bytes, at most 100"),
        ({"body": b"{"}, "invalid payload: no JSON text in UTF-8"),
        (
            {"content_type": "text/plain"},
            "unsupported content_type: application/json or application/octet-stream",
        ),
    ],
)
def test_what_can_not_be_passed_on_has_a_reason(fields, reason) -> None:
    """For whoever looks into the dead letters."""
    assert parsed(**fields) == reason


@given(
    st.none() | st.text(),
    st.binary(max_size=120),
    st.none() | st.text(max_size=20),
    st.none() | st.integers() | st.booleans() | st.text(max_size=3),
    st.none() | st.booleans() | st.integers(),
)
def test_whatever_a_service_writes_is_a_message_or_a_reason(
    request, body, content_type, number, more
) -> None:
    """Never an exception; a message is one that its client can tell the request of."""
    answer = DurableAnswer(request, body, content_type, number, more)
    found = parse_answer(answer, now_us=7, max_bytes=100)
    if isinstance(found, Publish):
        assert request == f"{found.room[1:]}~{answer_of(found.id).ref}"
