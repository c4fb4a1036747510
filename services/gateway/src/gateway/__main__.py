"""``python -m gateway``: one gateway in a process of its own, on RabbitMQ. Configured by the environment; ``--settings`` prints it.

Exit codes: 0 stopped as asked, 1 could not start (one line says why), 2 wrong settings or arguments (all of them named).
"""

from __future__ import annotations

import asyncio
import sys

from gateway.app import Gateway
from gateway.settings import GatewaySettings, new_gateway_id
from warren import lifecycle, logs
from warren.bus.rabbit import LinkTimes, RabbitBus
from warren.errors import SettingsError
from warren.settings import command_line, environment
from warren.telemetry import Tracing

# What closing the bus and the ports may take after the drain's own deadline.
CLOSING_S = 5.0


def main() -> int:
    """Run until a signal; return the exit code."""
    env = environment()
    settings = command_line("gateway", GatewaySettings, sys.argv[1:], env)
    try:
        logs.configure("gateway", settings.log)
    except OSError as error:
        sys.stderr.write(f"gateway: WARREN_LOG_FILE: {error}\n")
        return 1
    return lifecycle.run(lambda: _serve(settings, env))


async def _serve(settings: GatewaySettings, env: dict[str, str]) -> int:
    gateway_id = new_gateway_id(settings.id)
    topology = settings.bus.topology
    times = LinkTimes(heartbeat_s=settings.bus.amqp_heartbeat_s)
    bus = RabbitBus(settings.bus.amqp_urls, topology, name=f"warren-gateway-{gateway_id}", times=times)
    failed = asyncio.Event()
    try:
        tracing = Tracing("warren-gateway", env, instance=gateway_id, topology=topology)
        gateway = Gateway(
            settings, bus, tracing=tracing, topology=topology, gateway_id=gateway_id, on_failed=failed.set
        )
    except SettingsError as error:
        sys.stderr.writelines(f"gateway: {problem}\n" for problem in error.problems)
        return 2
    parts = [lifecycle.Part.of("tracing", tracing), lifecycle.Part.of("gateway", gateway)]
    deadline_s = settings.times.drain_deadline_ms / 1_000 + CLOSING_S
    code = await lifecycle.serve(parts, deadline_s=deadline_s, stop=failed)
    return code or int(gateway.failed)


if __name__ == "__main__":
    raise SystemExit(main())
