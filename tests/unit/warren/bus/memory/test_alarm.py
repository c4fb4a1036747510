"""MemoryAlarm: who publishes waits, in order."""

import asyncio

import pytest
from tests.support.eventually import eventually

from warren.bus.memory.alarm import MemoryAlarm
from warren.errors import NotConfirmed


class Harness:
    def __init__(self):
        self.alarm, self.passed = MemoryAlarm(), []

    async def pass_(self, number):
        await self.alarm.passed()
        self.passed.append(number)

    def send(self, number):
        return asyncio.create_task(self.pass_(number))


async def test_without_an_alarm_nothing_waits():
    """It passes in the same turn."""
    harness = Harness()
    await harness.pass_(1)
    assert harness.passed == [1]


async def test_what_waited_goes_first():
    """What comes in the moment of the end does not overtake; one that was given up holds nobody."""
    harness = Harness()
    harness.alarm.set(True)
    tasks = [harness.send(number) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    harness.alarm.set(False)
    await asyncio.gather(harness.send(5), harness.send(6))
    await eventually(lambda: harness.passed == [0, 1, 3, 4, 5, 6])
    await harness.pass_(7)
    assert harness.passed[-1] == 7


async def test_an_alarm_that_comes_again_holds_the_rest():
    """Those that have not passed wait on."""
    harness = Harness()
    harness.alarm.set(True)
    tasks = [harness.send(number) for number in range(3)]
    await asyncio.sleep(0)
    harness.alarm.set(False)
    harness.alarm.set(True)
    await asyncio.sleep(0.01)
    assert len(harness.passed) <= 1
    harness.alarm.set(False)
    await asyncio.gather(*tasks)
    assert harness.passed == [0, 1, 2]


async def test_a_lost_connection_ends_the_waiting():
    """Nobody knows what became of it."""
    harness = Harness()
    harness.alarm.set(True)
    tasks = [harness.send(number) for number in range(2)]
    await asyncio.sleep(0)
    harness.alarm.fail(NotConfirmed("lost"))
    for task in tasks:
        with pytest.raises(NotConfirmed):
            await task
