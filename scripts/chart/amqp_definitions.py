"""What a RabbitMQ must be told where Warren's services may not declare: the topology as definitions, and
users with the least rights.

``python -m scripts.chart.amqp_definitions [--prefix P] [--shards N] [--log-bytes B] [--vhost V]`` prints JSON
for ``rabbitmqctl import_definitions``: the topology, and the services' user. With ``--backend KIND``, as
often as wanted, it prints a user for a backend of these kinds instead. Names and arguments come from
``warren.topology``; it connects to nothing. ``make manifests`` writes both for the defaults.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from scripts.chart.broker_users import OWN_PREFIX, Rights, backends, service_permissions, together

from warren.topology import DEFAULT_PREFIX, DEFAULT_SHARDS, Limits, Topology

USER = "warren"


def definitions(topology: Topology, vhost: str = "/") -> dict[str, Any]:
    """Return the definitions: virtual host, user without a password (nobody can log in until one is set),
    rights, topology.
    """
    return {
        "vhosts": [{"name": vhost}],
        "users": [_user(USER)],
        "permissions": [{"user": USER, "vhost": vhost, **service_permissions(topology.prefix)}],
        "exchanges": [
            {
                "name": exchange.name,
                "vhost": vhost,
                "type": exchange.type,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": {},
            }
            for exchange in topology.exchanges()
        ],
        "queues": [
            {
                "name": queue.name,
                "vhost": vhost,
                "durable": True,
                "auto_delete": False,
                "arguments": {"x-queue-type": queue.kind, **queue.arguments},
            }
            for queue in topology.queues()
        ],
        "bindings": [
            {
                "source": binding.exchange,
                "vhost": vhost,
                "destination": binding.queue,
                "destination_type": "queue",
                "routing_key": binding.key,
                "arguments": {},
            }
            for binding in topology.bindings()
        ],
    }


def backend_definitions(users: Iterable[Rights], prefix: str, vhost: str = "/") -> dict[str, Any]:
    """Return a user for each of these, called ``<prefix>-<kind>``, and its rights."""
    every = {f"{prefix}-{rights.kind}": rights for rights in users}
    return {
        "users": [_user(name) for name in every],
        "permissions": [
            {"user": name, "vhost": vhost, **rights.permissions} for name, rights in every.items()
        ],
    }


def _user(name: str) -> dict[str, Any]:
    """Return a user that can't log in until it is given a password."""
    return {
        "name": name,
        "password_hash": "",
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": [],
    }


def as_text(made: dict[str, Any]) -> str:
    """Return definitions as JSON text."""
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the definitions."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.chart.amqp_definitions", description="JSON for rabbitmqctl import_definitions"
    )
    parser.add_argument("--prefix", default=DEFAULT_PREFIX, help="WARREN_PREFIX (%(default)s)")
    parser.add_argument("--shards", type=int, default=DEFAULT_SHARDS, help="WARREN_SHARDS (%(default)s)")
    parser.add_argument(
        "--log-bytes", type=int, default=Limits().log_bytes, help="WARREN_BROKER_LOG_BYTES (%(default)s)"
    )
    parser.add_argument("--vhost", default="/", help="virtual host (%(default)s)")
    parser.add_argument(
        "--backend",
        action="append",
        choices=[rights.kind for rights in backends(Topology())],
        help="a kind of backend that the user is for; several make one user of all of them",
    )
    parser.add_argument(
        "--own",
        default=OWN_PREFIX,
        help="what the names of the backend's own queues begin with, before a dot (%(default)s)",
    )
    given = parser.parse_args(arguments)
    topology = Topology(given.prefix, given.shards, Limits(log_bytes=given.log_bytes))
    if given.backend:
        kinds = [rights for rights in backends(topology, given.own) if rights.kind in given.backend]
        made = backend_definitions([together(kinds)], given.prefix, given.vhost)
    else:
        made = definitions(topology, given.vhost)
    sys.stdout.write(as_text(made))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
