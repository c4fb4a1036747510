"""Makes the pages of docs/ that are printed from the code (settings, topology, log, namespaces with their
schema, broker users), or says (``--check``) where they differ from it.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from scripts.docs.broker_users_page import broker_users_page
from scripts.docs.log_page import log_page
from scripts.docs.namespaces_page import namespaces_page, namespaces_schema

from warren.settings import SERVICE_PREFIXES, Settings, Variable, describe
from warren.topology import Binding, Queue, Topology

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOTE = "<!-- Made from the code by scripts/docs/generate; edit the code instead. -->"
SERVICES = {"gateway": "GatewaySettings", "router": "RouterSettings"}

SETTINGS_HEAD = """\
Warren is configured by environment variables.
Each service reads them once, when it starts.
If any is invalid, the service lists **all** problems and exits with code 2.
`python -m gateway --settings` (and `python -m router --settings`) prints every variable with its value, the source of the value, and its meaning; secrets are hidden.

* An empty variable counts as not set.
  Lists are comma separated; `-` is the empty list.
  Booleans are `true` or `false`.
* A variable marked *file* may be given as `<NAME>_FILE`: the path of a file that contains the value (a mounted Kubernetes secret or config map).
* An unknown `WARREN_…` name is an error, with a suggestion.
  A service ignores the variables that start with the other one's prefix, so that one environment can serve both.
  It also ignores the names that Kubernetes injects for Services (`WARREN_GATEWAY_SERVICE_HOST`, `WARREN_GATEWAY_PORT=tcp://…`).
"""

BROKER = """\
### TLS to the broker

Addresses that start with `amqps://` (port 5671) use TLS; the broker's certificate must be valid for the host in the address.
`WARREN_AMQP_CA_FILE` names a private CA, which is then the only one that is trusted.
An address may also name the files itself, as options: `amqps://user:password@host:5671/vhost?cafile=/etc/ca.pem&certfile=/etc/own.pem&keyfile=/etc/own.key`.
If a certificate is not accepted, each attempt to connect logs why, and which setting to fix.

### Sizes in the broker

`WARREN_BROKER_…_BYTES` become arguments of queues and streams, so all services of an installation need the same values.
The broker refuses a service with other values; the service logs which queue it is, and exits with code 1.
An existing queue or stream keeps the size that it was created with.
To change one, stop all services, check that the queue is empty (`rabbitmqctl list_queues name messages`), delete it, and start the services.
If you delete a log (`<prefix>.log.<n>`), the positions and histories of that shard's rooms are lost, and its clients are told `recovered: false`.
`WARREN_BROKER_LOG_BYTES` must be at least twice `WARREN_ROUTER_HISTORY_BYTES` and four times `WARREN_ROUTER_CHECKPOINT_BYTES`.
It must also be larger than all gateways' `WARREN_GATEWAY_UPLINK_BYTES` together ([how large a log](operations.md#how-large-a-log)).
"""

OTEL = """\
## Tracing

Tracing is off until one of the standard OpenTelemetry variables enables it.
Spans are exported as OTLP over HTTP.

