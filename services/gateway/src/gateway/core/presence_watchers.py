"""PresenceWatchers: who on this gateway is told of the presence in which rooms, what they were told last, and
what was read of it.

Routers send a room's changes once to each gateway with watchers; they are passed on to all watchers here,
unless just that was told before, with the names of what was news: a router that begins to speak proves what
there is, and where that is what was told nobody hears of it. Each read of a room is under way once, whoever
asks, and is answered from memory while the room is as it was read: so ten thousand clients that lack the same
ask the routers once. Behind a new life of this gateway on a shard it asks how its rooms there stand, and
tells their watchers where that is not what they were told; a client whose frame found no place is told of the
room's state later.

A router of an older version can't read what is written of presence, and passes over all that stands beside
it: so nothing is written into a log before a question of presence was answered there. Steps come out, to be
done in their order; it sends nothing. The time is an argument, in monotonic seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from gateway.core.presence_frames import Proof, diff_payload, hex_of, page_payload, proof_of, proof_payload
from warren.address import connection_id
from warren.envelope import Inform, PresenceDiff, PresencePage, PresenceQuery, Watch
from warren.retry import Backoff

# A read without an answer is repeated after the first, then after twice as long, up to the last.
AGAIN_FIRST_S: Final = 0.5
AGAIN_LAST_S: Final = 8.0
# What was read is good for so long: of a room that is watched here while nothing else is heard of it.
PAGE_S: Final = 5.0
UNWATCHED_PAGE_S: Final = 1.0
PAGES_BYTES: Final = 8 * 1024 * 1024
# Changes that take more than this are not told by name: clients read the room, each at its own time.
DIFF_BYTES: Final = 256 * 1024
# Users that are watched as contacts on one gateway.
CONTACTS: Final = 100_000
# Words about members that wait until routers are known to read them; their next JOINs say the same.
INFORMS: Final = 16_384
# Rooms of which is asked how they stand, at each tick.
DOUBTED_AT_ONCE: Final = 64
# When a client that had no place for a frame is told what there is.
BEHIND_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class SendWord:
    """Have this written into the log of ``shard``."""

    word: Watch | Inform
    shard: int


@dataclass(frozen=True, slots=True)
class AskRouter:
    """Send this to the speaker of ``shard``; it is repeated by ``tick`` until its page comes."""

    query: PresenceQuery
    shard: int


@dataclass(frozen=True, slots=True)
class TellWatchers:
    """Put this payload on the outboxes of these connections; say by ``missed`` who had no place for it."""

    room: str
    payload: bytes
    conns: Collection[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """Give a connection what it has asked for under ``ref``."""

    conn: str
    room: str
    ref: str
    payload: bytes


Step = SendWord | AskRouter | TellWatchers | Answer
# What is read: (room, behind which key, how many, or only the numbers).
_Key = tuple[str, str, int, bool]


class _Watched:
    """A room that is watched here."""

    __slots__ = ("behind", "contacts", "known", "named", "shard", "told", "watchers")

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.watchers: dict[str, None] = {}  # those who are told of everything
        self.contacts: dict[str, None] = {}  # those who are told who comes and goes
        self.behind: dict[str, None] = {}  # those who lack what was told last
        self.told: Proof | None = None  # what was told to the watchers last
        self.named = True  # and whether by name, as far as it was news
        self.known: Proof | None = None  # what was heard of the room last

    def __len__(self) -> int:
        return len(self.watchers) + len(self.contacts)


@dataclass(slots=True)
class _Waiter:
    conn: str
    ref: str
    digest: str


@dataclass(slots=True)
class _Read:
    """A read that is under way."""

    query: PresenceQuery
    shard: int
    again: Backoff
    due: float
    waiters: list[_Waiter] = field(default_factory=list)
    check: bool = False  # its answer is told to the watchers where it is not what they were told


@dataclass(frozen=True, slots=True)
class _Page:
    """What was read."""

    proof: Proof
    payload: bytes
    read_at: float


class PresenceWatchers:
    """One gateway's."""

    def __init__(self, gateway: str, is_here: Callable[[str], bool]) -> None:
        """``is_here`` says whether a connection is (still) connected."""
        # Watches of contacts, and reads, are in the name of a connection that there never is.
        self._own = connection_id(gateway, 0)
        self._is_here = is_here
        self._watched: dict[str, _Watched] = {}
        self._contacts = 0  # rooms that are watched as contacts
        self._ready: set[int] = set()  # shards whose routers all know of presence
        self._informs: dict[tuple[str, str], tuple[Inform, int]] = {}  # (room, connection) ▶ for the others
        self._reads: dict[_Key, _Read] = {}
        self._by_ref: dict[str, _Key] = {}
        self._pages: OrderedDict[_Key, _Page] = OrderedDict()
        self._pages_bytes = 0
        self._doubted: dict[str, None] = {}
        self._behind: dict[str, float] = {}  # rooms with watchers who lack something ▶ when they are told
        self._refs = count(1)

    @property
    def rooms(self) -> int:
        """How many rooms are watched."""
        return len(self._watched)

    @property
    def reads(self) -> int:
        """How many reads are under way."""
        return len(self._reads)

    @property
    def pages_bytes(self) -> int:
        """How many bytes of what was read are kept."""
        return self._pages_bytes

    # ── who watches ─────────────────────────────────────────────────────────────────────────────────────────

    def watch(self, room: str, shard: int, conn: str, *, contact: bool = False) -> list[Step] | None:
        """Tell a connection of a room from now on; None where there are too many contacts here."""
        watched = self._watched.get(room)
        if contact and (watched is None or not watched.contacts):
            if self._contacts >= CONTACTS:
                return None
            self._contacts += 1
        if watched is None:
            watched = self._watched[room] = _Watched(shard)
        whose = watched.contacts if contact else watched.watchers
        news = conn not in whose and not (contact and whose)
        whose[conn] = None
        return self._up(room, shard, conn, on=True, contact=contact) if news else []

    def unwatch(self, room: str, conn: str, *, contact: bool = False) -> list[Step]:
        """Tell a connection of a room no more."""
        watched = self._watched.get(room)
        whose = None if watched is None else watched.contacts if contact else watched.watchers
        if watched is None or whose is None or conn not in whose:
            return []
        del whose[conn]
        if conn not in watched.watchers and conn not in watched.contacts:
            watched.behind.pop(conn, None)
        news = not (contact and whose)
        if contact and not whose:
            self._contacts -= 1
        if not len(watched):
            del self._watched[room]
            self._behind.pop(room, None)
            self._doubted.pop(room, None)
        return self._up(room, watched.shard, conn, on=False, contact=contact) if news else []

    @property
    def ready(self) -> int:
        """Of how many shards the routers are known to read what is written of presence."""
        return len(self._ready)

    def is_ready(self, shard: int) -> bool:
        """Say whether the routers of a shard are known to read what is written of presence."""
        return shard in self._ready

    def probe(self, room: str, shard: int, now: float) -> list[Step]:
        """Have that found out: ask how a room of the shard stands."""
        return [] if shard in self._ready else self._begin((room, "", 0, True), shard, now)[0]

    def inform(self, up: Inform, shard: int) -> list[Step]:
        """Say what is shown with a member from now on."""
        if shard in self._ready:
            return [SendWord(up, shard)]
        self._informs[up.room, up.conn] = up, shard
        if len(self._informs) > INFORMS:
            del self._informs[next(iter(self._informs))]
        return []

    def learn(self, shard: int) -> list[Step]:
        """The routers of a shard know of presence: say what has waited for that."""
        if shard in self._ready:
            return []
        self._ready.add(shard)
        self.doubt(shard)  # what happens before all this is in the log is told to nobody
        steps: list[Step] = [SendWord(watch, shard) for watch in self._of(shard)]
        for key, (up, where) in list(self._informs.items()):
            if where == shard:
                del self._informs[key]
                if self._is_here(up.conn):
                    steps.append(SendWord(up, shard))
        return steps

    def of(self, shard: int) -> list[Watch]:
        """Return all that is watched in a shard, as a new life of this gateway there has to say again."""
        return list(self._of(shard)) if shard in self._ready else []

    def _of(self, shard: int) -> Iterator[Watch]:
        for room, watched in self._watched.items():
            if watched.shard != shard:
                continue
            for conn in watched.watchers:
                yield Watch(room, conn, "", on=True)
            if watched.contacts:
                yield Watch(room, self._own, "", on=True)

    def _up(self, room: str, shard: int, conn: str, *, on: bool, contact: bool) -> list[Step]:
        if shard not in self._ready:
            self._doubted |= {room: None} if on else {}  # the answer says that the routers know of presence
            return []
        return [SendWord(Watch(room, self._own if contact else conn, "", on), shard)]

    # ── what routers say ────────────────────────────────────────────────────────────────────────────────────

    def diff(self, diff: PresenceDiff) -> list[Step] | None:
        """Pass on what has changed in a room; None where nobody here watches it (any more)."""
        watched = self._watched.get(diff.room)
        if watched is None:
            return None
        proof, told = proof_of(diff), watched.told
        if watched.known is not None and proof.version < watched.known.version:
            return []  # of a router that stood still meanwhile
        watched.known = proof
        named = _names(diff)
        if proof.agrees(told) and (watched.named or not named):
            return []
        watched.told, watched.named = proof, named
        conns = [*watched.watchers]
        if told is None or _concerns_contacts(diff, told):
            conns += [conn for conn in watched.contacts if conn not in watched.watchers]
        if not conns:
            return []
        payload = diff_payload(diff)
        if len(payload) > DIFF_BYTES:
            payload = proof_payload(proof)
        return [TellWatchers(diff.room, payload, conns)]

    def page(self, page: PresencePage, now: float) -> list[Step]:
        """Give what was read to all who wait for it; nothing where it was answered before. What is older than
        what was heard is no answer: it is of a router that stood still, and the read is repeated.
        """
        key = self._by_ref.get(page.ref)
        if key is None:
            return []
        room, proof = page.room, proof_of(page)
        watched, read = self._watched.get(room), self._reads[key]
        if watched is not None and watched.known is not None and proof.version < watched.known.version:
            return []
        del self._by_ref[page.ref], self._reads[key]
        payload = proof_payload(proof) if read.query.count else page_payload(page, read.query.after)
        kept = _Page(proof, payload, now)
        self._keep(key, kept)
        steps = self.learn(read.shard)
        if watched is not None:
            watched.known = proof
            if watched.told is None:
                watched.told = proof
            elif read.check and not proof.agrees(watched.told):
                watched.told, watched.named = proof, False
                steps.append(
                    TellWatchers(room, proof_payload(proof), [*{**watched.watchers, **watched.contacts}])
                )
        steps += [self._answer(room, waiter, kept) for waiter in read.waiters]
        return steps

    def missed(self, room: str, conns: Collection[str], now: float) -> None:
        """These watchers had no place for what the room told."""
        watched = self._watched.get(room)
        if watched is not None and conns:
            watched.behind.update(dict.fromkeys(conns))
            self._behind.setdefault(room, now + BEHIND_S)

    # ── reads ───────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, query: PresenceQuery, shard: int, now: float, digest: str = "") -> list[Step]:
        """Answer what a connection asks of a room; one that has what ``digest`` stands for is told no
        names.
        """
        key = query.room, query.after, query.limit, query.count
        waiter = _Waiter(query.conn, query.ref, digest)
        page = self._pages.get(key)
        if page is not None and self._is_fresh(query.room, page, now):
            return [self._answer(query.room, waiter, page)]
        steps, read = self._begin(key, shard, now)
        read.waiters.append(waiter)
        return steps

    def renew(self, shard: int, now: float) -> list[Step]:
        """Ask again at once for what is not answered on a shard: its speaker is another."""
        steps: list[Step] = []
        for read in self._reads.values():
            if read.shard == shard:
                read.again.reset()
                read.due = now + read.again.next()
                steps.append(AskRouter(read.query, shard))
        return steps

    def doubt(self, shard: int) -> None:
        """Something of a shard may not have been sent to this gateway: ask how its rooms there stand."""
        for room, watched in self._watched.items():
            if watched.shard == shard:
                watched.known = None  # in another life of the log versions begin anew
                self._doubted[room] = None

    def tick(self, now: float) -> list[Step]:
        """Ask again for what has been without an answer for long, and how some of the rooms stand of which
        nobody is sure; tell those again who had no place.
        """
        steps: list[Step] = []
        for key, read in list(self._reads.items()):
            if read.due > now:
                continue
            read.waiters = [waiter for waiter in read.waiters if self._is_here(waiter.conn)]
            if not read.waiters and not (read.check and key[0] in self._watched):
                del self._reads[key], self._by_ref[read.query.ref]
                continue
            read.due = now + read.again.next()
            steps.append(AskRouter(read.query, read.shard))
        steps += self._check(now)
        steps += self._tell_behind(now)
        while self._pages and next(iter(self._pages.values())).read_at + PAGE_S < now:
            self._drop_page()
        return steps

    def _check(self, now: float) -> list[Step]:
        steps: list[Step] = []
        for room in [room for room, _ in zip(self._doubted, range(DOUBTED_AT_ONCE), strict=False)]:
            del self._doubted[room]
            asked, read = self._begin((room, "", 0, True), self._watched[room].shard, now)
            read.check = True
            steps += asked
        return steps

    def _tell_behind(self, now: float) -> list[Step]:
        steps: list[Step] = []
        for room in [room for room, due in self._behind.items() if due <= now]:
            del self._behind[room]
            watched = self._watched[room]
            conns, watched.behind = [*watched.behind], {}
            if watched.told is not None and conns:
                steps.append(TellWatchers(room, proof_payload(watched.told), conns))
        return steps

    def _begin(self, key: _Key, shard: int, now: float) -> tuple[list[Step], _Read]:
        """Return the read of this, and what has to be done where it is not under way."""
        read = self._reads.get(key)
        if read is not None:
            return [], read
        room, after, limit, only_count = key
        ref = f"{next(self._refs):x}"
        again = Backoff(AGAIN_FIRST_S, AGAIN_LAST_S)
        query = PresenceQuery(room, self._own, ref, limit, after, only_count)
        read = self._reads[key] = _Read(query, shard, again, now + again.next())
        self._by_ref[ref] = key
        return [AskRouter(query, shard)], read

    def _answer(self, room: str, waiter: _Waiter, page: _Page) -> Answer:
        agrees = waiter.digest == hex_of(page.proof.digest) and bool(waiter.digest)
        payload = proof_payload(page.proof) if agrees else page.payload
        return Answer(waiter.conn, room, waiter.ref, payload)

    def _is_fresh(self, room: str, page: _Page, now: float) -> bool:
        watched = self._watched.get(room)
        if watched is None or watched.known is None:
            return now - page.read_at <= UNWATCHED_PAGE_S
        return page.proof.agrees(watched.known) and now - page.read_at <= PAGE_S

    def _keep(self, key: _Key, page: _Page) -> None:
        before = self._pages.pop(key, None)
        if before is not None:
            self._pages_bytes -= len(before.payload)
        self._pages[key] = page
        self._pages_bytes += len(page.payload)
        while self._pages_bytes > PAGES_BYTES:
            self._drop_page()

    def _drop_page(self) -> None:
        _, page = self._pages.popitem(last=False)
        self._pages_bytes -= len(page.payload)


def _names(diff: PresenceDiff) -> bool:
    """Say whether a diff says who has changed."""
    seen = diff.seen is not None and diff.seen.users
    return bool(diff.joined or diff.left or diff.updated or seen)


def _concerns_contacts(diff: PresenceDiff, told: Proof) -> bool:
    """Say whether more has changed than how many connections there are."""
    come_or_gone = diff.joined or diff.left or diff.updated
    return bool(come_or_gone) or diff.digest != told.digest or _is_there(diff) != _is_there(told)


def _is_there(said: PresenceDiff | Proof) -> bool:
    return said.users > 0 or said.connections > 0
