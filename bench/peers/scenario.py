"""What is measured, as data: for each scenario the arguments of the load generator, in full and in quick
size.

It starts no servers; ``run`` runs the load generator on servers that are up, and returns what it printed.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from bench.peers.fleet import BUILT, Peer, Serving

Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the comparison. ``quick`` and ``full`` are the generator's arguments; an empty ``peers``
    means all. ``pinned``: services, and broker or store, have a core each.
    """

    key: str
    title: str
    mode: str
    words: tuple[str, ...]
    full: tuple[str, ...]
    quick: tuple[str, ...]
    nodes: int = 2
    peers: tuple[str, ...] = ()
    pinned: bool = False


_FULL = ("-phases", "saturate:3x3,half:5")
_QUICK = ("-phases", "saturate:1.5,half:2")
# A peer that does not keep up with a rate is not asked for more. What warms it up is a rate that all sustain.
_CURVE = (
    "-phases",
    "warm=500:3,step=100:6,step=500:4,step=1000:4,step=2000:4,step=4000:3,step=8000:3",
)
_QUICK_CURVE = (
    "-phases",
    "warm=200:1,step=100:1,step=500:1,step=1000:1,step=2000:1,step=4000:1,step=8000:1",
)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SCENARIOS = (
    Scenario("a1", "fan-out: 1 sender, a room of 1,000", "rooms", _words("-rooms 1 -members 1000 -senders 1 -window 16"), _FULL, _QUICK),
    Scenario("a5", "fan-out: 1 sender, a room of 5,000", "rooms", _words("-rooms 1 -members 5000 -senders 1 -window 8"), _FULL, _QUICK),
    Scenario("b", "many small rooms: 500 of 10, everyone speaks", "rooms", _words("-rooms 500 -members 10 -window 1000"), _FULL, _QUICK),
    Scenario("c", "chat: 200 rooms of 10, Poisson senders", "rooms", _words("-rooms 200 -members 10 -window 200 -poisson"), _FULL, _QUICK),
    Scenario("d", "idle connections", "idle", (), _words("-rooms 1000 -members 10 -seconds 10"), _words("-rooms 200 -members 10 -seconds 3")),
    Scenario("e", "storm: all connections lost at once", "storm", _words("-members 10 -senders 20"), _words("-rooms 500 -rate 200 -seconds 4"), _words("-rooms 100 -rate 200 -seconds 2")),
    Scenario("f", "a backend's notifications to single users", "notify", _words("-rooms 2000 -window 500"), _FULL, _QUICK),
    Scenario("f50", "the same, 50 in one AMQP message", "notify", _words("-rooms 2000 -window 2000 -together 50"), _FULL, _QUICK, peers=("warren",)),
    Scenario(
        "g", "a room of 2,000 on one node: paced (20 a second) and in bursts of 500", "rooms", _words("-rooms 1 -members 2000 -senders 1"),
        ("-phases", "pace=20:6,burst=500x5"), ("-phases", "pace=20:3,burst=500x2"), nodes=1, peers=("warren", "centrifugo"),
    ),
    Scenario("l", "load curve: 500 rooms of 10, everyone speaks, all on the same cores", "rooms", _words("-rooms 500 -members 10"), _CURVE, _QUICK_CURVE),
    Scenario("lp", "load curve: the same, with a core for the services and one for broker or store", "rooms", _words("-rooms 500 -members 10"), _CURVE, _QUICK_CURVE, pinned=True),
)  # fmt: skip


def run(scenario: Scenario, peer: Peer, serving: Serving, *, quick: bool) -> Found:
    """Run the load generator once and return its report. Raises RuntimeError if it could not measure."""
    prefix = peer.kept if scenario.mode == "storm" else "bench:"
    command = [
        str(BUILT / "load"), "-driver", peer.driver, "-mode", scenario.mode, "-urls", ",".join(serving.urls), "-prefix", prefix,
        *scenario.words, *(scenario.quick if quick else scenario.full),
    ]  # fmt: skip
    if scenario.mode == "notify":
        command += ["-backend", serving.backend]
    for name, pids in serving.watch.items():
        command += ["-watch", f"{name}={','.join(map(str, pids))}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    try:
        found: Found = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"{scenario.key} {peer.key}: {done.stderr[-2000:]}") from None
    if dead := [child.pid for child in serving.children if not child.running]:
        found["error"] = f"{found.get('error', '')} {len(dead)} of its processes died".strip()
    return found
