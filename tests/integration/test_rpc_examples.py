"""The services of the docs, run as their heads say, behind a real installation."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.client import MSGPACK, connect
from tests.support.eventually import eventually
from tests.support.pods import ROOT, Pods
from tests.support.rabbit import Rabbit

pytestmark = pytest.mark.rabbit

SERVICES = {"WARREN_NAMESPACES": "services: [{pattern: '*'}]"}


@asynccontextmanager
async def served(url: str, example: str, service: str) -> AsyncIterator[None]:
    """Run one of the examples until it serves, and end it."""
    command = [sys.executable, str(ROOT / "docs" / "examples" / example), url, service]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 20) == f"serving {service}\n".encode()
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_examples_answer_and_hear_of_cancels(rabbit: Rabbit, tmp_path: Path):
    """One answer, an answer in parts to its end, and one that its client cancels in the middle."""
    url = rabbit.vhost()  # the examples name the default exchange, so they get a virtual host of their own
    own = Pods(url, "warren", 16, tmp_path)
    try:
        (gateway,), _ = await own.installation(1, 1, SERVICES)
        async with (
            served(url, "serve_pika.py", "echo"),
            served(url, "serve_aio_pika.py", "count"),
            await connect(gateway.url, user="ann", subprotocol=MSGPACK) as ann,
            await connect(gateway.url, user="bob") as bob,
        ):
            await ann.send("REQUEST", service="echo", id="a", payload={"x": [1, 2]})
            answer = await ann.expect("RESPONSE", ref="a")
            assert answer["payload"] == {"user": "ann", "payload": {"x": [1, 2]}}
            await bob.send("REQUEST", service="count", id="b", payload={"to": 500})
            parts = await bob.expect_all("RESPONSE", 500, ref="b")
            assert [part["payload"] for part in parts] == [part["n"] for part in parts] == [*range(1, 501)]
            assert [part.get("more", False) for part in parts] == [True] * 499 + [False]
            await bob.send("REQUEST", service="count", id="c", payload={"to": 1_000_000, "every_ms": 10})
            await bob.expect("RESPONSE", ref="c", n=3)
            await bob.send("CANCEL", ref="c")
            await bob.expect("ERROR", ref="c", payload__code="cancelled")
            # What it says no more comes late at first, and then nothing does.
            late = -1.0

            async def quiet() -> bool:
                nonlocal late
                before, late = late, await gateway.metric("warren_gateway_drops_total", reason="reply_late")
                return before == late

            await eventually(quiet, every_s=0.3)
            await bob.send("REQUEST", service="count", id="e", payload={"to": "x"})
            refused = await bob.expect("ERROR", ref="e")
            assert (refused["payload"]["code"], refused["payload"]["retry"]) == ("bad_count", False)
            assert refused["payload"]["message"].startswith("ask with a number as 'to'")
            await ann.send("REQUEST", service="nobody.here", id="d")
            await ann.expect("ERROR", ref="d", payload__code="no_service")
    finally:
        own.close()
