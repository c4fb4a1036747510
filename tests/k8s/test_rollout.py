"""A rollout that nobody notices: an upgrade, more and fewer pods, and pods that are deleted or killed, while
clients publish.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.k8s.balancers import haproxy
from tests.k8s.cluster import TAGS, Space, eventually_in
from tests.k8s.test_install import EXTERNAL, crowd_in
from tests.support.eventually import stretched

pytestmark = pytest.mark.k8s

CLIENTS = 500
AWAY_S = stretched(1.0)  # how long a client may be away beyond its slot

Verdict = dict[str, Any]


def three(**values: Any) -> dict[str, Any]:
    """Return values for three gateways and two routers."""
    return {"gateway": {"replicas": 3}, "router": {"replicas": 2}, **values}


@pytest.fixture
def crowd(space: Space, broker: str) -> Callable[[], Verdict]:
    """500 clients that publish through haproxy; the function ends that and returns their verdict, which it
    prints.
    """
    space.install(EXTERNAL, three())
    haproxy(space)
    crowd_in(space, "ws://haproxy:8080/ws", CLIENTS, "4", within_s=90)
    eventually_in(60, "everybody has published", lambda: space.ask("crowd", "/report")["acked"] > CLIENTS)

    def stop() -> Verdict:
        verdict: Verdict = space.ask("crowd", "/stop", timeout_s=60)
        sys.stdout.write(json.dumps(verdict) + "\n")
        assert verdict["joined"] == CLIENTS
        assert verdict["unacked"] == 0
        for count in ("lost", "doubled", "disordered", "unrecovered"):
            assert verdict[count] == 0, verdict
        return verdict

    return stop


def test_an_upgrade_with_a_new_image(space: Space, crowd: Callable[[], Verdict]) -> None:
    """Every pod is replaced: nothing is lost or doubled, each client leaves in its own slot and is back
    within a second.
    """
    old = {pod["metadata"]["name"] for component in ("gateway", "router") for pod in space.pods(component)}
    space.install(EXTERNAL, three(image={"tag": TAGS[1]}), command="upgrade")
    # until the last of the old ones has ended, not only its successor begun
    space.settled("gateway", 3)
    space.settled("router", 2)
    new = [pod for component in ("gateway", "router") for pod in space.pods(component)]
    assert not old & {pod["metadata"]["name"] for pod in new}
    assert {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in new} == {TAGS[1]}
    verdict = crowd()
    assert verdict["slots"] >= CLIENTS  # everybody was on an old pod, and was asked away
    assert verdict["worst_away_s"] <= AWAY_S, verdict
    assert set(verdict["closes"]) <= {"1000", "1001"}, verdict  # nobody was closed by the pod, or cut
    # ten seconds of window: no second of it has more than three times its share, and none is empty
    seconds = verdict["histogram"]
    assert len(seconds) == 10, verdict
    assert max(seconds.values()) <= 3 * verdict["slots"] / 10, verdict


def test_more_and_fewer_pods(space: Space, crowd: Callable[[], Verdict]) -> None:
    """Scaling gateways and routers up and down loses nothing, and who sat on a pod that went is back within a
    second of its slot.
    """
    space.kubectl("scale", "deployment/warren-gateway", "--replicas=5")
    space.kubectl("scale", "deployment/warren-router", "--replicas=4")
    space.settled("gateway", 5)
    space.settled("router", 4)
    space.kubectl("scale", "deployment/warren-gateway", "--replicas=1")
    space.kubectl("scale", "deployment/warren-router", "--replicas=1")
    space.settled("gateway", 1)
    space.settled("router", 1)
    verdict = crowd()
    assert verdict["slots"] > 0
    assert verdict["worst_away_s"] <= AWAY_S, verdict


def test_pods_deleted_and_killed(space: Space, crowd: Callable[[], Verdict]) -> None:
    """A gateway and a router deleted, and then killed without grace, lose nothing that was acknowledged;
    clients come back by themselves.
    """
    for component, count in (("gateway", 3), ("router", 2)):
        space.kubectl("delete", "pod", space.pods(component)[0]["metadata"]["name"], "--wait=false")
        space.settled(component, count)
    asked = space.ask("crowd", "/report")
    assert asked["worst_away_s"] <= AWAY_S, asked
    for component, count in (("gateway", 3), ("router", 2)):
        space.kubectl(
            "delete", "pod", space.pods(component)[-1]["metadata"]["name"], "--force", "--grace-period=0"
        )
        space.settled(component, count)
        eventually_in(60, "all are back", lambda: space.ask("crowd", "/report")["joined"] == CLIENTS)
    verdict = crowd()
    assert verdict["reconnects"] > asked["reconnects"]  # those of the killed gateway


def test_a_rollback_is_a_rollout(space: Space, crowd: Callable[[], Verdict]) -> None:
    """`helm rollback` under load is as an upgrade: nothing lost, nobody away for more than a second past its
    slot, and none closed by its pod.
    """
    space.install(EXTERNAL, three(image={"tag": TAGS[1]}), command="upgrade")
    space.helm("rollback", "warren", "1", "--wait", "--timeout", "180s")
    space.settled("gateway", 3)
    space.settled("router", 2)
    tags = {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in space.pods("gateway")}
    assert tags == {TAGS[0]}
    verdict = crowd()
    assert verdict["worst_away_s"] <= AWAY_S, verdict
    assert set(verdict["closes"]) <= {"1000", "1001"}, verdict
