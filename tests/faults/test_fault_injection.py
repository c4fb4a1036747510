"""Troubles: what the schedule says is done, within the bounds of the promise however slow the machine is."""

from __future__ import annotations

import time
from typing import Any, cast

from tests.faults.deployment import Deployment
from tests.faults.fault_injection import FaultInjection
from tests.faults.schedule import Action, Target, Verb

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
    deployment = FakeWorld()
    said: list[str] = []
    faults = FaultInjection(cast("Deployment", cast("Any", deployment)), [], said.append)
    actions = [Action(0.01 * number, 0.0, Verb.KILL, Target.BROKER, number % 2) for number in range(3)]
    await faults.run(actions)
    assert (deployment.cluster.most, deployment.cluster.killed_while_starting, deployment.cluster.down) == (
        1,
        False,
        set(),
    )
    assert [done.action for done in faults.done] == actions
    assert all(
        before.ended <= after.began for before, after in zip(faults.done, faults.done[1:], strict=False)
    )
