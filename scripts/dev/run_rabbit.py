"""Two gateways and two routers as separate processes on a real RabbitMQ, and the demo page, for a developer's
machine (`make run-rabbit`).

The broker is the one in WARREN_AMQP_URL, or a private node that is started and removed again. Gateways listen
on PORT (default 8080) and PORT + 1, the page on PORT + 2, and the routers' HTTP API, with the admin page, on
PORT + 10 and PORT + 11, for a key that is made for each run. It says that all runs once a message goes
through at once. Other ``WARREN_*`` variables reach the services as they are. Ctrl-C, or SIGTERM, ends
everything within five seconds; if this process is killed, its children go with it. It never restarts a
service: who kills one wants to see what happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from embedded.broker_reachability import unreachable
from embedded.settings import TRIAL_NAMESPACES, with_origins
from rabbit_nodes.child import Child, end_all
from rabbit_nodes.node import RabbitNode
from rabbit_nodes.ports import PORTS_VARIABLE, free_port, is_free
from rabbit_nodes.server import RabbitMissing
from router.core.api_keys import hash_of
from warren.origins import LOCAL
from warren.topology import DEFAULT_SHARDS
from warren.urls import ESCAPES, FORM, WrongURL, parse_broker

DEFAULT_PORT = 8080
BROKER_PORT = 5672  # the private node's, where nobody has it
API_PORT_ABOVE = 10  # so much above the first gateway's are the HTTP API's of both routers
READY_S = 40.0
END_S = 3.5  # for the services; what then still runs is killed


class CannotRun(RuntimeError):
    """What stands in the way, in words for the one who typed the command."""


@dataclass
class Service:
    """One process of the installation."""

    name: str
    child: Child
    log: Path
    internal_port: int
    answers_at: str = ""  # "": its probes say whether it is ready

    def ready(self) -> bool:
        """Say whether it answers 200. Raises CannotRun where the process has ended."""
        if not self.child.running:
            raise CannotRun(f"{self.name} ended with {self.child.exit_code}:\n{self.log_end()}")
        url = self.answers_at or f"http://127.0.0.1:{self.internal_port}/readyz"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1.0) as answer:
            return bool(answer.status == 200)
        return False  # it answered 503 (an OSError too), or not at all

    def shards(self) -> set[int]:
        """Return the shards that this router owns."""
        url = f"http://127.0.0.1:{self.internal_port}/websocket-stats"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1.0) as answer:
            return set(json.load(answer)["router"]["shards"])
        return set()

    def log_end(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def wanted_port(env: Mapping[str, str]) -> int:
    """Return the first gateway's port. Raises CannotRun where PORT is none, or it or one of the others is
    taken.
    """
    text = env.get("PORT", "") or str(DEFAULT_PORT)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_524:
        raise CannotRun(
            f"PORT={text} is no port: give a number from 1 to 65524 "
            "(the second gateway and the page take the next ones, the routers the tenth and eleventh)"
        )
    port = int(text)
    for each in (port, port + 1, port + 2, port + API_PORT_ABOVE, port + API_PORT_ABOVE + 1):
        if not is_free(each):
            raise CannotRun(f"port {each} is taken; choose another with PORT=…")
    return port


def broker_url(env: Mapping[str, str]) -> str:
    """Return the address of the broker that was named; "" where none was. Raises CannotRun where it can't be
    reached.
    """
    text = env.get("WARREN_AMQP_URL", "")
    addresses = [each.strip() for each in text.split(",") if each.strip()]
    for each in addresses:
        try:
            parse_broker(each)
        except WrongURL as wrong:  # before anything looks at it: what is said of it shows no part of it
            raise CannotRun(f"WARREN_AMQP_URL must be {FORM}: {wrong}; {ESCAPES}") from None
    if addresses and (reason := unreachable(addresses)):
        raise CannotRun(f"{reason}\nWithout WARREN_AMQP_URL a private RabbitMQ is started here.")
    return text


def private_port(env: Mapping[str, str]) -> int | None:
    """Return where the private node listens: the usual port, so that a command can be typed again; None (a
    free one) where that is taken.
    """
    if PORTS_VARIABLE in env:  # several runs side by side would all find it free
        return None
    return BROKER_PORT if is_free(BROKER_PORT) else None


def service_env(amqp_url: str) -> dict[str, str]:
    """Return the environment that all services share; what the caller's own environment says goes first."""
    mine = {
        "WARREN_GATEWAY_HOST": "127.0.0.1",
        "WARREN_GATEWAY_AUTH": "anonymous",
        "WARREN_GATEWAY_ECHO": "true",
        # pages of this machine, also from a development server's port
        "WARREN_GATEWAY_ORIGINS": ",".join(LOCAL),
        # clients are sent away quickly, so that Ctrl-C keeps its five seconds
        "WARREN_GATEWAY_DRAIN_MS": "500",
        "WARREN_GATEWAY_DRAIN_DEADLINE_MS": "3000",
        "WARREN_ROUTER_STOP_DEADLINE_MS": "3000",
        "PYTHONUNBUFFERED": "1",
    }
    if not (os.environ.get("WARREN_NAMESPACES") or os.environ.get("WARREN_NAMESPACES_FILE")):
        # what the page can show: who is there, who has seen what, and a service that answers
        mine["WARREN_NAMESPACES"] = TRIAL_NAMESPACES
    return mine | dict(os.environ) | {"WARREN_AMQP_URL": amqp_url}


