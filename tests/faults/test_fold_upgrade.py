"""A release with a newer version of the fold is rolled out: a log is for newer routers only once every router
knows what they know.
"""

from __future__ import annotations

import json

import pytest
from tests.support.eventually import eventually
from tests.support.pods import ROOT, Gateway, Pods, Router
from tests.support.talk import Talk

from warren.log_entries import FOLD_VERSION

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.timeout(300)]

SHARDS = 4
ROOMS = [f"room{number}" for number in range(6)]
ENV = {
    "WARREN_GATEWAY_RATE": "100000",
    "WARREN_GATEWAY_ROOMS": "-",
    "WARREN_AMQP_HEARTBEAT_S": "30",
    "PYTHONPATH": str(ROOT),
}


def lines(router: Router, event: str) -> list[dict[str, object]]:
    """Return a router's log lines of a kind."""
    said = [json.loads(line) for line in router.log_file.read_text().splitlines() if line.startswith("{")]
    return [line for line in said if line.get("event") == event]


def versions(router: Router) -> dict[object, object]:
    """Return the version of each shard's log as a router has read it last."""
    return {line["shard"]: line["version"] for line in lines(router, "log_rules")}


async def shared(*routers: Router) -> None:
    """Wait until each shard has one of these that speaks for it."""

    async def settled() -> bool:
        return sum([await router.metric("warren_router_shards_active") for router in routers]) == SHARDS

    await eventually(settled, 30.0, every_s=0.1, what="every shard with its speaker")


async def newer(pods: Pods) -> Router:
    """Start a router of the next version."""
    router = await pods.router(ENV, start=False)
    router.module = "tests.faults.newer_router"
    await router.start()
    return router


async def raised(router: Router) -> None:
    """Wait until every log that a router reads is for the next version."""
    await eventually(
        lambda: set(versions(router).values()) == {FOLD_VERSION + 1}, 20.0, what="newer rules in every log"
    )


async def stands_down(router: Router, shown: str = "update it") -> None:
    """Wait until a router says that it is outdated: it lives, speaks for nothing and says so once."""

    async def unready() -> bool:
        status, said = await router.get("/readyz")
        return status == 503 and shown in said

    async def silent() -> bool:
        return await router.metric("warren_router_shards_active") == 0

    await eventually(unready, 30.0, every_s=0.1, what=f"{router.name} says that it is outdated")
    await eventually(silent, 20.0, every_s=0.1, what=f"{router.name} speaks for nothing, as others do")
    assert (await router.get("/healthz"))[0] == 200
    assert len(lines(router, "router_outdated")) == 1
    assert lines(router, "fault") == []


async def gateways(pods: Pods) -> list[Gateway]:
    return [await pods.gateway(ENV) for _ in range(2)]


async def test_a_rolling_upgrade_of_three_routers_loses_nothing(pods: Pods) -> None:
    """One by one, under load: as long as there is one that does not know the next version its rules are not
    written; then they are.
    """
    old = [await pods.router(ENV) for _ in range(3)]
    front = await gateways(pods)
    new: list[Router] = []
    async with Talk([gateway.url for gateway in front], ROOMS, every_s=0.1) as talk:
        for each in old:
            new.append(await newer(pods))
            await talk.goes_on()
            assert {version for router in new for version in versions(router).values()} <= {FOLD_VERSION}
            assert await each.terminate() == 0
            await talk.goes_on()
        await shared(*new)
        for router in new:
            await eventually(lambda router=router: FOLD_VERSION + 1 in versions(router).values(), 20.0)
        await talk.goes_on()
        await talk.settled(40.0)
    for router in (*old, *new):
        assert lines(router, "router_outdated") == lines(router, "fault") == []


async def test_a_router_that_is_older_than_the_log_stands_down(pods: Pods) -> None:
    """One that starts too late, and one that was frozen while the others were replaced: they live, are not
    ready, and harm nobody.
    """
    frozen = await pods.router(ENV)
    front = await gateways(pods)
    async with Talk([gateway.url for gateway in front], ROOMS, every_s=0.1) as talk:
        await talk.goes_on()
        frozen.pause()
        try:
            new = await newer(pods)
            await shared(new)
            await raised(new)
            await talk.goes_on()
        finally:
            frozen.resume()
        await stands_down(frozen)
        late = await pods.router(ENV, start=False)
        late.launch()
        await eventually(lambda: late.log_file.exists() and lines(late, "router_outdated"), 30.0)
        await stands_down(late)
        await talk.goes_on()
        assert (frozen.running, late.running) == (True, True)
        assert await frozen.terminate() == 0
        assert await late.terminate() == 0
        await talk.goes_on()
        await talk.settled(40.0)
