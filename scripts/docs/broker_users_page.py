"""docs/broker-users.md: which rights each kind of backend needs in RabbitMQ.

It returns the page's text and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from scripts.chart.amqp_definitions import USER
from scripts.chart.broker_users import backends, service_permissions

from warren.topology import Topology

HEAD = Path(__file__).with_suffix(".md")  # what is not made


def broker_users_page(note: str) -> str:
    """Return docs/broker-users.md; ``note`` says that it is made."""
    topology = Topology()
    title, page = HEAD.read_text(encoding="utf-8").split("\n", 1)
    made = {
        "users": "\n".join(_table(topology)),
        "replies": topology.replies,
        "rpc": topology.rpc,
        "events": topology.events,
        "notify": topology.notify,
        "control": topology.control,
        "services": command(USER, service_permissions(topology.prefix)),
    }
    for name, text in made.items():
        page = page.replace(f"<!-- {name} -->", text)
    return f"{title}\n\n{note}\n{page}"


def command(user: str, permissions: Mapping[str, str], vhost: str = "/") -> str:
    """Return the command that gives a user these rights."""
    patterns = " ".join(f"'{permissions[right]}'" for right in ("configure", "write", "read"))
    return f"rabbitmqctl set_permissions --vhost {vhost} {user} {patterns}"


def _table(topology: Topology) -> list[str]:
    lines = ["| kind | what it does | configure | write | read |", "| --- | --- | --- | --- | --- |"]
    for rights in backends(topology):
        patterns = [f"`{pattern}`".replace("|", "\\|") for pattern in rights.permissions.values()]
        lines.append(f"| **{rights.kind}** | {rights.does} | {' | '.join(patterns)} |")
    commands = [command(f"{topology.prefix}-{each.kind}", each.permissions) for each in backends(topology)]
    return [*lines, "", "As commands:", "", "```sh", *commands, "```"]
