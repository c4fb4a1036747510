"""Settings: the groups that services share, and how a service reads its own: the environment becomes frozen models, all problems at once.

A service's settings are one ``Settings`` class made of small ones (see ``variables.py``). What both services share begins with ``WARREN_`` alone;
what only one reads begins with ``WARREN_GATEWAY_`` or ``WARREN_ROUTER_``, and the other ignores it, so that one environment can serve both.
``read`` is called once, in ``__main__``. Only files of this name read the environment.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from pydantic import BeforeValidator, PlainSerializer, SecretStr, field_validator, model_validator

from warren.errors import SettingsError
from warren.namespaces import Namespaces
from warren.topology import DEFAULT_PREFIX, DEFAULT_SHARDS, Limits, Topology
from warren.variables import (
    HIDDEN,
    NONE,
    SERVICE_PREFIXES,
    SHARED_PREFIX,
    CommaList,
    Problems,
    Reading,
    Settings,
    Variable,
    leaves,
    shown,
    variable,
)

__all__ = [
    "EVERY_ADDRESS", "HIDDEN", "NONE", "SERVICE_PREFIXES", "SHARED_PREFIX", "BusSettings", "CommaList", "LogSettings", "NamespaceSettings",
    "ProbeSettings", "Settings", "Variable", "command_line", "describe", "environment", "read", "report", "variable",
]  # fmt: skip

EVERY_ADDRESS = "*"  # as a host to listen on: of IPv4 and of IPv6

_LIMITS = Limits()


class BusSettings(Settings):
    """The broker and the topology on it."""

    amqp_url: SecretStr = variable(
        SecretStr("amqp://guest:guest@localhost:5672/"),
        "RabbitMQ's address; several, comma separated, are tried in turn.",
    )
    amqp_ca_file: str = variable(
        "", "For amqps://: a file with the CA certificates (PEM) that the broker's is signed by; empty: the system's."
    )
    amqp_cert_file: str = variable(
        "", "For amqps://: a file with our own certificate (PEM), where the broker wants one."
    )
    amqp_key_file: str = variable(
        "", "For amqps://: a file with that certificate's key (PEM); empty: it is in the same file."
    )
    amqp_heartbeat_s: int = variable(
        10, "AMQP heartbeat in seconds; a frozen broker node is noticed after two.", ge=1, le=300
    )
    prefix: str = variable(
        DEFAULT_PREFIX,
        "What the names of all exchanges and queues begin with; the same for all services of an installation.",
        pattern=r"^[A-Za-z0-9_.\-]{1,64}$",
    )
    shards: int = variable(
        DEFAULT_SHARDS,
        "Number of shards; fixed for an installation's life, and the same for all its services.",
        ge=1,
        le=1024,
    )

    broker_shard_bytes: int = variable(
        _LIMITS.shard_bytes,
        "Bytes that may wait in the broker for one shard, and for the routers' intake; beyond it publishers are refused.",
        ge=1_048_576,
    )
    broker_log_bytes: int = variable(
        _LIMITS.history_bytes,
        "Bytes of one shard's log (a stream); what is older than that can be resumed by nobody.",
        ge=4_194_304,
    )
    broker_pod_bytes: int = variable(
        _LIMITS.gateway_bytes,
        "Bytes that may wait in the broker for one gateway or router; the oldest go, and positions heal that.",
        ge=1_048_576,
    )
    broker_dead_bytes: int = variable(
        _LIMITS.dead_bytes,
        "Bytes of what was set aside, in each of the two queues for it; the oldest go.",
        ge=1_048_576,
    )

    @field_validator("amqp_url")
    @classmethod
    def _addresses(cls, value: SecretStr) -> SecretStr:
        urls = _addresses(value)
        wrong = [index for index, url in enumerate(urls, 1) if not re.match(r"amqps?://[^/\s]+", url)]
        if not urls or wrong:
            which = f" (number {', '.join(map(str, wrong))} of {len(urls)})" if len(urls) > 1 else ""
            raise ValueError(f"must be amqp://user:password@host:port/vhost or amqps://…{which}")
        return value

    @model_validator(mode="after")
    def _tls(self) -> BusSettings:
        if self.amqp_key_file and not self.amqp_cert_file:
            raise ValueError("WARREN_AMQP_KEY_FILE: is set, and WARREN_AMQP_CERT_FILE is not")
        if self._tls_options() and not any(_is_tls(url) for url in _addresses(self.amqp_url)):
            raise ValueError(
                "WARREN_AMQP_CA_FILE, WARREN_AMQP_CERT_FILE: no address of WARREN_AMQP_URL begins with amqps://"
            )
        return self

    def _tls_options(self) -> dict[str, str]:
        options = {"cafile": self.amqp_ca_file, "certfile": self.amqp_cert_file, "keyfile": self.amqp_key_file}
        return {name: path for name, path in options.items() if path}

    @property
    def topology(self) -> Topology:
        """The topology that these settings ask for."""
        limits = Limits(
            shard_bytes=self.broker_shard_bytes,
            gateway_bytes=self.broker_pod_bytes,
            dead_bytes=self.broker_dead_bytes,
            history_bytes=self.broker_log_bytes,
        )
        return Topology(self.prefix, self.shards, limits)

    @property
    def amqp_urls(self) -> tuple[str, ...]:
        """The broker's addresses in the order to try, with the files for TLS as their options; they hold the password."""
        return tuple(_with_options(url, self._tls_options()) for url in _addresses(self.amqp_url))


