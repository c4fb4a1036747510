"""Makes docs/settings.md, docs/topology.md and docs/log.md from the code, or says (``--check``) where they
differ from it.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from scripts.docs.log_page import log_page

from warren.settings import SERVICE_PREFIXES, Settings, Variable, describe
from warren.topology import Binding, Queue, Topology

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOTE = "<!-- Made from the code by scripts/docs/generate; edit the code instead. -->"
SERVICES = {"gateway": "GatewaySettings", "router": "RouterSettings"}

SETTINGS_HEAD = """\
Warren is configured by environment variables. Each service reads them once, at its start; where any is wrong it names
**all** problems and ends with code 2. `python -m gateway --settings` (and `python -m router --settings`) prints every
variable with its value, where that comes from, and its meaning; secrets are hidden.

* An empty variable is one that is not set. Lists are comma separated; `-` is the empty list. Yes or no is `true` or `false`.
* A variable with *file* may be given as `<NAME>_FILE`, the path of a file that holds the value (a mounted Kubernetes
  secret or config map).
* A `WARREN_…` name that nobody knows is an error, with a guess at what was meant. A service ignores the variables that
  begin with the other one's prefix, so that one environment can serve both. The names that Kubernetes injects for Services
  (`WARREN_GATEWAY_SERVICE_HOST`, `WARREN_GATEWAY_PORT=tcp://…`) are ignored.
"""

BROKER = """\
### TLS to the broker

Addresses that begin with `amqps://` (port 5671) speak TLS; the broker's certificate must be for the host that the address names. A private
CA is named by `WARREN_AMQP_CA_FILE`; it then counts alone. An address may name the files by itself, as options:
`amqps://user:password@host:5671/vhost?cafile=/etc/ca.pem&certfile=/etc/own.pem&keyfile=/etc/own.key`. What is wrong with a certificate
stands in the log at each attempt, with the setting to mend.

### Sizes in the broker

`WARREN_BROKER_…_BYTES` become arguments of queues and streams, so all services of an installation need the same ones: who differs is refused
by the broker, says which queue it is, and ends with code 1. What exists keeps the size that it was made with. To change one, stop all services,
see that the queue is empty (`rabbitmqctl list_queues name messages`), delete it, and start them;
with a log (`<prefix>.log.<n>`) the positions and histories of that shard's rooms go, and its clients are told `recovered: false`.
`WARREN_BROKER_LOG_BYTES` must be at least twice `WARREN_ROUTER_HISTORY_BYTES` and four times `WARREN_ROUTER_CHECKPOINT_BYTES`, and larger
than all gateways' `WARREN_GATEWAY_UPLINK_BYTES` together ([how large a log](operations.md#how-large-a-log)).
"""

OTEL = """\
## Tracing

Tracing is off until one of the standard OpenTelemetry variables asks for it. Spans go out as OTLP over HTTP.

| variable | meaning |
| --- | --- |
| `OTEL_EXPORTER_OTLP_ENDPOINT` | The collector's address, such as `http://collector:4318`; switches tracing on |
| `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | The same for traces alone, with its path (`…/v1/traces`) |
| `OTEL_TRACES_EXPORTER` | `otlp` switches tracing on (to `http://localhost:4318` where no endpoint is set), `none` off |
| `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf` (the default) is the only one; `grpc` is refused |
| `OTEL_TRACES_SAMPLER` | `always_on`, `always_off` or `traceidratio`, or one of them after `parentbased_`; default `parentbased_always_on` |
| `OTEL_TRACES_SAMPLER_ARG` | For the ratios: from 0 to 1 |
| `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | What the spans say of the service |
| `OTEL_SDK_DISABLED` | `true` switches tracing off whatever else is set |
| `OTEL_EXPORTER_OTLP_HEADERS`, `…_TIMEOUT`, `…_CERTIFICATE`, `…_COMPRESSION`, `OTEL_BSP_…` | As in OpenTelemetry's own documentation |

The decision is taken once, where a message enters: with a `parentbased_…` sampler the flag in a sender's `traceparent`
decides, so a client can have its messages traced. Where clients are not to be trusted with that, use `traceidratio`.
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
                f"Every exchange, queue and binding that Warren declares, with the default prefix "
                f"`{topology.prefix}` and"
            ),
            (
                f"{topology.shards} shards. No queue and no binding is per client or per room: the broker's "
                f"load grows with pods and"
            ),
            "messages alone. Every service declares all of it at each connect.",
            "",
            "## Exchanges",
            "",
            (
                "All are durable, but for doors: an exclusive queue is reached through an auto-delete fanout "
                "exchange of its own name."
            ),
            (
                "Where a broker node is down, RabbitMQ 4.3 keeps its clients' exclusive queues bound and "
                "locked; a door can be deleted all the same."
            ),
            "",
            _row("exchange", "type"),
            _row("---", "---"),
            *(_row(f"`{exchange.name}`", exchange.type) for exchange in topology.exchanges()),
            "",
            "## Queues",
            "",
            (
                "Quorum queues are durable; exclusive ones belong to one connection, get a new name each time, "
                "and go with it."
            ),
            "",
            _row("queue", "kind", "arguments"),
            _row("---", "---", "---"),
            *(_queue_row(queue, shown(queue.name)) for queue in [*queues, gateway[0], router[0]]),
            "",
            "## Bindings",
            "",
            "For exclusive queues: to the door.",
            "",
            _row("exchange", "routing key", "queue"),
            _row("---", "---", "---"),
            *(
                _binding_row(binding, keys.get(binding.queue, binding.key), shown(binding.queue))
                for binding in [*bindings, *gateway[1], *router[1]]
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
    pages = {"settings.md": settings_page(), "topology.md": topology_page(), "log.md": log_page(NOTE)}
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
