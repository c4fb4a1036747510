"""Feeds: what a shard's log has for each gateway, as one chain of feeds, each of which begins where the last
one ended.

Every reader of the log gives it all effects, so that whoever has to speak next can feed each gateway from the
place where it stands. Only a speaker keeps chains. A chain goes on from what the gateway itself says
(Number), or from the Hello of its life, and from nothing else; what is not to be had any more is said
(Reset), never left out. It never looks up who is a member: an item is for those whom its effect names.

A chain, by example, with places written as offset.index:

    to g2   after 40.2, up to 41.2: "hello"           g2 stands at 40.2 ▶ applies it ▶ stands at 41.2
    to g2   after 41.2, up to 44.1: "how are you"     lost on the way
    to g2   after 44.1, up to 45.1: "anybody?"        g2 stands at 41.2: a gap; it says Number(41.2)
    to g2   after 41.2, up to 45.1: both              taken from the ring; g2 stands at 45.1

Bounds: the ring (``ring_bytes``) holds what has been; a gateway's pending items, and the messages that wait
to go to all at once, take at most a ``SHARE`` of that: beyond it, the gateway is fed from the ring (where
even that is too late, by a Reset), and messages go by value. Pure: the caller publishes what it is given, and
says where that failed (``lost``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from router.core.effects import BackendEvent, BatchRefused, Began, Effect, Ended, FeedItem, Ruled
from router.core.feed_ring import Entry, FeedRing, Place
from router.core.undelivered import Undelivered
from warren.envelope import Bodies, Deliver, Feed, LifeEnded, Named, Number, Reset, size_of
from warren.position import LogPosition

FEED_BYTES: Final = 256 * 1024
SHARE: Final = 8
NAMED_FROM: Final = 3  # a message for fewer gateways than this always goes by value
MOST_WAITING: Final = 4096  # numbers that can't be answered yet; beyond it they are dropped, and come again

_NAMED: Final = Named()


class _Chain:
    """One gateway's: what it has been sent (or is being sent), and what it has to be sent next."""

    __slots__ = ("behind", "bytes", "counted", "counts", "life", "offset", "pending", "sent")

    def __init__(self, life: int, sent: LogPosition | None, *, behind: bool) -> None:
        self.life = life
        self.sent = sent  # None: from its Hello on
        self.behind = behind  # what comes after ``sent`` is read from the ring; nothing is pending
        self.pending: list[Entry] = []
        self.bytes = 0
        self.counted = 0  # a batch number that was taken before what is pending
        # (number of pending items before an entry, batch number taken before it)
        self.counts: list[tuple[int, int]] = []
        self.offset = -1  # of the last pending item

    def go_back(self) -> None:
        self.behind = True
        self.empty()

    def empty(self) -> None:
        self.pending = []
        self.counts.clear()
        self.bytes, self.offset = 0, -1


