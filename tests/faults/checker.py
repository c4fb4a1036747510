"""The checker: participants talk over a world in trouble, and at the end the verdict says whether Warren's
promise was kept.

``python -m tests.faults.checker --seconds 600 --seed 7`` runs it by hand (``make soak``); ``test_soak.py``
runs it briefly. The schedule comes from the seed alone; what the processes make of it differs from run to
run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.faults import mutants
from tests.faults.assertions import Kind, Verdict, judge
from tests.faults.deployment import Deployment, Measures
from tests.faults.fault_injection import FaultInjection
from tests.faults.history import History
from tests.faults.participant import Participant, Pulse
from tests.faults.report import Report
from tests.faults.schedule import Action, Target, schedule
from tests.support.eventually import eventually

from rabbit_nodes.cluster import RabbitCluster
from rabbit_nodes.debian import VARIABLE, named_root

# What more time can mend; everything else is final.
_MAY_YET_COME = {Kind.LOST, Kind.SKIPPED, Kind.UNANSWERED, Kind.FORKED}
_SETTLE_S = 60.0
_AFTERWARDS_S = 3.0  # everything is healed and everybody goes on talking
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Options:
    """One run."""

    seconds: float = 60.0
    seed: int = 1
    measures: Measures = field(default_factory=Measures)
    participants: int = 12
    rooms: int = 10
    rooms_each: int = 4
    every_s: float = 0.15  # each participant publishes about so often
    trouble_every_s: float = 3.0  # 0: none at all
    targets: frozenset[Target] = frozenset({Target.GATEWAY, Target.ROUTER, Target.BROKER, Target.CLIENT})
    drain_s: float = 40.0  # how long what is missing may still come, in the end
    breaks_allowed: bool = False
    # A kind of fault that nothing can mend any more: once it has shown, the rest of the run is left out.
    until: Kind | None = None

    def command(self) -> str:
        """Return the command that repeats it."""
        words = ["python -m tests.faults.checker", f"--seconds {self.seconds:g}", f"--seed {self.seed}"]
        usual = Options()
        for name, value, default in (
            ("gateways", self.measures.gateways, usual.measures.gateways),
            ("routers", self.measures.routers, usual.measures.routers),
            ("brokers", self.measures.brokers, usual.measures.brokers),
            ("participants", self.participants, usual.participants),
            ("rooms", self.rooms, usual.rooms),
            ("every", self.every_s, usual.every_s),
            ("trouble-every", self.trouble_every_s, usual.trouble_every_s),
            ("mutant", self.measures.mutant, ""),
        ):
            if value != default:
                words.append(f"--{name} {value}")
        if self.targets != usual.targets:
            words += ["--targets", *sorted(self.targets)]
        return " ".join(words + ["--breaks-allowed"] * self.breaks_allowed)


async def check(
    options: Options,
    folder: Path,
    say: Callable[[str], None],
    *,
    cluster: RabbitCluster | None = None,
    prefix: str = "soak",
) -> Report:
    """Run it all, and return the report. ``folder`` takes the pods' logs; ``say`` gets a line for what
    happens; ``cluster`` and ``prefix`` as for Deployment.
    """
    history, pulse = History(), Pulse()
    say(f"a world of {options.measures} …")
    async with Deployment(options.measures, folder, cluster=cluster, prefix=prefix) as deployment:
        participants = _invite(options, deployment, history, pulse)
        lives = [
            asyncio.create_task(participant.run(), name=participant.name) for participant in participants
        ]
        try:
            await _all_settled(participants)
            say("everybody is in all rooms")
            faults = FaultInjection(deployment, participants, say)
            if await _shown(options, faults, history):
                drained_s, verdict = 0.0, judge(history, breaks_allowed=options.breaks_allowed)
            else:
                say("healing")
                await deployment.heal()
                await asyncio.sleep(_AFTERWARDS_S)
                for participant in participants:
                    participant.quiet()
                drained_s, verdict = await _drain(participants, history, options)
            for participant in participants:
                await participant.close()
            await asyncio.wait_for(asyncio.gather(*lives), 10.0)
        finally:
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
        return Report(
            repeating(options), history, verdict, pulse, list(faults.done), list(deployment.falls), drained_s
        )


async def _shown(options: Options, faults: FaultInjection, history: History) -> bool:
    """Carry the schedule out to its end, or until what ``options.until`` names has shown; say whether it
    has.
    """

    async def whole() -> None:
        began = time.monotonic()
        await faults.run(_actions(options))
        await asyncio.sleep(max(0.0, began + options.seconds - time.monotonic()))

    running = asyncio.create_task(whole())
    try:
        while not (await asyncio.wait({running}, timeout=_LOOK_S))[0]:
            if (
                options.until is not None
                and judge(history, breaks_allowed=options.breaks_allowed).kinds()[options.until]
            ):
                return True
        await running
        return False
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _actions(options: Options) -> tuple[Action, ...]:
    if not options.trouble_every_s:
        return ()
    measures = options.measures
    counts = {
        Target.GATEWAY: measures.gateways,
        Target.ROUTER: measures.routers,
        Target.BROKER: measures.brokers,
        Target.CLIENT: options.participants,
    }
    wanted = {target: count for target, count in counts.items() if target in options.targets}
    return schedule(options.seed, options.seconds, wanted, every_s=options.trouble_every_s)


def _invite(options: Options, deployment: Deployment, history: History, pulse: Pulse) -> list[Participant]:
    """Make the participants: each in some rooms; every other one waits for each ACK before it goes on in a
    room.
    """
    random = Random(options.seed)
    rooms = [f"room:{number}" for number in range(options.rooms)]
    return [
        Participant(
            f"p{number}",
            random.sample(rooms, min(options.rooms_each, len(rooms))),
            deployment.front_urls,
            history,
            pulse,
            Random(random.random()),
            every_s=options.every_s,
            window=1 if number % 2 else 16,
        )
        for number in range(options.participants)
    ]


async def _all_settled(participants: Sequence[Participant]) -> None:
    """Wait until everybody has joined all rooms."""
    await eventually(
        lambda: all(participant.joined for participant in participants),
        _SETTLE_S,
        every_s=0.1,
        what="everybody joined",
    )


async def _drain(
    participants: Sequence[Participant], history: History, options: Options
) -> tuple[float, Verdict]:
    """Wait until nothing is on its way any more and the verdict is good, or time is up; return how long it
    took.
    """
    began = time.monotonic()
    while True:
        with contextlib.suppress(AssertionError):
            remaining_s = max(0.1, began + options.drain_s - time.monotonic())
            await eventually(
                lambda: all(participant.settled for participant in participants), remaining_s, every_s=0.1
            )
        took_s = time.monotonic() - began
        verdict = judge(history, breaks_allowed=options.breaks_allowed)
        if took_s > options.drain_s or not any(fault.kind in _MAY_YET_COME for fault in verdict.faults):
            return took_s, verdict
        await asyncio.sleep(1.0)


def options_of(arguments: Sequence[str] | None = None) -> tuple[Options, Path]:
    """Read the command line; return the options and the folder for logs."""
    usual = Options()
    parser = argparse.ArgumentParser(prog="python -m tests.faults.checker", description=__doc__)
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="how long the schedule runs")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) % 1_000_000, help="default: a new one each time"
    )
    parser.add_argument("--gateways", type=int, default=usual.measures.gateways)
    parser.add_argument("--routers", type=int, default=usual.measures.routers)
    parser.add_argument("--brokers", type=int, default=usual.measures.brokers, help="nodes of the cluster")
    parser.add_argument("--participants", type=int, default=usual.participants)
    parser.add_argument("--rooms", type=int, default=usual.rooms)
    parser.add_argument(
        "--every", type=float, default=usual.every_s, help="seconds between two messages of one"
    )
    parser.add_argument(
        "--trouble-every",
        type=float,
        default=usual.trouble_every_s,
        help="seconds between two actions; 0: none",
    )
    parser.add_argument(
        "--targets",
        nargs="+",
        type=Target,
        choices=sorted(usual.targets),
        default=sorted(usual.targets),
        help="to whom",
    )
    parser.add_argument(
        "--breaks-allowed", action="store_true", help="an honest recovered: false is no fault"
    )
    parser.add_argument(
        "--mutant", choices=mutants.names(), default="", help="run a service with a fault put in"
    )
    parser.add_argument(
        "--logs", type=Path, default=None, help="folder for the pods' logs; default .run/soak-SEED"
    )
    given = parser.parse_args(arguments)
    options = Options(
        given.seconds,
        given.seed,
        Measures(given.gateways, given.routers, given.brokers, given.mutant),
        given.participants,
        given.rooms,
        every_s=given.every,
        trouble_every_s=given.trouble_every,
        targets=frozenset(given.targets),
        breaks_allowed=given.breaks_allowed,
    )
    return options, given.logs or Path(".run") / f"soak-{given.seed}"


def repeating(options: Options) -> str:
    """Return what to type to repeat a run on the RabbitMQ that it was on."""
    root = named_root()
    return (f"{VARIABLE}={root.path} " if root else "") + options.command()


def main() -> int:
    """Run it, print the report; 0: the promise was kept."""
    options, folder = options_of()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.log"):
        old.unlink()
    say(repeating(options))
    report = asyncio.run(check(options, folder.resolve(), say))
    say("\n".join(report.lines()))
    if not report.good:
        report.save(folder / "history.jsonl")
        say(f"logs and history: {folder}")
    return 0 if report.good else 1


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
