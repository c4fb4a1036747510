"""What backends command, raced against clients that come, join, leave and come back, on gateways that are cut
off, lose what they were told and begin again: the real fold and real sessions, and a network in between.

One shard. Each gateway has a queue of what it wants in the log, and one of what the log has for it; a life
that is declared over is noticed later, with or without what was said before. In the end all that waits is
taken, and then what clients hold is what the log says, and nobody is in who should be out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from gateway.core import actions
from gateway.core.client_messages import Error, Left
from gateway.core.permissions import Identity
from gateway.core.session import Session, SessionConfig, State
from router.core.effects import BackendEvent, Ended, FeedItem
from router.core.fold import Fold
from warren import envelope as wire
from warren.namespaces import Namespaces
from warren.position import Position

AT_US = 1_764_000_000_000_000
GATEWAYS = ("g1", "g2", "g3")
USERS = ("ann", "bob", "eve")  # of eve nobody wants anything
ROOMS = ("a", "b")
TOKENS = ("t1", "t2")
_NAMESPACES = Namespaces()
_AT = Position("e", 0)


class Broken(AssertionError):
    """What must hold does not."""


@dataclass
class Client:
    """One connection, and what it was told."""

    session: Session
    user: str
    asked_us: int  # when it connected
    inside: set[str] = field(default_factory=set)  # rooms that its gateway's hub has it in
    left: dict[str, int] = field(default_factory=dict)  # room ▶ how far the log was when it was out
    code: int = 0  # it was closed with
    came: int = -1  # offset at which backends were told that it is there
    answered: bool = False  # its gateway knows that it is

    @property
    def alive(self) -> bool:
        return self.session.state is not State.CLOSED


@dataclass
class Gateway:
    """A gateway's ends."""

    name: str
    life: int = 0
    number: int = 0
    clients: dict[str, Client] = field(default_factory=dict)
    out: list[wire.Envelope] = field(default_factory=list)
    inbox: list[Any] = field(default_factory=list)  # items, and Ended of its life


@dataclass(frozen=True)
class Done:
    """A command at its place in the log, and whom it must have met."""

    offset: int
    at_us: int
    command: wire.Command
    met: frozenset[str]