class Feeds:
    """The chains of all gateways on one shard, and the last of its log's items."""

    def __init__(self, router: str, shard: int, ring_bytes: int) -> None:
        """Begin with a log of which nothing is known yet."""
        self._router = router
        self._shard = shard
        self._share = ring_bytes // SHARE
        self._ring = FeedRing(ring_bytes)
        self._undelivered = Undelivered()
        self._life = ""  # the log's
        self._now: Place = (-1, 0)
        self._gateways: Mapping[str, tuple[int, int]] = {}
        self._ended: Mapping[str, tuple[int, int]] = {}
        self._begun: dict[str, Place] = {}  # where the living lives began, as far as that was read
        self.speaking = False
        self._chains: dict[str, _Chain] = {}
        self._dirty: set[str] = set()
        self._answers: dict[str, LifeEnded | Reset] = {}
        # from beyond what has been read here, or of a life that was not seen
        self._waiting: dict[str, Number] = {}
        self._bodies: list[tuple[int, int, Deliver]] = []
        self._bodies_bytes = 0

    # ── in ──────────────────────────────────────────────────────────────────────────────────────────────────

    def start(
        self,
        life: str,
        offset: int,
        gateways: Mapping[str, tuple[int, int]],
        ended: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        """Reading begins after the checkpoint whose Mark is at ``offset``; call it before the first ``take``,
        with the fold's mappings.
        """
        self._forget(life, (offset, 1))
        self._now = (offset, 1)
        self._gateways, self._ended = gateways, ended or {}

    def take(
        self,
        life: str,
        offset: int,
        effects: Sequence[Effect],
        gateways: Mapping[str, tuple[int, int]],
        ended: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        """Take what the entry at ``offset`` has brought about; ``gateways`` and ``ended`` are the fold's, as
        of now.
        """
        self._gateways = gateways
        if ended is not None:
            self._ended = ended
        if life != self._life:
            self._new_life(life, offset)
        for effect in effects:
            match effect:
                case FeedItem():
                    self._take_out(offset, effect)
                case Began(gateway=gateway):
                    self._begun[gateway] = (offset, effect.index)
                    if self.speaking:
                        self._chains[gateway] = _Chain(effect.life, None, behind=False)
                        self._dirty.add(gateway)
                case Ended(gateway=gateway):
                    self._begun.pop(gateway, None)
                    if self._drop(gateway):
                        self._answer(gateway, LifeEnded(self._shard, effect.life, effect.counted))
                case BatchRefused(gateway=gateway):
                    if self.speaking:
                        self._answer(gateway, LifeEnded(self._shard, effect.life, effect.counted))
                case BackendEvent(kind="undelivered", message=Deliver() as message):
                    self._undelivered.put(message)
                case Ruled(new_life=True):
                    self._new_life(life, offset)
                case _:
                    pass
        self._now = (offset, effects[-1].index if effects else 0)
        if self._waiting:
            self._answer_waiting()

    def begin(self) -> None:
        """Speak from now on. There are no chains: each gateway is asked for its number."""
        self.silence()
        self.speaking = True

    def silence(self) -> None:
        """Speak no more; the ring goes on."""
        self.speaking = False
        self._chains.clear()
        self._dirty.clear()
        self._answers.clear()
        self._waiting.clear()
        self._bodies.clear()
        self._bodies_bytes = 0

    def number(self, said: Number) -> LifeEnded | Reset | None:
        """Let a gateway's chain go on from where it says that it stands. What can't go on is answered; the
        answer is to be sent.

        None also where it can't be judged yet: the answer, if any, comes by ``answers`` when as much has been
        read.
        """
        if not self.speaking or not self._life:
            return None
        gateway, mine = said.gateway, said.mine
        self._waiting.pop(gateway, None)
        if mine is not None and mine.life != self._life:
            return self._over(said, 0)
        known, _ = self._gateways.get(gateway, (0, 0))
        if said.life != known:
            return self._strange(said, known)
        if mine is not None and (mine.offset, mine.index) > self._now:
            self._wait(said)
            return None
        start = self._begun.get(gateway) if mine is None else (mine.offset, mine.index)
        if start is None or start < self._ring.floor:
            return self._reset(gateway)
        self._chains[gateway] = _Chain(said.life, mine, behind=True)
        self._dirty.add(gateway)
        return None

    def lost(self, gateway: str, after: LogPosition | None) -> None:
        """A feed that came after ``after`` may not have arrived: go back to there."""
        chain = self._chains.get(gateway)
        if chain is None or chain.sent is None:
            return
        if after is None or (after.life == self._life and after < chain.sent):
            chain.sent = after
            chain.go_back()
            self._dirty.add(gateway)

    # ── out ─────────────────────────────────────────────────────────────────────────────────────────────────

    def dirty(self) -> AbstractSet[str]:
        """Return the gateways for which ``next`` has something. It changes with the next call of anything
        here.
        """
        return self._dirty

    def answers(self) -> list[tuple[str, LifeEnded | Reset]]:
        """Return, once, what gateways must be told besides their feeds."""
        if not self._answers:
            return []
        answers = list(self._answers.items())
        self._answers.clear()
        return answers

    def next_bodies(self, max_bytes: int = FEED_BYTES) -> Bodies | None:
        """Return messages that go to all gateways at once. Call it until it gives None, and send what it
        gives, before any ``next``.
        """
        if not self._bodies:
            return None
        count, size = 0, 0
        for _, _, message in self._bodies:
            size += size_of(message)
            if count and size > max_bytes:
                break
            count += 1
        messages = tuple(self._bodies[:count])
        del self._bodies[:count]
        self._bodies_bytes = sum(size_of(message) for _, _, message in self._bodies)
        return Bodies(self._shard, self._life, messages)

    def next(self, gateway: str, max_bytes: int = FEED_BYTES) -> Feed | None:
        """Return the next feed of a gateway's chain, which counts as sent from now on; None where there is
        nothing new to say.
        """
        chain = self._chains.get(gateway)
        if chain is None or gateway not in self._dirty:
            return None
        if chain.behind:
            return self._next_behind(gateway, chain, max_bytes)
        if chain.bytes > max_bytes and len(chain.pending) > 1:
            return self._next_cut(chain, max_bytes)
        items = tuple(chain.pending)
        chain.empty()
        return self._whole(gateway, chain, items)

    def idle(self, gateway: str) -> Feed | None:
        """Return a feed though there may be nothing to say: it tells how far the log is. None where there is
        no chain.
        """
        if gateway in self._dirty:
            return self.next(gateway)
        chain = self._chains.get(gateway)
        return None if chain is None else self._whole(gateway, chain, ())

    def unanswered(self) -> list[str]:
        """Return the living gateways that have no chain: they have not answered yet, and are to be asked
        again.
        """
        return [gateway for gateway in self._gateways if gateway not in self._chains] if self.speaking else []

    def waiting(self) -> dict[str, int]:
        """Return for how many entries of the log each gateway has still to be sent something, of those for
        which anything waits.
        """
        found = {}
        for gateway in self._dirty:
            chain = self._chains.get(gateway)
            if chain is None:
                continue
            start = self._begun.get(gateway, self._now) if chain.sent is None else (chain.sent.offset, 0)
            found[gateway] = max(1, self._now[0] - start[0])
        return found

    def reached(self, room: str, epoch: str, seq: int) -> dict[str, bool] | None:
        """Return the gateways that a message was for (none: it was for nobody), each with whether its chain
        has got there; None where it has left the ring. It looks through the whole ring.
        """
        for offset, index, gateways, item in self._ring.latest():
            if isinstance(item, Deliver) and item.seq == seq and item.room == room and item.epoch == epoch:
                return {gateway: self._sent(gateway, (offset, index)) for gateway in gateways}
        return {} if (room, epoch, seq) in self._undelivered else None

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────

    def _sent(self, gateway: str, place: Place) -> bool:
        chain = self._chains.get(gateway)
        return chain is not None and chain.sent is not None and (chain.sent.offset, chain.sent.index) >= place

    def _take_out(self, offset: int, out: FeedItem) -> None:
        targets, item = out.gateways, out.item
        entry: Entry = (offset, out.index, item)
        size = size_of(item)
        self._ring.put(entry, targets, size)
        if not self.speaking:
            return
        if (
            len(targets) >= NAMED_FROM
            and len(targets) >= len(self._gateways)
            and isinstance(item, Deliver)
            and self._bodies_bytes + size <= self._share
        ):
            self._bodies.append((offset, out.index, item))
            self._bodies_bytes += size
            entry, size = (offset, out.index, _NAMED), size_of(_NAMED)
        chains, dirty = self._chains, self._dirty
        for gateway in targets:
            chain = chains.get(gateway)
            if chain is None or chain.behind:
                continue
            if chain.offset != offset:
                chain.offset = offset
                chain.counts.append((len(chain.pending), chain.counted))
                chain.counted = self._gateways[gateway][1] if gateway in self._gateways else chain.counted
            chain.pending.append(entry)
            chain.bytes += size
            if chain.bytes > self._share:
                chain.go_back()
            dirty.add(gateway)

    def _next_cut(self, chain: _Chain, max_bytes: int) -> Feed:
        """Return as much of what is pending as fits, one item at least."""
        count, size = 0, 0
        for entry in chain.pending:
            size += size_of(entry[2])
            if count and size > max_bytes:
                break
            count += 1
            taken = size
        if count == len(chain.pending):  # one item that is too large for itself
            count -= 1
            taken -= size_of(chain.pending[-1][2])
        items = tuple(chain.pending[:count])
        del chain.pending[:count]
        chain.bytes -= taken
        # Batches taken before the entry of the first item that is left: those of an entry that is cut do not
        # count yet.
        counted = next(number for at, number in reversed(chain.counts) if at <= count)
        rest = [(at - count, number) for at, number in chain.counts if at > count]
        chain.counts[:] = [(0, counted), *rest]
        return self._link(chain, counted, LogPosition(self._life, items[-1][0], items[-1][1]), items)

    def _next_behind(self, gateway: str, chain: _Chain, max_bytes: int) -> Feed | None:
        begun = self._begun.get(gateway)
        start = begun if chain.sent is None else (chain.sent.offset, chain.sent.index)
        if start is None or start < self._ring.floor:
            self._answer(gateway, self._reset(gateway))
            return None
        items: list[Entry] = []
        size = 0
        for entry, targets in self._ring.above(start if begun is None else max(start, begun)):
            if gateway in targets:
                size += size_of(entry[2])
                if items and size > max_bytes:
                    upto = LogPosition(self._life, items[-1][0], items[-1][1])
                    return self._link(chain, 0, upto, tuple(items))
                items.append(entry)
        chain.behind = False
        return self._whole(gateway, chain, tuple(items))

    def _whole(self, gateway: str, chain: _Chain, items: tuple[Entry, ...]) -> Feed:
        """Return the feed that leaves nothing pending."""
        self._dirty.discard(gateway)
        chain.counted = self._gateways[gateway][1]
        return self._link(chain, chain.counted, LogPosition(self._life, *self._now), items)

    def _link(self, chain: _Chain, counted: int, upto: LogPosition, items: tuple[Entry, ...]) -> Feed:
        after, chain.sent = chain.sent, upto
        return Feed(self._router, self._shard, chain.life, counted, after, upto, items)

    def _strange(self, said: Number, known: int) -> LifeEnded | None:
        """Answer a gateway whose life is not the one that lives here."""
        ended, counted = self._ended.get(said.gateway, (0, 0))
        if said.life <= max(known, ended):
            return self._over(said, counted if said.life == ended else 0)
        mine = said.mine
        # Its Hello may not have been read yet: then its chain begins there by itself. What it was told up to
        # ``mine`` comes after its Hello.
        if mine is None or (mine.offset, mine.index) > self._now:
            self._wait(said)
            return None
        return self._over(said, 0)

    def _wait(self, said: Number) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting[said.gateway] = said

    def _answer_waiting(self) -> None:
        """Judge again what has come within reach."""
        for said in list(self._waiting.values()):
            known, _ = self._gateways.get(said.gateway, (0, 0))
            if said.mine is None:
                if known >= said.life:  # its chain began with the Hello that it waited for
                    del self._waiting[said.gateway]
            elif (said.mine.offset, said.mine.index) <= self._now:
                answer = self.number(said)
                if answer is not None:
                    self._answer(said.gateway, answer)

    def _over(self, said: Number, counted: int) -> LifeEnded:
        return LifeEnded(self._shard, said.life, counted)

    def _reset(self, gateway: str) -> Reset:
        """Let a chain begin at the present: what lies before is not to be had."""
        life, counted = self._gateways[gateway]
        now = LogPosition(self._life, *self._now)
        chain = self._chains[gateway] = _Chain(life, now, behind=False)
        chain.counted = counted
        self._dirty.discard(gateway)
        return Reset(self._router, self._shard, life, now, counted)

    def _answer(self, gateway: str, answer: LifeEnded | Reset) -> None:
        """Keep the answer for whoever sends it; that of an older life does not push out another."""
        kept = self._answers.get(gateway)
        if kept is None or kept.life <= answer.life:
            self._answers[gateway] = answer

    def _drop(self, gateway: str) -> bool:
        self._dirty.discard(gateway)
        return self._chains.pop(gateway, None) is not None

    def _new_life(self, life: str, offset: int) -> None:
        """All that was said in another life of the log is void, and so are the lives of gateways in it."""
        for gateway, chain in self._chains.items():
            self._answer(gateway, LifeEnded(self._shard, chain.life, 0))
        self._forget(life, (offset, 0))

    def _forget(self, life: str, floor: Place) -> None:
        self._life = life
        self._ring.begin(floor)
        self._undelivered.clear()
        self._begun.clear()
        self._chains.clear()
        self._dirty.clear()
        self._waiting.clear()
        self._bodies.clear()
        self._bodies_bytes = 0
