"""Settings: the environment becomes frozen models; all problems at once; unknown ``WARREN_*`` names are problems; prints itself.

A service's settings are one ``Settings`` class made of small ones. A field ``jwt_secret`` of a class whose prefix is ``WARREN_GATEWAY_``
is the variable ``WARREN_GATEWAY_JWT_SECRET``. What both services share begins with ``WARREN_`` alone; what only one reads begins with
``WARREN_GATEWAY_`` or ``WARREN_ROUTER_``, and the other ignores it, so that one environment can serve both. Constructing a model
never reads the environment: only ``read`` does, once, in ``__main__``. Only files of this name read the environment.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from warren.errors import SettingsError
from warren.namespaces import Namespaces
from warren.topology import DEFAULT_PREFIX, DEFAULT_SHARDS

SHARED_PREFIX = "WARREN_"
SERVICE_PREFIXES = ("WARREN_GATEWAY_", "WARREN_ROUTER_")
# Read by Warren's own tests and tools only; a service started by them inherits these.
_TOOLS_PREFIXES = ("WARREN_TEST_", "WARREN_BENCH_")
# A Kubernetes Service called ``warren-gateway`` puts names of this form into every pod of its namespace.
_SERVICE_LINK = re.compile(r"WARREN\w*_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://\S+:\d+")

HIDDEN = "***"
NONE = "-"  # an empty list; an empty variable is one that is not set


def _split(value: object) -> object:
    if isinstance(value, str):
        return () if value.strip() == NONE else tuple(part.strip() for part in value.split(",") if part.strip())
    return value


CommaList = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""A list that is comma separated in the environment; ``-`` is the empty one."""


def variable(default: Any, meaning: str, *, file: bool = False, **limits: Any) -> Any:
    """Declare a field. ``meaning`` is one sentence for the operator; ``file``: ``<NAME>_FILE`` may name a file that holds the value
    (always so for SecretStr fields); ``limits`` are pydantic's (``ge``, ``le``, ``pattern``, ``max_length``).
    """
    return Field(default, description=meaning, json_schema_extra={"file": file}, **limits)


