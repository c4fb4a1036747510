"""Troubles: what the schedule says is done, within the bounds of the promise however slow the machine is."""

from __future__ import annotations

import time
from typing import Any, cast

from tests.faults.schedule import Action, Target, Verb
from tests.faults.troubles import Troubles
from tests.faults.world import World

STARTS_S = 0.1


class Cluster:
    """Nodes that take their time to start."""

    def __init__(self) -> None:
        self.down: set[int] = set()
        self.most = 0
        self.killed_while_starting = False

    def kill(self, index: int) -> None:
        self.killed_while_starting = self.killed_while_starting or bool(self.down)
        self.down.add(index)
        self.most = max(self.most, len(self.down))

    def start(self, index: int) -> None:
        time.sleep(STARTS_S)
        self.down.remove(index)


class FakeWorld:
    def __init__(self) -> None:
        self.cluster = Cluster()


async def test_never_are_two_broker_nodes_in_trouble() -> None:
    """Though the first one was to be back by then; nothing of the schedule is left out."""
    world = FakeWorld()
    said: list[str] = []
    troubles = Troubles(cast("World", cast("Any", world)), [], said.append)
    actions = [Action(0.01 * number, 0.0, Verb.KILL, Target.BROKER, number % 2) for number in range(3)]
    await troubles.run(actions)
    assert (world.cluster.most, world.cluster.killed_while_starting, world.cluster.down) == (1, False, set())
    assert [done.action for done in troubles.done] == actions
    assert all(before.ended <= after.began for before, after in zip(troubles.done, troubles.done[1:], strict=False))
