"""A gateway and a router, as the model has them: production cores, wired as the shells wire them, without
time and without a bus.
"""

from __future__ import annotations

from tests.model.build import LARGE, Build, Scenario
from tests.model.search import Broken

from gateway.core.batch_numbers import Entry
from gateway.core.feed_positions import Kind
from router.core import fold as fold_module
from router.core.effects import BackendEvent, Marked, Part, UnknownVersion
from router.core.event_backlog import EventBacklog
from warren.envelope import (
    Ack,
    Batch,
    Bodies,
    Checkpoint,
    Deliver,
    Entered,
    Feed,
    Join,
    Leave,
    Left,
    LifeEnded,
    Publish,
    Reset,
    Rules,
    decode,
    encode,
)
from warren.errors import MalformedEnvelope
from warren.position import LogPosition, Position

KINDS = frozenset({"client", "room", "message"})
ROOM = "a"


class Gateway:
    """One gateway with one connection, whose client takes note of all it is told."""

    def __init__(self, build: Build, scenario: Scenario, name: str) -> None:
        self.name = name
        self.answers_may_be_lost = scenario.answers_may_be_lost
        self.conn = f"{name}~1"
        self.numbers = build.numbers(100, LARGE)
        self.positions = build.positions(name, 0)
        self.gap = False
        self.wants = self.leaving = False
        self.joined = False  # and knows where it stands: what comes for the room is for it
        self.standing: Position | None = None
        self.refs = 0
        self.told = False  # that something is lost
        self.open: dict[str, Entry] = {}  # messages without an answer
        self.given_up: tuple[str, ...] = ()
        self.acks: dict[str, Position] = {}

    # ── its client ──
    def act(self, *what: str) -> None:
        match what:
            case ("join",):
                self.wants = True
                self._join()
            case ("leave",):
                self.wants, self.leaving = False, True
                self._leave()
            case ("say", str(ident)):
                message = Publish(ROOM, "CHAT", b"1", 0, self.conn, "u", ident, include_sender=True)
                self._say(message)

    def _say(self, message: Publish) -> None:
        entry = Entry(message, 1, kept=True, charged=True, awaited=not self.answers_may_be_lost)
        self.open[message.id] = entry
        self.numbers.offer(entry)

    def _join(self) -> None:
        self.refs += 1
        self.joined = False
        join = Join(ROOM, self.conn, "u", str(self.refs), self.standing)
        self.numbers.offer(Entry(join, 1, kept=False, charged=False))

    def _leave(self) -> None:
        self.refs += 1
        leave = Leave((ROOM,), self.conn, str(self.refs), "u")
        self.numbers.offer(Entry(leave, 1, kept=False, charged=False))

    def _again(self) -> None:
        """The members join again from where they stand."""
        if self.wants:
            self._join()
        elif self.leaving:
            self._leave()

    # ── the way in ──
    def record(self) -> bytes | None:
        """What has to go into the log now."""
        batch = self.numbers.next()
        return None if batch is None else batch.body(self.name, 0)

    def can_give_up(self) -> bool:
        batch = self.numbers.next()
        return batch is not None and any(isinstance(entry.envelope, Publish) for entry in batch.entries)

    def confirmed(self) -> None:
        batch = self.numbers.next()
        assert batch is not None
        self.numbers.confirmed(batch)

    def failed(self, give_up: bool) -> None:
        batch = self.numbers.next()
        assert batch is not None
        if give_up:
            entry = next(entry for entry in batch.entries if isinstance(entry.envelope, Publish))
            self.given_up = (*self.given_up, entry.envelope.id)
            del self.open[entry.envelope.id]
            self.numbers.give_up(entry)
        self.numbers.failed(batch)

    # ── the way out ──
    def asks(self) -> bool:
        return self.numbers.begun and (self.gap or self.positions.mine is None)

    def begun(self) -> bool:
        return self.numbers.begun

    def receive(self, parcel: Feed | Bodies | Reset | LifeEnded) -> tuple[tuple[object, ...], str]:
        """Take what a router has sent; return the items that were applied, and what is wrong about them."""
        match parcel:
            case Bodies():
                self.positions.put(parcel)
            case Feed():
                verdict = self.positions.judge(parcel)
                if verdict.kind is Kind.GAP:
                    self.gap = True
                elif verdict.kind is Kind.APPLY:
                    self.gap = False
                wrong = next(filter(None, map(self._item, verdict.items)), "")
                if verdict.kind in (Kind.APPLY, Kind.REPEAT):
                    self.numbers.count(parcel.life, verdict.counted)
                elif verdict.kind is Kind.FOREIGN:
                    self._life_ended(0)
                return verdict.items, wrong
            case Reset():
                if self.positions.reset(parcel):
                    self.gap = False
                    self.numbers.count(parcel.life, parcel.counted)
                    self.numbers.ask_again()
                    self._again()
            case LifeEnded():
                if self.positions.ended(parcel):
                    self._life_ended(parcel.counted)
        return (), ""

    def _life_ended(self, counted: int) -> None:
        self.numbers.end(self.positions.life, counted)
        self.positions.begin(self.numbers.life)
        self.gap = False
        self._again()

    def _item(self, item: object) -> str:
        match item:
            case Deliver(epoch=epoch, seq=seq) if self.joined and self.standing is not None:
                if (epoch, seq) != (self.standing.epoch, self.standing.seq + 1):
                    return f"{self.conn} stands at {self.standing} and is given {epoch} {seq}"
                self.standing = Position(epoch, seq)
            case Entered(ref=ref, position=position) if ref == str(self.refs) and self.wants:
                self.told = self.told or self.standing not in (None, position)
                self.standing, self.joined = position, True
            case Left(ref=ref) if ref == str(self.refs):
                self.standing, self.joined, self.leaving = None, False, False
            case Ack(id=ident, epoch=epoch, seq=seq):
                entry = self.open.pop(ident, None)
                if entry is not None:
                    self.numbers.answered(entry)
                self.acks[ident] = Position(epoch, seq)
        return ""

    def rests(self) -> bool:
        """Nothing is to be sent, and nothing that was sent is without an answer."""
        answered = not self.open or (
            self.answers_may_be_lost and all(entry.counted for entry in self.open.values())
        )
        calm = self.numbers.next() is None and not self.numbers.charged and answered
        return calm and self.joined == self.wants and not self.leaving

    def state(self) -> tuple[int, LogPosition | None, Position | None, bool, dict[str, Position]]:
        return self.positions.life, self.positions.mine, self.standing, self.told, self.acks