class Settings(BaseSettings):
    """The base of every group. A subclass sets its prefix by ``model_config = SettingsConfigDict(env_prefix="WARREN_GATEWAY_")``.

    A group checks itself by validators that raise ValueError; the message should name the variable and say what to do.
    """

    model_config = SettingsConfigDict(
        env_prefix=SHARED_PREFIX, extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the constructor's arguments only."""
        return (init_settings,)


class BusSettings(Settings):
    """The broker and the topology on it."""

    amqp_url: SecretStr = variable(
        SecretStr("amqp://guest:guest@localhost:5672/"),
        "RabbitMQ's address; several, comma separated, are tried in turn.",
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

    @field_validator("amqp_url")
    @classmethod
    def _addresses(cls, value: SecretStr) -> SecretStr:
        urls = _addresses(value)
        wrong = [index for index, url in enumerate(urls, 1) if not re.match(r"amqps?://[^/\s]+", url)]
        if not urls or wrong:
            which = f" (number {', '.join(map(str, wrong))} of {len(urls)})" if len(urls) > 1 else ""
            raise ValueError(f"must be amqp://user:password@host:port/vhost or amqps://…{which}")
        return value

    @property
    def amqp_urls(self) -> tuple[str, ...]:
        """The broker's addresses in the order to try; they hold the password."""
        return _addresses(self.amqp_url)


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

    internal_host: str = variable("0.0.0.0", "Address of the internal port (probes, metrics).")  # noqa: S104
    internal_port: int = variable(0, "Internal port (probes, metrics); 0 takes a free one.", ge=0, le=65535)


def _namespaces(value: object) -> object:
    if isinstance(value, str | list | dict):
        try:
            return Namespaces.parse(value)
        except SettingsError as error:
            raise _Problems(error.problems) from None
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


class _Problems(ValueError):
    """Several problems of one value."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True, slots=True)
class Variable:
    """What there is to know about one variable."""

    name: str
    default: str
    meaning: str
    secret: bool
    file: bool  # whether <name>_FILE is understood


S = TypeVar("S", bound=Settings)


def environment() -> dict[str, str]:
    """Return a copy of the process's environment, for ``read`` and for what reads standard variables (``OTEL_*``)."""
    return dict(os.environ)


def describe(cls: type[Settings]) -> list[Variable]:
    """Return every variable of a settings class in the order of its fields, groups opened, each once."""
    return [
        # A default is in the code, so it is no secret.
        Variable(leaf.name, _shown(leaf.default, hide=False), leaf.field.description or "", leaf.secret, leaf.file)
        for leaf in _leaves(cls)
    ]


def read(cls: type[S], env: Mapping[str, str] | None = None) -> S:
    """Read ``cls`` from ``env`` (None: the process's environment).

    Raises SettingsError with every problem: values that do not fit, files that can't be read, names that nobody knows.
    """
    reading = _Reading(environment() if env is None else env)
    settings = reading.build(cls, None)
    reading.unknown(cls)
    if reading.problems:
        raise SettingsError(list(dict.fromkeys(reading.problems)))
    return settings


def report(cls: type[Settings], env: Mapping[str, str] | None = None) -> str:
    """Return each variable with its value, the value's source and its meaning, secrets hidden; for ``--settings``."""
    reading = _Reading(environment() if env is None else env)
    lines: list[str] = []
    for leaf in _leaves(cls):
        raw, source = reading.raw(leaf)
        if raw is None:
            value = _shown(leaf.default)
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


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One field that is a variable."""

    name: str
    field: FieldInfo
    default: Any

    @property
    def secret(self) -> bool:
        return self.field.annotation is SecretStr

    @property
    def file(self) -> bool:
        extra = self.field.json_schema_extra
        return self.secret or (isinstance(extra, dict) and bool(extra.get("file")))


def _group(field: FieldInfo) -> type[Settings] | None:
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Settings) else None


def _leaf(cls: type[Settings], field_name: str, base: Settings | None) -> _Leaf:
    field = cls.model_fields[field_name]
    default = field.get_default(call_default_factory=True) if base is None else getattr(base, field_name)
    return _Leaf(f"{cls.model_config.get('env_prefix', SHARED_PREFIX)}{field_name.upper()}", field, default)


def _leaves(cls: type[Settings]) -> list[_Leaf]:
    """Return every variable once; a default given to a group (``ProbeSettings(internal_port=9080)``) goes before its class's own."""

    def walk(cls: type[Settings], base: Settings | None) -> Iterator[_Leaf]:
        for field_name, field in cls.model_fields.items():
            leaf, group = _leaf(cls, field_name, base), _group(field)
            if group is None:
                yield leaf
            else:
                yield from walk(group, leaf.default)

    return list({leaf.name: leaf for leaf in walk(cls, None)}.values())


def _shown(value: Any, *, hide: bool = True) -> str:
    match value:
        case SecretStr():
            return HIDDEN if hide and value.get_secret_value() else value.get_secret_value()
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(str, value)) or NONE
        case Namespaces():
            return ""
        case None:
            return ""
        case _:
            return str(value)


class _Reading:
    """One pass over an environment that collects the problems instead of stopping at the first."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.problems: list[str] = []

    def raw(self, leaf: _Leaf) -> tuple[str | None, str]:
        """Return a variable's text (None where it is not set) and where that comes from."""
        value = self._env.get(leaf.name) or None
        if value is not None and _SERVICE_LINK_VALUE.fullmatch(value):
            value = None  # not the operator's but Kubernetes's, see _SERVICE_LINK
        path = (self._env.get(f"{leaf.name}_FILE") or None) if leaf.file else None
        if path is None:
            return value, "default" if value is None else "environment"
        if value is not None:
            self.problems.append(f"{leaf.name}: is set, and {leaf.name}_FILE too; keep one of them")
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n"), f"file {path}"
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            self.problems.append(f"{leaf.name}_FILE: can't read {path}: {why}")
            return None, f"file {path} (can't be read)"

    def build(self, cls: type[S], base: Settings | None) -> S:
        """Return a group; where there are problems (they are kept) one of defaults in its place."""
        values: dict[str, Any] = {}
        names: dict[str, _Leaf] = {}
        before = len(self.problems)
        for field_name, field in cls.model_fields.items():
            leaf, group = _leaf(cls, field_name, base), _group(field)
            if group is not None:
                values[field_name] = self.build(group, leaf.default)
                continue
            names[field_name] = leaf
            raw, _ = self.raw(leaf)
            values[field_name] = leaf.default if raw is None else raw
        broken = len(self.problems) > before
        try:
            return cls(**values)
        except ValidationError as error:
            for detail in error.errors():
                wrong = names.get(str(detail["loc"][0])) if detail["loc"] else None
                if wrong is not None:
                    self._refuse(wrong, detail["msg"], detail["input"], detail.get("ctx", {}).get("error"))
                elif not broken:  # what a group says of its parts together is only true when they are right
                    self.problems.append(detail["msg"].removeprefix("Value error, "))
        return cls.model_construct(
            **{name: field.get_default(call_default_factory=True) for name, field in cls.model_fields.items()}
        )

    def _refuse(self, leaf: _Leaf, message: str, given: object, cause: object) -> None:
        if isinstance(cause, _Problems):
            self.problems += [f"{leaf.name}: {problem}" for problem in cause.problems]
            return
        text = (
            message.removeprefix("Value error, ").replace("Input should be", "must be").replace("String should", "must")
        )
        shown = "" if leaf.secret or isinstance(cause, ValueError) else f", not {given!r}"
        self.problems.append(f"{leaf.name}: {text}{shown}")

    def unknown(self, cls: type[Settings]) -> None:
        """Name what begins with ``WARREN_`` and is nobody's."""
        leaves = [leaf for group in (cls, *_SHARED) for leaf in _leaves(group)]
        known = [name for leaf in leaves for name in ((leaf.name, f"{leaf.name}_FILE") if leaf.file else (leaf.name,))]
        others = (
            tuple(prefix for prefix in SERVICE_PREFIXES if not any(leaf.name.startswith(prefix) for leaf in leaves))
            + _TOOLS_PREFIXES
        )
        for name, value in self._env.items():
            if name in known or not name.upper().startswith(SHARED_PREFIX) or name.startswith(others):
                continue
            if _SERVICE_LINK.fullmatch(name) or _SERVICE_LINK_VALUE.fullmatch(value):
                continue
            near = difflib.get_close_matches(name.upper(), known, 1, cutoff=0.8)
            self.problems.append(f"{name}: nobody knows this variable{f'; did you mean {near[0]}?' if near else ''}")
