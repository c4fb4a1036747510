"""Warren's own clients pass the conformance kit, as it is installed: by its command line, on real sockets."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.support.eventually import TIME_FACTOR, stretched
from tests.support.js_client import node
from tests.support.ports import free_port

ADAPTERS = Path(__file__).parent / "adapters"
PYTHON = f"{sys.executable} {ADAPTERS / 'python_client.py'}"
REFERENCE = f"{sys.executable} {ADAPTERS / 'reference.py'}"
JAVASCRIPT = ADAPTERS / "javascript.mjs"
# What a socket in memory does not have: frames, TCP, processes.
ON_SOCKETS = (
    "fragments",
    "compressed",
    "answers-pings",
    "silent-*",
    "large-*",
    "msgpack*",
    "own-queue-*",
    "backoff-*",
)


async def kit(*arguments: str) -> tuple[int, str]:
    """Run the kit; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "warren_conformance", "--patience", str(max(2.0, TIME_FACTOR)), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(stretched(150)):
            out, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode()


def only(patterns: Sequence[str]) -> list[str]:
    return [word for pattern in patterns for word in ("--only", pattern)]


async def judged(client: str, report: Path, *more: str) -> list[str]:
    """Have all of a client judged, or what ``more`` says; return what was skipped. What fails is tried once more by itself: where
    the machine stalls for seconds, a client that keeps to the rules is late all the same.
    """
    code, said = await kit("--client", client, "--json", str(report), "--parallel", "6", "--verbose", *more)
    results = await asyncio.to_thread(lambda: json.loads(report.read_text())["results"])
    failed = [each["name"] for each in results if each["outcome"] not in ("passed", "skipped")]
    if failed:
        again, said_again = await kit("--client", client, "--parallel", "1", "--verbose", *only(failed))
        assert again == 0, said + said_again
    else:
        assert code == 0, said
    return [each["name"] for each in results if each["outcome"] == "skipped"]


@pytest.mark.slow
async def test_the_javascript_client_passes(tmp_path: Path) -> None:
    """All that it can do is held to the protocol: everything but MessagePack, and an application that pauses."""
    command = f"{node()} --experimental-websocket --no-warnings {JAVASCRIPT}"
    skipped = await judged(command, tmp_path / "report.json")
    assert skipped == ["msgpack", "msgpack-json-payload", "own-queue-is-bounded"]


@pytest.mark.slow
async def test_the_python_client_passes(tmp_path: Path) -> None:
    """All that it can do is held to the protocol: everything but MessagePack."""
    skipped = await judged(PYTHON, tmp_path / "report.json")
    assert skipped == ["msgpack", "msgpack-json-payload"]


@pytest.mark.slow
async def test_the_python_client_whose_queue_drops_the_oldest_passes() -> None:
    """The other policy for a full queue is bounded, too, and says what is lost."""
    code, said = await kit("--client", f"{PYTHON} drop_oldest", *only(["own-queue-is-bounded"]))
    assert code == 0, said
    assert "1 passed, 0 failed" in said


@pytest.mark.slow
async def test_the_reference_client_passes_on_real_sockets(tmp_path: Path) -> None:
    """What the network in memory does not show."""
    skipped = await judged(REFERENCE, tmp_path / "report.json", "--require", "all", *only(ON_SOCKETS))
    assert skipped == []


async def test_a_fault_is_reported_to_people_and_to_machines(tmp_path: Path) -> None:
    """The exit code, the sentence, the rule, and JUnit."""
    report = tmp_path / "report.xml"
    code, said = await kit(
        "--client",
        f"{REFERENCE} delivers_repeats",
        "--junit",
        str(report),
        *only(["repeats-are-dropped", "texts"]),
    )
    assert code == 1, said
    assert "FAIL   repeats-are-dropped" in said
    assert "the client delivered message 12 of chat:a twice" in said
    assert "docs/protocol.md, “Order and position”" in said
    assert "1 passed, 1 failed, 0 skipped" in said
    suite = ElementTree.parse(report).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


async def test_adapters_may_come_by_themselves() -> None:
    """A page opens one WebSocket after the other, and is given a scenario on each."""
    port = free_port()
    running = asyncio.create_task(kit("--listen", str(port), *only(["texts", "leaves"])))
    pages = []
    try:
        while not running.done():
            page = await asyncio.create_subprocess_exec(*REFERENCE.split(), f"ws://127.0.0.1:{port}/")
            pages.append(page)
            # it ends at once while nobody listens, and otherwise when the kit is gone
            await asyncio.wait(
                [running, asyncio.ensure_future(page.wait())], return_when=asyncio.FIRST_COMPLETED
            )
    finally:
        for page in pages:
            if page.returncode is None:
                page.kill()
            await page.wait()
    code, said = await running
    assert code == 0, said
    assert "2 passed" in said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "say what to test"),
        (["--client", "true", "--only", "nothing-*"], 2, "no scenario is called 'nothing-*'"),
        (["--client", "no-such-program"], 3, "the adapter can't be started"),
        (["--client", "true"], 3, "the first event of the adapter is not `ready`"),
        (["--client", "echo hello"], 3, "the adapter said what is no event"),
        (
            ["--client", """echo '{"event": "ready", "capabilities": ["magic"]}'"""],
            3,
            "declares magic; known are",
        ),
        (["--client", """echo '{"event": "ready"}'""", "--require", "all"], 3, "does not declare contacts"),
        (["--list"], 0, "gap-asks-and-holds-back"),
        (["--client", "x", "--parallel", "0"], 2, "--parallel and --patience are above 0"),
    ],
)
async def test_what_was_wrong_with_the_call_is_said(arguments: list[str], code: int, words: str) -> None:
    """In one sentence, with an exit code that is no verdict on the client."""
    found, said = await kit(*arguments)
    assert (found, words in said, "Traceback" in said) == (code, True, False), said
