"""Commands: what a backend may ask of a shard's log, and the answer to it.

A command is judged whole before anything changes. It changes nothing itself, and knows nobody's membership.
"""

from __future__ import annotations

from typing import Final

import msgspec

from warren.address import ROOM_RULE, USER_RULE, is_connection, is_room, is_user
from warren.contract.commands import COMMAND_ID_MAX, REASON_BYTES, ROOMS_MAX, SPARED_MAX, TOKEN_ID_MAX
from warren.envelope import Command
from warren.errors import CloseCode, ErrorCode

# How a backend may have a connection closed; none said: DISCONNECTED.
CLOSES: Final = frozenset(
    {CloseCode.UNAUTHORIZED, CloseCode.DISCONNECTED, CloseCode.REPLACED, CloseCode.DRAINING}
)

_encoder = msgspec.json.Encoder()


def whose(command: Command) -> str:
    """Return the user that a command concerns; empty where it concerns one connection."""
    return command.room[1:] if command.room[:1] == "@" else command.user


def problem(command: Command) -> str:
    """Return what is wrong with a command; empty: nothing."""
    if not 0 < len(command.id) <= COMMAND_ID_MAX or not command.id.isprintable():
        return f"id: 1 to {COMMAND_ID_MAX} printable characters"
    if command.code and command.code not in CLOSES:
        return f"code: one of {', '.join(str(int(code)) for code in sorted(CLOSES))}"
    if len(command.reason.encode()) > REASON_BYTES or not command.reason.isprintable():
        return f"reason: at most {REASON_BYTES} bytes of printable text"
    if len(command.spare) > SPARED_MAX or not all(map(is_connection, command.spare)):
        return f"spare: at most {SPARED_MAX} connections"
    if command.until_ms < 0:
        return "until_ms: a time in ms since the Unix epoch"
    return _problem_of(command)


def _problem_of(command: Command) -> str:
    """Return what is wrong with the address, or with what this verb needs."""
    room, verb = command.room, command.verb
    own = room[:1] == "@" and is_user(room[1:]) and command.user in ("", room[1:])
    one_in_room = is_room(room) and is_user(command.user)
    if command.conn and verb != "remove":
        return "conn: of remove alone"
    match verb:
        case "disconnect":
            return "" if own or is_connection(room) else "room: a user's own, or a connection"
        case "block" | "unblock":
            return "" if own or one_in_room else f"room: a user's own, or a room, with a user: {USER_RULE}"
        case "remove" if command.conn:
            alone = is_room(room) and is_connection(command.conn) and not command.user
            return "" if alone else f"room: {ROOM_RULE}; conn: a connection, and then no user"
        case "remove":
            return "" if one_in_room else f"room: {ROOM_RULE}; user: {USER_RULE}"
        case "revoke":
            if not command.token_id and command.before_s <= 0:
                return "token_id or before_s: is needed"
            if len(command.token_id) > TOKEN_ID_MAX or command.before_s < 0:
                return f"token_id: at most {TOKEN_ID_MAX} characters; before_s: s since the Unix epoch"
            return "" if own else "room: a user's own"
        case "add":
            if not 0 < len(command.rooms) <= ROOMS_MAX or not all(map(is_room, command.rooms)):
                return f"rooms: 1 to {ROOMS_MAX} rooms, each {ROOM_RULE}"
            return "" if own or is_connection(room) else "room: a user's own, or a connection"
        case _:
            return "verb: disconnect, block, unblock, revoke, remove or add"


def done(verb: str, number: int, *, repeated: bool) -> bytes:
    """Return the answer to what was done, as JSON: ``connections``, how many it has met (of ``unblock``:
    ``lifted``, how many blocks); ``duplicate``: it was done before, under this id.
    """
    answer: dict[str, object] = {"lifted" if verb == "unblock" else "connections": number}
    if repeated:
        answer["duplicate"] = True
    return _encoder.encode(answer)


def refused(code: ErrorCode, message: str) -> bytes:
    """Return the answer to what changed nothing, as JSON: ``code`` (one of an ERROR's) and ``message``."""
    return _encoder.encode({"code": str(code), "message": message})
