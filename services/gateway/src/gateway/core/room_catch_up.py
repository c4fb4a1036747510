"""RoomCatchUp: gives members of rooms what they lack, from this gateway's memory or read from the router,
in order.

Who enters with a position is told JOINED first, once it is proven that what it missed can be had, and then
given that; numbered messages pass it by until it stands where its room stands. Who can't be given all of it
is told so (``recovered`` False) and gets none of it. One Read is under way for each room and serves all who
lack something of it; it is repeated until it is answered. It keeps seqs, not messages, and sends nothing:
steps come out, to be carried out in their order. The time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from gateway.core.hub import Gap, Hub
from gateway.core.recent_messages import RecentMessages
from warren.envelope import Deliver, Entered, Joined, Page, Read
from warren.namespaces import Namespaces
from warren.position import Position
from warren.retry import Backoff

# A Read without an answer is repeated after the first, then after twice as long, up to the last.
AGAIN_FIRST_S: Final = 0.5
AGAIN_LAST_S: Final = 8.0
# A Read begins so much earlier than the eldest needs it, where others lack that too.
NEAR: Final = 256


@dataclass(frozen=True, slots=True)
class Tell:
    """Answer a connection with this. Without a ``ref`` nobody asked: something was lost for good
    (``recovered`` False; also for ``*``).
    """

    joined: Joined


@dataclass(frozen=True, slots=True)
class Give:
    """Give these members of a room these messages: ``Hub.give``, and charge them for it."""

    room: str
    conns: tuple[str, ...]
    messages: tuple[Deliver, ...]
    own_upto: int  # up to this seq a member gets its own messages too: it was told how many there are


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this to the speaker of ``read.shard``; it is repeated by ``tick`` until its page comes."""

    read: Read


Step = Tell | Give | Ask


class _Lacking:
    """One member of a room that lacks what comes after ``seq``."""

    __slots__ = ("later", "open", "own_upto", "passed", "seq")

    def __init__(self, seq: int, own_upto: int = 0, open_: Entered | None = None) -> None:
        self.seq = seq
        self.own_upto = own_upto
        self.open = open_  # its JOIN that is not answered yet; it is given nothing before
        self.later: deque[tuple[Entered, bool]] = deque()  # JOINs behind that one
        self.passed = False  # a Read has begun elsewhere than it would have


class _Catching:
    """A room in which somebody lacks something; who comes first is served first."""

    __slots__ = ("again", "due", "epoch", "failed", "members", "read", "room", "shard")

    def __init__(self, room: str, shard: int, epoch: str) -> None:
        self.room = room
        self.shard = shard
        self.epoch = epoch
        self.members: dict[str, _Lacking] = {}
        self.read: Read | None = None
        self.due = 0.0
        self.again = Backoff(AGAIN_FIRST_S, AGAIN_LAST_S)  # until it is asked for again
        self.failed = False  # the last page was not kept


