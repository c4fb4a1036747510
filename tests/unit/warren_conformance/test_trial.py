"""How a trial ends: by its script, by what the client did meanwhile, or by its adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.conformance_kit import virtual_time
from tests.conformance_kit.memory_network import MemoryNetwork
from tests.conformance_kit.reference_adapter import MemoryAdapter, MemorySource

from warren_conformance.scenario import Scenario
from warren_conformance.trial import SCENARIO_S, Result, Setting, Trial
from warren_conformance.verdicts import Breach, Broken, Skipped


def ended(
    script: Callable[[Trial], Awaitable[None]], *faults: str, needs: str = "", source: object = None
) -> Result:
    """Return how a script ends with a reference client."""
    network = MemoryNetwork(frozenset(faults))
    setting = Setting(source or MemorySource(network, 1), network.listener)  # type: ignore[arg-type]
    scenario = Scenario("x", "the rule", "The section", script, frozenset(needs.split()))

    async def run() -> Result:
        return await Trial(scenario, setting).run()

    return virtual_time.run(run())


def test_a_script_that_comes_to_its_end_has_passed() -> None:
    """With what it noted, once each."""

    async def script(trial: Trial) -> None:
        await (await trial.client()).joins("r")
        trial.note("slow")
        trial.note("slow")

    found = ended(script)
    assert (found.outcome, found.notes, found.sentence) == ("passed", ("slow",), "")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(Breach("it left"), "failed"), (Skipped("it can't"), "skipped"), (Broken("no adapter"), "broken")],
)
def test_a_script_may_end_in_three_other_ways(error: Exception, outcome: str) -> None:
    """Each with its sentence, and with the scenario's rule."""

    async def script(_trial: Trial) -> None:
        raise error

    found = ended(script)
    assert (found.outcome, found.sentence, found.rule) == (outcome, str(error), "the rule")


def test_a_fault_of_the_kit_is_nobodys_breach() -> None:
    """It comes out as it is."""

    async def script(_trial: Trial) -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        ended(script)


def test_a_breach_that_is_seen_meanwhile_ends_the_script() -> None:
    """It counts for more than what the script waits for."""

    async def script(trial: Trial) -> None:
        client = await trial.client()
        asyncio.get_running_loop().call_later(
            1.0, client.fail, Breach("it lied", rule="another", section="S")
        )
        await asyncio.Future()

    found = ended(script)
    assert (found.outcome, found.sentence, found.rule, found.section) == ("failed", "it lied", "another", "S")


def test_a_script_that_never_ends_is_ended() -> None:
    """After the longest time that a scenario may take."""

    async def script(_trial: Trial) -> None:
        await asyncio.sleep(10 * SCENARIO_S)

    found = ended(script)
    assert found.outcome == "failed"
    assert found.seconds == pytest.approx(SCENARIO_S)


def test_what_is_delivered_after_the_end_of_the_script_counts() -> None:
    """A surplus that comes late is a breach too."""

    async def script(trial: Trial) -> None:
        client = await trial.client()
        connection = await client.joins("r")
        frame = await connection.publish("r")
        await client.delivers("r", 1)
        await connection.send(frame)

    assert ended(script).outcome == "passed"
    assert "message 1 of r twice" in ended(script, "delivers_repeats").sentence


def test_what_the_adapter_does_not_declare_is_skipped() -> None:
    """And named."""

    async def script(trial: Trial) -> None:
        await trial.client()

    assert "does not declare time-travel" in ended(script, needs="time-travel").sentence


def test_a_transcript_shows_both_ways_and_stays_short() -> None:
    """The last frames before a failure, each cut to a line."""

    async def script(trial: Trial) -> None:
        client = await trial.client()
        connection = await client.joins("r")
        for _ in range(600):
            await connection.publish("r", "x" * 5_000)
        raise Breach("enough")

    found = ended(script)
    assert 0 < len(found.transcript) <= 400
    assert max(map(len, found.transcript)) < 400


def test_an_adapter_that_is_not_ready_is_broken() -> None:
    """Whether it says nothing, something else, or ends."""

    class Silent(MemoryAdapter):
        first: dict[str, object] | None = None

        async def event(self) -> dict[str, object] | None:
            if self.first == {}:
                await asyncio.sleep(1_000)
            return self.first

    class Source:
        def __init__(self, first: dict[str, object] | None) -> None:
            self.first = first

        async def start(self) -> Silent:
            made = Silent(MemoryNetwork(frozenset()), __import__("random").Random(1))
            made.first = self.first
            return made

    async def script(trial: Trial) -> None:
        await trial.client()

    for first, words in (
        ({}, "within 20 s"),
        ({"event": "message"}, "not `ready`, but message"),
        (None, "nothing"),
    ):
        found = ended(script, source=Source(first))
        assert found.outcome == "broken"
        assert words in found.sentence
