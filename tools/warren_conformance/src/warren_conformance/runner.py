"""Runner: the chosen scenarios, several at the same time, each with clients and ports of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from warren_conformance.scenario import SCENARIOS, Scenario
from warren_conformance.trial import Result, Setting, Trial


def chosen(patterns: Sequence[str]) -> list[Scenario]:
    """Return the scenarios whose names fit one of the patterns (none given: all), in the order of names.
    Raises ValueError for a pattern that fits none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in SCENARIOS):
            raise ValueError(f"no scenario is called {pattern!r}; --list shows them all")
    return [
        SCENARIOS[name]
        for name in sorted(SCENARIOS)
        if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


async def run_all(
    scenarios: Sequence[Scenario], setting: Setting, parallel: int, done: Callable[[Result], None]
) -> list[Result]:
    """Run them, ``parallel`` at a time; ``done`` is called with each result as it comes."""
    turns = asyncio.Semaphore(parallel)

    async def one(scenario: Scenario) -> Result:
        async with turns:
            result = await Trial(scenario, setting).run()
            done(result)
            return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(scenario)) for scenario in scenarios]
    return [task.result() for task in tasks]
