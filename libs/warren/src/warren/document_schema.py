"""Document schema: what a mapping in a YAML document may hold, said once, where the dataclass that it becomes
has its fields.

    @dataclass(frozen=True, slots=True)
    class RateLimit:
        count: int = key(5, Number(1, 1_000_000), "Messages at once.")

``MappingOf(RateLimit)`` then reads such a mapping, tells every mistake in it with its path, describes it as a
JSON schema, and has what a page prints of each key. A rule says nothing about several keys together.

This module does no I/O and knows no document of its own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Generic, Protocol, TypeVar, get_args

Schema = dict[str, Any]
OFF = "off"
_METADATA = "warren.key"
_NOTHING: Any = object()


class Rule(Protocol):
    """What one value may be."""

    @property
    def says(self) -> str:
        """The rule in words, for a page and for who broke it."""
        ...

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Return what ``value`` (parsed YAML) means. Where it breaks the rule a line is put on ``problems``
        for each mistake, which begins with the path of its place; what is returned means nothing then.
        """
        ...

    def schema(self) -> Schema:
        """Return the JSON schema (draft 7) that takes exactly what ``read`` takes."""
        ...

    def written(self, value: Any) -> Any:
        """Return what a document says that is read as ``value``."""
        ...


class _Plain:
    """A rule whose values are written as they are."""

    def written(self, value: Any) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class Flag(_Plain):
    """True or false."""

    says: str = "true or false"

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Take a boolean alone."""
        if not isinstance(value, bool):
            problems.append(f"{path}: must be {self.says}, not {value!r}")
        return value

    def schema(self) -> Schema:
        """Return ``boolean``."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Number(_Plain):
    """A whole number within its bounds."""

    least: int
    most: int

    @property
    def says(self) -> str:
        """The bounds."""
        return f"a whole number from {self.least} to {self.most}"

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Take an integer; a boolean is none."""
        if not isinstance(value, int) or isinstance(value, bool) or not self.least <= value <= self.most:
            problems.append(f"{path}: must be {self.says}, not {value!r}")
        return value

    def schema(self) -> Schema:
        """Return ``integer`` with its bounds."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Text(_Plain):
    """A text that a pattern matches as a whole; ``says`` is the pattern in words."""

    rule: re.Pattern[str]
    says: str

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Take a text; a null is one that is missing."""
        if value is None:
            problems.append(f"{path}: is missing")
        elif not isinstance(value, str) or self.rule.fullmatch(value) is None:
            problems.append(f"{path}: must be {self.says}, not {value!r}")
        return value

    def schema(self) -> Schema:
        """Return ``string`` with the pattern."""
        return {"type": "string", "pattern": f"^{self.rule.pattern}$"}


class Choice(_Plain):
    """One of the texts of a ``Literal``. Where ``off`` is one, so is a bare off, which is false in YAML."""

    def __init__(self, literal: Any) -> None:
        """Take the ``Literal`` itself."""
        self.choices: tuple[str, ...] = get_args(literal)

    @property
    def says(self) -> str:
        """The choices."""
        return f"one of {', '.join(self.choices)}"

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Take a choice."""
        if value is False and OFF in self.choices:
            return OFF
        if not isinstance(value, str) or value not in self.choices:
            problems.append(f"{path}: must be {self.says}, not {value!r}")
        return value

    def schema(self) -> Schema:
        """Return ``enum``."""
        return {"enum": [*self.choices, False] if OFF in self.choices else list(self.choices)}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list, of which each entry follows a rule; it becomes a tuple. ``says`` is all of that in words."""

    rule: Rule
    says: str
    most: int | None = None

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Take a list; a mistake in an entry makes the whole one."""
        if isinstance(value, list | tuple) and (self.most is None or len(value) <= self.most):
            unfit: list[str] = []
            read = tuple(self.rule.read(path, item, unfit) for item in value)
            if not unfit:
                return read
        problems.append(f"{path}: must be {self.says}, not {value!r}")
        return ()

    def schema(self) -> Schema:
        """Return ``array``."""
        most = {} if self.most is None else {"maxItems": self.most}
        return {"type": "array", **most, "items": self.rule.schema()}

    def written(self, value: Any) -> Any:
        """Return a list."""
        return [self.rule.written(item) for item in value]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a mapping: the field that its value is kept in, what it may be, and what it means (a
    sentence, as Markdown).
    """

    name: str
    rule: Rule
    meaning: str
    example: Any
    required: bool
    default: Any

    @property
    def written_default(self) -> Any:
        """What a document would say to get the default."""
        return None if self.default is None else self.rule.written(self.default)


def key(default: Any, rule: Rule, meaning: str, *, example: Any, required: bool = False) -> Any:
    """Return a dataclass's field that is a key of its mapping. ``example``: a value as a document has it;
    ``required``: the mapping must have it, and ``default`` is for those alone that are made in code.
    """
    return field(default=default, metadata={_METADATA: (rule, meaning, example, required)})


def keys_of(cls: type) -> Iterator[Key]:
    """Yield a dataclass's keys in their order. Raises TypeError where a field is none."""
    each: Field[Any]
    for each in fields(cls):
        if _METADATA not in each.metadata or each.default is MISSING:
            raise TypeError(f"{cls.__name__}.{each.name} is no key")
        rule, meaning, example, required = each.metadata[_METADATA]
        yield Key(each.name, rule, meaning, example, required, each.default)


