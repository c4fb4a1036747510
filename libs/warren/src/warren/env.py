"""Environment variables: how a setting is declared as one, and how its value may be shown.

A field ``jwt_secret`` of a class whose prefix is ``WARREN_GATEWAY_`` is the variable
``WARREN_GATEWAY_JWT_SECRET``, also where that class is a group inside of another. Nothing here reads an
environment (``env_sources.py`` does), and constructing a model reads none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from warren.namespaces import Namespaces

SHARED_PREFIX = "WARREN_"
SERVICE_PREFIXES = ("WARREN_GATEWAY_", "WARREN_ROUTER_")
HIDDEN = "***"
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
        # Lists are comma separated, not JSON.
        enable_decoding=False,
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
    """One field that is a variable, and the names of the fields that lead to it."""

    path: tuple[str, ...]
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
        return has_file(self.field)


def has_file(field: FieldInfo) -> bool:
    """Say whether a file may hold a field's value."""
    extra = field.json_schema_extra
    return field.annotation is SecretStr or (isinstance(extra, dict) and bool(extra.get("file")))


def group_of(field: FieldInfo) -> type[Settings] | None:
    """Return the class of a field that is a group, None for one that is a variable."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Settings) else None


def groups_of(cls: type[BaseSettings]) -> dict[str, type[Settings]]:
    """Return the classes of the fields that are groups."""
    fields = cls.model_fields.items()
    return {name: group for name, field in fields if (group := group_of(field)) is not None}


def walk(cls: type[Settings], path: tuple[str, ...] = (), base: Settings | None = None) -> Iterator[Leaf]:
    """Yield every field that is a variable, also where several are the same one. ``base``: defaults that go
    before the class's own.
    """
    prefix = cls.model_config.get("env_prefix", SHARED_PREFIX)
    for name, field in cls.model_fields.items():
        default = field.get_default(call_default_factory=True) if base is None else getattr(base, name)
        if (group := group_of(field)) is None:
            yield Leaf((*path, name), f"{prefix}{name.upper()}", field, default)
        else:
            yield from walk(group, (*path, name), default)


def leaves(cls: type[Settings]) -> list[Leaf]:
    """Return every variable once; a default given to a group (``ProbeSettings(internal_port=9080)``) goes
    before its class's own.
    """
    return list({leaf.name: leaf for leaf in walk(cls)}.values())


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
