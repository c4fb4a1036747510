"""The verbs over HTTP are those of Control."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.support.ports import free_port

from warren_backend import CommandUnanswered, Control
from warren_backend.http_control import HttpControl


async def test_it_is_a_control_that_asks_the_api() -> None:
    """With the time that it is given."""
    url = f"http://127.0.0.1:{free_port()}"
    async with HttpControl(url, "key", timeout_s=0.3) as control:
        assert isinstance(control, Control)
        with pytest.raises(CommandUnanswered, match=f"{url}/v1"):
            await control.count("room.a")


def test_the_package_needs_no_aiohttp_without_it() -> None:
    """It is an extra."""
    program = "import sys; sys.modules['aiohttp'] = None; import warren_backend, warren_backend.testing"
    subprocess.run([sys.executable, "-c", program], check=True)
