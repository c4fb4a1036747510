"""Sources of settings: how pydantic-settings fills the models of ``env.py`` from an environment that is
handed in, and how what is wrong with it becomes one line for each variable.

pydantic-settings looks the values up, merges its sources and checks the result, with all problems in one go.
On top of it stand ``<NAME>_FILE``, groups with prefixes of their own, and a guess at what an unknown name was
meant to be. No value comes from the process's own environment, and no text here repeats a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from warren.env import (
    SERVICE_PREFIXES,
    SHARED_PREFIX,
    Leaf,
    Problems,
    Settings,
    group_of,
    groups_of,
    has_file,
    leaves,
    printable,
    walk,
)

S = TypeVar("S", bound=Settings)

FILE_SUFFIX = "_FILE"
# Read by Warren's own tests and tools only; a service started by them inherits these.
_TOOLS_PREFIXES = ("WARREN_TEST_", "WARREN_BENCH_")
# A Kubernetes Service called ``warren-gateway`` puts names of this form into every pod of its namespace.
_SERVICE_LINK = re.compile(
    r"WARREN\w*_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://\S+:\d+")

_PATH = re.compile(r"(?:~|\.{1,2})?/[^\s@:?#]*|[A-Za-z]:[\\/][^\s@?#]*")


@dataclass(frozen=True, slots=True)
class _Unusable:
    """Stands in the place of a value that can't be had. It fits no type, so that pydantic refuses the field
    and does not ask what its group says of all its fields together.
    """

    problem: str


class EnvironmentSource(EnvSettingsSource):
    """pydantic-settings' own source, but for an environment that is handed in, and with groups that each have
    a prefix of their own (its nested models are named after the field that holds them).

    A name counts in upper case only. What Kubernetes injects under a variable's name is not its value.
    """

    def __init__(self, settings_cls: type[BaseSettings], env: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._env = env
        self.env_vars = {
            name.lower(): value
            for name, value in env.items()
            if name.isupper() and value and not _SERVICE_LINK_VALUE.fullmatch(value)
        }

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the text of a field's variable; a group is none, whatever variable has its name."""
        if group_of(field) is not None:
            return None, field_name, False
        return super().get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        """Return the texts by field. Each group is there, if only to be checked as a whole."""
        nested = {
            name: type(self)(group, self._env)() for name, group in groups_of(self.settings_cls).items()
        }
        return {**super().__call__(), **nested}


class FileSource(EnvironmentSource):
    """The contents of the files that ``<NAME>_FILE`` variables name, without the line ends behind them.

    pydantic-settings' secrets come from a directory whose files are called as the fields; a mounted secret or
    config map has names of its own.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the text of the file that is named for a field."""
        name = f"{self.env_prefix}{field_name}{FILE_SUFFIX}".upper()
        path = self._env.get(name, "")
        if not path or not has_file(field):
            return None, field_name, False
        return _contents(name, path), field_name, False


def _contents(name: str, path: str) -> str | _Unusable:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        return _Unusable(f"{name}: can't read {_shown_path(path)}: {why}")


def _shown_path(path: str) -> str:
    """Return a path as it may be shown: the value itself may have been put where its file's path belongs."""
    if _PATH.fullmatch(path) and len(path) <= 200:
        return path
    return "what it names (a path belongs there, not the value)"


