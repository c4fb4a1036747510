"""What one attacker costs the well-behaved clients on the same gateway.

    python -m bench.attack [--only NAMES] [--seconds 5] [--list] [--json FILE]

One gateway, one router and the broker, with default limits. Some well-behaved clients ping 20 times a second
and send four messages a second to a room of their own. For each attack of the catalogue there is a calm
phase, the attack for the given number of seconds, and a time to recover. The table shows what the attacker
sent, what each MB of it cost the gateway in CPU, p50 and p99 of the clients' pings and ACKs, whether any of
them was closed, and the memory of gateway and router before, at its peak and after.

The exit code is 1 if a target is missed: p99 of pings and ACKs, additional memory, no well-behaved client
closed, no process dead, no traceback in a log.

The attackers are separate processes with a lower priority; the well-behaved clients have a higher one if the
system allows it. The table also shows the idle share of the machine and the CPU used by unrelated processes,
because on a busy machine those decide the result.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from bench.attack import catalogue
from bench.attack.figures import DEFAULT, HEADINGS, Aims, Result, as_json, row, table, verdict
from bench.attack.plans import Attack
from bench.attack.stage import ENV, Stage
from bench.installation import Installation


def show(attacks: tuple[Attack, ...]) -> None:
    """Print the catalogue."""
    print(
        table(
            [(attack.name, attack.kind, attack.says) for attack in attacks],
            ("attack", "kind", "what it does"),
        )
    )


def run(arguments: argparse.Namespace, attacks: tuple[Attack, ...], aims: Aims) -> list[Result]:
    """Run the attacks, and print a row for each."""
    results: list[Result] = []
    with Installation(gateways=1, routers=1, env=ENV) as installation:
        stage = Stage(
            installation,
            seconds=arguments.seconds,
            calm_s=arguments.calm,
            recovery_s=arguments.recovery,
            victims=arguments.victims,
        )
        print(table([], HEADINGS), flush=True)
        for attack in attacks:
            try:
                result = stage.play(attack)
            except Exception as error:  # noqa: BLE001 - the other attacks are still to be seen
                result = Result(
                    attack.name, attack.kind, attack.says, died=[f"the bench failed: {error!r}"[:300]]
                )
            results.append(result)
            print(table([row(result, aims)]).splitlines()[-1], flush=True)
            if arguments.json is not None:
                written = [as_json(one, aims) for one in results]
                arguments.json.write_text(json.dumps({"aims": asdict(aims), "attacks": written}, indent=1))
    return results


def main() -> int:
    """Run the benchmark; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", default="", help="names, kinds, or beginnings of names with *, comma separated"
    )
    parser.add_argument("--seconds", type=float, default=5, help="how long an attack lasts")
    parser.add_argument("--calm", type=float, default=3, help="seconds before it")
    parser.add_argument("--recovery", type=float, default=3, help="seconds after it")
    parser.add_argument("--victims", type=int, default=4, help="clients who behave well")
    parser.add_argument(
        "--ping-ms", type=float, default=DEFAULT.ping_ms, help="aim: p99 of the others' pings"
    )
    parser.add_argument("--ack-ms", type=float, default=DEFAULT.ack_ms, help="aim: p99 of the others' acks")
    parser.add_argument(
        "--rss-mib", type=float, default=DEFAULT.rss_mib, help="aim: memory beyond what it was before"
    )
    parser.add_argument("--list", action="store_true", help="print the catalogue")
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    arguments = parser.parse_args()
    try:
        attacks = catalogue.chosen(arguments.only)
    except ValueError as error:
        parser.error(str(error))
    if arguments.list:
        show(attacks)
        return 0
    aims = Aims(arguments.ping_ms, arguments.ack_ms, arguments.rss_mib)
    results = run(arguments, attacks, aims)
    held = [verdict(result, aims)[0] == "held" for result in results]
    print(f"\n{sum(held)} of {len(held)} held")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
