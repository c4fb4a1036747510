"""``python -m gateway``: one gateway in a process of its own, on RabbitMQ. Configured by the environment;
``--settings`` prints it.

Exit codes: 0 stopped as asked, 1 could not start (one line says why), 2 wrong settings or arguments (all of
them named).
"""

from __future__ import annotations

import sys

from gateway.settings import GatewaySettings, new_gateway_id
from gateway.shell.auth import key_problems
from warren import lifecycle, logs, open_files
from warren.bus.rabbit.bus import ConnectionTimes, RabbitBus
from warren.errors import SettingsError
from warren.otel_env import otel_problems
from warren.pusher_apps import apps_file_problems
from warren.settings import command_line, environment, say_wrong

# What closing the bus and the ports may take after the drain's own deadline.
CLOSING_S = 5.0


def main() -> int:
    """Run until a signal; return the exit code."""
    env = environment()
    checks = (
        lambda settings, _: key_problems(settings.auth),
        otel_problems,
        lambda settings, _: apps_file_problems(settings.pusher),
    )
    settings = command_line("gateway", GatewaySettings, sys.argv[1:], env, checks)
    try:
        logs.configure("gateway", settings.log)
    except OSError as error:
        sys.stderr.write(f"gateway: WARREN_LOG_FILE: {error}\n")
        return 1
    return lifecycle.run(lambda: _serve(settings, env))


async def _serve(settings: GatewaySettings, env: dict[str, str]) -> int:
    # Not before the variables were looked at: OpenTelemetry reads some of them when it is imported.
    from gateway.app import Gateway
    from warren.telemetry import EntrySampling, Tracing

    gateway_id = new_gateway_id(settings.id)
    files = open_files.raise_limit()
    topology = settings.bus.topology
    times = ConnectionTimes(heartbeat_s=settings.bus.amqp_heartbeat_s)
    bus = RabbitBus(settings.bus.amqp_urls, topology, name=f"warren-gateway-{gateway_id}", times=times)
    try:
        sampling = EntrySampling(settings.listen.trust_traceparent)
        tracing = Tracing("warren-gateway", env, instance=gateway_id, topology=topology, sampling=sampling)
        gateway = Gateway(
            settings,
            bus,
            tracing=tracing,
            gateway_id=gateway_id,
            open_files=files.limit,
        )
    except SettingsError as error:
        say_wrong("gateway", error)
        return 2
    parts = [lifecycle.Part.of("tracing", tracing), lifecycle.Part.of("gateway", gateway)]
    deadline_s = settings.times.drain_deadline_ms / 1_000 + CLOSING_S
    return await lifecycle.serve(parts, deadline_s=deadline_s, failed=gateway.refused)


if __name__ == "__main__":
    raise SystemExit(main())
