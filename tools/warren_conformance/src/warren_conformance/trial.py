"""Trial: one run of one scenario: its clients, its time, and how it ended."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from warren_conformance.adapters import AdapterSource
from warren_conformance.client import Client
from warren_conformance.codec import JSON
from warren_conformance.message_ids import MessageIds
from warren_conformance.scenario import Scenario
from warren_conformance.sockets import Listener
from warren_conformance.verdicts import Breach, Broken, Skipped

Outcome = Literal["passed", "failed", "skipped", "broken"]

# What a client's own times should be, in ms, where it lets them be set. The kit waits accordingly.
TIMES: Final = {
    "backoff_ms": 100,
    "backoff_cap_ms": 1_000,
    "ping_ms": 5_000,
    "pong_ms": 2_000,
    "ack_ms": 2_000,
    "gap_ms": 300,
    "refresh_before_ms": 2_000,
    "welcome_ms": 2_000,
}
SCENARIO_S: Final = 90.0
AFTERWARDS_S: Final = 0.1
TRANSCRIPT: Final = 400
_SHOWN: Final = 300


@dataclass(frozen=True)
class Setting:
    """What all trials have in common."""

    source: AdapterSource
    listener: Callable[[], Listener]
    patience: float = 1.0
    protocol: str = JSON
    seed: int = 0
    wall: Callable[[], float] = time.time


@dataclass(frozen=True)
class Result:
    """How a scenario ended."""

    name: str
    outcome: Outcome
    seconds: float
    sentence: str = ""
    rule: str = ""
    section: str = ""
    notes: tuple[str, ...] = ()
    transcript: tuple[str, ...] = field(default=(), compare=False)


class Trial:
    """What a scenario's script is given."""

    def __init__(self, scenario: Scenario, setting: Setting) -> None:
        self.scenario = scenario
        self.patience = setting.patience
        self.protocol = setting.protocol
        self.times = {**TIMES, **scenario.times}
        self.random = random.Random(f"{setting.seed}:{scenario.name}")
        self.clients: list[Client] = []
        self.notes: list[str] = []
        self._setting = setting
        self._ids: dict[str, MessageIds] = {}
        self._transcript: deque[str] = deque(maxlen=TRANSCRIPT)
        self._began = 0.0
        self._ended: asyncio.Future[Exception] | None = None

    async def client(self, user: str = "ann") -> Client:
        """Start a client that has not connected yet."""
        adapter = await self._setting.source.start()
        client = Client(self, f"c{len(self.clients) + 1}", user, adapter, self._setting.listener())
        self.clients.append(client)
        await client.start()
        if lacking := self.scenario.needs - client.capabilities:
            raise Skipped(f"the adapter does not declare {', '.join(sorted(lacking))}")
        return client

    def ids(self, user: str) -> MessageIds:
        """Return what is known of a user's ids."""
        return self._ids.setdefault(user, MessageIds())

    def wall_ms(self) -> int:
        """Return ms since the Unix epoch."""
        return int(self._setting.wall() * 1_000)

    def note(self, sentence: str) -> None:
        """Say something in the report that is no breach."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def fail(self, breach: Breach) -> None:
        """End the scenario, wherever its script is."""
        self._end(breach)

    def broken(self, broken: Broken) -> None:
        """End the scenario because of the adapter."""
        self._end(broken)

    def record(self, client: str, direction: str, what: Any) -> None:
        """Add a line to the transcript."""
        arrows = {"in": "▶ ", "out": "◀ ", "app": "do ", "told": "told ", "dial": "dials "}
        if isinstance(what, bytes):
            what = what.hex()
        at = asyncio.get_running_loop().time() - self._began
        self._transcript.append(f"{at:7.3f} {client} {arrows[direction]}{str(what)[:_SHOWN]}")

    async def run(self) -> Result:
        """Run the script to its end."""
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        self._ended = loop.create_future()
        script = asyncio.create_task(self._script())
        waits: list[asyncio.Future[Any]] = [script, self._ended]
        try:
            await asyncio.wait(waits, timeout=SCENARIO_S * self.patience, return_when=asyncio.FIRST_COMPLETED)
            if script.done() and script.exception() is None:
                # what the client says now is too much
                await asyncio.wait([self._ended], timeout=AFTERWARDS_S)
        finally:
            if not script.done():
                script.cancel()
                await asyncio.wait([script])
            for client in self.clients:
                await client.stop()
        error = self._error(script)
        seconds = loop.time() - self._began
        return self._result(error, seconds)

    def _error(self, script: asyncio.Future[None]) -> BaseException | None:
        assert self._ended is not None
        if self._ended.done():
            return self._ended.result()
        if script.cancelled():
            return Breach(f"the client had not done what was asked after {SCENARIO_S * self.patience:g} s")
        if error := script.exception():
            return error
        try:
            for client in self.clients:
                client.check()
        except Breach as breach:
            return breach
        return None

    def _result(self, error: BaseException | None, seconds: float) -> Result:
        name, rule, section = self.scenario.name, self.scenario.rule, self.scenario.section
        notes, transcript = tuple(self.notes), tuple(self._transcript)
        match error:
            case None:
                return Result(name, "passed", seconds, "", rule, section, notes)
            case Breach():
                found = (error.sentence, error.rule or rule, error.section or section)
                return Result(name, "failed", seconds, *found, notes, transcript)
            case Skipped():
                return Result(name, "skipped", seconds, str(error), rule, section, notes)
            case Broken():
                return Result(name, "broken", seconds, str(error), rule, section, notes, transcript)
        raise error

    async def _script(self) -> None:
        await self.scenario.script(self)

    def _end(self, error: Exception) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(error)
