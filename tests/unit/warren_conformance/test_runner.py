"""Which scenarios run, and how many at once."""

from __future__ import annotations

import asyncio

import pytest
from tests.conformance_kit import virtual_time
from tests.conformance_kit.memory_network import MemoryNetwork
from tests.conformance_kit.reference_adapter import MemorySource

import warren_conformance.scenarios  # noqa: F401 (importing registers them)
from warren_conformance.runner import chosen, run_all
from warren_conformance.scenario import SCENARIOS, Scenario
from warren_conformance.trial import Result, Setting, Trial


def test_patterns_choose_and_a_pattern_that_fits_none_is_an_error() -> None:
    """A mistyped name must not pass for a clean run."""
    assert [each.name for each in chosen([])] == sorted(SCENARIOS)
    assert {each.name for each in chosen(["gap-*", "texts"])} > {"gap-for-good", "texts"}
    with pytest.raises(ValueError, match="no scenario is called 'gapp-\\*'"):
        chosen(["texts", "gapp-*"])


def test_only_so_many_run_at_once() -> None:
    """Results are reported as they come, and returned in the order that was asked for."""
    running, most, seen = 0, 0, []

    def one(name: str, seconds: float) -> Scenario:
        async def script(_trial: Trial) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(seconds)
            running -= 1

        return Scenario(name, "rule", "section", script)

    def done(result: Result) -> None:
        seen.append(result.name)

    network = MemoryNetwork(frozenset())
    setting = Setting(MemorySource(network, 1), network.listener)
    scenarios = [one("a", 3.0), one("b", 1.0), one("c", 1.0)]
    results = virtual_time.run(run_all(scenarios, setting, 2, done))
    assert [each.name for each in results] == ["a", "b", "c"]
    assert seen == ["b", "c", "a"]
    assert most == 2