class RoomCatchUp:
    """Who on this gateway lacks what."""

    def __init__(self, gateway: str, hub: Hub, recent: RecentMessages, namespaces: Namespaces) -> None:
        """``hub`` is written to: who enters and where each stands. ``recent`` is the hub's too."""
        self._gateway = gateway
        self._hub = hub
        self._recent = recent
        self._namespaces = namespaces
        self._rooms: dict[str, _Catching] = {}
        self._refs = count(1)

    def __len__(self) -> int:
        """Return how many members lack something."""
        return sum(len(catching.members) for catching in self._rooms.values())

    # ── in ──────────────────────────────────────────────────────────────────────────────────────────────────

    def entered(
        self, entered: Entered, shard: int, now: float, now_us: int, *, quiet: bool = False
    ) -> list[Step]:
        """Make a connection a member of a room, which is in ``shard``. ``quiet``: the gateway asked by
        itself, so what the member has is not given again.

        The shell asks the session first: an Entered whose JOIN is not open any more (the room was left) must
        not come here.
        """
        steps: list[Step] = []
        room, conn = entered.room, entered.conn
        gap = self._hub.enter(room, conn, entered.position)
        if self._hub.find(conn) is None:
            return steps
        catching = self._rooms.get(room)
        if gap is not None or (catching is not None and catching.epoch != entered.position.epoch):
            self._overtake(room, shard, now_us, steps)
        lacking = self._lacking(room, conn)
        if lacking is None or lacking.open is None:
            self._judge(entered, shard, quiet, now_us, steps)
        elif all(entered.ref != one.ref for one in (lacking.open, *(later for later, _ in lacking.later))):
            lacking.later.append((entered, quiet))
        self._serve(room, (conn,), steps)
        self._ask(room, now, steps)
        return steps

    def behind(self, gaps: Iterable[Gap], shard: int, now: float, now_us: int) -> list[Step]:
        """Catch up all members who stand below their room by themselves: a hole in the chain of ``shard``,
        behind a Reset or a new life.
        """
        steps: list[Step] = []
        for room in dict.fromkeys(gap.room for gap in gaps):
            self._overtake(room, shard, now_us, steps)
            catching = self._rooms.get(room)
            if catching is not None:
                self._serve(room, tuple(catching.members), steps)
            self._ask(room, now, steps)
        return steps

    def page(self, page: Page, now: float, now_us: int) -> list[Step]:
        """Use an answer; one that answers nothing open, or can't be used, is dropped."""
        steps: list[Step] = []
        room = page.room
        catching = self._rooms.get(room)
        read = catching.read if catching is not None else None
        if (
            catching is None
            or read is None
            or (page.ref, page.epoch, page.after) != (read.ref, read.epoch, read.after)
        ):
            return steps
        where = self._hub.position(room)
        if where is None or where.epoch != catching.epoch:
            self._begin_anew(catching, now_us, steps)
        elif not page.kept:
            catching.read, catching.failed = None, True
            for conn, lacking in list(catching.members.items()):
                if lacking.seq <= page.after:
                    self._lose(catching, conn, lacking, now_us, steps)
        elif not _follows(page):
            return steps  # it is asked for again in its time
        else:
            catching.read, catching.failed = None, False
            messages = page.messages[: where.seq - page.after]
            self._recent.extend(where, messages)
            self._hand_out(catching, page.after, messages, now_us, steps)
        if room in self._rooms:
            self._serve(room, tuple(self._rooms[room].members), steps)
        self._ask(room, now, steps)
        return steps

    def left(self, room: str, conn: str) -> None:
        """Forget a connection that is no member of a room any more."""
        catching = self._rooms.get(room)
        if catching is not None and catching.members.pop(conn, None) is not None and not catching.members:
            del self._rooms[room]

    def renew(self, shard: int, now: float) -> list[Step]:
        """Ask again at once for what is not answered on a shard: its speaker is another."""
        steps: list[Step] = []
        for catching in self._rooms.values():
            if catching.read is not None and catching.read.shard == shard:
                catching.again.reset()
                catching.due = now + catching.again.next()
                steps.append(Ask(catching.read))
        return steps

    def tick(self, now: float) -> list[Step]:
        """Ask again for what has been without an answer for long."""
        steps: list[Step] = []
        for catching in self._rooms.values():
            if catching.read is not None and catching.due <= now:
                catching.due = now + catching.again.next()
                steps.append(Ask(catching.read))
        return steps

    # ── who lacks what ──────────────────────────────────────────────────────────────────────────────────────

    def _lacking(self, room: str, conn: str) -> _Lacking | None:
        catching = self._rooms.get(room)
        return None if catching is None else catching.members.get(conn)

    def _lacks(self, room: str, shard: int, conn: str, epoch: str, lacking: _Lacking) -> None:
        catching = self._rooms.get(room)
        if catching is None:
            catching = self._rooms[room] = _Catching(room, shard, epoch)
        catching.members[conn] = lacking

    def _overtake(self, room: str, shard: int, now_us: int, steps: list[Step]) -> None:
        """A room has gone on without its members: they lack what lies between, or have lost it."""
        where, catching = self._hub.position(room), self._rooms.get(room)
        if where is None:
            return
        if catching is not None and catching.epoch != where.epoch:
            self._begin_anew(catching, now_us, steps)
        kept = self._namespaces.policy(room).history.kept
        for conn, standing in self._hub.apart(room):
            if standing is None or self._lacking(room, conn) is not None:
                continue
            if kept and standing.epoch == where.epoch:
                self._lacks(room, shard, conn, where.epoch, _Lacking(standing.seq))
            else:
                self._hub.stand(room, conn, where)
                steps.append(Tell(Joined(conn, room, where, recovered=False)))

    def _judge(self, entered: Entered, shard: int, quiet: bool, now_us: int, steps: list[Step]) -> None:
        """Answer a JOIN, or take note that it can't be answered before a page has come."""
        room, conn, position, since = entered.room, entered.conn, entered.position, entered.since
        where = self._hub.position(room)
        if where is None:
            return
        standing = self._hub.standing(room, conn) if quiet else None
        if standing is not None and standing.epoch == position.epoch:
            since = standing  # it has got on, or was told to go back, since it was asked for
        if since is not None and since == standing and self._lacking(room, conn) is not None:
            lacks = max(0, position.seq - since.seq)
            steps.append(Tell(Joined(conn, room, since, recovered=True, missed=lacks, ref=entered.ref)))
            return
        self.left(room, conn)
        missed = (
            position.gap(since)
            if since is not None and since.seq >= 0 and where.epoch == position.epoch
            else None
        )
        kept = missed == 0 or self._namespaces.policy(room).history.kept
        if since is None or missed is None or missed < 0 or not kept:
            self._answer(entered, where, 0, recovered=False, steps=steps)
            return
        lacking = _Lacking(since.seq, position.seq)
        if missed == 0 or self._recent.since(room, since, position, now_us) is not None:
            self._answer(entered, since, missed, recovered=True, steps=steps)
        else:
            lacking.open = entered
        if since.seq < where.seq:
            self._lacks(room, shard, conn, where.epoch, lacking)

    def _answer(
        self, entered: Entered, stands: Position, missed: int, *, recovered: bool, steps: list[Step]
    ) -> None:
        self._hub.stand(entered.room, entered.conn, stands)
        steps.append(Tell(Joined(entered.conn, entered.room, stands, recovered, missed, entered.ref)))

    def _lose(
        self, catching: _Catching, conn: str, lacking: _Lacking, now_us: int, steps: list[Step]
    ) -> None:
        """Tell a member that what it lacks is not to be had; it goes on from where its room stands."""
        room = catching.room
        where = self._hub.position(room)
        self.left(room, conn)
        if where is None:
            return
        self._hub.stand(room, conn, where)
        ref = lacking.open.ref if lacking.open is not None else ""
        steps.append(Tell(Joined(conn, room, where, recovered=False, ref=ref)))
        self._go_on(catching, conn, lacking, now_us, steps)

    def _go_on(
        self, catching: _Catching, conn: str, lacking: _Lacking, now_us: int, steps: list[Step]
    ) -> None:
        """Judge the JOINs that came behind one that is answered now; each takes the place of the
        one before.
        """
        later = lacking.later
        while later:
            entered, quiet = later.popleft()
            self._judge(entered, catching.shard, quiet, now_us, steps)
            anew = self._lacking(catching.room, conn)
            if anew is not None and anew.open is not None:
                anew.later = later
                return

    def _begin_anew(self, catching: _Catching, now_us: int, steps: list[Step]) -> None:
        """The room has another epoch than what is asked for: none of it is to be had."""
        del self._rooms[catching.room]
        for conn, lacking in catching.members.items():
            self._lose(catching, conn, lacking, now_us, steps)

    # ── giving ──────────────────────────────────────────────────────────────────────────────────────────────

    def _hand_out(
        self, catching: _Catching, after: int, messages: Sequence[Deliver], now_us: int, steps: list[Step]
    ) -> None:
        """Give a page to all who lack something of it; who lacks more than that takes its next turn behind
        the others.
        """
        room, last = catching.room, after + len(messages)
        groups: dict[tuple[int, int], list[str]] = {}
        for conn, lacking in list(catching.members.items()):
            if not after <= lacking.seq < last:
                continue
            entered = lacking.open
            if entered is not None:
                since = Position(catching.epoch, lacking.seq)
                self._answer(entered, since, entered.position.seq - since.seq, recovered=True, steps=steps)
                lacking.open = None
                if lacking.later:
                    self._go_on(catching, conn, lacking, now_us, steps)
                    continue
            groups.setdefault((lacking.seq, lacking.own_upto), []).append(conn)
            lacking.seq, lacking.passed = last, False
            catching.members[conn] = catching.members.pop(conn)
        for (seq, own_upto), conns in groups.items():
            steps.append(Give(room, tuple(conns), tuple(messages[seq - after :]), own_upto))

    def _serve(self, room: str, conns: Sequence[str], steps: list[Step]) -> None:
        """Give from memory what these members lack, where all of it is there."""
        catching, where = self._rooms.get(room), self._hub.position(room)
        if catching is None or where is None:
            return
        groups: dict[tuple[int, int], list[str]] = {}
        for conn in conns:
            lacking = catching.members.get(conn)
            if lacking is not None and lacking.open is None:
                groups.setdefault((lacking.seq, lacking.own_upto), []).append(conn)
        for (seq, own_upto), group in groups.items():
            messages = self._recent.between(room, Position(catching.epoch, seq), where.seq)
            if messages is None:
                continue
            if messages:
                steps.append(Give(room, tuple(group), tuple(messages), own_upto))
            for conn in group:
                self.left(room, conn)

    def _ask(self, room: str, now: float, steps: list[Step]) -> None:
        """Read what the eldest lacks, and what others near it do, where nothing is being read."""
        catching, where = self._rooms.get(room), self._hub.position(room)
        if catching is None or catching.read is not None or where is None:
            return
        members = catching.members
        eldest = next(iter(members.values()))
        after = eldest.seq
        if not catching.failed and not eldest.passed:
            after = min(lacking.seq for lacking in members.values() if 0 <= eldest.seq - lacking.seq <= NEAR)
            eldest.passed = after < eldest.seq
        catching.read = Read(
            self._gateway, catching.shard, room, catching.epoch, after, where.seq, next(self._refs)
        )
        catching.again.reset()
        catching.due = now + catching.again.next()
        steps.append(Ask(catching.read))


def _follows(page: Page) -> bool:
    """Say whether a page is what it says: messages without a hole after ``after``."""
    return bool(page.messages) and all(
        message.seq == seq and message.epoch == page.epoch and message.room == page.room
        for seq, message in enumerate(page.messages, page.after + 1)
    )
