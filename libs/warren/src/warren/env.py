"""Variables: what one environment variable is, and how an environment's text becomes frozen models, with all
problems at once.

A field ``jwt_secret`` of a class whose prefix is ``WARREN_GATEWAY_`` is the variable
``WARREN_GATEWAY_JWT_SECRET``. The environment is handed in: this module reads none, and constructing a model
never does. ``settings.py`` builds the shared groups on it and is what services call.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from warren.namespaces import Namespaces

S = TypeVar("S", bound="Settings")

SHARED_PREFIX = "WARREN_"
SERVICE_PREFIXES = ("WARREN_GATEWAY_", "WARREN_ROUTER_")
# Read by Warren's own tests and tools only; a service started by them inherits these.
_TOOLS_PREFIXES = ("WARREN_TEST_", "WARREN_BENCH_")
# A Kubernetes Service called ``warren-gateway`` puts names of this form into every pod of its namespace.
_SERVICE_LINK = re.compile(
    r"WARREN\w*_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://\S+:\d+")

HIDDEN = "***"
_PATH = re.compile(r"(?:~|\.{1,2})?/[^\s@:?#]*|[A-Za-z]:[\\/][^\s@?#]*")
NONE = "-"  # an empty list; an empty variable is one that is not set


def _split(value: object) -> object:
    if isinstance(value, str):
        return (
            () if value.strip() == NONE else tuple(part.strip() for part in value.split(",") if part.strip())
        )
    return value


CommaList = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""A list that is comma separated in the environment; ``-`` is the empty one."""


def variable(default: Any, meaning: str, *, file: bool = False, **limits: Any) -> Any:
    """Declare a field. ``meaning`` is one sentence for the operator; ``file``: ``<NAME>_FILE`` may name a
    file that holds the value (always so for SecretStr fields); ``limits`` are pydantic's (``ge``, ``le``,
    ``pattern``, ``max_length``).
    """
    return Field(default, description=meaning, json_schema_extra={"file": file}, **limits)


class Settings(BaseSettings):
    """The base of every group. A subclass sets its prefix by ``model_config =
    SettingsConfigDict(env_prefix="WARREN_GATEWAY_")``.

    A group checks itself by validators that raise ValueError; the message should name the variable and say
    what to do.
    """

    model_config = SettingsConfigDict(
        env_prefix=SHARED_PREFIX,
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
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


class Problems(ValueError):
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


@dataclass(frozen=True, slots=True)
class Leaf:
    """One field that is a variable."""

    name: str
    field: FieldInfo
    default: Any

    @property
    def secret(self) -> bool:
        """Whether its value is never shown."""
        return self.field.annotation is SecretStr

    @property
    def file(self) -> bool:
        """Whether ``<name>_FILE`` may name a file that holds the value."""
        extra = self.field.json_schema_extra
        return self.secret or (isinstance(extra, dict) and bool(extra.get("file")))


def _group(field: FieldInfo) -> type[Settings] | None:
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Settings) else None


def _leaf(cls: type[Settings], field_name: str, base: Settings | None) -> Leaf:
    field = cls.model_fields[field_name]
    default = field.get_default(call_default_factory=True) if base is None else getattr(base, field_name)
    return Leaf(f"{cls.model_config.get('env_prefix', SHARED_PREFIX)}{field_name.upper()}", field, default)


def leaves(cls: type[Settings]) -> list[Leaf]:
    """Return every variable once; a default given to a group (``ProbeSettings(internal_port=9080)``) goes
    before its class's own.
    """

    def walk(cls: type[Settings], base: Settings | None) -> Iterator[Leaf]:
        for field_name, field in cls.model_fields.items():
            leaf, group = _leaf(cls, field_name, base), _group(field)
            if group is None:
                yield leaf
            else:
                yield from walk(group, leaf.default)

    return list({leaf.name: leaf for leaf in walk(cls, None)}.values())


def shown(value: Any, *, hide: bool = True) -> str:
    """Return a value as it would stand in the environment; ``hide``: a secret is blotted out."""
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


def printable(text: str, longest: int) -> str:
    """Return a text of the operator's as it may be shown: one that may hold credentials, or is
    long, is not.
    """
    if "@" in text or "://" in text or "PRIVATE KEY" in text:
        return HIDDEN
    return text if len(text) <= longest and text.isprintable() else f"({len(text)} characters)"


