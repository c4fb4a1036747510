"""Client: the client under test in one scenario: what it is told to do, where it connects, and what its
application was given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from warren_conformance.adapters import Adapter, Event
from warren_conformance.connection import Connection
from warren_conformance.deliveries import difference, missing
from warren_conformance.message_ids import MessageIds
from warren_conformance.room import Room
from warren_conformance.sockets import Incoming, Listener, Socket, Upgrade
from warren_conformance.verdicts import Breach, Broken

if TYPE_CHECKING:
    from warren_conformance.trial import Trial

READY_S: Final = 20.0
STOP_S: Final = 3.0


class Client:
    """One adapter, and the port that is its own. Made by ``Trial.client``."""

    def __init__(self, trial: Trial, name: str, user: str, adapter: Adapter, listener: Listener) -> None:
        self.name = name
        self.user = user
        self.at_connect = ["default", f"@{user}"]
        self.connections: list[Connection] = []
        self.attempts: list[float] = []  # when it asked for a WebSocket
        self.listener = listener
        self.ids: MessageIds = trial.ids(user)
        self.events: list[Event] = []
        self.tokens: list[str] = []  # that it was given
        self.capabilities: frozenset[str] = frozenset()
        self.is_stopping = False
        self._trial = trial
        self.times: dict[str, int] = dict(trial.times)
        for name in ("pong_ms", "refresh_before_ms", "welcome_ms"):
            # how long the client waits for the kit, which may be slow
            self.times[name] = int(self.patience(self.times[name]))
        self._adapter = adapter
        self._rooms: dict[str, Room] = {}
        self._due: dict[str, list[int]] = {}
        self._tolerated: dict[str, set[int]] = {}
        self._refusal: int | None = None
        self._unclaimed: list[Event] = []
        self._news = asyncio.Condition()
        self._upgrades: asyncio.Queue[Upgrade] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Wait until the adapter is ready."""
        try:
            async with asyncio.timeout(self.patience(READY_S)):
                ready = await self._adapter.event()
        except TimeoutError:
            raise Broken(f"the adapter did not say that it is ready within {READY_S:g} s") from None
        if ready is None or ready["event"] != "ready":
            said = ready["event"] if ready else f"nothing ({self._adapter.last_words()})"
            raise Broken(f"the first event of the adapter is not `ready`, but {said}")
        self.capabilities = frozenset(ready.get("capabilities", []))
        self.times |= ready.get("times", {})
        await self.listener.listen()
        self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._accept())]

    def now(self) -> float:
        """Return the time in seconds."""
        return asyncio.get_running_loop().time()

    def patience(self, seconds: float) -> float:
        """Return how long the kit waits for what should take so long at most."""
        return seconds * self._trial.patience

    def seconds(self, name: str) -> float:
        """Return one of the client's own times."""
        return self.times[name] / 1_000

    def fail(self, breach: Breach) -> None:
        """End the scenario."""
        self._trial.fail(breach)

    def room(self, name: str) -> Room:
        """Return what the server has of a room."""
        return self._rooms.setdefault(name, Room(name))

    # ── what it is to do ──────────────────────────────────────────────────────────────────────────────────

    async def do(self, command: str, **fields: Any) -> None:
        """Give the client's application something to do."""
        self._trial.record(self.name, "app", {"do": command, **fields})
        await self._adapter.send({"do": command, **fields})

    async def connect(self, **options: Any) -> None:
        """Have it connect."""
        fields = {"url": self.listener.url, "protocol": self._trial.protocol, "user": self.user}
        await self.do("connect", **{**fields, "times": self.times, **options})

    async def opens(self, *, within: float = 5.0, **welcome: Any) -> Connection:
        """Have it connect, and welcome it."""
        await self.connect()
        return await self.welcomed("the client did not connect", within=within, **welcome)

    async def joins(self, room: str, *, seq: int = 0, **welcome: Any) -> Connection:
        """Have it connect and join a room, which is at this position."""
        connection = await self.opens(**welcome)
        self.room(room).seq = seq
        await self.do("join", room=room)
        await connection.expect("JOIN", f"the client sent no JOIN for {room}", room=room)
        return connection

    # ── its connections ───────────────────────────────────────────────────────────────────────────────────

    async def upgrade(self, why: str, within: float) -> Upgrade:
        """Return the next WebSocket that it asks for."""
        try:
            async with asyncio.timeout(self.patience(within)):
                upgrade = await self._upgrades.get()
                while not self._upgrades.empty():
                    # the kit was late, and the client has given this attempt up
                    await upgrade.refuse(503, "too late")
                    upgrade = self._upgrades.get_nowait()
                return upgrade
        except TimeoutError:
            raise Breach(f"{why} (within {within:g} s)") from None

    async def upgraded(self, upgrade: Upgrade) -> Connection:
        """Accept it, and say nothing yet."""
        socket = await upgrade.accept()
        connection = Connection(self, upgrade.asked, _Recorded(socket, self))
        self.connections.append(connection)
        return connection

    async def welcomed(self, why: str, *, within: float = 5.0, **welcome: Any) -> Connection:
        """Accept the next WebSocket that it asks for, and welcome it."""
        connection = await self.upgraded(await self.upgrade(why, within))
        await connection.welcome(**welcome)
        return connection

    async def returns(self, why: str = "", *, within: float | None = None, **welcome: Any) -> Connection:
        """Welcome it back after its connection was lost; by then it has used up its own back-off."""
        most = within
        if most is None:
            # an attempt may have been under way, and come to nothing
            most = self.seconds("backoff_cap_ms") + self.seconds("welcome_ms") + 3.0
        return await self.welcomed(
            why or "the client did not come back after its connection was lost", within=most, **welcome
        )

    def refuses(self, status: int | None) -> None:
        """Answer each further upgrade with this HTTP status; None: no longer."""
        self._refusal = status

    async def stays_away(self, why: str, seconds: float | None = None) -> None:
        """Hold it to be gone for good if it does not come back in the time that its back-off may take."""
        most = self.seconds("backoff_cap_ms") + 0.5 if seconds is None else seconds
        try:
            async with asyncio.timeout(self.patience(most)):
                await self._upgrades.get()
        except TimeoutError:
            return
        raise Breach(why)

    # ── what its application was told ─────────────────────────────────────────────────────────────────────

    async def told(self, event: str, why: str, *, within: float = 3.0, **fields: Any) -> Event:
        """Return the first unclaimed event with these fields."""
        found: list[Event] = []

        def arrived() -> bool:
            for index, each in enumerate(self._unclaimed):
                if each["event"] == event and all(each.get(name) == value for name, value in fields.items()):
                    found.append(self._unclaimed.pop(index))
                    return True
            return False

        try:
            async with asyncio.timeout(self.patience(within)), self._news:
                await self._news.wait_for(arrived)
        except TimeoutError:
            raise Breach(f"{why} (waited {within:g} s)") from None
        return found[0]

    def all_told(self, event: str, **fields: Any) -> list[Event]:
        """Return all events of a kind so far."""
        return [
            each
            for each in self.events
            if each["event"] == event and all(each.get(name) == value for name, value in fields.items())
        ]

    def given(self, room: str) -> list[int]:
        """Return the seqs of the numbered messages that the application was given, without its own and those
        that are tolerated.
        """
        return [
            each["seq"]
            for each in self.all_told("message", room=room)
            if each.get("seq")
            and each.get("sender") != self.user
            and each["seq"] not in self._tolerated.get(room, ())
        ]

    def tolerates(self, room: str, *seqs: int) -> None:
        """These messages of a room may be delivered or not."""
        self._tolerated.setdefault(room, set()).update(seqs)

    async def settled(self) -> None:
        """Return once the client has taken what was sent to it so far: it has delivered one more message."""
        connection = self.connections[-1]
        frame = await connection.publish("@" + self.user, {"settle": True}, type="NOTIFICATION")
        await self.told(
            "message", "the client did not deliver a message of its user's own room", seq=frame["seq"]
        )

    async def quiet(self, seconds: float) -> None:
        """Let time pass in which the client is expected to do nothing."""
        await asyncio.sleep(seconds)

    async def delivers(self, room: str, *seqs: int, within: float = 3.0, why: str = "") -> None:
        """Hold the application to be given these messages of a room next, and no others."""
        due = self._due.setdefault(room, [])
        due.extend(seqs)
        try:
            async with asyncio.timeout(self.patience(within)), self._news:
                await self._news.wait_for(
                    lambda: len(self.given(room)) >= len(due) or difference(room, self.given(room), due)
                )
        except TimeoutError:
            raise Breach(why or missing(room, self.given(room), due)) from None
        if wrong := difference(room, self.given(room), due):
            raise Breach(f"{why}: {wrong}" if why else wrong)

    def check(self) -> None:
        """Hold what was delivered to what was due, also what came since."""
        for room, due in self._due.items():
            given = self.given(room)
            if wrong := difference(room, given, due):
                raise Breach(wrong)
        own = [
            (each["room"], each.get("epoch"), each["seq"])
            for each in self.all_told("message")
            if each.get("seq") and each.get("sender") == self.user
        ]
        for key in own:
            if own.count(key) > 1:
                raise Breach(f"the client delivered its own message {key[2]} of {key[0]} twice")

    # ── its end ───────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self) -> None:
        """End the adapter and all connections."""
        self.is_stopping = True
        try:
            await self._adapter.stop(STOP_S)
            if self._tasks:
                await asyncio.wait(self._tasks[:1], timeout=STOP_S)
        finally:
            for task in self._tasks:
                task.cancel()
            for connection in self.connections:
                await connection.end()
            if self._tasks:
                await asyncio.wait(self._tasks)
            await self.listener.close()

    def record(self, direction: str, what: Any) -> None:
        """Note something for the transcript."""
        self._trial.record(self.name, direction, what)

    async def _hear(self) -> None:
        while True:
            try:
                event = await self._adapter.event()
            except Broken as broken:
                self._trial.broken(broken)
                return
            if event is None:
                if not self.is_stopping:
                    words = self._adapter.last_words()
                    self.fail(Breach(f"the client's program ended by itself ({words})"))
                return
            self.record("told", event)
            async with self._news:
                self.events.append(event)
                self._unclaimed.append(event)
                self._news.notify_all()
            if event["event"] == "token":
                token = f"token-{len(self.tokens) + 1}"
                self.tokens.append(token)
                await self.do("token", token=token)

    async def _accept(self) -> None:
        while True:
            upgrade = await self.listener.upgrade()
            self.attempts.append(self.now())
            self.record("dial", upgrade.asked.target)
            if self._refusal is None:
                self._upgrades.put_nowait(upgrade)
            else:
                await upgrade.refuse(self._refusal, "as the conformance kit wants it", retry_after_s=1)


class _Recorded:
    """A socket that keeps a transcript."""

    def __init__(self, socket: Socket, client: Client) -> None:
        self._socket = socket
        self._client = client
        self.subprotocol = socket.subprotocol
        self.compressed = socket.compressed
        self.ping = socket.ping
        self.cut = socket.cut
        self.freeze = socket.freeze

    async def receive(self) -> Incoming:
        event = await self._socket.receive()
        self._client.record(
            "in", event.data if event.kind == "message" else f"{event.kind} {event.code or ''}"
        )
        return event

    async def send(self, data: str | bytes) -> None:
        self._client.record("out", data)
        await self._socket.send(data)

    async def send_fragments(self, parts: Sequence[bytes], *, text: bool, ping: bytes | None = None) -> None:
        self._client.record("out", f"{len(parts)} fragments")
        await self._socket.send_fragments(parts, text=text, ping=ping)

    async def close(self, code: int, reason: str) -> None:
        self._client.record("out", f"close {code}")
        await self._socket.close(code, reason)
