"""The cores of routers and gateways in one process, wired as in production but without sockets, broker or
event loop: the whole path of a message.

What remains of a message's cost is deciding and encoding: session, envelopes, fold, history, feeds, hub,
frames, outbox. One shard stands for all of them and holds all rooms, so that only the number of rooms changes
from one run to the next.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from gateway.core import actions
from gateway.core.client_limits import OutboxLimits
from gateway.core.feed_positions import FeedPositions, Kind
from gateway.core.hub import Hub, Member
from gateway.core.outbox import Outbox
from gateway.core.permissions import Identity
from gateway.core.recent_messages import RecentMessages
from gateway.core.room_catch_up import RoomCatchUp, Tell
from gateway.core.session import Session, SessionConfig
from gateway.core.websocket import frames
from router.core.effects import BackendEvent
from router.core.feeds import Feeds
from router.core.fold import FOLD_VERSION, Fold
from router.core.history import History
from warren import envelope as wire
from warren.namespaces import Namespaces

AT_US = 1_800_000_000_000_000
TEXT = '{"type":"CHAT","room":"%s","id":"%x","payload":{"text":"' + "x" * 170 + '"},"version":"1.0"}'
# Filling a shard's default history would take longer than the measurement; what matters is that it is full.
HISTORY_BYTES = 4 * 1024 * 1024
RECENT_BYTES = 4 * 1024 * 1024
RING_BYTES = 4 * 1024 * 1024
RULES = wire.Rules("life", FOLD_VERSION, 65_536, 65_536, 1_024, AT_US)
BATCH = 32
WRITE_BYTES = 256 * 1024


class Guest(Member):
    """A connection without a socket."""

    __slots__ = ("session",)

    def __init__(self, session: Session, user: str, limits: OutboxLimits) -> None:
        super().__init__(session.conn, user, frames.JSON, Outbox(limits))
        self.session = session


class GatewayCore:
    """One gateway: its hub and its guests, its life in the shard and its number there."""

    def __init__(self, name: str, namespaces: Namespaces) -> None:
        self.name = name
        recent = RecentMessages(namespaces, RECENT_BYTES, RECENT_BYTES)
        self.hub = Hub(namespaces, recent)
        self.guests: dict[str, Guest] = {}
        self.batches = 0
        self._catch_up = RoomCatchUp(name, self.hub, recent, namespaces)
        self._positions = FeedPositions(name, 0)
        self._namespaces = namespaces
        self._config = SessionConfig(rate=None, rooms_max=1_000_000, rooms=())
        self._limits = OutboxLimits()
        self.written = 0  # messages written to clients
        self.writes = 0

    def record(self, contents: Iterable[wire.Envelope]) -> bytes:
        """Encode the next batch for the log."""
        self.batches += 1
        return wire.encode([wire.Batch(self.name, self._positions.life, self.batches, AT_US), *contents])

    def enter(self, user: str) -> tuple[Guest, list[wire.Envelope]]:
        """Accept a client; return it, and the JOINs for a router."""
        session = Session(f"{self.name}~{len(self.guests):x}", self._config, self._namespaces)
        guest = Guest(session, user, self._limits)
        session.open(None, 0.0, AT_US)
        asked = session.identify(Identity(user), 0.0, AT_US)
        self.hub.add(guest)
        self.guests[guest.id] = guest
        return guest, self._do(guest, asked)

    def hear(self, guest: Guest, text: str) -> list[wire.Envelope]:
        """Handle a client's message; return what goes to a router."""
        return self._do(guest, guest.session.receive(text, 0.0, AT_US).actions)

    def take(self, body: bytes) -> None:
        """Handle what a router sends, as the downlink does, and write to the clients."""
        run: list[wire.Deliver] = []
        for said in wire.decode(body):
            if isinstance(said, wire.Bodies):
                self._positions.put(said)
                continue
            assert isinstance(said, wire.Feed)
            verdict = self._positions.judge(said)
            assert verdict.kind is Kind.APPLY
            for item in verdict.items:
                if isinstance(item, wire.Deliver):
                    run.append(item)
                    continue
                if run:
                    self._deliver(run)
                    run = []
                if isinstance(item, wire.Entered):
                    self._entered(item)
                elif isinstance(item, wire.Ack):
                    guest = self.guests[item.conn]
                    self._do(guest, guest.session.answer(item))
        if run:
            self._deliver(run)

    def _entered(self, item: wire.Entered) -> None:
        guest = self.guests[item.conn]
        quiet = guest.session.entered(item)
        if quiet is None:
            return
        for step in self._catch_up.entered(item, 0, 0.0, AT_US, quiet=quiet):
            assert isinstance(step, Tell)
            self._do(guest, guest.session.answer(step.joined))

    def _deliver(self, run: Sequence[wire.Deliver]) -> None:
        for member in self.hub.deliver(run, AT_US // 1_000).woken:
            self._write(member)

    def _write(self, member: Member) -> None:
        outbox = member.outbox
        while outbox.bytes:
            self.written += outbox.count
            chunks = outbox.take(WRITE_BYTES)
            self.written -= outbox.count
            if len(chunks) > 1:
                b"".join(chunks)
            self.writes += 1

    def _do(self, guest: Guest, asked: Iterable[actions.Action]) -> list[wire.Envelope]:
        up: list[wire.Envelope] = []
        for action in asked:
            match action:
                case actions.Send():
                    guest.outbox.put(frames.message_frame(action.message, guest.variant, AT_US // 1_000))
                case actions.Publish() | actions.Join():
                    up.append(action.envelope)
                case _:
                    raise AssertionError(action)
        self._write(guest)
        return up


class CorePipeline:
    """A router that speaks for one shard, and some gateways."""

    def __init__(self, gateways: int, *, seed: int = 1) -> None:
        self._namespaces = Namespaces()
        self.fold = Fold(0, 1)
        self.feeds = Feeds("r", 0, RING_BYTES)
        self.history = History(HISTORY_BYTES, HISTORY_BYTES, 0)
        self.gateways = {
            f"g{number}": GatewayCore(f"g{number}", self._namespaces) for number in range(gateways)
        }
        self._append(wire.encode([RULES]))
        self.feeds.begin()
        for gateway in self.gateways.values():
            self._append(gateway.record([wire.Hello()]))
        self._feed()
        self.members: dict[str, list[Guest]] = {}
        self._chance = random.Random(seed)
        self._number = 0
        self._order: list[str] = []

    def populate(self, rooms: int, size: int, guests: int, spread: int) -> None:
        """Connect ``guests`` clients, and create ``rooms`` rooms with ``size`` members each, on at most
        ``spread`` gateways.
        """
        names = list(self.gateways)
        for number in range(guests):
            gateway = self.gateways[names[number % len(names)]]
            guest, joins = gateway.enter(f"user{number}")
            self.route(gateway, joins)
        by_gateway = {name: list(self.gateways[name].guests.values()) for name in names}
        for number in range(rooms):
            room = f"chat:{number:06x}"
            homes = [names[(number + step) % len(names)] for step in range(min(spread, len(names)))]
            taken = self.members[room] = []
            for at in range(size):
                choice = by_gateway[homes[at % len(homes)]]
                guest = choice[(number * size + at) // len(homes) % len(choice)]
                taken.append(guest)
                gateway = self.gateways[guest.id.partition("~")[0]]
                self.route(gateway, gateway.hear(guest, f'{{"type":"JOIN","room":"{room}","payload":null}}'))

    def spoken(self, count: int, talking: int = 0) -> list[tuple[GatewayCore, Guest, str]]:
        """Return ``count`` messages from random members, no two in succession in the same room; in
        ``talking`` rooms (0: in all).
        """
        spoken = []
        for _ in range(count):
            if not self._order:
                self._order = list(self.members)[:: len(self.members) // talking if talking else 1]
                self._chance.shuffle(self._order)
            room = self._order.pop()
            guest = self._chance.choice(self.members[room])
            self._number += 1
            spoken.append((self.gateways[guest.id.partition("~")[0]], guest, TEXT % (room, self._number)))
        return spoken

    def walk(self, spoken: Sequence[tuple[GatewayCore, Guest, str]]) -> None:
        """Pass messages from their senders to all members, and the ACKs back: BATCH messages of all gateways
        at a time.
        """
        for begin in range(0, len(spoken), BATCH):
            batches: dict[str, list[wire.Envelope]] = {}
            for gateway, guest, text in spoken[begin : begin + BATCH]:
                batches.setdefault(gateway.name, []).extend(gateway.hear(guest, text))
            for name, batch in batches.items():
                self._append(self.gateways[name].record(batch))
            self._feed()

    def route(self, gateway: GatewayCore, batch: list[wire.Envelope]) -> None:
        """Append a gateway's batch to the log, and pass what follows from it to the gateways."""
        if batch:
            self._append(gateway.record(batch))
            self._feed()

    def _append(self, record: bytes) -> None:
        """Handle the next entry of the log, as a router's shard does."""
        fold = self.fold
        effects = fold.apply(fold.offset + 1, record)
        for effect in effects:
            if type(effect) is BackendEvent and effect.message is not None:
                policy = self._namespaces.policy(effect.room).history
                self.history.put(effect.message, policy, effect.at_us)
        self.feeds.take(fold.life, fold.offset, effects, fold.gateways, fold.ended)

    def _feed(self) -> None:
        """Send the pending feeds, as a router's egress does."""
        while (bodies := self.feeds.next_bodies()) is not None:
            body = wire.encode([bodies])
            for gateway in self.gateways.values():
                gateway.take(body)
        for name in list(self.feeds.dirty()):
            while (feed := self.feeds.next(name)) is not None:
                self.gateways[name].take(wire.encode([feed]))

    @property
    def delivered(self) -> int:
        """How many messages, including ACKs, were written to clients."""
        return sum(gateway.written for gateway in self.gateways.values())
