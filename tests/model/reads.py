"""Reads as a model: members that join, come back and fall behind while a room goes on, from memory or page by
page, in every interleaving.

A gateway's hub, its recent messages and its catching up are the production ones; a router that answers is
here. The chain of feeds brings the room's messages and JOINs in their order; a Reset leaves some of it out,
and then all join again from where they stand. What must hold: a client is told where it stands before it is
given anything, and from there on each message once and in order, unless it is told that something is lost.
And from every state all get to where the room stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.model.search import Broken, Found, Step, Store, search

from gateway.core.client_limits import OutboxLimits
from gateway.core.hub import Hub, Member
from gateway.core.outbox import Outbox
from gateway.core.recent_messages import RecentMessages
from gateway.core.room_catch_up import Ask, Give, RoomCatchUp, Tell
from gateway.core.websocket.frames import JSON
from warren.envelope import Deliver, Entered, Page, Read
from warren.namespaces import RoomPolicy
from warren.position import Position

ROOM, EPOCH, NOW_US = "a", "l0-1", 5_000_000
LIMITS = OutboxLimits(count=1_000_000, bytes=10**9, soft_bytes=10**9)
SEQ = re.compile(rb'"seq":(\d+)')


def message(seq: int) -> Deliver:
    return Deliver(ROOM, EPOCH, seq, "CHAT", b"1", NOW_US)


class Policies:
    """Namespaces without their cache: one policy for all rooms."""

    def policy(self, room: str) -> RoomPolicy:
        return RoomPolicy("all", "*")


@dataclass(frozen=True)
class Build:
    """Production classes, or mutants in their place."""

    hub: type[Hub] = Hub
    recent: type[RecentMessages] = RecentMessages
    entered_counts: bool = True  # also where no answer to it is waited for any more


@dataclass(frozen=True)
class Scenario:
    """``chain``: a number is that message, a name a JOIN of that connection, ``name@seq`` one from that
    position on.
    """

    chain: tuple[int | str, ...]
    faults: dict[str, int]
    page: int = 1  # so many messages fit a page
    limit: int = 200_000


class Rooms:
    """The gateway, and what each of its clients has been told."""

    def __init__(self, build: Build, conns: tuple[str, ...]) -> None:
        policies: Any = Policies()
        self.entered_counts = build.entered_counts
        recent = build.recent(policies, 10**6, 10**6)
        self.hub = build.hub(policies, recent)
        self.catch_up = RoomCatchUp("g", self.hub, recent, policies)
        self.clients: dict[str, int | None] = dict.fromkeys(conns)
        self.lost: tuple[str, ...] = ()  # who was told that something is
        self.answered: tuple[str, ...] = ()  # JOINs of clients
        for conn in conns:
            self.hub.add(Member(conn, "u", JSON, Outbox(LIMITS)))

    def live(self, seq: int) -> tuple[Read, ...]:
        result = self.hub.deliver([message(seq)], 0)
        self._look()
        return self._do(self.catch_up.behind(result.gaps, 0, 0.0, NOW_US)) if result.gaps else ()

    def entered(self, conn: str, seq: int, since: int | None, ref: str, quiet: bool) -> tuple[Read, ...]:
        if ref in self.answered and not self.entered_counts:
            return ()
        if ref in self.answered:
            # no answer is waited for any more; that the room stands there counts all the same
            ref, quiet = "", True
        if since is not None and not quiet:
            self.clients[conn] = since  # it has come back with that
        place = None if since is None else Position(EPOCH, since)
        entered = Entered(conn, ROOM, Position(EPOCH, seq), ref, place)
        return self._do(self.catch_up.entered(entered, 0, 0.0, NOW_US, quiet=quiet))

    def page(self, page: Page) -> tuple[Read, ...]:
        return self._do(self.catch_up.page(page, 0.0, NOW_US))

    def again(self) -> tuple[Read, ...]:
        """Nothing has come for long."""
        return self._do(self.catch_up.tick(float("inf")))

    def standing(self, conn: str) -> int | None:
        standing = self.hub.standing(ROOM, conn)
        return None if standing is None else standing.seq

    def told(self) -> dict[str, int | None]:
        return self.clients

    def have_lost(self) -> tuple[str, ...]:
        return self.lost

    def _do(self, steps) -> tuple[Read, ...]:
        asked = []
        for step in steps:
            match step:
                case Ask(read=read):
                    asked.append(read)
                case Give():
                    self.hub.give(step.room, step.conns, step.messages, step.own_upto, 0)
                    self._look()
                case Tell(joined=joined):
                    self._told(joined.conn, joined.position.seq, joined.recovered)
                    if not joined.ref.endswith("!"):
                        self.answered = (*self.answered, joined.ref)
        return tuple(asked)

    def _told(self, conn: str, seq: int, recovered: bool) -> None:
        had = self.clients[conn]
        if not recovered and had is not None:
            self.lost = (*self.lost, conn)
        elif recovered and had != seq:
            raise Broken(f"{conn} stands at {had} and is told that it goes on from {seq}")
        self.clients[conn] = seq

    def _look(self) -> None:
        """Give each client what waits for it."""
        for conn, had in self.clients.items():
            member = self.hub.find(conn)
            assert member is not None
            for seq in map(int, SEQ.findall(b"".join(member.outbox.take(10**9)))):
                if had is None or seq != had + 1:
                    raise Broken(f"{conn} stands at {had} and is given {seq}")
                had = self.clients[conn] = seq


class State(NamedTuple):
    """Everything, immutable."""

    rooms: int
    at: int  # in the chain
    joins: tuple[
        str, ...
    ]  # again, after a Reset: as in the chain, or ``name@seq!`` for one that the gateway makes by itself
    reads: tuple[Read, ...]  # on their way to the router
    pages: tuple[Page, ...]
    left: tuple[int, ...]


class World:
    """A scenario, built of these classes."""

    def __init__(self, scenario: Scenario, build: Build | None = None) -> None:
        self.scenario, self.build = scenario, build or Build()
        self.store = Store()
        self.kinds = tuple(scenario.faults)
        self.conns = tuple(
            dict.fromkeys(each.partition("@")[0] for each in scenario.chain if isinstance(each, str))
        )
        self.last = max(each for each in scenario.chain if isinstance(each, int))

    def search(self) -> Found:
        rooms = self.store.put(Rooms(self.build, self.conns))
        first = State(rooms, 0, (), (), (), tuple(self.scenario.faults.values()))
        return search(first, self.following, self.well, self.scenario.limit)

    def seq(self, at: int) -> int:
        """Where the room stands at this place of the chain."""
        return max((each for each in self.scenario.chain[:at] if isinstance(each, int)), default=0)

    def spend(self, s: State, kind: str) -> State | None:
        if kind not in self.kinds or not s.left[self.kinds.index(kind)]:
            return None
        at = self.kinds.index(kind)
        return s._replace(left=(*s.left[:at], s.left[at] - 1, *s.left[at + 1 :]))

    def _call(self, s: State, name: str, *arguments: Any) -> State:
        rooms, asked = self.store.call(s.rooms, name, *arguments)
        return s._replace(rooms=rooms, reads=(*s.reads, *asked))

    def following(self, s: State) -> Iterator[Step]:
        chain = self.scenario.chain
        if s.at < len(chain):
            yield Step(f"the chain brings {chain[s.at]}", self._come(s, chain[s.at])._replace(at=s.at + 1))
            if (reset := self.spend(s, "reset")) is not None and isinstance(chain[s.at], int):
                for at in range(s.at + 1, len(chain) + 1):
                    if all(isinstance(each, int) for each in chain[s.at : at]):
                        yield Step(f"a Reset leaves out up to {at}", self._reset(reset, at), True)
        for at, join in enumerate(s.joins):
            joins = (*s.joins[:at], *s.joins[at + 1 :])
            yield Step(f"{join} has joined again", self._come(s._replace(joins=joins), join))
        if s.reads:
            read, *rest = s.reads
            asked = s._replace(reads=tuple(rest))
            yield Step(
                "the router answers", asked._replace(pages=(*s.pages, self._answer(s, read, kept=True)))
            )
            if (lost := self.spend(asked, "read lost")) is not None:
                yield Step("the router hears nothing", lost, True)
            if (forgot := self.spend(asked, "forgotten")) is not None:
                yield Step(
                    "the router has it no more",
                    forgot._replace(pages=(*s.pages, self._answer(s, read, kept=False))),
                    True,
                )
        elif not s.pages:
            yield Step("nothing comes for long", self._call(s, "again"))
        if s.pages:
            page, *others = s.pages
            yield Step("a page arrives", self._call(s._replace(pages=tuple(others)), "page", page))
            if (twice := self.spend(s, "page twice")) is not None:
                yield Step("a page arrives, and will again", self._call(twice, "page", page), True)

    def _come(self, s: State, item: int | str) -> State:
        if isinstance(item, int):
            return self._call(s, "live", item)
        conn, _, since = item.rstrip("!").partition("@")
        return self._call(
            s, "entered", conn, self.seq(s.at), int(since) if since else None, item, item[-1] == "!"
        )

    def _reset(self, s: State, at: int) -> State:
        """All members join again from where they stand; a JOIN that is not answered yet goes
        again as it was.
        """
        joins = []
        for join in self.scenario.chain[: s.at]:
            conn = join.partition("@")[0] if isinstance(join, str) else ""
            if conn and all(not each.startswith(conn) for each in s.joins):
                standing = self.store.look(s.rooms, "standing", conn)
                joins.append(join if standing is None else f"{conn}@{standing}!")
        return s._replace(at=at, joins=(*s.joins, *joins))

    def _answer(self, s: State, read: Read, *, kept: bool) -> Page:
        upto = min(read.upto, read.after + self.scenario.page, self.seq(s.at)) if kept else read.after
        messages = tuple(message(seq) for seq in range(read.after + 1, upto + 1))
        return Page(read.room, read.epoch, read.after, messages, upto == read.upto, kept, read.ref)

    def well(self, s: State) -> bool:
        if s.at < len(self.scenario.chain) or s.joins or s.reads or s.pages:
            return False
        if self.store.look(s.rooms, "have_lost") and not self._had(s, "forgotten"):
            return False
        return all(seq == self.last for seq in self.store.look(s.rooms, "told").values())

    def _had(self, s: State, kind: str) -> bool:
        return kind in self.kinds and s.left[self.kinds.index(kind)] < self.scenario.faults[kind]
