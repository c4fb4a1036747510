"""``python -m embedded`` (``make run``): everything in one process, on 127.0.0.1, with a page to try it.
``PORT`` chooses the ports.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from embedded.broker_reachability import unreachable
from embedded.settings import EmbeddedSettings, read_embedded
from warren import open_files
from warren.errors import SettingsError
from warren.lifecycle import Part, run, serve
from warren.listen_sockets import open_sockets
from warren.logs import configure
from warren.settings import say_wrong

if TYPE_CHECKING:
    from embedded.app import Embedded

USAGE = """usage: python -m embedded
Two gateways and a router in one process, and a page to try them. It is configured by environment variables:
  PORT              the first gateway's port (8080); the second takes the next one, the HTTP API the tenth
  WARREN_AMQP_URL   a RabbitMQ; without it messages stay inside the process
  WARREN_LOG_LEVEL  info shows who comes and goes (warning)
and by those of the gateway and the router (python -m gateway --settings, python -m router --settings).
"""
DEADLINE_S = 4.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal comes; return the exit code: 0 as asked, 1 a port is taken or the broker away, 2
    wrong settings or arguments.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments:
        asked = list(arguments) in (["-h"], ["--help"])
        (sys.stdout if asked else sys.stderr).write(USAGE)
        return 0 if asked else 2
    try:
        settings = read_embedded()
        if hindrance := _taken(settings) or _away(settings):
            sys.stderr.write(f"embedded: {hindrance}\n")
            return 1
        configure("embedded", settings.router.log)
        return run(lambda: _main(settings))
    except SettingsError as error:
        say_wrong("embedded", error)
        return 2


async def _main(settings: EmbeddedSettings) -> int:
    # Not before the variables were looked at: OpenTelemetry reads some of them when it is imported.
    from embedded.app import Embedded

    embedded = Embedded(settings, open_files=open_files.raise_limit().limit)

    async def greet() -> None:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(_greeting(embedded))
            sys.stdout.flush()

    return await serve([*embedded.parts(), Part("greeting", greet, _nothing)], deadline_s=DEADLINE_S)


def _greeting(embedded: Embedded) -> str:
    where = "on the RabbitMQ of WARREN_AMQP_URL" if embedded.settings.on_rabbit else "in this process alone"
    return "\n".join(
        [
            "",
            f"  Warren runs: {len(embedded.addresses)} gateways and a router, {where}.",
            "",
            f"  page       open http://{embedded.addresses[0]} in two windows",
            *(f"  WebSocket  ws://{address}/ws" for address in embedded.addresses),
            *(
                f"  {name:<9}  http://{address}/metrics, /readyz, /healthz"
                for name, address in embedded.internal
            ),
            *_api(embedded),
            "",
            "  Ctrl-C ends it.",
            "",
            "",
        ]
    )


def _api(embedded: Embedded) -> list[str]:
    """Return what to type to reach the page as a backend does."""
    if not embedded.api:
        return []
    lines = ["", f"  HTTP API   {embedded.api}/v1/"]
    if embedded.admin:
        lines.append(f"  admin      {embedded.admin}   (it asks for a key)")
    if embedded.settings.trial_key:
        lines += [
            f"  its key    {embedded.trial_key.text}",
            "",
            "  As a backend, to all who are in the room default:",
            "",
            f"  curl {embedded.api}/v1/publish -H 'Authorization: Bearer {embedded.trial_key.text}' \\",
            '    --json \'{"address": "room.default", "payload": {"text": "hello from a backend"}}\'',
        ]
    return lines


async def _nothing() -> None:
    """Nothing to end."""


def _taken(settings: EmbeddedSettings) -> str | None:
    """Return what to tell the user where a port can't be had, None where all can."""
    api = settings.router.api
    for port in (*settings.ports, *((api.port,) if api.port else ())):
        try:
            opened = open_sockets(settings.host, port)
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"can't be used ({error.strerror})"
            return f"port {port} of {settings.host} {why}; choose others, such as PORT=9000 make run"
        for each in opened:
            each.close()
    return None


def _away(settings: EmbeddedSettings) -> str | None:
    """Return what to tell the user where the RabbitMQ that was named can't be reached, None where it can or
    none is needed.
    """
    return unreachable(settings.router.bus.amqp_urls) if settings.on_rabbit else None


if __name__ == "__main__":
    raise SystemExit(main())
