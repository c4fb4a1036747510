"""A crowd: some hundred clients in one process, as an application would write them, for the tests in which
pods are replaced under load.

    python -m tests.faults.crowd URL --first 0 --count 500

All members of a room are in one process, so that its history can be judged here. It prints ``ready`` when
everybody is in; at SIGUSR1 it stops publishing, waits until everything is answered, and prints one line of
JSON: what was wrong (``assertions.py``), the figures, and every move from one gateway to another. A member
that is asked away leaves at its slot, comes in again by the same address, names its positions, and sends
again what was not acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

import orjson
import uvloop
from bench.socket_client import CLOSE, SocketClient
from tests.faults.assertions import judge
from tests.faults.history import Acked, Got, History, Joined, Left, Refused, Sent

ROOM_OF = 10  # members in a room
RAMP_S = 0.008  # from one member's coming to the next one's
SETTLE_S = 30.0
BACK_OFF_S = (0.05, 0.25)
RETRY_S = 0.2


@dataclass
class Move:
    """One member's way from one gateway to another. Times are of the monotonic clock, which all processes of
    a machine share.
    """

    member: str
    left: str  # the gateway
    told_at: float  # RECONNECT came, or the connection ended without one
    slot_s: float | None  # as RECONNECT said; None: there was none
    cause: str  # "slot", or the close code
    gone_at: float = 0.0  # when the old connection ended
    back_at: float = 0.0  # when it was in all its rooms again; 0: not yet


@dataclass
class Tally:
    """What all members of this process saw."""

    moves: list[Move] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)
    again: int = 0


class Member:
    """One client in one room."""

    def __init__(
        self, name: str, room: str, url: str, history: History, tally: Tally, random: Random, every_s: float
    ) -> None:
        """It says something about every ``every_s`` seconds."""
        self.name, self.room = name, room
        self._url = f"{url}?join=manual&user={name}"
        self._history, self._tally, self._random, self._every_s = history, tally, random, every_s
        self._socket: SocketClient | None = None
        self._gateway = ""
        self._position: tuple[str, int] | None = None
        self._joined = False
        self._move: Move | None = None
        self._pending: dict[str, bytes] = {}
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self.publishing = self.living = True
        history.members.setdefault(name, [])

    @property
    def joined(self) -> bool:
        """Whether it is in its room."""
        return self._joined

    @property
    def settled(self) -> bool:
        """Whether it is in its room, with an answer for everything."""
        return self._joined and not self._pending

    async def run(self) -> None:
        """Live: come in, and come back whenever the connection ends."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._random.uniform(0, self._every_s), self._speak)
        while self.living:
            try:
                socket = await SocketClient.connect(self._url, self._take)
            except OSError as error:
                self._tally.refused[str(error)[:60]] += 1
                await asyncio.sleep(self._random.uniform(*BACK_OFF_S))
                continue
            code = await socket.closed
            self._end(code)
            if self._move is not None and self._move.cause != "slot" and self.living:
                await asyncio.sleep(self._random.uniform(*BACK_OFF_S))
        self._timer.cancel()

    def close(self) -> None:
        """Go for good."""
        self.living = self.publishing = False
        if self._socket is not None:
            self._socket.close()

    def _end(self, code: int) -> None:
        """Take that the connection has ended, by whoever."""
        now = time.monotonic()
        self._socket, self._joined = None, False
        if not self.living:
            return
        if self._move is None or self._move.back_at:
            self._move = Move(self.name, self._gateway, now, None, str(code))
            self._tally.moves.append(self._move)
        elif self._move.cause == "slot" and not self._move.gone_at and code != 1006:
            self._move.cause = str(code)  # it was closed before its slot had come
        self._move.gone_at = self._move.gone_at or now

    def _leave(self) -> None:
        """Go at our slot."""
        if self._socket is not None and self._move is not None:
            self._move.gone_at = time.monotonic()
            self._joined = False
            self._socket.send((1000).to_bytes(2, "big"), CLOSE)
            self._socket.close()

    # ── what we say ─────────────────────────────────────────────────────────────────────────────────────────

    def _speak(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(
            self._random.uniform(0.5, 1.5) * self._every_s, self._speak
        )
        if not self.publishing or not self._joined:
            return
        self._number += 1
        id_ = f"{self.name}-{self._number}"
        self._history.add(self.name, Sent(self._history.next(), self.room, id_, self._number))
        self._pending[id_] = orjson.dumps(
            {"type": "CHAT", "room": self.room, "id": id_, "payload": {"n": self._number}}
        )
        self._send(self._pending[id_])

    def _send(self, frame: bytes) -> None:
        if self._socket is not None:
            self._socket.send(frame)

    def _join(self) -> None:
        since = {"since": {"epoch": self._position[0], "seq": self._position[1]}} if self._position else None
        self._send(orjson.dumps({"type": "JOIN", "room": self.room, "id": "join", "payload": since}))

    def _say_again(self, ref: str) -> None:
        if ref in self._pending:
            self._tally.again += 1
            self._send(self._pending[ref])

    # ── what we are told ────────────────────────────────────────────────────────────────────────────────────

    def _take(self, socket: SocketClient, data: bytes) -> None:
        message = orjson.loads(data)
        type_, payload = message["type"], message.get("payload")
        if type_ == "WELCOME":
            self._socket, self._gateway = socket, payload["connection"].partition("~")[0]
            self._join()
        elif type_ == "CHAT":
            self._take_message(message)
        elif type_ == "ACK":
            step = self._history.next()
            self._history.add(
                self.name, Acked(step, self.room, message["ref"], payload["epoch"], payload["seq"])
            )
            self._pending.pop(message["ref"], None)
        elif type_ == "JOINED":
            self._take_joined(payload)
        elif type_ == "LEFT":
            self._history.add(self.name, Left(self._history.next(), message["room"]))
        elif type_ == "RECONNECT":
            self._take_slot(payload["after_ms"] / 1_000)
        elif type_ == "ERROR":
            self._take_error(message.get("ref", ""), payload)
        else:
            self._tally.notices[type_] += 1

    def _take_message(self, message: dict[str, Any]) -> None:
        epoch, seq = message["epoch"], message["seq"]
        step, sender, number = self._history.next(), message.get("sender", ""), message["payload"]["n"]
        self._history.add(self.name, Got(step, self.room, epoch, seq, sender, message.get("id", ""), number))
        if self._position is not None and self._position[0] == epoch and seq > self._position[1]:
            self._position = (epoch, seq)

    def _take_joined(self, payload: dict[str, Any]) -> None:
        epoch, seq, recovered = payload["epoch"], payload["seq"], payload["recovered"]
        since = self._position[1] if self._position and not self._joined else None
        self._history.add(self.name, Joined(self._history.next(), self.room, epoch, seq, recovered, since))
        if not recovered or self._position is None:
            self._position = (epoch, seq)
        if self._joined:
            return
        self._joined = True
        if self._move is not None and not self._move.back_at:
            self._move.back_at = time.monotonic()
        for ref in list(self._pending):
            self._say_again(ref)

    def _take_slot(self, after_s: float) -> None:
        self._tally.notices["RECONNECT"] += 1
        self._move = Move(self.name, self._gateway, time.monotonic(), after_s, "slot")
        self._tally.moves.append(self._move)
        asyncio.get_running_loop().call_later(after_s, self._leave_once, self._move)

    def _leave_once(self, move: Move) -> None:
        if move is self._move and not move.gone_at:
            self._leave()

    def _take_error(self, ref: str, problem: dict[str, Any]) -> None:
        self._tally.errors[problem["code"]] += 1
        if "close" in problem:
            return
        after_s = problem.get("retry_after_ms", RETRY_S * 1_000) / 1_000
        if not problem["retry"]:
            self._history.add(self.name, Refused(self._history.next(), self.room, ref, problem["code"]))
            self._pending.pop(ref, None)
        elif ref == "join":
            asyncio.get_running_loop().call_later(after_s, self._join)
        else:
            asyncio.get_running_loop().call_later(after_s, self._say_again, ref)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _until(members: list[Member], state: str, timeout_s: float) -> bool:
    ends = time.monotonic() + timeout_s
    while not all(getattr(member, state) for member in members):
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(0.05)
    return True


async def _main(options: argparse.Namespace) -> int:
    loop, history, tally = asyncio.get_running_loop(), History(), Tally()
    random = Random(options.first)
    quiet = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, quiet.set)
    members = [
        Member(f"m{number}", f"chat:{number // ROOM_OF}", options.url, history, tally, random, options.every)
        for number in range(options.first, options.first + options.count)
    ]
    tasks = []
    for member in members:
        tasks.append(loop.create_task(member.run()))
        await asyncio.sleep(RAMP_S)
    if not await _until(members, "joined", SETTLE_S):
        say(f"not all came in: {dict(tally.refused)} {dict(tally.errors)}")
        return 1
    say("ready")
    await quiet.wait()
    for member in members:
        member.publishing = False
    settled = await _until(members, "settled", SETTLE_S)
    # what was acknowledged last is on its way to the others: the verdict is asked until nothing is missing
    for _ in range(20):
        if (verdict := judge(history, breaks_allowed=False)).kept:
            break
        await asyncio.sleep(0.25)
    for member in members:
        member.close()
    await asyncio.gather(*tasks)
    said = {
        "settled": settled,
        "faults": [
            f"{fault.kind} {fault.member} {fault.room}: {fault.text}" for fault in verdict.faults[:20]
        ],
        "fault_count": len(verdict.faults),
        "figures": asdict(verdict.figures),
        "moves": [asdict(move) for move in tally.moves],
        "refused": tally.refused,
        "errors": tally.errors,
        "notices": tally.notices,
        "again": tally.again,
    }
    say(json.dumps(said))
    return 0


def main() -> int:
    """Be a crowd."""
    parser = argparse.ArgumentParser(prog="tests.faults.crowd", description=__doc__)
    parser.add_argument("url", help="where the clients connect, such as ws://127.0.0.1:8080/ws")
    parser.add_argument(
        "--first", type=int, default=0, help="the first member's number; a multiple of the members of a room"
    )
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument(
        "--every", type=float, default=10.0, help="seconds from one message of a member to its next"
    )
    return uvloop.run(_main(parser.parse_args()))


if __name__ == "__main__":
    raise SystemExit(main())
