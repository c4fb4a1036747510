"""Services in other languages answer what clients ask for: the docs' examples for Node.js and Go, as they are.

``scripts/test/conformance`` (make conformance) builds them and says where; without that they are skipped.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.support.client import connect
from tests.support.eventually import stretched
from tests.support.pods import Pods
from tests.support.rabbit import Rabbit

BUILT = os.environ.get("WARREN_TEST_CONFORMANCE", "")
COMMANDS = {
    "amqplib": ["node", f"{BUILT}/service/serve.mjs"],
    "amqp091-go": [f"{BUILT}/service-go"],
}


@pytest.mark.conformance
@pytest.mark.rabbit
@pytest.mark.skipif(not BUILT, reason="make conformance builds these services first")
@pytest.mark.parametrize("library", COMMANDS)
async def test_a_service_of_another_language_answers(library: str, rabbit: Rabbit, tmp_path: Path) -> None:
    """One request at a time and many at once; a durable one comes as a message."""
    url = rabbit.vhost()  # the examples name the default exchanges, so they get a virtual host of their own
    own = Pods(url, "warren", 4, tmp_path)
    env = {"WARREN_NAMESPACES": "services: [{pattern: '*'}]", "WARREN_GATEWAY_RATE": "0"}
    process: asyncio.subprocess.Process | None = None
    try:
        (gateway,), _ = await own.installation(1, 1, env)
        async with await connect(gateway.url, user="ann") as ann:
            await ann.send("REQUEST", service="echo", id="early")
            await ann.expect("ERROR", ref="early", payload__code="no_service")
            process = await asyncio.create_subprocess_exec(
                *COMMANDS[library], url, "echo", stdout=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), stretched(20))
            assert line == b"serving echo\n"
            for number in range(8):
                await ann.send("REQUEST", service="echo", id=f"r{number}", payload={"n": number, "ü": "🐇"})
            for number in range(8):
                answer = await ann.expect("RESPONSE", ref=f"r{number}")
                assert answer["payload"] == {"user": "ann", "payload": {"n": number, "ü": "🐇"}}
            await ann.send("REQUEST", service="echo", id="d", payload=1, durable=True)
            await ann.expect("ACCEPTED", ref="d")
            durable = await ann.expect("RESPONSE", ref="d", room="@ann")
            assert (durable["seq"], durable["payload"]) == (1, {"user": "ann", "payload": 1})
    finally:
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        own.close()
