"""Durable answers: what a request of a client that is to be answered whatever becomes of its connection is
called, and what an answer to it is called as a message of the user's own room.

A request's name is its ``message_id`` and, where its answer is to be durable, its ``correlation_id`` too:
``<user>~<ref>``. A user's name has no ``~``. An answer's name is the message's id in ``@<user>``:
``~/<n>/<ref>``, or ``~/<n>+/<ref>`` where more parts follow; so each part counts once. No backend may give a
message an id that begins so, and Warren's own other ids go on with a letter or a digit. It knows no envelope.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from warren.address import is_user

RESPONSE_TYPE: Final = "RESPONSE"
# What of an AMQP short string (255 bytes) is left for a client's id behind the user's name.
REF_MAX_BYTES: Final = 120
PARTS_MAX: Final = 999_999_999

_ANSWER = re.compile(r"~/([1-9][0-9]{0,8})(\+?)/(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """Which part of the answer to which request (0: of one without parts)."""

    ref: str
    n: int = 0
    more: bool = False


def request_name(user: str, ref: str) -> str:
    """Return the name of what ``user`` has asked under ``ref``."""
    return f"{user}~{ref}"


def parse_request_name(name: str) -> tuple[str, str] | None:
    """Return (user, ref); None where it is no such name."""
    user, _, ref = name.partition("~")
    if (
        not is_user(user)
        or not ref
        or not ref.isprintable()
        or len(ref.encode(errors="replace")) > REF_MAX_BYTES
    ):
        return None
    return user, ref


def answer_id(ref: str, n: int, more: bool) -> str:
    """Return the id of a part of an answer; ``n`` is from 1 to PARTS_MAX."""
    return f"~/{n}{'+' if more else ''}/{ref}"


def answer_of(name: str) -> Answer:
    """Return what a message with this id answers; a ref is empty where it is no such id."""
    found = _ANSWER.fullmatch(name)
    if found is None:
        return Answer("")
    n, more = int(found[1]), bool(found[2])
    return Answer(found[3], n if n > 1 or more else 0, more)
