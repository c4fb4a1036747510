"""A crowd of clients in a pod: they publish into rooms, follow RECONNECT as clients should, and count what
came. It runs in the gateway's image.

CLIENTS clients connect to URL, ROOM_SIZE of them in each room, and each publishes every EVERY_S seconds. Port
8080 answers GET /report (so far), /begin (publish), and /stop (publish no more, wait until nothing is on its
way, give the verdict). The verdict says of the slowest what they waited for, step by step, and how long this
process's own loop stood still: a crowd that gets no CPU measures itself.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import heapq
import hmac
import itertools
import json
import os
import random
import time
from collections import Counter

import aiohttp
from aiohttp import web

CLIENTS, ROOM_SIZE, EVERY_S = (
    int(os.environ["CLIENTS"]),
    int(os.environ.get("ROOM_SIZE", "10")),
    float(os.environ.get("EVERY_S", "4")),
)
URL, SECRET = os.environ["URL"], os.environ.get("SECRET", "")


def token(user: str) -> str:
    """Return a token for a user, signed with HS256."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    claims = {"sub": user, "exp": int(time.time()) + 3600}
    head = {"alg": "HS256", "typ": "JWT"}
    body = ".".join(part(json.dumps(each).encode()) for each in (head, claims))
    return f"{body}.{part(hmac.digest(SECRET.encode(), body.encode(), hashlib.sha256))}"


# The steps of a client that goes to another pod, each from the one before. The first is its own timer's; the
# rest is what others take.
STEPS = ("due", "timer", "close", "connect", "welcome", "join")
SHOWN = 8


