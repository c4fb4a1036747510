"""The polite server behind a connection, and what it holds each frame to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.conformance_kit.memory_network import MemoryWire
from tests.unit.warren_conformance.test_trial import ended

from warren_conformance.client import Client
from warren_conformance.connection import MESSAGE, Connection
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

Steps = Callable[[Client, Connection, "Raw"], Awaitable[None]]


class Raw:
    """Sends as if the client did."""

    def __init__(self, connection: Connection) -> None:
        socket = connection.socket._socket  # type: ignore[attr-defined]
        self._wire = MemoryWire(socket)

    async def send(self, data: str) -> None:
        await self._wire.send(data)


def script(steps: Steps, **welcome: Any) -> Callable[[Trial], Awaitable[None]]:
    """Return a script in which a client has connected."""

    async def run(trial: Trial) -> None:
        client = await trial.client()
        connection = await client.opens(**welcome)
        await steps(client, connection, Raw(connection))
        await client.quiet(0.1)

    return run


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{", "not JSON"),
        ('{"type": "HERALD"}', "reserved"),
        ('{"type": "JOIN", "room": "a b"}', "the field room"),
        (
            '{"type": "CHAT", "room": "r", "payload": "%s"}' % ("x" * 3_000),
            "bytes, although WELCOME allows 2000",
        ),
    ],
)
def test_each_frame_is_held_to_the_contract_and_the_limits(data: str, words: str) -> None:
    """Whatever the scenario is about."""

    async def steps(_client: Client, _connection: Connection, raw: Raw) -> None:
        await raw.send(data)

    assert words in ended(script(steps, limits={"message_bytes": 2_000})).sentence


def test_the_rate_counts_every_frame() -> None:
    """PING too."""

    async def steps(_client: Client, _connection: Connection, raw: Raw) -> None:
        for _ in range(6):
            await raw.send('{"type": "PING"}')

    assert "faster than WELCOME allows" in ended(script(steps, limits={"rate": 5})).sentence


def test_the_polite_server_answers_until_a_scenario_does() -> None:
    """A type that is held is the scenario's to answer, and only what comes from then on."""

    async def steps(client: Client, connection: Connection, _raw: Raw) -> None:
        for tag in ("s1", "s2"):
            await client.do("send", tag=tag, type="CHAT", room="default", payload=tag)
            if tag == "s1":
                await client.told("sent", "no ACK", tag="s1", ok=True)
                connection.hold(MESSAGE)
        frame = await connection.expect(MESSAGE, "nothing came")
        assert frame["payload"] == "s2"
        await client.quiet(0.2)
        assert not client.all_told("sent", tag="s2")
        await connection.answer(frame)
        await client.told("sent", "no ACK", tag="s2", ok=True)

    assert ended(script(steps)).outcome == "passed"


def test_what_does_not_come_is_a_breach_with_what_came_instead() -> None:
    """Or with the close code, where the client is gone."""

    async def waits(_client: Client, connection: Connection, _raw: Raw) -> None:
        await connection.expect("SEEN", "the client said nothing", within=0.5)

    async def closes(client: Client, connection: Connection, _raw: Raw) -> None:
        await client.do("close")
        await connection.expect("SEEN", "the client said nothing", within=5.0)

    assert "the client said nothing (waited 0.5 s; it sent nothing)" in ended(script(waits)).sentence
    assert "it closed the connection with 1000 instead" in ended(script(closes)).sentence


def test_history_has_pages() -> None:
    """The last messages before a seq, and whether there are more."""

    async def steps(client: Client, connection: Connection, _raw: Raw) -> None:
        for _ in range(5):
            client.room("r").publish()
        (answer,) = connection._answers(
            {"type": "HISTORY", "id": "h", "room": "r", "payload": {"before": 4, "limit": 2}}
        )
        assert [each["seq"] for each in answer["payload"]["messages"]] == [2, 3]
        assert answer["payload"]["more"] is True
        (answer,) = connection._answers({"type": "HISTORY", "id": "h", "room": "r"})
        assert len(answer["payload"]["messages"]) == 5
        if answer["ref"] != "h":
            raise Breach("no ref")

    assert ended(script(steps)).outcome == "passed"
