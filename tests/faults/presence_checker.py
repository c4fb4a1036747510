"""Presence under faults: users come and go in rooms that others watch, while gateways, routers and a node of
the broker are killed, frozen and cut by a seeded schedule. Watchers say something now and then, and all who
are there say that they have seen it. At the end each watcher must know just who is there, and what they have
seen.

``python -m tests.faults.presence_checker --rooms 50 --users 2000 --seconds 600`` runs it by hand;
``test_presence.py`` runs it briefly. Besides the end it measures how long whoever has gone is still shown
(ghosts), and what watchers are sent because a router has died. A user's truth is its client's: what was
answered, and when its connection ended.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import orjson
from bench.socket_client import CLOSE, SocketClient
from tests.faults.deployment import Deployment, Measures
from tests.faults.fault_injection import FaultInjection
from tests.faults.roster import Roster, Traffic
from tests.faults.schedule import Action, Target, Verb, schedule
from tests.support.eventually import eventually, stretched

from rabbit_nodes.cluster import RabbitCluster

_BACK_OFF_S = (0.05, 1.0)
_PING_S = 3.0
_SAY_S = 20.0  # a watcher says something about so often
_SEEN_S = 1.0  # what is seen in a room is said so often at most
_DEAF_S = 8.0  # without a word for so long a connection is given up
_OPEN_S = 5.0
_ANSWER_S = 15.0  # a JOIN or LEAVE without an answer for so long is asked again
_JITTER_S = (0.1, 0.5)  # before a watcher asks for the list
_LOOK_S = 0.25
_AFTERWARDS_S = 10.0  # of a router's death: pages that are asked for then may be for that
_SETTLE_S = 90.0
# Whoever has gone is shown for a gateway's lease (it was killed), or its grace (the socket was closed), a
# beat and a look at most; the rest is for a machine that is short of time.
_GHOST_S = 5.0 + 3.0 + 0.5 + _LOOK_S + stretched(1.5)
# What a node of the broker, or a way that carries nothing, excuses besides the time that it takes.
_RECOVERY_S = 6.0
ENV = {
    "WARREN_NAMESPACES": "[{name: all, pattern: '*', receipts: seen, "
    "presence: {mode: users, watch: anyone, max: 100000}}]",
}


@dataclass(frozen=True, slots=True)
class Options:
    """One run."""

    seconds: float = 60.0
    seed: int = 1
    measures: Measures = field(default_factory=Measures)
    rooms: int = 10
    users: int = 200
    rooms_each: int = 2
    watchers: int = 3  # of each room
    every_s: float = 5.0  # each user does something about so often
    trouble_every_s: float = 4.0  # 0: none at all
    targets: frozenset[Target] = frozenset({Target.GATEWAY, Target.ROUTER, Target.BROKER})
    kills_alone: bool = False  # one after the other is killed, and nothing else happens


@dataclass(frozen=True, slots=True, order=True)
class Ghost:
    """One who was shown for so long after it had gone, what other troubles than kills excuse left out. Times
    are monotonic seconds.
    """

    age_s: float
    began: float
    ended: float
    user: str
    room: str
    watcher: str


class Client:
    """A user with one connection at most, in the rooms that it wants; it comes back whenever the connection
    ends.
    """

    def __init__(
        self, name: str, doors: Callable[[], Sequence[str]], random: Random, errors: Counter[str]
    ) -> None:
        self.name = name
        self.wanted: set[str] = set()
        self.online = True
        self.joined: set[str] = set()
        self.gone: dict[str, float] = {}  # room ▶ since when it is surely not in it
        self.seen: dict[str, tuple[str, int]] = {}  # room ▶ the last message that it has said to have seen
        self._got: dict[str, tuple[str, int]] = {}  # room ▶ the last message that it was given and has not
        self._seen_at = 0.0
        self._doors, self._random, self._errors = doors, random, errors
        self._socket: SocketClient | None = None
        self._ready = False
        self._heard = self._pinged = 0.0
        self._asked: dict[str, float] = {}  # room ▶ when its JOIN or LEAVE was sent
        self._back = asyncio.Event()
        self._living = True

    @property
    def settled(self) -> bool:
        """Whether it is where it wants to be."""
        if not self.online:
            return self._socket is None
        return self._ready and self.joined == self.wanted and not self._asked and not self._got

    async def run(self) -> None:
        """Live until ``close``."""
        while self._living:
            if not self.online:
                self._back.clear()
                await self._back.wait()
                continue
            try:
                url = f"{self._random.choice(self._doors())}?join=manual&user={self.name}"
                async with asyncio.timeout(_OPEN_S):
                    socket = self._socket = await SocketClient.connect(url, self._take)
                if not self.online:  # it has left while it was connecting
                    socket.close()
                self._heard = self._pinged = time.monotonic()
                await socket.closed
            except (OSError, TimeoutError) as error:
                self._errors[type(error).__name__] += 1
            self._ended()
            await asyncio.sleep(self._random.uniform(*_BACK_OFF_S))

    def close(self) -> None:
        """End."""
        self._living = self.online = False
        self._back.set()
        if self._socket is not None:
            self._socket.close()

    def want(self, rooms: set[str]) -> None:
        """Be in these rooms and no others."""
        self.wanted = set(rooms)
        self._go_on()

    def leave(self, *, politely: bool) -> None:
        """Go offline, with a closing handshake or as a phone in a tunnel."""
        self.online = False
        if self._socket is None:
            self._ended()
        elif politely:
            self._socket.send((1000).to_bytes(2, "big"), CLOSE)
        else:
            self._socket.close()

    def come(self) -> None:
        """Be online again."""
        self.online = True
        for room in self.wanted:
            self.gone.pop(room, None)
        self._back.set()

    def tick(self, now: float) -> None:
        """See whether the connection lives, and ask again."""
        if self._socket is None or not self._ready:
            return
        if now > self._heard + _DEAF_S:
            self._errors["deaf"] += 1
            self._socket.transport.abort() if self._socket.transport else None
        elif now > self._pinged + _PING_S:
            self._pinged = now
            self._send({"type": "PING"})
        for room, at in list(self._asked.items()):
            if now > at + _ANSWER_S:
                self._errors["asked again"] += 1
                del self._asked[room]
        if self._got and now > self._seen_at + _SEEN_S:
            self._seen_at = now
            self._say_seen()
        self._go_on()

    def _say_seen(self) -> None:
        """Say of each room up to where it is seen."""
        for room, (epoch, seq) in self._got.items():
            if room in self.joined:
                self.seen[room] = epoch, seq
                self._send({"type": "SEEN", "room": room, "payload": {"epoch": epoch, "seq": seq}})
        self._got.clear()

    def _go_on(self) -> None:
        """Ask for what is wanted and not so."""
        if not self._ready:
            return
        now = time.monotonic()
        for room in self.wanted - self.joined - set(self._asked):
            self.gone.pop(room, None)
            self._asked[room] = now
            self._send({"type": "JOIN", "room": room, "id": f"j-{room}", **self._join_says(room)})
        for room in self.joined - self.wanted - set(self._asked):
            self._asked[room] = now
            self._send({"type": "LEAVE", "room": room, "id": f"l-{room}"})

    def _join_says(self, room: str) -> dict[str, Any]:
        return {"payload": {"presence": {"info": {"n": self.name}}}}

    def _send(self, message: dict[str, Any]) -> None:
        if self._socket is not None and self._socket.transport is not None:
            self._socket.send(orjson.dumps(message))

    def _ended(self) -> None:
        """The connection is no more."""
        now = time.monotonic()
        for room in self.joined | set(self._asked):
            if not self.online or room not in self.wanted:
                self.gone.setdefault(room, now)
        self._socket, self._ready = None, False
        self.joined.clear()
        self._got.clear()
        self._asked.clear()

    def _take(self, socket: SocketClient, data: bytes) -> None:
        self._heard = time.monotonic()
        message = orjson.loads(data)
        room, payload = message.get("room", ""), message.get("payload")
        match message["type"]:
            case "WELCOME":
                self._socket, self._ready = socket, True
                self._go_on()
            case "JOINED":
                if message.get("ref"):
                    self._asked.pop(room, None)
                self.joined.add(room)
                if self.seen.get(room, ("", 0))[0] == payload["epoch"]:  # the last word may be lost
                    self._got.setdefault(room, self.seen[room])
                else:
                    self.seen.pop(room, None)
                self._joined(room, payload)
                self._go_on()
            case "LEFT":
                self._asked.pop(room, None)
                self.joined.discard(room)
                self._got.pop(room, None)
                self.gone[room] = self._heard
                self._go_on()
            case "PRESENCE":
                self._presence(room, payload, len(data))
            case "CHAT" if "seq" in message:
                self._got[room] = message["epoch"], message["seq"]
            case "RECONNECT":
                asyncio.get_running_loop().call_later(payload["after_ms"] / 1_000, self._move, socket)
            case "ERROR":
                self._errors[payload["code"]] += 1
                ref = message.get("ref", "")
                if ref[:2] in ("j-", "l-"):
                    self._asked.pop(ref[2:], None)

    def _move(self, socket: SocketClient) -> None:
        if socket is self._socket:
            socket.send((1000).to_bytes(2, "big"), CLOSE)
            socket.close()

    def _joined(self, room: str, payload: dict[str, Any]) -> None:
        """To be overridden by who watches."""

    def _presence(self, room: str, payload: dict[str, Any], size: int) -> None:
        """To be overridden by who watches."""


class Watcher(Client):
    """One who is in one room and watches it."""

    def __init__(
        self,
        name: str,
        room: str,
        doors: Callable[[], Sequence[str]],
        random: Random,
        errors: Counter[str],
        traffic: Traffic,
    ) -> None:
        super().__init__(name, doors, random, errors)
        self.room = room
        self.wanted = {room}
        self.roster = Roster(traffic)
        self._asks_at: float | None = None  # when it will ask for the list
        self._read_at = 0.0  # when it has asked
        self._says_at = time.monotonic() + self._random.uniform(0.0, _SAY_S)
        self.speaks = True

    @property
    def sees(self) -> bool:
        """Whether it is connected and has had the list since."""
        return self._ready and self.room in self.joined and self.roster.known

    def tick(self, now: float) -> None:
        """Ask for the list, where it is time."""
        super().tick(now)
        if not self.sees:
            return
        if self.speaks and now > self._says_at:
            self._says_at = now + _SAY_S
            self._send({"type": "CHAT", "room": self.room, "payload": 1})
        if self.roster.agrees:
            self._asks_at = None
        elif self._asks_at is None:
            self._asks_at = now + self._random.uniform(*_JITTER_S)
        elif now >= self._asks_at:
            self._asks_at = None
            payload = self.roster.ask()
            if payload is not None:
                self._send({"type": "PRESENCE", "room": self.room, "payload": payload})

    def _join_says(self, room: str) -> dict[str, Any]:
        return {"payload": {"presence": {"watch": True}}}

    def _joined(self, room: str, payload: dict[str, Any]) -> None:
        if payload.get("presence", {}).get("watching"):
            self.roster.joined()

    def _presence(self, room: str, payload: dict[str, Any], size: int) -> None:
        following = self.roster.take(payload, size, time.monotonic())
        if following is not None:
            self._send({"type": "PRESENCE", "room": room, "payload": following})


class Crowd:
    """All users and watchers, what they do, and what the watchers see."""

    def __init__(self, options: Options, deployment: Deployment) -> None:
        self._options, self._random = options, Random(options.seed)
        self.errors: Counter[str] = Counter()
        self.traffic = Traffic()
        self.ghosts: list[Ghost] = []  # those over a second, each as it went
        self.acts = 0
        self.rooms = [f"room:{number}" for number in range(options.rooms)]
        doors = lambda: deployment.front_urls  # noqa: E731 - they stay, whatever happens behind them
        direct = [f"ws://127.0.0.1:{post.pod.port}/ws" for post in deployment.gateways]  # type: ignore[attr-defined]
        self.users = [
            Client(f"u{number}", lambda: direct, Random(self._random.random()), self.errors)
            for number in range(options.users)
        ]
        for user in self.users:
            user.wanted = set(self._some())
        self.watchers = [
            Watcher(
                f"w{room}-{number}", name, doors, Random(self._random.random()), self.errors, self.traffic
            )
            for room, name in enumerate(self.rooms)
            for number in range(options.watchers)
        ]
        self.acting = True
        self._shown: dict[tuple[str, str, str], float] = {}  # (watcher, room, user) ▶ since when it has gone

    @property
    def everybody(self) -> list[Client]:
        """All of them."""
        return [*self.users, *self.watchers]

    def truth(self, room: str) -> set[str]:
        """Return who is in a room."""
        return {client.name for client in self.everybody if client.online and room in client.joined}

    def differences(self) -> list[str]:
        """Return what watchers know that is not so."""
        truths = {room: self.truth(room) for room in self.rooms}
        found = []
        for watcher in self.watchers:
            truth, known = truths[watcher.room], set(watcher.roster.members)
            numbers = (watcher.roster.users, watcher.roster.connections)
            if not watcher.sees or known != truth or numbers != (len(truth), len(truth)):
                found.append(
                    f"{watcher.name} in {watcher.room}: sees={watcher.sees} ghosts={sorted(known - truth)[:5]} "
                    f"missing={sorted(truth - known)[:5]} numbers={numbers} of {len(truth)}"
                )
            else:
                found += self._unseen(watcher)
        return found

    def _unseen(self, watcher: Watcher) -> list[str]:
        """Return what is not so of what a watcher knows that others have seen: who is there has seen what it
        says, and nobody has seen more than it has said.
        """
        room, roster, wrong = watcher.room, watcher.roster, []
        for client in self.everybody:
            epoch, seq = client.seen.get(room, ("", 0))
            known = roster.seen.get(client.name, 0)
            here = client.online and room in client.joined and epoch == roster.epoch
            if (here and known != seq) or (epoch == roster.epoch and known > seq):
                wrong.append(f"{client.name} has seen {seq}, not {known}")
        return [f"{watcher.name} in {room}: {wrong[:5]}, agrees={roster.agrees}"] if wrong else []

    async def act(self) -> None:
        """Have users come and go until nobody is to act any more."""
        pause_s = self._options.every_s / max(1, len(self.users))
        while self.acting:
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * pause_s)
            user, chance = self._random.choice(self.users), self._random.random()
            self.acts += 1
            if not user.online:
                user.come()
            elif chance < 0.3:
                user.leave(politely=chance < 0.15)
            else:
                user.want(self._some())

    async def tick(self) -> None:
        """Keep all going, and look for ghosts, for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            now = time.monotonic()
            for client in self.everybody:
                client.tick(now)
            self._look(now)

    def _look(self, now: float) -> None:
        """Note who is shown after it has gone."""
        watchers: dict[str, list[Watcher]] = {}
        for watcher in self.watchers:
            if watcher.sees:
                watchers.setdefault(watcher.room, []).append(watcher)
        shown = {}
        for user in self.users:
            for room, since in user.gone.items():
                for watcher in watchers.get(room, ()):
                    if user.name in watcher.roster.members:
                        shown[watcher.name, room, user.name] = since
        for key, since in self._shown.items():
            if key not in shown and now - since > 1.0:
                watcher_, room, user_ = key
                self.ghosts.append(Ghost(now - since, since, now, user_, room, watcher_))
        self._shown = shown

    def _some(self) -> list[str]:
        return self._random.sample(
            self.rooms, self._random.randint(0, min(self._options.rooms_each, len(self.rooms)))
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run."""

    options: Options
    acts: int
    differences: list[str]  # at the end
    settled_s: float  # how long the truth took, once all was healed
    ghosts: list[Ghost]
    traffic: Traffic
    deaths: list[tuple[float, float]]  # of routers alone: when others were not in trouble too
    lists_bytes: int  # what all watchers were sent, had their lists been sent again at each of those deaths
    errors: Counter[str]
    falls: list[str]
    troubles: list[str]

    @property
    def good(self) -> bool:
        """Whether every watcher knew the truth in the end, nobody was shown for too long, and a router's
        death alone had a twentieth of the lists asked for at most.
        """
        old = any(ghost.age_s > _GHOST_S for ghost in self.ghosts)
        return not (self.differences or old or self.falls) and self.asked_bytes <= self.lists_bytes / 20

    @property
    def asked_bytes(self) -> int:
        """Bytes of lists that were asked for after a router's death."""
        return sum(
            size for at, size in self.traffic.asked if any(begin <= at <= end for begin, end in self.deaths)
        )

    def lines(self) -> list[str]:
        """Return the report as text."""
        ages = sorted(ghost.age_s for ghost in self.ghosts)
        spread = (
            f"p50 {_of(ages, 0.5):.1f} s, p99 {_of(ages, 0.99):.1f} s, longest {ages[-1]:.1f} s"
            if ages
            else "none"
        )
        traffic, asked = self.traffic, sum(size for _, size in self.traffic.asked)
        old = [f"  {ghost}" for ghost in sorted(self.ghosts) if ghost.age_s > _GHOST_S]
        sent = (
            f"changes {traffic.changes}, numbers {traffic.numbers}, lists behind a JOIN {traffic.first_pages}"
        )
        again = f"to send all lists again would have been {self.lists_bytes}"
        return [
            f"{self.acts} comings and goings, {len(self.troubles)} troubles",
            f"truth reached {self.settled_s:.1f} s after the end; {len(self.differences)} watchers differ",
            f"{len(ages)} times somebody was shown for over 1 s after having gone: {spread}; at most {_GHOST_S:.1f} s",
            f"bytes to watchers: {sent}, lists because the digest differed {asked}",
            f"after {len(self.deaths)} deaths of routers alone {self.asked_bytes} of lists; {again}",
            f"errors: {dict(self.errors)}; {len(self.falls)} pods fell by themselves",
            *old[-5:],
            *self.differences[:10],
            *self.falls[:5],
        ]


async def check(
    options: Options,
    folder: Path,
    say: Callable[[str], None],
    *,
    cluster: RabbitCluster | None = None,
    prefix: str = "presence",
) -> Report:
    """Run it all, and return the report; arguments as of ``checker.check``."""
    async with Deployment(options.measures, folder, cluster=cluster, prefix=prefix) as deployment:
        crowd = Crowd(options, deployment)
        lives = []
        try:
            for client in crowd.everybody:
                lives.append(asyncio.create_task(client.run(), name=client.name))
                await asyncio.sleep(0.003)
            lives.append(asyncio.create_task(crowd.tick(), name="tick"))
            await eventually(
                lambda: all(client.settled for client in crowd.everybody),
                _SETTLE_S,
                every_s=0.2,
                what="all are in",
            )
            await eventually(lambda: not crowd.differences(), _SETTLE_S, every_s=0.5, what="all see all")
            say("everybody is in, and seen")
            acting = asyncio.create_task(crowd.act(), name="act")
            lives.append(acting)
            faults, began = FaultInjection(deployment, [], say), time.monotonic()
            await faults.run(_actions(options))
            await asyncio.sleep(max(0.0, began + options.seconds - time.monotonic()))
            say("healing")
            await deployment.heal()
            crowd.acting = False
            for watcher in crowd.watchers:
                watcher.speaks = False
            await acting
            ended = time.monotonic()
            settled_s = await _truth(crowd, ended)
            deaths = _deaths(faults)
            lists_bytes = len(deaths) * sum(watcher.roster.list_bytes for watcher in crowd.watchers)
            return Report(
                options,
                crowd.acts,
                crowd.differences(),
                settled_s,
                _aged(crowd.ghosts, faults),
                crowd.traffic,
                deaths,
                lists_bytes,
                crowd.errors,
                list(deployment.falls),
                [str(done.action) for done in faults.done],
            )
        finally:
            for client in crowd.everybody:
                client.close()
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)


