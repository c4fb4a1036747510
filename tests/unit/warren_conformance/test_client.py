"""What the kit knows of a client: its connections, and what its application was told."""

from __future__ import annotations

from tests.unit.warren_conformance.test_trial import ended

from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach


def test_events_are_claimed_once_and_missed_ones_are_a_breach() -> None:
    """An event that a script has waited for does not answer a second wait."""

    async def script(trial: Trial) -> None:
        client = await trial.client()
        connection = await client.joins("r")
        await connection.publish("r", "a")
        await client.told("message", "nothing", payload="a")
        await client.told("message", "it came once", payload="a", within=0.5)

    assert ended(script).sentence == "it came once (waited 0.5 s)"


def test_who_stays_away_and_comes_is_a_breach_and_attempts_are_counted() -> None:
    """A refused attempt counts as well."""

    async def script(trial: Trial) -> None:
        client = await trial.client()
        connection = await client.joins("r")
        client.refuses(503)
        connection.cut()
        await client.quiet(2.0)
        assert len(client.attempts) > 3
        client.refuses(None)
        await client.stays_away("it came back")

    assert ended(script).sentence == "it came back"


def test_own_messages_and_tolerated_ones_are_not_due() -> None:
    """But no own message may come twice."""

    async def script(trial: Trial) -> None:
        client = await trial.client()
        connection = await client.joins("r")
        client.tolerates("r", 2)
        for sender in ("bob", "eve", client.user):
            await connection.publish("r", sender=sender)
        await connection.publish("r")
        await client.delivers("r", 1, 4)

    assert ended(script).outcome == "passed"

    async def doubled(trial: Trial) -> None:
        client = await trial.client()
        connection = await client.joins("r")
        frame = await connection.publish("r", sender=client.user)
        await connection.send(frame)
        await client.settled()

    assert "its own message 1 of r twice" in ended(doubled, "delivers_repeats").sentence


def test_a_program_that_ends_by_itself_has_failed() -> None:
    """Whatever the script waits for."""

    async def script(trial: Trial) -> None:
        client = await trial.client()
        connection = await client.joins("r")
        await connection.send_raw("{")
        await client.quiet(60.0)
        raise Breach("it was not noticed")

    assert "the client's program ended by itself" in ended(script, "dies_of_rubbish").sentence
