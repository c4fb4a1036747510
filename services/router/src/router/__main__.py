"""``python -m router``: one router as a process, configured by environment variables (``--settings`` prints
them all).
"""

from __future__ import annotations

import sys

from router.settings import RouterSettings, new_router_id
from router.shell.api_keys import key_file_problems
from warren import open_files
from warren.bus.rabbit.bus import ConnectionTimes, RabbitBus
from warren.errors import SettingsError
from warren.lifecycle import Part, run, serve
from warren.logs import configure
from warren.metrics import RouterMetrics
from warren.otel_env import otel_problems
from warren.pusher_apps import apps_file_problems
from warren.settings import command_line, environment, say_wrong


async def _main(settings: RouterSettings, router_id: str) -> int:
    # Not before the variables were looked at: OpenTelemetry reads some of them when it is imported.
    from router.app import Router
    from warren.telemetry import Tracing

    open_files.raise_limit()
    topology = settings.bus.topology
    tracing = Tracing("warren-router", environment(), instance=router_id, topology=topology)
    times = ConnectionTimes(heartbeat_s=settings.bus.amqp_heartbeat_s)
    bus = RabbitBus(settings.bus.amqp_urls, topology, name=f"warren-router-{router_id}", times=times)
    router = Router(settings, bus, metrics=RouterMetrics(), tracing=tracing, id=router_id)
    return await serve(
        [Part.of("tracing", tracing), Part.of("router", router)],
        deadline_s=settings.takeover.stop_deadline_ms / 1_000,
    )


def main() -> int:
    """Run until a signal comes; return the exit code."""
    checks = (otel_problems, key_file_problems, lambda settings, _: apps_file_problems(settings.pusher))
    settings = command_line("router", RouterSettings, sys.argv[1:], environment(), checks)
    router_id = new_router_id(settings.id)
    try:
        configure("router", settings.log)
        return run(lambda: _main(settings, router_id))
    except OSError as error:
        sys.stderr.write(f"router: WARREN_LOG_FILE: {error}\n")
        return 1
    except SettingsError as error:
        say_wrong("router", error)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
