"""Answer parser: a service's answer that is to outlive the connection that asked, checked and turned into a
message of the user's own room; or the reason why it can't be.

Pure: strings and bytes in, an envelope out. It knows nothing of the requests: who asked, and under which ref,
stands in the answer's ``correlation_id``.
"""

from __future__ import annotations

from dataclasses import dataclass

from warren.address import user_room
from warren.durable_answers import PARTS_MAX, RESPONSE_TYPE, answer_id, parse_request_name
from warren.envelope import Publish
from warren.payloads import BINARY_TYPE, JSON_TYPE, is_binary, is_json


@dataclass(frozen=True, slots=True)
class DurableAnswer:
    """An answer as it came, without anything of the bus."""

    request: str | None  # the property ``correlation_id``
    body: bytes
    content_type: str | None = None
    number: object = None  # the header ``n``
    more: object = None  # the header ``more``
    error: object = None  # the header ``error``


def parse_answer(answer: DurableAnswer, *, now_us: int, max_bytes: int) -> Publish | str:
    """Return the envelope, or the reason why there is none. ``now_us`` is wall time."""
    asked = parse_request_name(answer.request or "")
    if asked is None:
        return "invalid correlation_id: it must be the one of the request"
    user, ref = asked
    more, number = answer.more is True, answer.number
    if number is None and not more:
        number = 1
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= PARTS_MAX:
        return "invalid header n: a durable answer in parts numbers all of them, 1, 2, 3 …"
    if answer.error is not None:
        return "invalid header error: a durable answer says in its body what is wrong"
    if len(answer.body) > max_bytes:
        return f"too large: {len(answer.body)} bytes, at most {max_bytes}"
    binary = is_binary(answer.content_type)
    if binary is None:
        return f"unsupported content_type: {JSON_TYPE} or {BINARY_TYPE}"
    if not binary and not is_json(answer.body):
        return "invalid payload: no JSON text in UTF-8"
    return Publish(
        room=user_room(user),
        type=RESPONSE_TYPE,
        payload=answer.body,
        at_us=now_us,
        id=answer_id(ref, number, more),
        binary=binary,
    )
