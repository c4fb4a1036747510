"""MemoryAlarm: who publishes waits, in order."""

import asyncio

import pytest
from tests.support.eventually import eventually

from warren.bus.memory.alarm import MemoryAlarm
from warren.errors import NotConfirmed


class Stand:
    def __init__(self):
        self.alarm, self.passed = MemoryAlarm(), []

    async def pass_(self, number):
        await self.alarm.passed()
        self.passed.append(number)

    def send(self, number):
        return asyncio.create_task(self.pass_(number))


async def test_without_an_alarm_nothing_waits():
    """It passes in the same turn."""
    stand = Stand()
    await stand.pass_(1)
    assert stand.passed == [1]


async def test_what_waited_goes_first():
    """What comes in the moment of the end does not overtake; one that was given up holds nobody."""
    stand = Stand()
    stand.alarm.set(True)
    tasks = [stand.send(number) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    stand.alarm.set(False)
    await asyncio.gather(stand.send(5), stand.send(6))
    await eventually(lambda: stand.passed == [0, 1, 3, 4, 5, 6])
    await stand.pass_(7)
    assert stand.passed[-1] == 7


async def test_an_alarm_that_comes_again_holds_the_rest():
    """Those that have not passed wait on."""
    stand = Stand()
    stand.alarm.set(True)
    tasks = [stand.send(number) for number in range(3)]
    await asyncio.sleep(0)
    stand.alarm.set(False)
    stand.alarm.set(True)
    await asyncio.sleep(0.01)
    assert len(stand.passed) <= 1
    stand.alarm.set(False)
    await asyncio.gather(*tasks)
    assert stand.passed == [0, 1, 2]


async def test_a_lost_connection_ends_the_waiting():
    """Nobody knows what became of it."""
    stand = Stand()
    stand.alarm.set(True)
    tasks = [stand.send(number) for number in range(2)]
    await asyncio.sleep(0)
    stand.alarm.fail(NotConfirmed("lost"))
    for task in tasks:
        with pytest.raises(NotConfirmed):
            await task
