"""The README's examples run, one after the other, as somebody would put them into one module."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from warren_backend.testing import Recording

README = Path(__file__).parents[3] / "clients" / "backend_python" / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def module() -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "readme"}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"README.md, block {number + 1}", "exec"), found)
    return found


async def test_its_functions_do_what_they_say(
    module: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own test among them; the other ones are called as clients and gateways do."""
    await module["test_orders"]()
    backend = module["backend"]
    async with Recording(backend) as warren:
        await module["announced"]()
        await module["many"](range(3))
        assert [each.payload for each in warren.notifications] == [{"text": "hello"}, 0, 1, 2]
        assert await warren.ask("count", 2) == [0, 1, "done"]
        question = module["ConnectQuestion"](connection="g~1", user="mallory")
        assert (await warren.decide(question))["allow"] is False
        question = module["JoinQuestion"](connection="g~1", user="ann", room="chat:a", namespace="chat")
        assert (await warren.decide(question))["info"] == {"name": "Ann"}
        question = module["PublishQuestion"](
            connection="g~1", room="chat:a", namespace="chat", type="CHAT", payload={"text": "damn"}
        )
        assert (await warren.decide(question))["payload"] == {"text": "****"}
    assert "0 users were there; all have it" in capsys.readouterr().out


def test_the_blocking_one_is_the_same(module: dict[str, Any]) -> None:
    """Its view is called from a thread without a loop."""
    warren = module["warren"]
    recording = Recording(warren.backend)
    recording.results["count"] = {"connections": 1}
    with recording, warren:
        module["view"]()
    assert [each.id for each in recording.notifications] == ["order-7"]
