"""What a RabbitMQ must be told where Warren's services may not declare: the topology as definitions, and a
user with the least rights.

``python -m scripts.chart.amqp_definitions [--prefix P] [--shards N] [--log-bytes B] [--vhost V]`` prints JSON
for ``rabbitmqctl import_definitions``. The names and arguments come from ``warren.topology``; it connects to
nothing. ``make manifests`` writes the one for the defaults.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from warren.topology import DEFAULT_PREFIX, DEFAULT_SHARDS, Limits, Topology

USER = "warren"


def service_permissions(prefix: str) -> dict[str, str]:
    """Return the three patterns that a gateway or a router needs: its own queues are declared, and gone, with
    its connection.
    """
    own = rf"^{re.escape(prefix)}\."
    return {"configure": own, "write": own, "read": own}


def definitions(topology: Topology, vhost: str = "/") -> dict[str, Any]:
    """Return the definitions: virtual host, user without a password (nobody can log in until one is set),
    rights, topology.
    """
    return {
        "vhosts": [{"name": vhost}],
        "users": [
            {
                "name": USER,
                "password_hash": "",
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": [],
            }
        ],
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


def as_text(topology: Topology, vhost: str = "/") -> str:
    """Return the definitions as JSON text."""
    return json.dumps(definitions(topology, vhost), indent=1, ensure_ascii=False) + "\n"


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
    given = parser.parse_args(arguments)
    sys.stdout.write(
        as_text(Topology(given.prefix, given.shards, Limits(log_bytes=given.log_bytes)), given.vhost)
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
