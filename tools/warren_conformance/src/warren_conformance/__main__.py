"""``python -m warren_conformance --client 'node adapter.mjs'``: hold a client to the protocol."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from websockets.asyncio.server import serve

import warren_conformance.scenarios  # noqa: F401 (importing registers them)
from warren_conformance import report
from warren_conformance.adapters import AdapterSource, ProcessSource, SocketSource
from warren_conformance.codec import JSON, SUBPROTOCOLS
from warren_conformance.runner import chosen, run_all
from warren_conformance.scenario import CAPABILITIES, SCENARIOS, Scenario
from warren_conformance.server import TcpListener
from warren_conformance.trial import Result, Setting
from warren_conformance.verdicts import Broken

USAGE = 2


def arguments(given: list[str]) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="warren-conformance",
        description="Leads a client of warren.v1 through the protocol, and says what it did wrong.",
        epilog="Exit code: 0 no rule was broken, 1 one was, 2 wrong arguments, 3 the adapter does not work.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--client", metavar="COMMAND", help="the adapter program, started once for each client"
    )
    where.add_argument(
        "--listen",
        metavar="PORT",
        type=int,
        help="wait for adapters that open a WebSocket to this port (0: any)",
    )
    parser.add_argument(
        "--only", metavar="NAME", action="append", default=[], help="these scenarios (* and ? fit)"
    )
    parser.add_argument("--list", action="store_true", help="show all scenarios with their rules, and end")
    parser.add_argument(
        "--seed", type=int, default=0, help="for what is random in the scenarios (default: 0)"
    )
    parser.add_argument(
        "--parallel", type=int, default=12, help="how many scenarios run at once (default: 12)"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=1.0,
        help="multiplies all the times that the kit waits (slow machines)",
    )
    parser.add_argument(
        "--protocol", choices=SUBPROTOCOLS, default=JSON, help=f"the subprotocol (default: {JSON})"
    )
    parser.add_argument(
        "--require", metavar="CAPABILITY", action="append", default=[], choices=[*CAPABILITIES, "all"],
        help="fail if the adapter does not declare it (all: any)",
    )  # fmt: skip
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results as JSON")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write the results as JUnit XML")
    parser.add_argument("--verbose", action="store_true", help="show the frames before each failure")
    found = parser.parse_args(given)
    if not found.list and found.client is None and found.listen is None:
        parser.error("say what to test: --client COMMAND, or --listen PORT")
    if found.parallel < 1 or found.patience <= 0:
        parser.error("--parallel and --patience are above 0")
    return found


async def hold(
    scenarios: list[Scenario],
    source: AdapterSource,
    asked: argparse.Namespace,
    done: Callable[[Result], None],
) -> list[Result]:
    """Find out what the adapter can do, and run the scenarios for which that is enough; skip the rest."""
    capabilities = await declared(source)
    if unknown := capabilities - set(CAPABILITIES):
        raise Broken(
            f"the adapter declares {', '.join(sorted(unknown))}; known are {', '.join(CAPABILITIES)}"
        )
    required = set(CAPABILITIES) if "all" in asked.require else set(asked.require)
    if lacking := required - capabilities:
        raise Broken(f"{undeclared(lacking)}, which --require demands")
    skipped = [
        Result(each.name, "skipped", 0.0, undeclared(each.needs - capabilities), each.rule, each.section)
        for each in scenarios
        if not each.needs <= capabilities
    ]
    for result in skipped:
        done(result)
    setting = Setting(source, TcpListener, asked.patience, asked.protocol, asked.seed)
    able = [each for each in scenarios if each.needs <= capabilities]
    return skipped + await run_all(able, setting, asked.parallel, done)


def undeclared(lacking: Iterable[str]) -> str:
    """Return a sentence about capabilities."""
    return f"the adapter does not declare {', '.join(sorted(lacking))}"


async def declared(source: AdapterSource) -> set[str]:
    """Start an adapter, and return what it declares."""
    adapter = await source.start()
    try:
        ready = await adapter.event()
        if ready is None or ready["event"] != "ready":
            raise Broken(f"the first event of the adapter is not `ready` ({ready or adapter.last_words()})")
        return set(ready.get("capabilities", []))
    finally:
        await adapter.stop(3.0)


async def conduct(asked: argparse.Namespace, scenarios: list[Scenario]) -> list[Result]:
    """Run the scenarios with adapters from wherever they come."""

    def done(result: Result) -> None:
        print(report.line(result, transcript=asked.verbose), flush=True)

    if asked.client is not None:
        return await hold(scenarios, ProcessSource(asked.client), asked, done)
    source = SocketSource()
    async with serve(source.serve, "127.0.0.1", asked.listen, max_size=32 << 20) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(f"waiting for adapters at ws://127.0.0.1:{port}/", flush=True)
        return await hold(scenarios, source, asked, done)


def main(given: list[str]) -> int:
    """Run the kit; return the exit code."""
    asked = arguments(given)
    if asked.list:
        for name in sorted(SCENARIOS):
            each = SCENARIOS[name]
            needs = f" (needs {', '.join(sorted(each.needs))})" if each.needs else ""
            print(f"{name}{needs}\n    {each.rule}\n    {report.PAGE}, “{each.section}”")
        return 0
    try:
        scenarios = chosen(asked.only)
    except ValueError as error:
        print(f"warren-conformance: {error}", file=sys.stderr)
        return USAGE
    began = time.monotonic()
    try:
        results = asyncio.run(conduct(asked, scenarios))
    except Broken as broken:
        print(f"warren-conformance: {broken}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    results.sort(key=lambda each: each.name)
    print(f"\n{report.summary(results)}, in {time.monotonic() - began:.1f} s (seed {asked.seed})")
    if asked.json is not None:
        asked.json.write_text(report.as_json(results) + "\n", encoding="utf-8")
    if asked.junit is not None:
        asked.junit.write_text(report.as_junit(results) + "\n", encoding="utf-8")
    return report.exit_code(results)


def run() -> None:
    """Begin."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