class GroupDefaults(PydanticBaseSettingsSource):
    """The values that were given to a group that is a default (``ProbeSettings(internal_port=9080)``).

    pydantic-settings' own source of defaults takes a group that nobody set for right without checking it.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return what was given to a group."""
        default = field.get_default(call_default_factory=True)
        return _given(default) if isinstance(default, Settings) else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the given values by group."""
        fields = self.settings_cls.model_fields
        return {name: self.get_field_value(fields[name], name)[0] for name in groups_of(self.settings_cls)}


def _given(group: Settings) -> dict[str, Any]:
    values = {name: getattr(group, name) for name in type(group).model_fields}
    nested = {name: _given(value) for name, value in values.items() if isinstance(value, Settings)}
    return {**{name: values[name] for name in group.model_fields_set}, **nested}


def from_environment(cls: type[S], env: Mapping[str, str]) -> S:
    """Return the settings that an environment asks for. Raises ValidationError with every wrong value."""
    sources = (FileSource(cls, env), EnvironmentSource(cls, env), GroupDefaults(cls))
    # A documented argument of BaseSettings, which type checkers don't see.
    arguments: dict[str, Any] = {"_build_sources": (sources, {})}
    return cls(**arguments)


def what_is_right(cls: type[S], env: Mapping[str, str]) -> S:
    """Return the settings that an environment asks for, with defaults for what is wrong in it. What several
    variables say together may still be wrong.
    """
    try:
        return from_environment(cls, env)
    except ValidationError as error:
        wrong = {leaf.name for detail in error.errors() if (leaf := _leaf_of(cls, detail)) is not None}
    wrong |= {f"{name}{FILE_SUFFIX}" for name in wrong}
    right = {name: value for name, value in env.items() if name not in wrong}
    try:
        return from_environment(cls, right)
    except ValidationError:
        kept: dict[str, Any] = {name: what_is_right(group, right) for name, group in groups_of(cls).items()}
        return cls.model_construct(**kept)


def sources_of(cls: type[Settings], env: Mapping[str, str]) -> Iterator[tuple[Leaf, str | None, str]]:
    """Yield each variable with its text (None where it has none) and where that comes from."""
    files, texts = FileSource(cls, env)(), EnvironmentSource(cls, env)()
    for leaf in leaves(cls):
        text, content = _at(texts, leaf.path), _at(files, leaf.path)
        if content is None:
            yield leaf, text, "default" if text is None else "environment"
        else:
            path = f"file {_shown_path(env[f'{leaf.name}{FILE_SUFFIX}'])}"
            read = not isinstance(content, _Unusable)
            yield leaf, content if read else None, path if read else f"{path} (can't be read)"


def _at(values: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    *outer, last = path
    for name in outer:
        values = values.get(name, {})
    return values.get(last)


def _leaf_of(cls: type[Settings], detail: ErrorDetails) -> Leaf | None:
    return next((leaf for leaf in walk(cls) if detail["loc"][: len(leaf.path)] == leaf.path), None)


def wrong_values(cls: type[Settings], error: ValidationError) -> list[str]:
    """Return one line for each thing that is wrong, which names the variable and never repeats a secret."""
    found: list[str] = []
    for detail in error.errors():
        leaf, given, cause = _leaf_of(cls, detail), detail["input"], detail.get("ctx", {}).get("error")
        if isinstance(given, _Unusable):
            found.append(given.problem)
        elif leaf is None:
            found.append(detail["msg"].removeprefix("Value error, "))
        elif isinstance(cause, Problems):
            found += [f"{leaf.name}: {problem}" for problem in cause.problems]
        else:
            hidden = leaf.secret or leaf.file or isinstance(cause, ValueError)
            found.append(f"{leaf.name}: {_rule(detail['msg'])}{'' if hidden else _not(given)}")
    return list(dict.fromkeys(found))


def _rule(message: str) -> str:
    """Return pydantic's message in the words of the other problems."""
    return (
        message.removeprefix("Value error, ")
        .replace("Input should be", "must be")
        .replace("String should", "must")
    )


def _not(given: object) -> str:
    return f", not {printable(given, 60) if isinstance(given, str) else given!r}"


def set_twice(cls: type[Settings], env: Mapping[str, str]) -> list[str]:
    """Name what is given both as a value and as a file."""
    texts = EnvironmentSource(cls, env)()
    return [
        f"{leaf.name}: is set, and {leaf.name}{FILE_SUFFIX} too; keep one of them"
        for leaf in leaves(cls)
        if leaf.file and env.get(f"{leaf.name}{FILE_SUFFIX}") and _at(texts, leaf.path) is not None
    ]


def unknown(env: Mapping[str, str], classes: Iterable[type[Settings]]) -> list[str]:
    """Name what begins with ``WARREN_`` and is in none of these classes, with a guess at what was meant."""
    found = [leaf for cls in classes for leaf in leaves(cls)]
    known = [
        name
        for leaf in found
        for name in ((leaf.name, f"{leaf.name}{FILE_SUFFIX}") if leaf.file else (leaf.name,))
    ]
    foreign = [
        prefix for prefix in SERVICE_PREFIXES if not any(leaf.name.startswith(prefix) for leaf in found)
    ]
    problems: list[str] = []
    for name, value in env.items():
        if name in known or not name.upper().startswith(SHARED_PREFIX):
            continue
        if name.startswith((*foreign, *_TOOLS_PREFIXES)):
            continue
        if _SERVICE_LINK.fullmatch(name) or _SERVICE_LINK_VALUE.fullmatch(value):
            continue
        near = difflib.get_close_matches(name.upper(), known, 1, cutoff=0.8)
        problems.append(f"{name}: nobody knows this variable{f'; did you mean {near[0]}?' if near else ''}")
    return problems