class Router:
    """One router that reads the log and speaks for it."""

    def __init__(
        self, build: Build, scenario: Scenario, name: str, knows: int, retained: tuple[tuple[int, bytes], ...]
    ):
        """Begin with what is left of the log: at its newest whole checkpoint, or at its
        beginning, or lost.
        """
        self.name, self.knows = name, knows
        self.build = build
        self.feed_bytes, self.part_bytes = scenario.feed_bytes, scenario.part_bytes
        self.names = tuple(scenario.gateways)
        self.feeds = build.feeds(name, 0, scenario.ring_bytes)
        self.backlog = EventBacklog(0, KINDS)
        self.parts = build.parts()
        self.unwritten: tuple[Checkpoint, ...] = ()
        self.fold = build.fold(0, 1)
        self.lost = False  # nothing counts before Rules that begin a life anew
        self._begin(retained)

    def _begin(self, retained: tuple[tuple[int, bytes], ...]) -> None:
        found, parts = None, self.build.parts()
        first = retained[0][0] if retained and self.build.checkpoints_need_their_mark else 0
        for _, record in retained:
            match decode(record):
                case [Checkpoint() as part] if part.offset >= first:
                    found = parts.take(part) or found
                case [Rules(anew=True)]:
                    found = None
        if found is not None:
            self.fold = self._versioned(self.build.fold.restored, 0, 1, found.offset, found.bodies)
            self.feeds.start(self.fold.life, self.fold.offset, self.fold.gateways, self.fold.ended)
        elif retained and retained[0][0] > 0:
            self.lost = True
        self.backlog.begin(self.fold.offset)
        self.feeds.begin()

    def offset(self) -> int:
        """Where it has begun to read."""
        return self.fold.offset

    def read(self, offset: int, record: bytes) -> tuple[object, tuple[tuple[str, object], ...]]:
        """Take the next entry; return what it brings about (None: that is not known here) and what is sent.
        Raises UnknownVersion.
        """
        if self.lost:
            match decode(record):
                case [Rules(anew=True)]:
                    self.lost = False
                case _:
                    return None, ()
        fold = self.fold
        effects = self._versioned(fold.apply, offset, record)
        self.feeds.take(fold.life, offset, effects, fold.gateways, fold.ended)
        self.backlog.take(
            fold.life, offset, [each for each in effects if isinstance(each, BackendEvent)], keep=True
        )
        for effect in effects:
            match effect:
                case Part(part=part):
                    whole = self.parts.take(part)
                    if whole is not None:
                        self.backlog.upto(whole.offset)
                case Marked(router=self.name):
                    bodies, digest = fold.parts(self.part_bytes)
                    self.unwritten = tuple(
                        Checkpoint(self.name, offset, number, len(bodies), digest, body)
                        for number, body in enumerate(bodies)
                    )
        return tuple(effects), self._sent()

    def _versioned(self, call, *arguments):
        return knowing(self.knows, call, *arguments)

    def _sent(self) -> tuple[tuple[str, object], ...]:
        feeds, sent = self.feeds, []
        while (bodies := feeds.next_bodies()) is not None:
            sent += [(name, bodies) for name in self.names]
        while dirty := sorted(feeds.dirty()):
            for name in dirty:
                feed = feeds.next(name, self.feed_bytes)
                if feed is not None:
                    sent.append((name, feed))
        return (*sent, *feeds.answers())

    def number(self, said) -> tuple[tuple[str, object], ...]:
        answer = self.feeds.number(said)
        return (*self._sent(), *(() if answer is None else ((said.gateway, answer),)))

    def idle(self, name: str) -> tuple[tuple[str, object], ...]:
        feed = self.feeds.idle(name)
        return (*(() if feed is None else ((name, feed),)), *self._sent())

    def say(self) -> tuple[tuple[str, object], ...]:
        """Tell backends what is due, and have it confirmed."""
        due = self.backlog.next(1000)
        self.backlog.done(due)
        return tuple((each.id, each.emit) for each in due)

    def write(self) -> bytes | None:
        """Return the next part of our checkpoint, where it may be written."""
        if not self.unwritten:
            return None
        if self.build.parts_wait_for_events and self.backlog.confirmed < self.unwritten[0].offset:
            return None
        part, *rest = self.unwritten
        self.unwritten = tuple(rest)
        return encode([part])

    def silent(self) -> bool:
        return not len(self.backlog)

    def has_chain(self, name: str) -> bool:
        return self.feeds.speaking and name in self.feeds._chains

    def now(self) -> LogPosition | None:
        return LogPosition(self.fold.life, *self.feeds._now) if self.fold.life else None

    def agrees(self) -> bytes:
        return self.fold.parts()[1]

    def life(self) -> str:
        return self.fold.life

    def version(self) -> int:
        return self.fold.version

    def living(self) -> tuple[tuple[str, int], ...]:
        return tuple((name, life) for name, (life, _) in self.fold.gateways.items())


def knowing(version: int, call, *arguments):
    """Call with the version of the fold that the code at hand is taken to know."""
    known, fold_module.FOLD_VERSION = fold_module.FOLD_VERSION, version
    try:
        return call(*arguments)
    finally:
        fold_module.FOLD_VERSION = known


def begun(build: Build, scenario: Scenario, name: str, knows: int, retained) -> Router | None:
    """Return a router that has begun to read; None where it stands down: it does not know the version of the
    fold that the log has.
    """
    try:
        return Router(build, scenario, name, knows, retained)
    except UnknownVersion:
        return None
    except MalformedEnvelope as error:
        raise Broken(f"a checkpoint that is whole, and none: {error}") from None


def poison(gateway: str) -> bytes:
    """A record of a gateway that has lost its mind: it speaks for a connection that is not its own."""
    messages = [Publish(ROOM, "CHAT", b"1", 0, f"{name}~1", "u", "p") for name in (gateway, "other")]
    return encode([Batch(gateway, 1, 9, 0), *messages])
