"""The Python client as the conformance kit wants it: commands on stdin, events on stdout (docs/conformance.md).

Run: python python_client.py [catch_up | drop_oldest], what a full queue of a room does.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Coroutine
from typing import Any

import warren_client
from warren_client import Client, Dropped, Gap, Item, LeftError, Message, Options, Room, WarrenError

CAPABILITIES = [
    "contacts",
    "durable",
    "grants",
    "history",
    "pause",
    "presence",
    "receipts",
    "requests",
    "seen",
    "tokens",
]
# the kit's name of a time ▶ the option, in seconds there
TIMES = {
    "backoff_ms": "backoff",
    "backoff_cap_ms": "backoff_cap",
    "welcome_ms": "welcome_timeout",
    "ping_ms": "ping_every",
    "pong_ms": "pong_timeout",
    "ack_ms": "ack_timeout",
    "gap_ms": "gap_wait",
    "refresh_before_ms": "refresh_before",
}

OVERFLOW: Any = sys.argv[1] if len(sys.argv) > 1 else "catch_up"

Command = dict[str, Any]


def say(event: str, **fields: Any) -> None:
    """Write one event; what is None is left out."""
    said = {"event": event} | {name: value for name, value in fields.items() if value is not None}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def binary(payload: Any) -> dict[str, Any]:
    """Return a payload as JSON has it."""
    if isinstance(payload, bytes):
        return {"payload": base64.b64encode(payload).decode(), "encoding": "base64"}
    return {"payload": payload}


class Adapter:
    """One client, and the tasks that wait for something."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.rooms: dict[str, Room] = {}
        self.asked: dict[str, asyncio.Task[None]] = {}
        self.tokens: asyncio.Queue[str] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def do(self, command: Command) -> None:
        known = getattr(self, f"do_{command['do']}", None)
        if known is not None:
            await known(command)

    async def do_connect(self, command: Command) -> None:
        given = command.get("times") or {}
        times = {option: given[name] / 1_000 for name, option in TIMES.items() if name in given}
        self.client = warren_client.connect(
            command["url"],
            token=self.token if command.get("tokens") else None,
            user=command.get("user"),
            options=Options(**times, overflow=OVERFLOW),
            open_timeout=None,
        )
        self.start(self.states(self.client))
        self.start(self.open(self.client))

    async def token(self) -> str:
        say("token")
        return await self.tokens.get()

    async def do_token(self, command: Command) -> None:
        self.tokens.put_nowait(command["token"])

    async def open(self, client: Client) -> None:
        try:
            await client.open()
        except WarrenError as error:
            say("note", what=str(error))
            return
        await self.read(aiter(client), None)

    async def states(self, client: Client) -> None:
        async for notice in client.notices():
            if notice.kind == "state":
                say("state", state=notice.detail)
            else:
                say("note", what=f"{notice.kind} {notice.detail} {notice.error or ''}")

    async def read(self, items: Any, room: str | None) -> None:
        try:
            while True:
                await self.reads.wait()
                self.tell(await anext(items))
        except StopAsyncIteration:
            pass
        except LeftError as error:
            self.rooms.pop(error.room, None)
            say("left", room=error.room, reason=error.reason)
        except WarrenError as error:
            say("note", what=f"{room}: {error}")

    def tell(self, item: Item) -> None:
        match item:
            case Message():
                names = ("type", "room", "seq", "epoch", "sender", "id", "key", "ref")
                known = {name: getattr(item, name) for name in names}
                say("message", **known, **binary(item.payload))
            case Gap():
                say("gap", room=item.room)
            case Dropped():
                say("dropped", room=item.room)

    async def do_join(self, command: Command) -> None:
        assert self.client is not None
        name = command["room"]
        try:
            room = self.client.room(name, presence=command.get("presence") is True)
        except WarrenError as error:
            say("joined", room=name, ok=False, code=error.code)
            return
        self.rooms[name] = room
        self.start(self.join(room, command.get("presence") is True))

    async def join(self, room: Room, presence: bool) -> None:
        if presence:
            self.start(self.roster(room))
        joining = asyncio.ensure_future(room.join())
        try:
            await joining
        except WarrenError as error:
            self.rooms.pop(room.name, None)
            say("joined", room=room.name, ok=False, code=error.code)
            return
        say("joined", room=room.name, ok=True)
        await self.read(aiter(room), room.name)

    async def roster(self, room: Room) -> None:
        try:
            async for _ in room.presence.changes():
                say("presence", room=room.name, users=sorted({member.user for member in room.presence}))
        except WarrenError:
            pass

    async def do_leave(self, command: Command) -> None:
        assert self.client is not None
        room = self.rooms.pop(command["room"], None)
        self.start(room.leave() if room is not None else self.client.leave(command["room"]))

    async def do_send(self, command: Command) -> None:
        self.start(self.send(command))

    async def send(self, command: Command) -> None:
        assert self.client is not None
        payload = command.get("payload")
        if command.get("encoding") == "base64":
            payload = base64.b64decode(payload)
        tag = command["tag"]
        try:
            receipt = command.get("receipt")
            ack = await self.client.send(command["room"], command["type"], payload, receipt=receipt)
        except WarrenError as error:
            say("sent", tag=tag, ok=False, code=error.code, retry=error.retry)
            return
        say("sent", tag=tag, ok=True, seq=ack.seq)
        for level in {"written": ("written",), "seen": ("written", "seen")}.get(receipt, ()):
            found = await getattr(ack, level)()
            say("receipt", level=level, complete=found.complete, readers=found.readers, seen=found.seen)

    async def do_request(self, command: Command) -> None:
        self.asked[command["tag"]] = self.start(self.request(command))

    async def request(self, command: Command) -> None:
        assert self.client is not None
        tag, payload, n = command["tag"], None, 0
        try:
            stream = self.client.stream(
                command["service"], command.get("payload"), durable=command.get("durable") is True
            )
            async with stream:
                async for payload in stream:
                    n += 1
                    say("part", tag=tag, n=n, **binary(payload))
        except WarrenError as error:
            say("answer", tag=tag, ok=False, code=error.code)
        except asyncio.CancelledError:
            say("answer", tag=tag, ok=False, code="cancelled")
        else:
            say("answer", tag=tag, ok=True, **binary(payload))

    async def do_cancel(self, command: Command) -> None:
        asked = self.asked.get(command["tag"])
        if asked is not None:
            asked.cancel()

    async def do_history(self, command: Command) -> None:
        self.start(self.history(command))

    async def history(self, command: Command) -> None:
        assert self.client is not None
        tag = command["tag"]
        try:
            messages, more = await self.client.history_page(
                command["room"], command.get("before"), command.get("limit") or 50
            )
        except WarrenError as error:
            say("history", tag=tag, ok=False, code=error.code)
            return
        found = [{"seq": each.seq, **binary(each.payload)} for each in messages]
        say("history", tag=tag, ok=True, messages=found, more=more)

    async def do_seen(self, command: Command) -> None:
        room = self.rooms.get(command["room"])
        if room is not None:
            room.seen(warren_client.Position(command["epoch"], command["seq"]))

    async def do_watch(self, command: Command) -> None:
        assert self.client is not None
        self.start(self.contacts(self.client, command["users"]))

    async def contacts(self, client: Client, users: list[str]) -> None:
        try:
            async for change in client.contacts(users).changes():
                if change.online is not None:
                    say("contact", user=change.user, online=change.online)
        except WarrenError:
            pass

    async def do_pause(self, command: Command) -> None:
        self.reads.clear()

    async def do_resume(self, command: Command) -> None:
        self.reads.set()

    async def do_close(self, command: Command) -> None:
        if self.client is not None:
            await self.client.close()


async def main() -> None:
    """Live until stdin ends."""
    commands = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    adapter = Adapter()
    say("ready", name="warren_client (Python)", capabilities=CAPABILITIES)
    while line := await commands.readline():
        await adapter.do(json.loads(line))
    if adapter.client is not None:
        await adapter.client.close()
    for task in list(adapter.tasks):
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