class World:
    """One round."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.limit = chance.choice((0, 0, 1, 2))
        self.replace = chance.random() < 0.5
        self.config = SessionConfig(
            rooms=("a",),
            rooms_max=9,
            rate=None,
            connections_per_user=self.limit,
            replace_oldest=self.replace,
        )
        self.fold, self.whole = Fold(0, 1), Fold(0, 1)  # of a router that begins at checkpoints, and of one
        self.now_us = AT_US
        self.gateways = {name: Gateway(name) for name in GATEWAYS}
        self.numbers = 0
        self.done: list[Done] = []
        self.commands: list[wire.Command] = []
        self.append(wire.Rules("one", 2, 50, 9, 9, AT_US))
        for gateway in self.gateways.values():
            self.begin(gateway)

    # ── the log ──
    def append(self, *envelopes: wire.Envelope) -> None:
        if self.chance.random() < 0.05:  # another router reads on from a checkpoint
            self.fold = Fold.restored(0, 1, self.fold.offset, self.fold.parts()[0])
        record = wire.encode(envelopes)
        effects = self.fold.apply(self.fold.offset + 1, record)
        if self.whole.apply(self.whole.offset + 1, record) != effects:
            raise Broken(f"a reader of all of it makes something else of entry {self.fold.offset}")
        for effect in effects:
            if isinstance(effect, FeedItem):
                for gateway in effect.gateways:
                    self.gateways[gateway].inbox.append(effect.item)
            elif isinstance(effect, Ended):
                self.gateways[effect.gateway].inbox.append(effect)
            elif isinstance(effect, BackendEvent) and effect.kind == "client.connected":
                client = self.client(effect.conn)
                client.came = client.came if client.came >= 0 else self.fold.offset

    def client(self, conn: str) -> Client:
        return self.gateways[conn.partition("~")[0]].clients[conn]

    def begin(self, gateway: Gateway) -> None:
        gateway.life += 1
        gateway.number = 1
        self.append(wire.Batch(gateway.name, gateway.life, 1, self.now_us), wire.Hello())

    def flush(self, gateway: Gateway, count: int = 9_999) -> None:
        if gateway.out:
            gateway.number += 1
            entries, gateway.out = gateway.out[:count], gateway.out[count:]
            self.append(wire.Batch(gateway.name, gateway.life, gateway.number, self.now_us), *entries)

    # ── clients ──
    def connect(self, gateway: Gateway) -> None:
        chance = self.chance
        self.numbers += 1
        conn, user = f"{gateway.name}~{self.numbers:x}", chance.choice(USERS)
        session = Session(conn, self.config, _NAMESPACES, manual=chance.random() < 0.5)
        client = gateway.clients[conn] = Client(session, user, self.now_us)
        identity = Identity(user, token_id=chance.choice(TOKENS), issued_s=chance.randint(1, 3))
        self.do(gateway, client, session.open(identity, 0.0, self.now_us))

    def say(self, gateway: Gateway, client: Client) -> None:
        room = self.chance.choice((*ROOMS, f"@{client.user}"))
        kind = self.chance.choice(("JOIN", "JOIN", "LEAVE"))
        frame = f'{{"type":"{kind}","room":"{room}","id":"{self.chance.randint(1, 9)}"}}'
        self.do(gateway, client, client.session.receive(frame, 0.0, self.now_us).actions)

    def do(self, gateway: Gateway, client: Client, asked: list[actions.Action]) -> None:
        for action in asked:
            match action:
                case actions.Join() | actions.Leave():
                    gateway.out.append(action.envelope)
                case actions.Exit():
                    client.inside.discard(action.room)
                    client.left[action.room] = self.fold.offset
                case actions.Send(message=Left() as left):
                    client.left[left.room] = self.fold.offset
                case actions.Send(message=Error(close=close)) if close:
                    client.code = close
                case actions.Close():
                    self.do(gateway, client, client.session.closed())
                case _:
                    pass

    # ── gateways ──
    def take(self, gateway: Gateway) -> None:
        """Take the next of what the log has for a gateway."""
        item = gateway.inbox.pop(0)
        if isinstance(item, Ended):
            gateway.out.clear()
            self.begin(gateway)
            self.rejoin(gateway)
            return
        if isinstance(item, wire.TokensRevoked):
            for client in list(gateway.clients.values()):
                if client.user == item.user:
                    self.do(gateway, client, client.session.answer(item, self.now_us))
            return
        client = gateway.clients.get(item.conn)
        if client is None or not client.alive:
            return
        if not isinstance(item, wire.Entered):
            self.do(gateway, client, client.session.answer(item, self.now_us))
            return
        client.answered = client.answered or item.room == f"@{client.user}"
        quiet = client.session.entered(item)
        if item.void_s:
            self.do(gateway, client, client.session.grants_revoked(item.void_s))
        if quiet is not None:
            client.inside.add(item.room)
            joined = wire.Joined(item.conn, item.room, _AT, recovered=quiet, ref=item.ref)
            self.do(gateway, client, client.session.answer(joined))

    def rejoin(self, gateway: Gateway) -> None:
        for client in gateway.clients.values():
            self.do(gateway, client, client.session.rejoin(0, dict.fromkeys(client.inside, _AT)))

    def lose(self, gateway: Gateway) -> None:
        """The gateway loses what it was told, and joins again; that its life is over it hears all the same."""
        ends = [item for item in gateway.inbox if isinstance(item, Ended)]
        gateway.inbox = ends[-1:]
        if not ends:
            self.rejoin(gateway)

    # ── backends ──
    def command(self) -> None:
        chance = self.chance
        if self.commands and chance.random() < 0.2:
            self.append(wire.Commanded("r", self.now_us), chance.choice(self.commands))
            return
        user = chance.choice(USERS[:2])
        own, room = f"@{user}", chance.choice(ROOMS)
        ident, until_ms = f"c{len(self.commands)}", self.now_us // 1_000 + chance.choice((2, 5, 10**6))
        alive = [conn for each in self.gateways.values() for conn, it in each.clients.items() if it.alive]
        one = chance.choice([conn for conn in alive if self.client(conn).user == user] or ["g1~ff"])
        spare = (one,) if chance.random() < 0.3 else ()
        command = chance.choice(
            (
                wire.Command(ident, "disconnect", own, spare=spare),
                wire.Command(ident, "disconnect", one),
                wire.Command(ident, "block", own, until_ms=until_ms),
                wire.Command(ident, "block", room, user, until_ms=until_ms),
                wire.Command(ident, "unblock", own),
                wire.Command(ident, "unblock", room, user),
                wire.Command(ident, "revoke", own, token_id=chance.choice(TOKENS)),
                wire.Command(ident, "revoke", own, before_s=chance.randint(1, 3)),
                wire.Command(ident, "remove", room, user),
                wire.Command(ident, "remove", room, conn=one),
                wire.Command(ident, "add", own, rooms=(room,)),
                wire.Command(ident, "add", one, rooms=(room,)),
            )
        )
        self.commands.append(command)
        met = self.must_meet(command)
        self.append(wire.Commanded("r", self.now_us), command)
        self.done.append(Done(self.fold.offset, self.now_us, command, met))

    def must_meet(self, command: wire.Command) -> frozenset[str]:
        """Return whom a command meets here: who is there, and who is not there only since its gateway's life
        was declared over, or it hears late of what is over.
        """
        room, verb = command.room, command.verb
        if verb not in ("disconnect", "block", "remove"):
            return frozenset()
        if "~" in room:
            return frozenset((room,)) if room != "g1~ff" else frozenset()
        user = room[1:] if room[:1] == "@" else command.user
        met = set()
        for gateway in self.gateways.values():
            there = self.fold.rooms.members(room, gateway.name)
            for conn, client in gateway.clients.items():
                meant = conn == command.conn if command.conn else client.user == user
                if not meant or conn in command.spare or not client.alive:
                    continue
                away = room[:1] == "@" and client.came >= 0 and client.answered
                if conn in there or away or (room in client.inside and room not in there):
                    met.add(conn)
        return frozenset(met)

    # ── one round ──
    def run(self, steps: int) -> None:
        chance = self.chance
        for _ in range(steps):
            self.now_us += chance.choice((0, 0, 1_000))
            gateway = self.gateways[chance.choice(GATEWAYS)]
            alive = [client for client in gateway.clients.values() if client.alive]
            match chance.randint(0, 15):
                case 0 | 1 | 2:
                    self.connect(gateway)
                case 3 | 4 if alive:
                    self.say(gateway, chance.choice(alive))
                case 5 if alive:
                    client = chance.choice(alive)
                    self.do(gateway, client, client.session.closed())
                case 6 | 7 | 8:
                    self.flush(gateway, chance.randint(1, 4))
                case 9 | 10 | 11 | 12 if gateway.inbox:
                    for _ in range(chance.randint(1, len(gateway.inbox))):
                        if gateway.inbox:
                            self.take(gateway)
                case 13 if gateway.name in self.fold.gateways and chance.random() < 0.4:
                    self.append(wire.Gone(gateway.name, gateway.life, self.now_us))
                case 14 if chance.random() < 0.4:
                    self.lose(gateway)
                case 15:
                    self.command()
                case _:
                    pass
        self.settle()
        self.check()

    def settle(self) -> None:
        """Take all that waits, until nothing does."""
        for _ in range(1_000):
            busy = [each for each in self.gateways.values() if each.inbox or each.out]
            if not busy:
                return
            for gateway in busy:
                while gateway.inbox:
                    self.take(gateway)
                self.flush(gateway)
        raise Broken("it never comes to rest")

    # ── what must hold ──
    def check(self) -> None:
        if self.fold.parts() != self.whole.parts():
            raise Broken("a reader of all of it knows something else")
        clients = {conn: it for each in self.gateways.values() for conn, it in each.clients.items()}
        self.check_views(clients)
        for done in self.done:
            self.check_met(done, clients)
        access = self.fold._access
        access.advance(self.now_us, forget=True)  # by now nothing counts that has ended
        for conn, client in clients.items():
            if not client.alive:
                self.check_closed(conn, client)
                continue
            identity, own = client.session.identity, f"@{client.user}"
            if (own, client.user) in access.blocks:
                raise Broken(f"{conn} is there, and {client.user} is blocked")
            for room in ROOMS:
                if (room, client.user) in access.blocks and room in client.session.rooms:
                    raise Broken(f"{conn} is in {room}, and {client.user} is blocked there")
            assert identity is not None
            before_s = access.revoked.get((client.user, ""), (0, 0))[0]
            if (client.user, identity.token_id) in access.revoked or identity.issued_s < before_s:
                raise Broken(f"{conn} is there by a token that was revoked")
            if client.session.void_s < access.voided.get(client.user, 0):
                raise Broken(f"{conn} does not know that {client.user}'s grants were voided")
        for user in USERS:
            count = sum(len(self.fold.rooms.members(f"@{user}", each)) for each in GATEWAYS)
            if self.limit and count > self.limit:
                raise Broken(f"{user} has {count} connections, and may have {self.limit}")

    def check_views(self, clients: dict[str, Client]) -> None:
        """Who is in a room by the log is in it by what its client was told, and each of them in its own."""
        for room in (*ROOMS, *(f"@{user}" for user in USERS)):
            there = {conn for each in GATEWAYS for conn in self.fold.rooms.members(room, each)}
            held = {conn for conn, it in clients.items() if it.alive and room in it.session.rooms}
            if there != held:
                raise Broken(f"in {room} are {sorted(there)} by the log, {sorted(held)} by the gateways")
            if room[:1] == "@":
                alive = {conn for conn, it in clients.items() if it.alive and f"@{it.user}" == room}
                if there != alive:
                    raise Broken(f"of {room} are {sorted(alive)}, and there are {sorted(there)}")

    def check_met(self, done: Done, clients: dict[str, Client]) -> None:
        command = done.command
        for conn in done.met:
            client = clients[conn]
            whole = command.room[:1] == "@" or "~" in command.room
            if whole and client.alive:
                raise Broken(f"{conn} is there after {command} at {done.offset}")
            stays = client.alive and command.room in client.session.rooms
            if not whole and stays and client.left.get(command.room, -1) < done.offset:
                raise Broken(f"{conn} was never out of {command.room} after {command} at {done.offset}")

    def check_closed(self, conn: str, client: Client) -> None:
        """Nobody was closed for nothing: one of whom nobody wanted anything only by the limit; one that came
        after a command not by that.
        """
        if not client.code:
            return
        wanted = [done for done in self.done if self.concerns(done.command, conn, client)]
        if client.code == 4006 and not any(
            "~" in done.command.room or done.command.verb == "block" or done.at_us >= client.asked_us
            for done in wanted
            if done.command.verb in ("disconnect", "block")
        ):
            raise Broken(f"{conn} was disconnected for nothing")
        if client.code == 4001 and not any(done.command.verb == "revoke" for done in wanted):
            raise Broken(f"the token of {conn} was never revoked")
        if client.code == 4007 and not self.limit:
            raise Broken(f"{conn} was replaced for nothing")
        if client.code not in (4001, 4006, 4007):
            raise Broken(f"{conn} was closed with {client.code}")

    @staticmethod
    def concerns(command: wire.Command, conn: str, client: Client) -> bool:
        return command.room in (conn, f"@{client.user}")
