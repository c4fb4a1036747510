"""Pages: what a speaker answers where a gateway reads: messages that members of a room have missed, and its
HISTORY.

What can't be proved to be whole is not given. It changes nothing. Pure.
"""

from __future__ import annotations

from itertools import islice

from router.core.fold import Fold
from router.core.history import History
from warren.address import gateway_of, is_connection
from warren.envelope import OVERHEAD_BYTES, Deliver, HistoryPage, HistoryQuery, Page, Read
from warren.position import Position

PAGE_BYTES = 256 * 1024
PAGE_COUNT = 100  # of an answer to HistoryQuery


def page(read: Read, fold: Fold, history: History, now_us: int) -> Page | None:
    """Answer a Read; None where what it asks for has not come yet: it is asked again."""
    present = fold.position(read.room)
    if present.epoch == read.epoch and (present.seq < read.after or present.seq == read.after < read.upto):
        return None  # the gateway has heard of more than we have read
    found = history.since(Position(read.epoch, read.after), present, read.room, now_us)
    if found is None:
        return Page(read.room, read.epoch, read.after, (), whole=True, kept=False, ref=read.ref)
    upto = min(max(read.upto, read.after), present.seq)
    messages = _fitting(found, upto - read.after)
    reached = read.after + len(messages)
    return Page(
        read.room, read.epoch, read.after, messages, whole=reached >= read.upto, kept=True, ref=read.ref
    )


def history_page(query: HistoryQuery, fold: Fold, history: History, now_us: int) -> HistoryPage | None:
    """Answer a HistoryQuery. None where the connection is no member: only a member may read, and gateways ask
    for members alone, so its JOIN may be further on in the log than we have read; it is asked again.
    """
    conn, room = query.conn, query.room
    if not is_connection(conn) or conn not in fold.rooms.members(room, gateway_of(conn)):
        return None
    limit = max(1, min(query.limit, PAGE_COUNT))
    messages, more = history.page(room, max(0, query.before), limit, PAGE_BYTES, now_us)
    return HistoryPage(conn, room, query.ref, tuple(messages), more)


def _fitting(messages: list[Deliver], count: int) -> tuple[Deliver, ...]:
    """Return the first ``count`` of these, or as many as fit a page: one in any case."""
    size, fit = 0, 0
    for message in islice(messages, count):
        size += OVERHEAD_BYTES + len(message.payload)
        if fit and size > PAGE_BYTES:
            break
        fit += 1
    return tuple(messages[:fit])
