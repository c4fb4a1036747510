"""Two gateways and two routers as separate processes on a real RabbitMQ, for a developer's machine (`make run-rabbit`).

The broker is the one in WARREN_AMQP_URL, or a private node that is started and removed again. Gateways listen on PORT (default 8080)
and PORT + 1. Other ``WARREN_*`` variables reach the services as they are. Ctrl-C, or SIGTERM, ends everything within five seconds;
if this process is killed, its children go with it. It never restarts a service: who kills one wants to see what happens.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.children import Child, end_all, free_port
from scripts.rabbit_node import RabbitMissing, RabbitNode

DEFAULT_PORT = 8080
READY_S = 40.0
END_S = 3.5  # for the services; what then still runs is killed


class CannotRun(RuntimeError):
    """What stands in the way, in words for the one who typed the command."""


@dataclass
class Service:
    """One process of the installation."""

    name: str
    child: Child
    internal_port: int
    log: Path

    def ready(self) -> bool:
        """Say whether ``/readyz`` answers 200. Raises CannotRun where the process has ended."""
        if not self.child.running:
            raise CannotRun(f"{self.name} ended with {self.child.exit_code}:\n{self.log_end()}")
        url = f"http://127.0.0.1:{self.internal_port}/readyz"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1.0) as answer:
            return bool(answer.status == 200)
        return False  # it answered 503 (an OSError too), or not at all

    def log_end(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def wanted_port(env: Mapping[str, str]) -> int:
    """Return the first gateway's port. Raises CannotRun where PORT is none, or it or the next one is taken."""
    text = env.get("PORT", "") or str(DEFAULT_PORT)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_534:
        raise CannotRun(
            f"PORT={text} is no port: give a number from 1 to 65534 (the second gateway takes the next one)"
        )
    port = int(text)
    for each in (port, port + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", each))
            except OSError:
                raise CannotRun(f"port {each} is taken; choose another with PORT=…") from None
    return port


def service_env(amqp_url: str) -> dict[str, str]:
    """Return the environment that all services share; what the caller's own environment says goes first."""
    mine = {
        "WARREN_GATEWAY_HOST": "127.0.0.1",
        "WARREN_GATEWAY_AUTH": "anonymous",
        # clients are sent away quickly, so that Ctrl-C keeps its five seconds
        "WARREN_GATEWAY_DRAIN_MS": "500",
        "WARREN_GATEWAY_DRAIN_DEADLINE_MS": "3000",
        "WARREN_ROUTER_STOP_DEADLINE_MS": "3000",
        "PYTHONUNBUFFERED": "1",
    }
    return mine | dict(os.environ) | {"WARREN_AMQP_URL": amqp_url}


def launch(module: str, number: int, env: Mapping[str, str], folder: Path) -> Service:
    """Start one service; its log goes to a file in ``folder``."""
    name = f"{module}-{number}"
    internal_port = free_port()
    own = {f"WARREN_{module.upper()}_INTERNAL_PORT": str(internal_port), f"WARREN_{module.upper()}_ID": name}
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        child = Child([sys.executable, "-m", module], env={**env, **own}, output=output)
    return Service(name, child, internal_port, log)


def wait_until_ready(services: list[Service]) -> None:
    """Return once all are ready. Raises CannotRun that names the first that is not, with its log's end."""
    deadline = time.monotonic() + READY_S
    for service in services:
        while not service.ready():
            if time.monotonic() > deadline:
                raise CannotRun(f"{service.name} is not ready after {READY_S:.0f} s:\n{service.log_end()}")
            time.sleep(0.05)


def watch(services: list[Service]) -> None:
    """Tell of each service that ends, and return when none is left."""
    living = list(services)
    while living:
        for service in [each for each in living if not each.child.running]:
            living.remove(service)
            print(f"{service.name} ended with {service.child.exit_code}; {len(living)} left", flush=True)
        time.sleep(0.2)


def tell(services: list[Service], port: int, amqp_url: str, folder: Path) -> None:
    """Print where everything is."""
    print(f"\nRabbitMQ   {amqp_url}")
    for service in services:
        address = (
            f"ws://127.0.0.1:{port + int(service.name[-1]) - 1}/ws  " if service.name.startswith("gateway") else ""
        )
        print(f"{service.name:<10} {address}pid {service.child.pid}, http://127.0.0.1:{service.internal_port}/metrics")
    print(f"logs       {folder}/*.log\n")
    print("Notify as a backend does:")
    print(f"""  .venv/bin/python docs/examples/notify_aio_pika.py {amqp_url} room.default '{{"text": "hello"}}'""")
    print("Ctrl-C ends it.", flush=True)


def run(folder: Path) -> int:
    """Start everything, watch it, end it. Returns the exit code."""
    services: list[Service] = []
    node: RabbitNode | None = None
    try:
        port = wanted_port(os.environ)
        amqp_url = os.environ.get("WARREN_AMQP_URL", "")
        if not amqp_url:
            node = RabbitNode()
            print("starting a private RabbitMQ node …", flush=True)
            node.start()
            amqp_url = node.url
        env = service_env(amqp_url)
        for number in (1, 2):
            services.append(launch("router", number, env, folder))
            services.append(launch("gateway", number, {**env, "WARREN_GATEWAY_PORT": str(port + number - 1)}, folder))
        services.sort(key=lambda service: service.name)
        wait_until_ready(services)
        tell(services, port, amqp_url, folder)
        watch(services)
        print("nothing is left running", file=sys.stderr)
        return 1
    except (CannotRun, RabbitMissing) as reason:
        print(reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nending …", flush=True)
        return 0
    finally:
        # a second Ctrl-C must not leave anything behind
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with contextlib.suppress(subprocess.SubprocessError):
            end_all((service.child for service in services), END_S)
        if node is not None:
            node.close()


def main() -> int:
    """Run until Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="warren-run-") as folder:
        return run(Path(folder))


if __name__ == "__main__":
    sys.exit(main())