def _actions(options: Options) -> Sequence[Action]:
    """Return what happens to whom and when."""
    every_s, measures = options.trouble_every_s, options.measures
    counts = {
        Target.GATEWAY: measures.gateways,
        Target.ROUTER: measures.routers,
        Target.BROKER: measures.brokers,
    }
    wanted = {target: count for target, count in counts.items() if target in options.targets}
    if not every_s:
        return ()
    if not options.kills_alone:
        return schedule(options.seed, options.seconds, wanted, every_s=every_s)
    victims = [(target, victim) for target, count in wanted.items() for victim in range(count)]
    return [
        Action(at * every_s, 0.5, Verb.KILL, *victims[at % len(victims)])
        for at in range(1, int(options.seconds / every_s))
    ]


async def _truth(crowd: Crowd, ended: float) -> float:
    """Wait until everybody is where it wants to be and all watchers see that, or time is up; return how long
    it took.
    """
    while time.monotonic() < ended + _SETTLE_S:
        if all(client.settled for client in crowd.everybody) and not crowd.differences():
            break
        await asyncio.sleep(_LOOK_S)
    return time.monotonic() - ended


def _aged(ghosts: Sequence[Ghost], faults: FaultInjection) -> list[Ghost]:
    """Return ghosts by what they are blamed for: what troubles excuse that are no kill of a router or a
    gateway is taken off their age.
    """
    excuses = sorted(
        (done.began, done.ended + _RECOVERY_S)
        for done in faults.done
        if done.action.target is Target.BROKER or done.action.verb not in (Verb.KILL, Verb.STOP)
    )
    found = []
    for ghost in ghosts:
        excused, upto = 0.0, ghost.began
        for begin, end in excuses:
            begin, end = max(begin, upto), min(end, ghost.ended)
            if begin < end:
                excused, upto = excused + end - begin, end
        found.append(replace(ghost, age_s=ghost.age_s - excused))
    return found