def groups(settings: Settings) -> Iterator[Settings]:
    """Yield settings and every group in them."""
    yield settings
    for field_name in type(settings).model_fields:
        value = getattr(settings, field_name)
        if isinstance(value, Settings):
            yield from groups(value)


def _without(cls: type[S], values: Mapping[str, Any], error: ValidationError) -> S | None:
    """Return a group without the values that an error is about; None where it can't be without them."""
    wrong = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
    try:
        return cls(**{name: value for name, value in values.items() if name not in wrong})
    except ValidationError:
        return None


class Reading:
    """One pass over an environment that collects the problems instead of stopping at the first."""

    def __init__(self, env: Mapping[str, str], *, keep: bool = False) -> None:
        """``keep``: of a group in which something is wrong the rest stays as it was given."""
        self._env = env
        self._keep = keep
        self.problems: list[str] = []

    def raw(self, leaf: Leaf) -> tuple[str | None, str]:
        """Return a variable's text (None where it is not set) and where that comes from."""
        value = self._env.get(leaf.name) or None
        if value is not None and _SERVICE_LINK_VALUE.fullmatch(value):
            value = None  # not the operator's but Kubernetes's, see _SERVICE_LINK
        path = (self._env.get(f"{leaf.name}_FILE") or None) if leaf.file else None
        if path is None:
            return value, "default" if value is None else "environment"
        if value is not None:
            self.problems.append(f"{leaf.name}: is set, and {leaf.name}_FILE too; keep one of them")
        # The value itself may have been put where its file's path belongs.
        named = (
            path
            if _PATH.fullmatch(path) and len(path) <= 200
            else "what it names (a path belongs there, not the value)"
        )
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n"), f"file {named}"
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            self.problems.append(f"{leaf.name}_FILE: can't read {named}: {why}")
            return None, f"file {named} (can't be read)"

    def build(self, cls: type[S], base: Settings | None) -> S:
        """Return a group; where there are problems (they are kept) one of defaults in its place."""
        values: dict[str, Any] = {}
        names: dict[str, Leaf] = {}
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
            if self._keep and (kept := _without(cls, values, error)) is not None:
                return kept
            for detail in error.errors():
                wrong = names.get(str(detail["loc"][0])) if detail["loc"] else None
                if wrong is not None:
                    self._refuse(wrong, detail["msg"], detail["input"], detail.get("ctx", {}).get("error"))
                elif not broken:  # what a group says of its parts together is only true when they are right
                    self.problems.append(detail["msg"].removeprefix("Value error, "))
        return cls.model_construct(
            **{name: field.get_default(call_default_factory=True) for name, field in cls.model_fields.items()}
        )

    def _refuse(self, leaf: Leaf, message: str, given: object, cause: object) -> None:
        if isinstance(cause, Problems):
            self.problems += [f"{leaf.name}: {problem}" for problem in cause.problems]
            return
        text = (
            message.removeprefix("Value error, ")
            .replace("Input should be", "must be")
            .replace("String should", "must")
        )
        hidden = leaf.secret or leaf.file or isinstance(cause, ValueError)
        given_text = (
            ""
            if hidden
            else f", not {printable(given, 60)!r}"
            if isinstance(given, str)
            else f", not {given!r}"
        )
        self.problems.append(f"{leaf.name}: {text}{given_text}")

    def unknown(self, groups: Iterable[type[Settings]]) -> None:
        """Name what begins with ``WARREN_`` and is in none of these groups."""
        found = [leaf for group in groups for leaf in leaves(group)]
        known = [
            name
            for leaf in found
            for name in ((leaf.name, f"{leaf.name}_FILE") if leaf.file else (leaf.name,))
        ]
        others = (
            tuple(
                prefix
                for prefix in SERVICE_PREFIXES
                if not any(leaf.name.startswith(prefix) for leaf in found)
            )
            + _TOOLS_PREFIXES
        )
        for name, value in self._env.items():
            if name in known or not name.upper().startswith(SHARED_PREFIX) or name.startswith(others):
                continue
            if _SERVICE_LINK.fullmatch(name) or _SERVICE_LINK_VALUE.fullmatch(value):
                continue
            near = difflib.get_close_matches(name.upper(), known, 1, cutoff=0.8)
            self.problems.append(
                f"{name}: nobody knows this variable{f'; did you mean {near[0]}?' if near else ''}"
            )
