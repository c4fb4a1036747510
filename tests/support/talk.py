"""A conversation under way: in each room some speak numbered messages all the time, and everyone listens with
a Recorder.

A speaker sends each message again, under its id, until it is acknowledged, as a good client does. ``settled``
is the promise as an assertion: all that was said was acknowledged and came to every member once and in order,
with no break.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.support.client import Client, Message, connect
from tests.support.eventually import eventually
from tests.support.recorder import Recorder


class Voice:
    """One client: it listens in all rooms and speaks in all rooms."""

    def __init__(self, name: str, rooms: Sequence[str]) -> None:
        """``connect`` opens it."""
        self.name = name
        self.rooms = rooms
        self.recorder = Recorder()
        self.said = 0  # in each room
        self.acknowledged: dict[str, float] = {}  # id ▶ when
        self.refused = 0
        self.client: Client | None = None

    def hears(self, message: Message) -> None:
        """Take note of a message."""
        self.recorder(message)
        if message["type"] == "ACK":
            self.acknowledged.setdefault(str(message.get("ref")), time.monotonic())
        elif message["type"] == "ERROR":
            self.refused += 1

    def waiting(self) -> list[tuple[str, int]]:
        """Return (room, number) of what is not acknowledged, in order."""
        return [
            (room, number)
            for number in range(1, self.said + 1)
            for room in self.rooms
            if f"{room}-{number}" not in self.acknowledged
        ]

    async def say(self, room: str, number: int) -> None:
        """Send (again) a message."""
        assert self.client is not None
        await self.client.send("CHAT", room, {"n": number}, id=f"{room}-{number}")


class Talk:
    """Use it by ``async with``: everyone has joined, and speaks until the end."""

    def __init__(self, urls: Sequence[str], rooms: Sequence[str], *, every_s: float = 0.05) -> None:
        """One voice for each URL."""
        self.rooms = list(rooms)
        self.voices = [Voice(f"voice{number}", self.rooms) for number in range(len(urls))]
        self._urls = urls
        self._every_s = every_s
        self._quiet = False
        self._speaking: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for voice, url in zip(self.voices, self._urls, strict=True):
            voice.client = await connect(url, user=voice.name, listener=voice.hears)
            for room in self.rooms:
                await voice.client.join(room)
        self._speaking = [asyncio.create_task(self._speak(voice)) for voice in self.voices]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._speaking:
            task.cancel()
        await asyncio.gather(*self._speaking, return_exceptions=True)
        for voice in self.voices:
            if voice.client is not None:
                await voice.client.close()

    async def goes_on(self, count: int = 20, timeout_s: float = 20.0) -> None:
        """Return when each voice has said ``count`` more and all of that is acknowledged."""
        goals = {voice.name: voice.said + count for voice in self.voices}

        def said() -> bool:
            return all(
                f"{room}-{number}" in voice.acknowledged
                for voice in self.voices
                for room in self.rooms
                for number in range(goals[voice.name] - count + 1, goals[voice.name] + 1)
            )

        await eventually(said, timeout_s, what=f"{count} more messages of each, acknowledged")

    async def settled(self, timeout_s: float = 20.0) -> None:
        """End the speaking, wait until all has arrived, and check the promise."""
        self._quiet = True
        await asyncio.gather(*self._speaking)

        def arrived() -> bool:
            for voice in self.voices:
                assert voice.waiting() == []
                for room in self.rooms:
                    voice.recorder.check(
                        room, sent={other.name: other.said for other in self.voices if other is not voice}
                    )
            return True

        await eventually(arrived, timeout_s, what="every message at every member")

    async def _speak(self, voice: Voice) -> None:
        assert voice.client is not None
        again_at = time.monotonic() + 1.0
        while not self._quiet:
            voice.said += 1
            for room in self.rooms:
                await voice.say(room, voice.said)
            await asyncio.sleep(self._every_s)
            if time.monotonic() > again_at:
                again_at = time.monotonic() + 1.0
                await self._repeat(voice)
        deadline = time.monotonic() + 20.0
        while voice.waiting() and time.monotonic() < deadline:
            await self._repeat(voice)
            await asyncio.sleep(1.0)

    async def _repeat(self, voice: Voice) -> None:
        """Send again what was not acknowledged within a second or so."""
        for room, number in voice.waiting():
            if number < voice.said - int(1.0 / self._every_s) or self._quiet:
                await voice.say(room, number)