class Client:
    """One user on one connection after another."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        """It is in one room."""
        self.crowd, self.name, self.room = crowd, f"u{number}", f"room-{number // ROOM_SIZE}"
        self.position: dict[str, object] | None = None
        self.last = 0
        self.waiting: dict[str, None] = {}  # ids sent and not acknowledged, in order
        self.acked: set[str] = set()
        self.got: set[str] = set()
        self.joined = asyncio.Event()
        self.left_at: float | None = None  # since when it should be somewhere: its slot, or the loss
        self.steps: dict[str, float] = {}  # when it was through with which step of its going
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self.closing: asyncio.Future[bool] | None = None
        self.sent = 0

    async def live(self) -> None:
        """Connect, and again, until the crowd ends."""
        while not self.crowd.over:
            try:
                self.closing = None
                headers = {"Authorization": f"Bearer {token(self.name)}"} if SECRET else {}
                query = {"join": "manual"} | ({} if SECRET else {"user": self.name})
                async with self.crowd.http.ws_connect(
                    URL, protocols=["warren.v1"], headers=headers, params=query
                ) as self.socket:
                    self.steps["connect"] = time.monotonic()
                    await self.follow(self.socket)
                    if self.closing is not None:
                        await self.closing  # the answer to our close
                    self.crowd.closes[str(self.socket.close_code)] += 1
                    if self.socket.close_code == 1012:
                        self.overdue()
                    self.steps["close"] = time.monotonic()
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                status = getattr(error, "status", "")
                self.crowd.refusals[f"{type(error).__name__} {status}".strip()] += 1
                await asyncio.sleep(random.uniform(0.05, 0.25))
            self.joined.clear()
            if self.left_at is None:
                self.left_at = time.monotonic()

    async def follow(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Read one connection to its end."""
        leaving: asyncio.TimerHandle | None = None
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            frame = json.loads(message.data)
            match frame["type"]:
                case "WELCOME":
                    self.steps["welcome"] = time.monotonic()
                    since = {"since": self.position} if self.position else {}
                    await self.send("JOIN", room=self.room, payload=since)
                case "JOINED" if frame.get("room") == self.room:
                    await self.back(frame["payload"])
                case "CHAT":
                    self.take(frame)
                case "ACK":
                    self.waiting.pop(frame["ref"], None)
                    self.acked.add(frame["ref"])
                case "RECONNECT":
                    slot_s = frame["payload"]["after_ms"] / 1000
                    self.crowd.slots.append(slot_s)
                    self.steps["due"] = time.monotonic() + slot_s
                    leaving = asyncio.get_running_loop().call_later(slot_s, self.leave, socket)
                case "ERROR":
                    self.crowd.errors[frame["payload"]["code"]] += 1
        if leaving is not None:
            leaving.cancel()

    def leave(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Its slot has come."""
        self.left_at = self.steps["timer"] = time.monotonic()
        self.closing = asyncio.ensure_future(socket.close())

    def overdue(self) -> None:
        """Keep what it was at when its pod closed it, since it had not gone within a second of its slot."""
        now, due = time.monotonic(), self.steps.get("due")
        if due is not None:
            step = "close" if "timer" in self.steps else "timer"
            self.crowd.overdue.append({"client": self.name, "at": step, "after_slot_s": round(now - due, 3)})

    def went(self) -> dict[str, float]:
        """Return how long each step of its going took, and forget them."""
        taken, self.steps = self.steps, {}
        at = [(step, taken[step]) for step in STEPS if step in taken]
        return {step: round(end - begin, 3) for (_, begin), (step, end) in itertools.pairwise(at)}

    async def back(self, joined: dict) -> None:
        """It is in the room (again)."""
        if self.position is not None:
            self.crowd.unrecovered += not joined["recovered"]
        if self.position is None or not joined["recovered"]:
            self.position, self.last = {"epoch": joined["epoch"], "seq": joined["seq"]}, joined["seq"]
        if self.left_at is not None:
            away_s = time.monotonic() - self.left_at
            self.crowd.away.append(away_s)
            self.left_at = None
            self.steps["join"] = time.monotonic()
            self.crowd.note(away_s, self.name, self.went())
        self.steps.clear()
        self.joined.set()
        for each in list(self.waiting):
            await self.send("CHAT", room=self.room, id=each, payload={"id": each})

    def take(self, frame: dict) -> None:
        """Count a message of somebody else."""
        said = frame["payload"]["id"]
        self.crowd.doubled += said in self.got
        self.got.add(said)
        self.crowd.disordered += frame["seq"] <= self.last
        self.last = max(self.last, frame["seq"])
        self.position = {"epoch": frame["epoch"], "seq": self.last}

    async def publish(self) -> None:
        """Say something every now and then."""
        await asyncio.sleep(random.uniform(0, EVERY_S))
        while self.crowd.publishing:
            await self.joined.wait()
            self.sent += 1
            said = f"{self.name}-{self.sent}"
            self.waiting[said] = None
            await self.send("CHAT", room=self.room, id=said, payload={"id": said})
            await asyncio.sleep(EVERY_S)

    async def send(self, kind: str, **fields: object) -> None:
        """Send a frame; what is lost with the connection is sent again on the next."""
        try:
            assert self.socket is not None
            await self.socket.send_json(
                {"type": kind, "version": "1.0", "timestamp": int(time.time() * 1000), **fields}
            )
        except (aiohttp.ClientError, OSError, RuntimeError):
            pass


class Crowd:
    """All of them."""

    def __init__(self) -> None:
        """Nobody is connected yet."""
        self.over = self.publishing = False
        self.away: list[float] = []
        self.slots: list[float] = []
        self.doubled = self.disordered = self.unrecovered = 0
        self.closes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.overdue: list[dict] = []
        self.slowest: list[tuple[float, str, dict]] = []  # a heap
        self.stalls: list[float] = []
        self.clients = [Client(self, number) for number in range(CLIENTS)]
        self.tasks: list[asyncio.Task] = []

    async def start(self, app: web.Application) -> None:
        """Connect everybody."""
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self.tasks = [asyncio.create_task(client.live()) for client in self.clients]
        self.tasks.append(asyncio.create_task(self.watch()))

    async def watch(self) -> None:
        """Measure for how long this loop stands still."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.02)
            self.stalls.append(time.monotonic() - before - 0.02)

    def note(self, away_s: float, name: str, steps: dict) -> None:
        """Keep the slowest."""
        (heapq.heappush if len(self.slowest) < SHOWN else heapq.heappushpop)(
            self.slowest, (away_s, name, steps)
        )

    def report(self) -> dict:
        """Return what has happened so far."""
        return {
            "joined": sum(client.joined.is_set() for client in self.clients),
            "published": sum(client.sent for client in self.clients),
            "acked": sum(len(client.acked) for client in self.clients),
            "received": sum(len(client.got) for client in self.clients),
            "unacked": sum(len(client.waiting) for client in self.clients),
            "lost": self.lost(),
            "doubled": self.doubled,
            "disordered": self.disordered,
            "unrecovered": self.unrecovered,
            "reconnects": len(self.away),
            "worst_away_s": round(max(self.away, default=0.0), 3),
            "p99_away_s": round(sorted(self.away)[int(len(self.away) * 0.99)], 3) if self.away else 0.0,
            "slowest": [
                {"client": name, "away_s": round(away_s, 3), **steps}
                for away_s, name, steps in sorted(self.slowest, reverse=True)
            ],
            "overdue": self.overdue[:SHOWN],
            "worst_stall_s": round(max(self.stalls, default=0.0), 3),
            "slots": len(self.slots),
            "histogram": dict(sorted(Counter(int(slot) for slot in self.slots).items())),
            "closes": self.closes,
            "refusals": self.refusals,
            "errors": self.errors,
        }

    def lost(self) -> int:
        """Return how many acknowledged messages have not come to a member (those on their way are among
        them).
        """
        rooms: dict[str, list[Client]] = {}
        for client in self.clients:
            rooms.setdefault(client.room, []).append(client)
        return sum(
            len(sender.acked - reader.got)
            for members in rooms.values()
            for sender in members
            for reader in members
            if reader is not sender
        )

    def unsettled(self) -> bool:
        """Say whether somebody is away, or something is on its way."""
        return any(client.waiting or not client.joined.is_set() for client in self.clients) or self.lost() > 0

    async def begin(self, _: web.Request) -> web.Response:
        """Publish from now on."""
        self.publishing = True
        self.tasks += [asyncio.create_task(client.publish()) for client in self.clients]
        return web.json_response({})

    async def stop(self, _: web.Request) -> web.Response:
        """End it and give the verdict: when everything is acknowledged and has come, or 30 s later."""
        self.publishing = False
        ends = time.monotonic() + 30
        while self.unsettled() and time.monotonic() < ends:  # noqa: ASYNC110 - what is waited for is counted, not signalled
            await asyncio.sleep(0.2)
        return web.json_response(self.report())


crowd = Crowd()
app = web.Application()
app.on_startup.append(crowd.start)
app.add_routes(
    [
        web.get("/begin", crowd.begin),
        web.get("/stop", crowd.stop),
        web.get("/report", lambda _: asyncio.sleep(0, web.json_response(crowd.report()))),
    ]
)
web.run_app(app, port=8080, print=None)