def _is_tls(url: str) -> bool:
    return url.startswith("amqps:")


def _with_options(url: str, options: Mapping[str, str]) -> str:
    """Add options to an address of TLS; what it says itself stays."""
    given = parse_qs(urlsplit(url).query, keep_blank_values=True)
    more = urlencode({name: path for name, path in options.items() if name not in given}, quote_via=quote, safe="/")
    return f"{url}{'&' if given else '?'}{more}" if more and _is_tls(url) else url


def _addresses(value: SecretStr) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.get_secret_value().split(",") if part.strip())


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]


class LogSettings(Settings):
    """Where log lines go and which."""

    log_level: LogLevel = variable("info", "The least level that is logged: debug, info, warning or error.")
    log_file: str = variable("", "A file to append log lines to; empty means standard output.")


class ProbeSettings(Settings):
    """The internal port: probes and metrics. Each service subclasses it with its own prefix and port."""

    internal_host: str = variable(
        EVERY_ADDRESS,
        "Address or name of the internal port (probes, metrics); * for every address of the machine, of IPv4 and of IPv6.",
        min_length=1,
    )
    internal_port: int = variable(0, "Internal port (probes, metrics); 0 takes a free one.", ge=0, le=65535)


def _namespaces(value: object) -> object:
    if isinstance(value, str | list | dict):
        try:
            return Namespaces.parse(value)
        except SettingsError as error:
            raise Problems(error.problems) from None
    return value


class NamespaceSettings(Settings):
    """The namespaces: which rooms behave how."""

    namespaces: Annotated[
        Namespaces, BeforeValidator(_namespaces), PlainSerializer(lambda value: repr(value), return_type=str)
    ] = variable(
        Namespaces(), "The namespaces as YAML text; usually given as a file by WARREN_NAMESPACES_FILE.", file=True
    )


# Known to every service, also to one that does not read them.
_SHARED = (BusSettings, LogSettings, NamespaceSettings)


S = TypeVar("S", bound=Settings)


def environment() -> dict[str, str]:
    """Return a copy of the process's environment, for ``read`` and for what reads standard variables (``OTEL_*``)."""
    return dict(os.environ)


def describe(cls: type[Settings]) -> list[Variable]:
    """Return every variable of a settings class in the order of its fields, groups opened, each once."""
    return [
        # A default is in the code, so it is no secret.
        Variable(leaf.name, shown(leaf.default, hide=False), leaf.field.description or "", leaf.secret, leaf.file)
        for leaf in leaves(cls)
    ]


def read(cls: type[S], env: Mapping[str, str] | None = None) -> S:
    """Read ``cls`` from ``env`` (None: the process's environment).

    Raises SettingsError with every problem: values that do not fit, files that can't be read, names that nobody knows.
    """
    reading = Reading(environment() if env is None else env)
    settings = reading.build(cls, None)
    reading.unknown((cls, *_SHARED))
    if reading.problems:
        raise SettingsError(list(dict.fromkeys(reading.problems)))
    return settings


def report(cls: type[Settings], env: Mapping[str, str] | None = None) -> str:
    """Return each variable with its value, the value's source and its meaning, secrets hidden; for ``--settings``."""
    reading = Reading(environment() if env is None else env)
    lines: list[str] = []
    for leaf in leaves(cls):
        raw, source = reading.raw(leaf)
        if raw is None:
            value = shown(leaf.default)
        elif leaf.secret:
            value = HIDDEN
        else:
            value = raw if len(raw) <= 200 and "\n" not in raw else f"({len(raw)} characters)"
        lines += [f"{leaf.name}={value}", f"    {source}. {leaf.field.description}"]
    return "\n".join(lines)


def command_line(program: str, cls: type[S], arguments: Sequence[str], env: Mapping[str, str] | None = None) -> S:
    """Do what ``python -m <program> [--settings]`` asks for, and return the settings where the service is to run.

    Raises SystemExit: 0 after ``--help`` and ``--settings``, 2 for wrong arguments and wrong settings (all named on standard error).
    """
    usage = f"usage: python -m {program} [--settings | --help]\nIt is configured by environment variables; --settings prints them all.\n"
    match list(arguments):
        case []:
            asked = "run"
        case ["--settings"]:
            asked = "settings"
            sys.stdout.write(report(cls, env) + "\n")
        case ["-h" | "--help"]:
            sys.stdout.write(usage)
            raise SystemExit(0)
        case unknown:
            sys.stderr.write(f"{program}: unknown arguments: {' '.join(unknown)}\n{usage}")
            raise SystemExit(2)
    try:
        settings = read(cls, env)
    except SettingsError as error:
        count = len(error.problems)
        sys.stderr.write(f"{program}: {count} wrong setting{'s' if count > 1 else ''}\n")
        sys.stderr.writelines(f"  {problem}\n" for problem in error.problems)
        raise SystemExit(2) from None
    if asked == "settings":
        raise SystemExit(0)
    return settings
