"""``python -m router.log --shard 3``: what stands in a shard's log, for a person. It only reads.

The broker's address and the names there are the router's settings, read from the environment.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Callable, Sequence

from router.settings import RouterSettings
from router.shell.log_printer import PREFETCH, LogPrinter, Look, Nothing
from router.shell.shard_log import ShardLog
from warren.bus import Bus
from warren.bus.rabbit.bus import ConnectionTimes, RabbitBus
from warren.clock import SystemClock
from warren.errors import BusUnavailable, SettingsError
from warren.settings import environment, on_this_machine, read, say_wrong

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_INTERVAL = re.compile(r"([0-9]{1,6})([smhd])")
_OFFSET = re.compile(r"[0-9]{1,18}")
_MADE_OF = "an offset (1042), how far back (30s, 5m, 2h, 1d) or first"


def _begin(text: str) -> int | str | float:
    """Return what ``--from`` asks for."""
    interval = _INTERVAL.fullmatch(text)
    if interval is not None:
        return float(int(interval[1]) * _UNITS[interval[2]])
    if text == "first":
        return text
    if _OFFSET.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not {_MADE_OF}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m router.log",
        description="Shows what stands in a shard's log: a line for each entry and each envelope in it. It "
        "only reads.",
        epilog="The broker's address, the prefix and the number of shards are the router's own variables "
        "(python -m router --settings).",
    )
    parser.add_argument("--shard", type=int, required=True, metavar="N", help="which shard's log: 0, 1, 2 …")
    parser.add_argument(
        "--from", dest="begin", type=_begin, default="5m", metavar="PLACE", help=f"{_MADE_OF}; else 5m"
    )
    parser.add_argument("--room", default="", help="only what concerns this room (or @user, or a connection)")
    parser.add_argument("--follow", action="store_true", help="go on with what is written from now on")
    parser.add_argument("--payloads", action="store_true", help="show what messages say, too")
    return parser


def write(lines: list[str]) -> None:
    """Write lines out at once."""
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


def rabbit(settings: RouterSettings) -> Bus:
    """Return the broker that the settings name."""
    times = ConnectionTimes(heartbeat_s=settings.bus.amqp_heartbeat_s)
    return RabbitBus(settings.bus.amqp_urls, settings.bus.topology, name="warren-router-log", times=times)


async def _show(
    settings: RouterSettings, shard: int, look: Look, make: Callable[[RouterSettings], Bus]
) -> None:
    bus = make(settings)
    try:
        log = ShardLog(bus, settings.bus.topology, shard, prefetch=PREFETCH)
        await LogPrinter(log, SystemClock(), write).show(look)
    finally:
        await bus.close()


def main(arguments: Sequence[str], make: Callable[[RouterSettings], Bus] = rabbit) -> int:
    """Show what ``arguments`` ask for; return the exit code: 1 where there is nothing to show, 2 for what was
    asked wrongly.
    """
    asked = _parser().parse_args(arguments)
    try:
        settings = read(RouterSettings, environment(), (on_this_machine,))
    except SettingsError as error:
        say_wrong("router.log", error)
        return 2
    shards = settings.bus.shards
    if not 0 <= asked.shard < shards:
        sys.stderr.write(
            f"router.log: there is no shard {asked.shard}: WARREN_SHARDS is {shards}, so 0 to {shards - 1}\n"
        )
        return 2
    look = Look(asked.begin, asked.room, asked.follow, asked.payloads)
    try:
        asyncio.run(_show(settings, asked.shard, look, make))
    except (Nothing, BusUnavailable) as error:
        sys.stderr.write(f"router.log: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who read it has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
