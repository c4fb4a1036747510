"""The JavaScript client in a real Node.js: a script in, what it prints out."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.eventually import stretched

CLIENT = Path(__file__).parents[2] / "clients" / "js" / "warren.js"
_FLAGS = ["--experimental-websocket", "--no-warnings", "--input-type=module"]


def node() -> str:
    """Return the path of a Node.js that has a WebSocket, or skip the test."""
    found = shutil.which("node")
    assert found, "Node.js is missing: scripts/dev/need node"
    asked = subprocess.run(
        [found, *_FLAGS, "-e", "new WebSocket('ws://127.0.0.1:1')"], capture_output=True, check=False
    )
    if b"WebSocket is not defined" in asked.stderr or asked.returncode == 9:  # 9: it does not know the flag
        pytest.skip("this Node.js has no WebSocket of its own (20.10 has)")
    return found


async def run_script(script: str, **names: str) -> dict[str, Any]:
    """Run a script, in which ``%(client)s`` is the client's address and others are given by name; return what
    it prints.
    """
    process = await asyncio.create_subprocess_exec(
        node(),
        *_FLAGS,
        "-e",
        script % {"client": CLIENT.as_uri(), **names},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(stretched(60)):
            out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found