T = TypeVar("T")


class MappingOf(Generic[T]):
    """A mapping with the keys of a dataclass, which it becomes."""

    def __init__(self, cls: type[T], *, off: T | None = None, short: str = "", null: bool = False) -> None:
        """``off``: what a bare or quoted off means in its place; ``short``: the key whose value may stand
        there alone; ``null``: null may, and means None.
        """
        self.keys: Mapping[str, Key] = {each.name: each for each in keys_of(cls)}
        self._cls = cls
        self._off = off
        self._short = short
        self._null = null

    @property
    def says(self) -> str:
        """What it may be."""
        mapping = f"a mapping with {', '.join(self.keys)}"
        if self._short:
            return f"{self.keys[self._short].rule.says}, or {mapping}"
        return f"off, or {mapping}" if self._off is not None else mapping

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Take a mapping, or what may stand in its place."""
        if isinstance(value, Mapping):
            return self._cls(**self._read_keys(path, value, problems))
        if value is None and self._null:
            return None
        if self._off is not None and (value is False or value == OFF):
            return self._off
        if self._short:
            unfit: list[str] = []
            alone = self._cls(**{self._short: self.keys[self._short].rule.read(path, value, unfit)})
            if not unfit:
                return alone
        found = repr(value) if self._short else kind_of(value)
        problems.append(f"{path}: must be {self.says}, not {found}")
        return None

    def _read_keys(self, path: str, given: Mapping[Any, Any], problems: list[str]) -> dict[str, Any]:
        check_keys(path, given, self.keys, problems)
        read: dict[str, Any] = {}
        for name, each in self.keys.items():
            value = given.get(name, _NOTHING)
            if value is not _NOTHING:
                read[name] = each.rule.read(f"{path}.{name}", value, problems)
            elif each.required:
                problems.append(f"{path}.{name}: is missing")
        return read

    def schema(self) -> Schema:
        """Return ``object``, with whatever may stand in its place; each key with its meaning and its
        default.
        """
        properties: Schema = {}
        for name, each in self.keys.items():
            properties[name] = {**each.rule.schema(), "description": each.meaning}
            if not each.required and each.default is not None:
                properties[name]["default"] = each.written_default
        schema: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
        if required := [name for name, each in self.keys.items() if each.required]:
            schema["required"] = required
        others: list[Schema] = []
        if self._off is not None:
            others.append({"enum": [OFF, False]})
        if self._short:
            others.append(self.keys[self._short].rule.schema())
        if self._null:
            others.append({"type": "null"})
        return {"anyOf": [schema, *others]} if others else schema

    def written(self, value: Any) -> Any:
        """Return off, what stands alone, or a mapping of all keys."""
        if value is None:
            return None
        if value == self._off:
            return OFF
        written = {name: each.rule.written(getattr(value, name)) for name, each in self.keys.items()}
        if self._short and all(
            name == self._short or getattr(value, name) == each.default for name, each in self.keys.items()
        ):
            return written[self._short]
        return written


def check_keys(path: str, given: Mapping[Any, Any], known: Iterable[str], problems: list[str]) -> None:
    """Put a line on ``problems`` for each key that is not ``known``, with the one that was probably meant."""
    names = tuple(known)
    for each in given:
        if each in names:
            continue
        near = difflib.get_close_matches(str(each), names, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
        problems.append(f"{path}.{each}: unknown; {hint}" if path else f"{each}: unknown; {hint}")


def check_once(path: str, entries: Sequence[Any], keys: Iterable[str], problems: list[str]) -> None:
    """Put a line on ``problems`` for each entry of a list which has a text under one of these keys that an
    earlier one has.
    """
    for name in keys:
        seen: dict[str, int] = {}
        for index, entry in enumerate(entries):
            value = entry.get(name) if isinstance(entry, Mapping) else None
            if isinstance(value, str) and seen.setdefault(value, index) != index:
                problems.append(f"{path}[{index}].{name}: {value!r} is {path}[{seen[value]}]'s already")


def kind_of(value: Any) -> str:
    """Say what kind of thing a value of a YAML document is."""
    kind = type(value).__name__
    return {"NoneType": "null", "dict": "a mapping", "list": "a list", "str": "text"}.get(kind, kind)