| variable | meaning |
| --- | --- |
| `OTEL_EXPORTER_OTLP_ENDPOINT` | The collector's address, such as `http://collector:4318`; enables tracing |
| `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | The same for traces alone, with its path (`…/v1/traces`) |
| `OTEL_TRACES_EXPORTER` | `otlp` enables tracing (to `http://localhost:4318` if no endpoint is set), `none` disables it |
| `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf` (the default) is the only supported one; `grpc` is refused |
| `OTEL_TRACES_SAMPLER` | `always_on`, `always_off` or `traceidratio`, or one of them after `parentbased_`; default `parentbased_always_on` |
| `OTEL_TRACES_SAMPLER_ARG` | The ratio, from 0 to 1 |
| `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | Attributes of the service in its spans |
| `OTEL_SDK_DISABLED` | `true` disables tracing, whatever else is set |
| `OTEL_EXPORTER_OTLP_HEADERS`, `…_TIMEOUT`, `…_CERTIFICATE`, `…_COMPRESSION`, `OTEL_BSP_…` | As in OpenTelemetry's own documentation |

The sampling decision is made once, where a message enters.
A backend's `traceparent` takes part in the decision: with a `parentbased_…` sampler, its flag decides.
A client's does not, so a client can't have more of its messages sampled than the sampler's share.
With a `parentbased_…` sampler, a client can only ask for its message not to be sampled.
`WARREN_GATEWAY_TRUST_TRACEPARENT=true` treats clients like backends.
"""


def settings_page() -> str:
    """Return docs/settings.md."""
    described: dict[str, list[Variable]] = {}
    for service, class_name in SERVICES.items():
        cls = getattr(import_module(f"{service}.settings"), class_name)
        assert issubclass(cls, Settings)
        described[service] = describe(cls)
    shared: dict[str, tuple[Variable, list[str]]] = {}
    for service, variables in described.items():
        for variable in variables:
            if not variable.name.startswith(SERVICE_PREFIXES):
                shared.setdefault(variable.name, (variable, []))[1].append(service)
    lines = [
        "# Settings",
        "",
        NOTE,
        "",
        SETTINGS_HEAD,
        "## Shared",
        "",
        *_table(
            variable if len(readers) > 1 else _only(variable, readers[0])
            for variable, readers in shared.values()
        ),
        "",
        BROKER,
    ]
    for service, variables in described.items():
        own = [variable for variable in variables if variable.name.startswith(SERVICE_PREFIXES)]
        lines += [f"## {service.capitalize()}", "", *_table(own), ""]
    return "\n".join([*lines, OTEL])


def _only(variable: Variable, reader: str) -> Variable:
    return Variable(
        variable.name, variable.default, f"({reader} only) {variable.meaning}", variable.secret, variable.file
    )


def _table(variables: Iterable[Variable]) -> list[str]:
    rows = []
    for variable in variables:
        kind = "secret, file" if variable.secret else "file" if variable.file else ""
        default = f"`{variable.default}`" if variable.default else ""
        rows.append(_row(f"`{variable.name}`", default, _escaped(variable.meaning), kind))
    return ["| variable | default | meaning | |", "| --- | --- | --- | --- |", *rows]


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def topology_page() -> str:
    """Return docs/topology.md, for the default prefix and number of shards."""
    topology = Topology()
    gateway, router = (
        topology.gateway_queue("<gateway>", "<nonce>"),
        topology.router_queue("<router>", "<nonce>"),
    )
    replies = topology.replies_queue("<gateway>", "<nonce>")
    webhooks = topology.webhooks_queue()
    last = topology.shards - 1
    # All shards are alike: the first stands for them.
    each = (topology.log,)
    firsts = {queue(0).name for queue in each}
    others = {queue(shard).name for queue in each for shard in range(1, topology.shards)}

    def shown(name: str) -> str:
        return f"{name} … {last}" if name in firsts else name

    queues = [queue for queue in topology.queues() if queue.name not in others]
    bindings = [binding for binding in topology.bindings() if binding.queue not in others]
    keys = {topology.log(0).name: f"{topology.shard_key(0)} … {topology.shard_key(last)}"}
    return "\n".join(
        [
            "# Topology",
            "",
            NOTE,
            "",
            (
                f"These are all exchanges, queues and bindings that Warren declares, with the default prefix "
                f"`{topology.prefix}` and {topology.shards} shards."
            ),
            "No queue and no binding belongs to a client or a room: the load on the broker grows with pods and messages alone.",
            "Every service declares all of it at each connect.",
            "",
            "## Exchanges",
            "",
            "All of these are durable.",
            (
                "In addition, each exclusive queue has a guard exchange in front of it: an auto-delete fanout "
                "exchange with the name of the queue."
            ),
            (
                "If a broker node is down, RabbitMQ 4.3 keeps its clients' exclusive queues bound and locked; "
                "a guard exchange can still be deleted."
            ),
            "",
            _row("exchange", "type"),
            _row("---", "---"),
            *(_row(f"`{exchange.name}`", exchange.type) for exchange in topology.exchanges()),
            "",
            "## Queues",
            "",
            (
                "Quorum queues and streams are durable; an exclusive queue belongs to one connection, has a new "
                "name each time, and is deleted with the connection."
            ),
            f"`{webhooks[0].name}` is there while a [Pusher app](pusher.md) has webhooks.",
            "",
            _row("queue", "kind", "arguments"),
            _row("---", "---", "---"),
            *(
                _queue_row(queue, shown(queue.name))
                for queue in [*queues, webhooks[0], gateway[0], replies[0], router[0]]
            ),
            "",
            "## Bindings",
            "",
            "An exclusive queue is bound through its guard exchange.",
            (
                f"What backends answer reaches `{topology.rpc_replies}` and `{replies[0].name}` by their "
                f"names: by the default exchange, or by `{topology.replies}`."
            ),
            f"The queues behind `{topology.rpc}` are the backends' own.",
            "",
            _row("exchange", "routing key", "queue"),
            _row("---", "---", "---"),
            *(
                _binding_row(binding, keys.get(binding.queue, binding.key), shown(binding.queue))
                for binding in [*bindings, *webhooks[1], *gateway[1], *replies[1], *router[1]]
            ),
            "",
        ]
    )


def _queue_row(queue: Queue, name: str) -> str:
    arguments = ", ".join(
        f"`{key}={str(value).lower() if isinstance(value, bool) else value}`"
        for key, value in queue.arguments.items()
    )
    return _row(f"`{name}`", queue.kind, arguments)


def _binding_row(binding: Binding, key: str, queue: str) -> str:
    return _row(f"`{binding.exchange}`", f"`{key}`" if key else "", f"`{queue}`")


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: scripts/docs/generate [--check]\n")
        return 2
    differing = 0
    pages = {
        "settings.md": settings_page(),
        "topology.md": topology_page(),
        "log.md": log_page(NOTE),
        "broker-users.md": broker_users_page(NOTE),
        "namespaces.md": namespaces_page(NOTE),
        "namespaces.schema.json": namespaces_schema(),
    }
    for name, text in pages.items():
        path = DOCS / name
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if found == text:
            continue
        differing += 1
        if arguments:
            sys.stderr.write(f"docs/{name} is not what the code says; run scripts/docs/generate\n")
            lines = difflib.unified_diff(
                found.splitlines(), text.splitlines(), f"docs/{name}", "the code", lineterm=""
            )
            sys.stderr.writelines(f"{line}\n" for line in list(lines)[:40])
        else:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"docs/{name} made\n")
    return 1 if arguments and differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