def _of(sorted_: Sequence[float], share: float) -> float:
    return sorted_[min(len(sorted_) - 1, int(share * len(sorted_)))]


def _deaths(faults: FaultInjection) -> list[tuple[float, float]]:
    """Return the times in which a killed router alone may be why something is sent."""
    routers = [done for done in faults.done if done.action.target is Target.ROUTER]
    others = [
        (done.began - 1.0, done.ended + _AFTERWARDS_S)
        for done in faults.done
        if done not in routers or done.action.verb not in (Verb.KILL, Verb.STOP)
    ]
    found = []
    for done in routers:
        begin, end = done.began, done.began + _AFTERWARDS_S
        if done.action.verb is Verb.KILL and not any(one < end and begin < other for one, other in others):
            found.append((begin, end))
    return found


def options_of(arguments: Sequence[str] | None = None) -> tuple[Options, Path]:
    """Read the command line; return the options and the folder for logs."""
    usual = Options()
    parser = argparse.ArgumentParser(prog="python -m tests.faults.presence_checker", description=__doc__)
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="how long the schedule runs")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) % 1_000_000, help="default: a new one each time"
    )
    parser.add_argument("--rooms", type=int, default=usual.rooms)
    parser.add_argument("--users", type=int, default=usual.users)
    parser.add_argument("--watchers", type=int, default=usual.watchers, help="of each room")
    parser.add_argument("--gateways", type=int, default=usual.measures.gateways)
    parser.add_argument("--routers", type=int, default=usual.measures.routers)
    parser.add_argument("--brokers", type=int, default=usual.measures.brokers, help="nodes of the cluster")
    parser.add_argument(
        "--every", type=float, default=usual.every_s, help="seconds between two acts of one user"
    )
    parser.add_argument(
        "--trouble-every",
        type=float,
        default=usual.trouble_every_s,
        help="seconds between two actions; 0: none",
    )
    parser.add_argument(
        "--targets", nargs="+", type=Target, choices=sorted(usual.targets), default=sorted(usual.targets)
    )
    parser.add_argument(
        "--kills-alone", action="store_true", help="one after the other is killed, and nothing else happens"
    )
    parser.add_argument("--logs", type=Path, default=None, help="default: .run/presence-SEED")
    given = parser.parse_args(arguments)
    options = Options(
        given.seconds,
        given.seed,
        Measures(given.gateways, given.routers, given.brokers, env=ENV),
        given.rooms,
        given.users,
        watchers=given.watchers,
        every_s=given.every,
        trouble_every_s=given.trouble_every,
        targets=frozenset(given.targets),
        kills_alone=given.kills_alone,
    )
    return options, given.logs or Path(".run") / f"presence-{given.seed}"


def main() -> int:
    """Run it, print the report; 0: it is good."""
    options, folder = options_of()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.log"):
        old.unlink()
    report = asyncio.run(check(options, folder.resolve(), say))
    say("\n".join(report.lines()))
    return 0 if report.good else 1


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
