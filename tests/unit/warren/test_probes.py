"""Probes: liveness, readiness and metrics over real HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from warren.metrics import GatewayMetrics
from warren.probes import Probes, Readiness


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
async def probes(readiness: Readiness) -> AsyncIterator[Probes]:
    async def stats(_: web.Request) -> web.Response:
        return web.json_response({"connections": 3})

    probes = Probes("127.0.0.1", 0, readiness, GatewayMetrics().render, [web.get("/websocket-stats", stats)])
    await probes.start()
    yield probes
    await probes.stop()


async def get(probes: Probes, path: str) -> tuple[int, str, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{probes.port}{path}") as response,
    ):
        text = await response.text()
        content_type = response.headers["Content-Type"]
        return (
            response.status,
            content_type,
            await response.json() if "json" in content_type else {"text": text},
        )


async def test_healthz_answers_while_the_loop_turns(probes: Probes, readiness: Readiness) -> None:
    """/healthz is 200 as long as the loop turns, also when the pod is not ready."""
    readiness.register("bus", lambda: "the broker is away")
    status, _, body = await get(probes, "/healthz")
    assert status == 200
    assert body["status"] == "ok"
    assert body["uptime_s"] >= 0


async def test_readyz_asks_every_ping(probes: Probes, readiness: Readiness) -> None:
    """/readyz is 200 when every ping has nothing to say, else 503 with each one's reason; a ping that fails
    is a reason.
    """
    assert await get(probes, "/readyz") == (200, "application/json", {"ready": True, "reasons": {}})
    down: list[str | None] = ["the broker is away"]

    def broken() -> str | None:
        raise RuntimeError("secret detail")

    readiness.register("bus", lambda: down[0])
    readiness.register("fine", lambda: None)
    readiness.register("odd", broken)
    reasons = {"bus": "the broker is away", "odd": "ping failed: RuntimeError"}
    assert await get(probes, "/readyz") == (503, "application/json", {"ready": False, "reasons": reasons})
    readiness.register("odd", lambda: None)
    down[0] = None
    assert (await get(probes, "/readyz"))[0] == 200


async def test_a_pod_that_drains_is_not_ready(probes: Probes, readiness: Readiness) -> None:
    """Once switched off the pod is not ready, whatever its pings say."""
    before = readiness.draining
    readiness.drain()
    assert (before, readiness.draining) == (False, True)
    assert await get(probes, "/readyz") == (
        503,
        "application/json",
        {"ready": False, "reasons": {"pod": "draining"}},
    )


async def test_metrics_are_rendered_for_prometheus(probes: Probes) -> None:
    """/metrics gives the registry in Prometheus's text form with its content type."""
    status, content_type, body = await get(probes, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert "warren_gateway_connections 0.0" in str(body["text"])


async def test_a_scraper_that_takes_openmetrics_gets_it(probes: Probes) -> None:
    """The scraper's Accept header decides the form, as Prometheus sends it where exemplars are stored."""
    wanted = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{probes.port}/metrics", headers={"Accept": wanted}) as response,
    ):
        assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert (await response.text()).endswith("# EOF\n")


async def test_a_service_adds_its_own_routes(probes: Probes) -> None:
    """A service's own routes are served on the same port; what is unknown is 404."""
    assert await get(probes, "/websocket-stats") == (
        200,
        "application/json; charset=utf-8",
        {"connections": 3},
    )
    assert (await get(probes, "/nothing"))[0] == 404


async def test_a_port_that_is_taken_is_a_clear_error(probes: Probes, readiness: Readiness) -> None:
    """A port that is taken raises OSError that names it, and stopping afterwards tidies up."""
    other = Probes("127.0.0.1", probes.port, readiness, GatewayMetrics().render)
    with pytest.raises(OSError, match=str(probes.port)):
        await other.start()
    await other.stop()
    await other.stop()
