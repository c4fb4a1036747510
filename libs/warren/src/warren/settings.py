"""Settings: the groups that services share, and how a service reads its own: the environment becomes frozen
models, all problems at once.

A service's settings are one ``Settings`` class made of small ones. What both services share begins with
``WARREN_`` alone; what only one reads begins with ``WARREN_GATEWAY_`` or ``WARREN_ROUTER_``, and the other
ignores it, so that one environment can serve both. A process reads its settings once. Only files of this name
read the environment.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainSerializer,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from warren.env import (
    HIDDEN,
    NONE,
    SERVICE_PREFIXES,
    SHARED_PREFIX,
    CommaList,
    Problems,
    Settings,
    Variable,
    groups,
    leaves,
    printable,
    shown,
    variable,
)
from warren.env_sources import (
    from_environment,
    set_twice,
    sources_of,
    unknown,
    what_is_right,
    wrong_values,
)
from warren.errors import SettingsError
from warren.message_schemas import MAX_BYTES as MAX_SCHEMA_BYTES
from warren.namespaces import Namespaces
from warren.readable_files import load_problem, text_of
from warren.topology import DEFAULT_PREFIX, DEFAULT_SHARDS, Limits, Topology
from warren.urls import ESCAPES, FORM, BrokerAddress, WrongURL, check_listen_host, parse_broker

__all__ = [
    "EVERY_ADDRESS", "HIDDEN", "NONE", "SERVICE_PREFIXES", "SHARED_PREFIX",
    "BusSettings", "CommaList", "ListenHost", "LogSettings",
    "NamespaceSettings", "ProbeSettings", "PusherSettings", "Settings", "Variable", "command_line",
    "describe", "environment", "on_this_machine", "read", "report", "say_wrong", "variable",
]  # fmt: skip

EVERY_ADDRESS = "*"  # as a host to listen on: of IPv4 and of IPv6

_LIMITS = Limits()


class BusSettings(Settings):
    """The broker and the topology on it."""

    amqp_url: SecretStr = variable(
        SecretStr("amqp://guest:guest@localhost:5672/"),
        "Address of RabbitMQ; several, separated by commas, are tried in turn.",
    )
    amqp_ca_file: str = variable(
        "",
        "For amqps://: a file with the CA certificates (PEM) that the broker's certificate is checked "
        "with; empty: the system's.",
    )
    amqp_cert_file: str = variable(
        "", "For amqps://: a file with the client certificate (PEM), if the broker requires one."
    )
    amqp_key_file: str = variable(
        "",
        "For amqps://: a file with the key (PEM) of the client certificate; empty: it is in the same file.",
    )
    amqp_heartbeat_s: int = variable(
        10,
        "AMQP heartbeat in seconds; if a broker node is silent for a second longer, the service connects "
        "to the next one.",
        ge=1,
        le=300,
    )
    prefix: str = variable(
        DEFAULT_PREFIX,
        "Prefix of the names of all exchanges and queues; the same for all services of an installation.",
        pattern=r"^[A-Za-z0-9_.\-]{1,64}$",
    )
    shards: int = variable(
        DEFAULT_SHARDS,
        "Number of shards; fixed for the life of an installation, and the same for all its services.",
        ge=1,
        le=1024,
    )

    broker_notify_bytes: int = variable(
        _LIMITS.notify_bytes,
        "Bytes of notifications that may wait in the broker for the routers; beyond that, publishers are "
        "refused.",
        ge=1_048_576,
    )
    broker_log_bytes: int = variable(
        _LIMITS.log_bytes,
        "Size of one shard's log (a stream) in bytes; it must be larger than WARREN_GATEWAY_UPLINK_BYTES "
        "of all gateways together, or messages that wait for routers may be lost.",
        ge=4_194_304,
    )
    broker_pod_bytes: int = variable(
        _LIMITS.gateway_bytes,
        "Bytes that may wait in the broker for one gateway or router; beyond that, the oldest messages "
        "are dropped, and the pod recovers them.",
        ge=1_048_576,
    )
    broker_dead_bytes: int = variable(
        _LIMITS.dead_bytes,
        "Bytes of each of the two dead-letter queues; beyond that, the oldest messages are dropped.",
        ge=1_048_576,
    )

    @field_validator("amqp_url")
    @classmethod
    def _addresses(cls, value: SecretStr) -> SecretStr:
        _parse(value)
        return value

    @model_validator(mode="after")
    def _tls(self) -> BusSettings:
        if self.amqp_key_file and not self.amqp_cert_file:
            raise ValueError("WARREN_AMQP_KEY_FILE: is set, and WARREN_AMQP_CERT_FILE is not")
        if self._tls_options() and not any(address.tls for address in _parse(self.amqp_url)):
            raise ValueError(
                "WARREN_AMQP_CA_FILE, WARREN_AMQP_CERT_FILE: no address of WARREN_AMQP_URL begins with amqps://"
            )
        return self

    def _tls_options(self) -> dict[str, str]:
        options = {
            "cafile": self.amqp_ca_file,
            "certfile": self.amqp_cert_file,
            "keyfile": self.amqp_key_file,
        }
        return {name: path for name, path in options.items() if path}

    def lacking(self) -> list[str]:
        """Return what is wrong with the files for TLS, as they are on this machine now."""
        variables = {
            "cafile": "WARREN_AMQP_CA_FILE",
            "certfile": "WARREN_AMQP_CERT_FILE",
            "keyfile": "WARREN_AMQP_KEY_FILE",
        }
        problems: list[str] = []
        own = self._tls_options()
        for address in self.amqp_addresses:
            if not address.tls:
                continue
            names = {
                option: variables[option]
                if own.get(option) == path
                else f"WARREN_AMQP_URL: its option {option}"
                for option, path in address.options.items()
                if option in (*variables, "capath")
            }
            problems += _tls_problems(address.options, names)
        return list(dict.fromkeys(problems))

    @property
    def topology(self) -> Topology:
        """The topology that these settings ask for."""
        limits = Limits(
            notify_bytes=self.broker_notify_bytes,
            gateway_bytes=self.broker_pod_bytes,
            dead_bytes=self.broker_dead_bytes,
            log_bytes=self.broker_log_bytes,
        )
        return Topology(self.prefix, self.shards, limits)

    @property
    def amqp_addresses(self) -> tuple[BrokerAddress, ...]:
        """The broker's addresses in the order to try, with the files for TLS as their options; what an
        address says itself stays.
        """
        files = self._tls_options()
        return tuple(
            replace(
                address,
                options={**address.options, **{k: v for k, v in files.items() if k not in address.options}},
            )
            if address.tls
            else address
            for address in _parse(self.amqp_url)
        )

    @property
    def amqp_urls(self) -> tuple[str, ...]:
        """The same as URLs with everything escaped; they hold the password."""
        return tuple(address.url for address in self.amqp_addresses)


def _parse(value: SecretStr) -> tuple[BrokerAddress, ...]:
    """Return the addresses. Raises Problems, one for each that is none."""
    texts = [part.strip() for part in value.get_secret_value().split(",") if part.strip()]
    found: list[BrokerAddress] = []
    problems: list[str] = [] if texts else [f"must be {FORM}"]
    for number, text in enumerate(texts, 1):
        try:
            found.append(parse_broker(text))
        except WrongURL as wrong:
            which = f" (number {number} of {len(texts)})" if len(texts) > 1 else ""
            problems.append(f"must be {FORM}{which}: {wrong}; {ESCAPES}")
    if problems:
        raise Problems(problems)
    return tuple(found)


def _tls_problems(options: Mapping[str, str], names: Mapping[str, str]) -> list[str]:
    """Load the files as a connection will; a key that asks for a pass phrase would hold the service up."""
    context = ssl.create_default_context()
    problems: list[str] = []
    for option in ("cafile", "capath"):
        if path := options.get(option):
            load = context.load_verify_locations
            problems += load_problem(names[option], "no certificates in PEM", partial(load, **{option: path}))
    certificate, key = options.get("certfile"), options.get("keyfile")
    if certificate:
        both = ", ".join(names[option] for option in ("certfile", "keyfile") if option in options)
        wrong = "no certificate with its key, both in PEM, and the key without a pass phrase"
        problems += load_problem(
            both, wrong, partial(context.load_cert_chain, certificate, key, password=lambda: "")
        )
    return problems


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]


class LogSettings(Settings):
    """Where log lines go and which."""

    log_level: LogLevel = variable("info", "Lowest level that is logged: debug, info, warning or error.")
    log_file: str = variable("", "A file to append log lines to; empty means standard output.")


def _listen_host(value: str) -> str:
    try:
        check_listen_host(value)
    except WrongURL as wrong:
        raise ValueError(str(wrong)) from None
    return value


ListenHost = Annotated[str, AfterValidator(_listen_host)]


class ProbeSettings(Settings):
    """The internal port: probes and metrics. Each service subclasses it with its own prefix and port."""

    internal_host: ListenHost = variable(
        EVERY_ADDRESS,
        "Address or name of the internal port (probes, metrics); * for every IPv4 and IPv6 address of the "
        "machine.",
    )
    internal_port: int = variable(0, "Internal port (probes, metrics); 0 takes a free one.", ge=0, le=65535)


def _schema_file(path: str) -> str:
    return text_of(path, MAX_SCHEMA_BYTES)


def _namespaces(value: object) -> object:
    if isinstance(value, str | list | dict):
        try:
            return Namespaces.parse(value, _schema_file)
        except SettingsError as error:
            raise Problems(error.problems) from None
    return value


class NamespaceSettings(Settings):
    """The namespaces: which rooms behave how."""

    namespaces: Annotated[
        Namespaces, BeforeValidator(_namespaces), PlainSerializer(lambda value: repr(value), return_type=str)
    ] = variable(
        Namespaces(),
        "The namespaces as YAML text; usually given as a file with WARREN_NAMESPACES_FILE.",
        file=True,
    )


class PusherSettings(Settings):
    """The Pusher protocol and API, for clients and backends that speak them already."""

    model_config = SettingsConfigDict(env_prefix="WARREN_PUSHER_")

    apps_file: str = variable(
        "",
        "File (YAML) with the apps of the Pusher protocol, their keys and secrets; gateways and routers read "
        "it, and read it again when it changes. Empty: the protocol is not served.",
    )


# Known to every service, also to one that does not read them.
_SHARED = (BusSettings, LogSettings, NamespaceSettings, PusherSettings)


S = TypeVar("S", bound=Settings)


def environment() -> dict[str, str]:
    """Return a copy of the process's environment, for ``read`` and for what reads standard variables
    (``OTEL_*``).
    """
    return dict(os.environ)


def describe(cls: type[Settings]) -> list[Variable]:
    """Return every variable of a settings class in the order of its fields, groups opened, each once."""
    return [
        # A default is in the code, so it is no secret.
        Variable(
            leaf.name, shown(leaf.default, hide=False), leaf.field.description or "", leaf.secret, leaf.file
        )
        for leaf in leaves(cls)
    ]


Check = Callable[[S, Mapping[str, str]], list[str]]
"""What else is wrong with settings, or with standard variables in the environment: one line for each, and no
value of a secret.
"""


def read(cls: type[S], env: Mapping[str, str] | None = None, checks: Sequence[Check[S]] = ()) -> S:
    """Read ``cls`` from ``env`` (None: the process's environment).

    Raises SettingsError with every problem: values that do not fit, files that can't be read, names that
    nobody knows, and what ``checks`` find, which are given defaults in the place of what is wrong.
    """
    env = environment() if env is None else env
    problems = set_twice(cls, env)
    try:
        settings = from_environment(cls, env)
    except ValidationError as error:
        problems += wrong_values(cls, error)
        # What is right is checked all the same, so that all problems come at once.
        settings = what_is_right(cls, env)
    problems += unknown(env, (cls, *_SHARED))
    problems += [problem for check in checks for problem in check(settings, env)]
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return settings


def on_this_machine(settings: Settings, env: Mapping[str, str]) -> list[str]:
    """Return what the settings' groups lack on this machine (a check): files that they name."""
    return [
        problem for group in groups(settings) if isinstance(group, BusSettings) for problem in group.lacking()
    ]


def report(cls: type[Settings], env: Mapping[str, str] | None = None) -> str:
    """Return each variable with its value, the value's source and its meaning, secrets hidden; for
    ``--settings``.
    """
    lines: list[str] = []
    for leaf, text, source in sources_of(cls, environment() if env is None else env):
        if text is None:
            value = shown(leaf.default)
        elif leaf.secret:
            value = HIDDEN
        else:
            value = f"({len(text)} characters)" if leaf.file else printable(text, 200)
        lines += [f"{leaf.name}={value}", f"    {source}. {leaf.field.description}"]
    return "\n".join(lines)


def command_line(
    program: str,
    cls: type[S],
    arguments: Sequence[str],
    env: Mapping[str, str] | None = None,
    checks: Sequence[Check[S]] = (),
) -> S:
    """Do what ``python -m <program> [--settings]`` asks for, and return the settings where the service is to
    run. ``checks``: see ``read``.

    Raises SystemExit: 0 after ``--help`` and ``--settings``, 2 for wrong arguments and wrong settings (all
    named on standard error).
    """
    usage = (
        f"usage: python -m {program} [--settings | --help]\nIt is configured by environment variables; "
        f"--settings prints them all.\n"
    )
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
            sys.stderr.write(
                f"{program}: unknown arguments: {' '.join(printable(each, 80) for each in unknown)}\n{usage}"
            )
            raise SystemExit(2)
    try:
        settings = read(cls, env, (on_this_machine, *checks))
    except SettingsError as error:
        say_wrong(program, error)
        raise SystemExit(2) from None
    if asked == "settings":
        raise SystemExit(0)
    return settings


def say_wrong(program: str, error: SettingsError) -> None:
    """Write every problem to standard error."""
    count = len(error.problems)
    sys.stderr.write(f"{program}: {count} wrong setting{'s' if count > 1 else ''}\n")
    sys.stderr.writelines(f"  {problem}\n" for problem in error.problems)