def api_env(env: Mapping[str, str], folder: Path) -> tuple[dict[str, str], str]:
    """Return what the routers need to serve the HTTP API, but for its port, and the key that opens it
    ("": the caller has a file of keys).
    """
    mine = {"WARREN_ROUTER_API_HOST": "127.0.0.1"}
    if env.get("WARREN_ROUTER_API_KEYS_FILE"):
        return mine, ""
    key = f"trial-{secrets.token_urlsafe(12)}"
    entry = {"name": "trial", "sha256": hash_of(key.encode()), "scopes": ["*"]}
    file = folder / "api-keys.yaml"
    file.write_text(json.dumps({"keys": [entry]}))  # JSON is YAML
    return mine | {"WARREN_ROUTER_API_KEYS_FILE": str(file)}, key


def launch(module: str, number: int, env: Mapping[str, str], folder: Path) -> Service:
    """Start one service; its log goes to a file in ``folder``."""
    name = f"{module}-{number}"
    internal_port = free_port()
    own = {f"WARREN_{module.upper()}_INTERNAL_PORT": str(internal_port), f"WARREN_{module.upper()}_ID": name}
    return Service(name, *_started(name, ["-m", module], {**env, **own}, folder), internal_port)


def launch_page(port: int, gateways: Sequence[str], env: Mapping[str, str], folder: Path) -> Service:
    """Start the demo page."""
    arguments = ["-m", "embedded.page_server", str(port), *gateways]
    return Service("page", *_started("page", arguments, env, folder), 0, f"http://127.0.0.1:{port}/")


def _started(name: str, arguments: Sequence[str], env: Mapping[str, str], folder: Path) -> tuple[Child, Path]:
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        return Child([sys.executable, *arguments], env=env, output=output), log


def wait_until_ready(services: list[Service], shards: int) -> None:
    """Return once all are ready and each shard is spoken for, so that a message goes through at once. Raises
    CannotRun that names the first that is not ready, with its log's end.
    """
    deadline = time.monotonic() + READY_S
    for service in services:
        while not service.ready():
            if time.monotonic() > deadline:
                raise CannotRun(f"{service.name} is not ready after {READY_S:.0f} s:\n{service.log_end()}")
            time.sleep(0.05)
    routers = [service for service in services if service.name.startswith("router")]
    while len(set().union(*(router.shards() for router in routers))) < shards:
        # routers of somebody else's on the same broker may own some: then it is not for us to wait
        if not all(router.ready() for router in routers) or time.monotonic() > deadline:
            return
        time.sleep(0.05)


