"""Log formatting: the entries of a shard's log as lines that a person reads, one for each entry and one for
each envelope in it.

What came from clients and backends is written so that it can't play with a terminal, and payloads are shown
only where they were asked for. It knows what became of an entry where the fold's effects are given, and
guesses nothing. Pure.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime

from router.core.effects import BackendEvent, CommandDone, Effect, FeedItem
from warren import envelope as wire
from warren.envelope import INTERNAL_ID
from warren.errors import MalformedEnvelope
from warren.log_entries import PRESENCE_CONNECTIONS, PRESENCE_COUNT, PRESENCE_USERS

_RANKS = {wire.Deliver: 1, wire.Ack: 2, wire.Refused: 2}
_EMIT = 3
_UNDELIVERED = 4
_PRESENCE = {PRESENCE_COUNT: "count", PRESENCE_CONNECTIONS: "connections", PRESENCE_USERS: "users"}
_SHOWN_BYTES = 32  # of a record that can't be read


def shown(text: str) -> str:
    """Return a text as one printable word: as it is, or as a JSON string."""
    return text if text.isprintable() and text and " " not in text and '"' not in text else json.dumps(text)


def time_of(at_us: int) -> str:
    """Return a time in UTC to the millisecond; dashes where there is none."""
    try:
        return (
            datetime.fromtimestamp(at_us // 1_000 / 1_000, UTC).isoformat(timespec="milliseconds")[:23] + "Z"
        )
    except (OverflowError, ValueError, OSError):
        return "-" * 24


def room_of(envelope: wire.Envelope | MalformedEnvelope, room: str) -> bool:
    """Say whether this concerns ``room`` (all does where that is empty)."""
    match envelope:
        case _ if not room:
            return True
        case wire.Publish() | wire.Join() | wire.Watch() | wire.Inform() | wire.Command():
            return envelope.room == room
        case wire.Leave():
            return room in envelope.rooms
        case _:
            return False


def entry(
    record: bytes, outcomes: Sequence[Effect] | None, became: str, room: str, *, payloads: bool
) -> list[str]:
    """Return an entry's lines, without its offset: the first is that of the entry itself. None where nothing
    of it concerns ``room``.

    ``outcomes`` are the fold's, None where it is not known what became of the entry; ``became`` says so in a
    word, where it did not count.
    """
    size = f"{len(record)} bytes"
    try:
        envelopes = wire.decode_each(record)
    except MalformedEnvelope as error:
        begins = record[:_SHOWN_BYTES].hex(" ")
        return [] if room else [_line(0, "unreadable", size, str(error), f"begins {begins}")]
    if not envelopes:
        return [] if room else [_line(0, "unreadable", size, "no envelope")]
    head, *contents = envelopes
    leavers = [each for each in outcomes or () if isinstance(each, BackendEvent) and each.reason == "gone"]
    at_us = getattr(head, "at_us", 0)
    lines = [_line(at_us, *_head(head), size, became, f"{len(leavers)} members left" if leavers else "")]
    told = [each for each in outcomes or () if _is_told(each)]
    for envelope in contents:
        words = _content(envelope, at_us, payloads)
        if isinstance(envelope, wire.Publish):
            fate = "" if became else "seq=?" if outcomes is None else _fate(envelope, told)
            words.insert(2, fate)
        elif isinstance(envelope, wire.Join) and told and _refuses(told[0], envelope.conn, envelope.ref):
            words.append("refused")
            told.pop(0)
        elif isinstance(envelope, wire.Command) and not became:
            words.append(_answer(outcomes))
        if room_of(envelope, room):
            lines.append(_line(getattr(envelope, "at_us", at_us), *words))
    if room and len(lines) == 1 and not any(each.room == room for each in leavers):
        return []
    return lines


def _line(at_us: int, *words: str) -> str:
    return "  ".join((time_of(at_us) if at_us else "-" * 24, *filter(None, words)))


def _head(head: wire.Envelope | MalformedEnvelope) -> list[str]:
    match head:
        case wire.Batch():
            return ["batch", shown(head.gateway), f"life={head.life}", f"number={head.number}"]
        case wire.Notified():
            return ["notified", f"by={shown(head.router)}"]
        case wire.Commanded():
            return ["commanded", f"by={shown(head.router)}"]
        case wire.Gone():
            return ["gone", shown(head.gateway), f"life={head.life}"]
        case wire.Rules():
            bounds = f"ids={head.ids} rooms={head.rooms} gone={head.gone}"
            return [
                "rules",
                f"life={shown(head.life)}",
                f"version={head.version}",
                bounds,
                "anew" * head.anew,
            ]
        case wire.Mark():
            return ["mark", f"by={shown(head.router)}"]
        case wire.Checkpoint():
            part = f"part {head.part + 1} of {head.parts}"
            return [
                "checkpoint",
                f"by={shown(head.router)}",
                f"of={head.offset}",
                part,
                f"digest={head.digest.hex()}",
            ]
        case MalformedEnvelope():
            return ["unreadable", str(head)]
        case _:
            return [type(head).__name__.lower(), "begins no entry"]


def _content(envelope: wire.Envelope | MalformedEnvelope, at_us: int, payloads: bool) -> list[str]:
    match envelope:
        case wire.Publish():
            kind = "  ephemeral" if envelope.ephemeral else "  publish"
            words = [kind, shown(envelope.room), f"type={shown(envelope.type)}"]
            words += [
                f"id={shown(envelope.id)}" if envelope.id else "",
                _sender(envelope.conn, envelope.user),
            ]
            words.append(f"{len(envelope.payload)} bytes")
            if payloads:
                words.append(_payload(envelope))
            return words
        case wire.Join():
            since = f"since={shown(envelope.since.epoch)}/{envelope.since.seq}" if envelope.since else ""
            presence = f"presence={_PRESENCE.get(envelope.presence, '?')}" if envelope.presence else ""
            info = f"info={len(envelope.info)} bytes" if envelope.info else ""
            return [
                "  join",
                shown(envelope.room),
                _sender(envelope.conn, envelope.user),
                since,
                presence,
                info,
            ]
        case wire.Watch():
            sender = _sender(envelope.conn, envelope.user)
            return ["  watch" if envelope.on else "  unwatch", shown(envelope.room), sender]
        case wire.Inform():
            sender = _sender(envelope.conn, "")
            return ["  inform", shown(envelope.room), sender, f"info={len(envelope.info)} bytes"]
        case wire.Seen():
            place = f"seen={shown(envelope.epoch)}/{envelope.seq}"
            return ["  seen", shown(envelope.room), _sender(envelope.conn, ""), place]
        case wire.Leave():
            rooms = " ".join(map(shown, envelope.rooms))
            return ["  leave", rooms, _sender(envelope.conn, envelope.user)]
        case wire.Command():
            return ["  command", envelope.verb, shown(envelope.room), *_command(envelope)]
        case wire.Hello():
            return ["  hello"]
        case MalformedEnvelope():
            return ["  unreadable", str(envelope)]
        case _:
            return [f"  {type(envelope).__name__.lower()}", "stands in no entry"]


def _command(command: wire.Command) -> list[str]:
    """Return what a command says besides its verb and its address."""
    words = {
        "id": command.id,
        "user": command.user,
        "conn": command.conn,
        "spare": " ".join(command.spare),
        "code": str(command.code or ""),
        "reason": command.reason,
        "until": time_of(command.until_ms * 1_000) if command.until_ms else "",
        "rooms": " ".join(command.rooms),
        "token": command.token_id,
        "before": time_of(command.before_s * 1_000_000) if command.before_s else "",
    }
    return [f"{name}={shown(word)}" for name, word in words.items() if word]


def _answer(outcomes: Sequence[Effect] | None) -> str:
    """Return what came of a command, as its router is told."""
    results = [each.result for each in outcomes or () if isinstance(each, CommandDone)]
    return results[0].decode() if results else ""


def _sender(conn: str, user: str) -> str:
    return f"from={shown(conn)}" + (f"({shown(user)})" if user else "") if conn else ""


def _payload(message: wire.Publish) -> str:
    if message.binary:
        return f"payload(base64)={b64encode(message.payload).decode()}"
    text = message.payload.decode("utf-8", "backslashreplace")
    return f"payload={text if text.isprintable() else json.dumps(text)}"


def _fate(message: wire.Publish, outcomes: list[Effect]) -> str:
    """Say what became of a message, and take what tells it from the front of ``outcomes``."""
    rank, delivered, answer, emitted = 0, None, None, None
    while outcomes:
        outcome = outcomes[0]
        item = (
            outcome.item
            if isinstance(outcome, FeedItem)
            else outcome.message
            if isinstance(outcome, BackendEvent)
            else None
        )
        if item is None or not _is_of(item, message):
            break
        if isinstance(outcome, BackendEvent):
            place = _EMIT if outcome.kind == "message" else _UNDELIVERED
        else:
            place = _RANKS.get(type(item), 0)
        if place <= rank:
            break
        rank = place
        if isinstance(outcome, BackendEvent):
            emitted = outcome.message
        elif isinstance(item, wire.Deliver):
            delivered = outcome
        else:
            answer = item
        outcomes.pop(0)
    if isinstance(answer, wire.Refused):
        return f"refused={answer.code}"
    if emitted is not None:
        return f"seq={emitted.seq} epoch={emitted.epoch}"
    if message.ephemeral or "~" in message.room:
        return "" if delivered or answer else "to nobody"
    if isinstance(answer, wire.Ack):
        return f"repeat of seq={answer.seq} epoch={answer.epoch}"
    return "repeat" if message.id else "refused"


def _is_told(outcome: Effect) -> bool:
    """Say whether this tells what became of a message, or of a JOIN that was refused."""
    match outcome:
        case FeedItem():
            return isinstance(outcome.item, wire.Deliver | wire.Ack | wire.Refused)
        case BackendEvent():
            return outcome.message is not None
        case _:
            return False


def _refuses(outcome: Effect, conn: str, ref: str) -> bool:
    item = outcome.item if isinstance(outcome, FeedItem) else None
    return isinstance(item, wire.Refused) and (item.conn, item.ref) == (conn, ref)


def _is_of(item: object, message: wire.Publish) -> bool:
    match item:
        case wire.Deliver() | wire.Ack():
            return (item.room, item.conn, item.id) == (message.room, message.conn, message.id)
        case wire.Refused():
            return (item.conn, item.ref) == (
                message.conn,
                "" if message.id[:1] == INTERNAL_ID else message.id,
            )
        case _:
            return False
