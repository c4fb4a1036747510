"""The Autobahn test suite against ``/ws/echo``: every case of RFC 6455 and of permessage-deflate, none failed
and none left out.

``scripts/test/conformance`` (make conformance) fetches the suite; without it these tests are skipped.
WARREN_TEST_AUTOBAHN_CASES picks some (``13.*,1.1.1``).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.eventually import eventually
from tests.support.ports import embedded_port

BUILT = os.environ.get("WARREN_TEST_CONFORMANCE", "")
SUITE = Path(BUILT) / "autobahn" / "bin" / "wstest"
PICKED = os.environ.get("WARREN_TEST_AUTOBAHN_CASES", "")
# Each list is a run of its own, beside the others: client and server wait for each other most of the time.
RUNS = (
    ["12.*"],
    ["13.1.*", "13.2.*", "13.3.*", "13.4.*"],
    ["13.5.*", "13.6.*", "13.7.*", *(f"{n}.*" for n in range(1, 12))],
)
CASES = 517
# The largest message of the suite has 16 MiB.
LIMITS = {
    "WARREN_GATEWAY_MESSAGE_BYTES": "17000000",
    "WARREN_GATEWAY_OUTBOX_BYTES": "40000000",
    "WARREN_GATEWAY_UPLINK_BYTES": "40000000",
}
# What a case may come to. UNIMPLEMENTED is none of them: whatever the suite asks for, we have.
GOOD = {"OK", "INFORMATIONAL", "NON-STRICT"}

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.slow,
    pytest.mark.skipif(not SUITE.exists(), reason="make conformance fetches the Autobahn test suite first"),
    pytest.mark.timeout(3_600),
]


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """A gateway, a router and a bus in one process; the address of its echo."""
    port = embedded_port()
    environment = {**os.environ, **LIMITS, "PORT": str(port), "WARREN_LOG_LEVEL": "warning"}
    with (tmp_path / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "embedded", stdout=log, stderr=log, env=environment
        )

        def listens() -> bool:
            assert process.returncode is None, (tmp_path / "server.log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        try:
            await eventually(listens, 30)
            yield f"ws://127.0.0.1:{port}/ws/echo"
        finally:
            process.terminate()
            await process.wait()


def run(address: str, folder: Path, cases: list[str]) -> dict[str, Any]:
    """Run some cases; return what the suite found, by case."""
    folder.mkdir()
    spec = {"outdir": str(folder), "servers": [{"agent": "warren", "url": address}], "cases": cases}
    spec |= {"exclude-cases": [], "exclude-agent-cases": {}}
    (folder / "spec.json").write_text(json.dumps(spec))
    with (folder / "log").open("wb") as log:
        command = [str(SUITE), "-m", "fuzzingclient", "-s", str(folder / "spec.json")]
        code = subprocess.run(command, stdout=log, stderr=log, cwd=folder, check=False).returncode
    report = folder / "index.json"
    assert report.exists(), f"the suite ended with {code}: {(folder / 'log').read_text()[-2_000:]}"
    found = json.loads(report.read_text())
    assert found, f"the suite did nothing: {(folder / 'log').read_text()[-2_000:]}"
    return dict(found["warren"])


def in_order(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


async def test_no_case_of_autobahn_fails(address: str, tmp_path: Path):
    """Behaviour and close are right in every case; a table says how many there were in each group, and names
    what was not simply OK.
    """
    runs = [PICKED.split(",")] if PICKED else list(RUNS)
    parts = [asyncio.to_thread(run, address, tmp_path / f"run{n}", cases) for n, cases in enumerate(runs)]
    found: dict[str, Any] = {}
    for part in await asyncio.gather(*parts):
        found |= part
    groups: dict[int, Counter[str]] = {}
    odd = []
    for case in sorted(found, key=in_order):
        behaviour, close = found[case]["behavior"], found[case]["behaviorClose"]
        groups.setdefault(in_order(case)[0], Counter())[behaviour] += 1
        if behaviour != "OK" or close not in ("OK", "INFORMATIONAL"):
            odd.append(f"  {case:8} {behaviour}, close {close}")
    table = ["", "Autobahn, cases by group"]
    for group, counts in groups.items():
        table.append(f"  {group:3}  " + ", ".join(f"{counts[kind]} {kind}" for kind in sorted(counts)))
    table += [f"  {len(found)} in all; not simply OK:", *(odd or ["  none"])]
    sys.stdout.write("\n".join([*table, ""]))
    bad = [
        case
        for case, result in found.items()
        if result["behavior"] not in GOOD or result["behaviorClose"] not in ("OK", "INFORMATIONAL")
    ]
    assert bad == []
    assert PICKED or len(found) == CASES