def watch(services: list[Service]) -> None:
    """Tell of each service that ends, and return when none is left."""
    living = list(services)
    while living:
        for service in [each for each in living if not each.child.running]:
            living.remove(service)
            print(f"{service.name} ended with {service.child.exit_code}; {len(living)} left", flush=True)
        time.sleep(0.2)


def tell(services: list[Service], port: int, key: str, amqp_url: str, private: bool, folder: Path) -> None:
    """Print where everything is, and a command that publishes as a backend does."""
    first, second = (f"127.0.0.1:{port + number}" for number in (0, 1))
    print(f"\npage       open http://127.0.0.1:{port + 2}/?gateway={first}")
    print(f"           and  http://127.0.0.1:{port + 2}/?gateway={second}")
    for number in (0, 1):
        shown = "admin      open" if not number else "           or  "
        print(f"{shown} http://127.0.0.1:{port + API_PORT_ABOVE + number}/admin/")
    print(f"           with {f'the key {key}' if key else 'a key of WARREN_ROUTER_API_KEYS_FILE'}")
    print(f"RabbitMQ   {amqp_url if private else 'the one of WARREN_AMQP_URL'}")
    for service in services:
        if service.name == "page":
            continue
        address = (
            f"ws://127.0.0.1:{port + int(service.name[-1]) - 1}/ws  "
            if service.name.startswith("gateway")
            else ""
        )
        print(
            f"{service.name:<10} {address}pid {service.child.pid}, "
            f"http://127.0.0.1:{service.internal_port}/metrics, /readyz, /healthz"
        )
    print(f"logs       {folder}/*.log\n")
    print("Notify as a backend does:")
    print(f"  {notify_command(amqp_url if private else None)}")
    print("Ctrl-C ends it.", flush=True)


def notify_command(amqp_url: str | None) -> str:
    """Return a line for the shell that publishes a notification; None: to the broker of WARREN_AMQP_URL,
    whose password is not printed.
    """
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    broker = shlex.quote(amqp_url) if amqp_url is not None else '"$WARREN_AMQP_URL"'
    payload = """'{"text": "from the backend"}'"""
    return f"{shlex.quote(str(shown))} docs/examples/notify_aio_pika.py {broker} room.default {payload}"


def with_virtual_host(url: str) -> str:
    """Return the address with its virtual host written out: after a bare ``/`` some clients (Java's) take the
    one without a name.
    """
    return f"{url.rstrip('/')}/%2F" if urlsplit(url).path in ("", "/") else url


def run(folder: Path) -> int:
    """Start everything, watch it, end it. Returns the exit code."""
    services: list[Service] = []
    node: RabbitNode | None = None
    try:
        port = wanted_port(os.environ)
        amqp_url = broker_url(os.environ)
        if not amqp_url:
            node = RabbitNode(port=private_port(os.environ))
            print("starting a private RabbitMQ node …", flush=True)
            node.start()
            amqp_url = with_virtual_host(node.url)
        env = service_env(amqp_url)
        page = [f"http://{host}:{port + 2}" for host in ("127.0.0.1", "localhost")]
        env["WARREN_GATEWAY_ORIGINS"] = with_origins(page, env["WARREN_GATEWAY_ORIGINS"])
        gateways = [f"127.0.0.1:{each}" for each in (port, port + 1)]
        services.append(launch_page(port + 2, gateways, env, folder))
        api, key = api_env(env, folder)
        for number in (1, 2):
            own = {**api, **env, "WARREN_ROUTER_API_PORT": str(port + API_PORT_ABOVE + number - 1)}
            services.append(launch("router", number, own, folder))
            services.append(
                launch("gateway", number, {**env, "WARREN_GATEWAY_PORT": str(port + number - 1)}, folder)
            )
        services.sort(key=lambda service: service.name)
        wait_until_ready(services, int(env.get("WARREN_SHARDS") or DEFAULT_SHARDS))
        tell(services, port, key, amqp_url, node is not None, folder)
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
