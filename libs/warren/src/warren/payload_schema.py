"""Payload schema: JSON schemas that payloads are checked against, in time that is linear in the payload.

A schema becomes a type that a parser in C checks while it parses: nothing of a payload is built twice, and no
loop of Python goes over it. Only a part of JSON Schema (draft 7) can be had so; what is outside raises
InvalidSchema when the schema is read, never while a message is on its way.

    words for all     type (one, or a list), enum and const (of texts or whole numbers), anyOf and oneOf of
                      different kinds, $ref to ``definitions`` or ``$defs`` without a circle
    of numbers        minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf (of whole ones)
    of texts          minLength, maxLength, pattern (^…$, a sequence of characters and sets; see ``_PATTERN``)
    of lists          items (one schema), minItems, maxItems
    of objects        properties, required, additionalProperties; without properties minProperties and
                      maxProperties
    for readers       title, description, examples, default, format, $comment and the like

This module keeps no payload and knows no room.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import or_
from types import GenericAlias
from typing import Annotated, Any, Final, Literal

import msgspec

# How deep a schema may nest, and of how many schemas it may be made when each reference is followed.
MAX_DEPTH: Final = 32
MAX_NODES: Final = 2_000
# What of a parser's words a client is shown, in characters: they may repeat a key of its payload.
SAYS_MAX: Final = 200

Kind = Literal["null", "boolean", "number", "string", "array", "object"]
Schema = Mapping[str, Any]

_READERS: Final = frozenset(
    {
        "$schema", "$id", "$comment", "title", "description", "examples", "default", "format", "deprecated",
        "readOnly", "writeOnly", "definitions", "$defs",
    }
)  # fmt: skip
_KINDS: Final[dict[str, Kind]] = {
    "null": "null",
    "boolean": "boolean",
    "integer": "number",
    "number": "number",
    "string": "string",
    "array": "array",
    "object": "object",
}
_WORDS: Final[dict[Kind, frozenset[str]]] = {
    "null": frozenset(),
    "boolean": frozenset(),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "string": frozenset({"minLength", "maxLength", "pattern"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"}),
}
_CHOICES: Final = ("enum", "const", "anyOf", "oneOf", "$ref")

# A pattern begins with ^ and ends with $; between them stand characters and sets, each with a repeat or
# without. At most one repeat may vary, so that matching never goes back over more than the pattern's length.
_CHARACTER: Final = (
    r"(?:[^\\^$.|?*+()\[\]{}]|\\[dDwW^$.|?*+()\[\]{}/\\\-]"  # itself, or escaped
    r"|\[\^?(?:[^\\\[\]]|\\[dDwW\\\[\]\-^])+\])"  # a set
)
_REPEAT: Final = r"(?:[*+?]|\{[0-9]{1,4}(?:,(?:[0-9]{1,4})?)?\})"
_PATTERN: Final = re.compile(rf"\^(?:{_CHARACTER}{_REPEAT}?)*\$")
_VARYING: Final = re.compile(rf"{_CHARACTER}(?:([*+?]|\{{[0-9]+,[0-9]*\}})|\{{[0-9]+\}})?")
PATTERN_MAX: Final = 256
# A pattern as the parser has it, in what it says.
_AS_WRITTEN: Final = re.compile(r"'\(\?a:(.*)\)\\\\?Z'")


class InvalidSchema(ValueError):
    """A schema that is none, or that can't be checked; the text says where and why."""


class PayloadSchema:
    """What payloads of one type must be like."""

    __slots__ = ("_decoder",)

    def __init__(self, schema: Schema | bool) -> None:
        """Raises InvalidSchema."""
        kind = _Reading(schema).type_of(schema, "", 0)
        try:
            self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidSchema(f"can't be checked: {error}") from None

    def problem(self, payload: bytes) -> str | None:
        """Return what is wrong with a payload (JSON text that a parser has taken); None: nothing."""
        try:
            self._decoder.decode(payload)
        except ValueError as error:  # the parent of msgspec's own, and what a very long number raises
            return _AS_WRITTEN.sub(r"'\1$'", str(error))[:SAYS_MAX]
        except RecursionError:
            return "it nests too deep"
        return None


class _Reading:
    """One pass over a schema."""

    def __init__(self, root: Schema | bool) -> None:
        self._root = root
        self._nodes = 0
        self._followed: list[str] = []

    def type_of(self, schema: Any, path: str, depth: int) -> Any:
        """Return the type that takes what the schema takes."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise InvalidSchema(f"is made of more than {MAX_NODES} schemas")
        if depth > MAX_DEPTH:
            raise InvalidSchema(f"{_at(path)}nests deeper than {MAX_DEPTH}")
        if schema is True:
            return msgspec.Raw
        if not isinstance(schema, Mapping):
            raise InvalidSchema(f"{_at(path)}must be a schema: a mapping, or true")
        words = [word for word in schema if word not in _READERS]
        choices = [word for word in words if word in _CHOICES]
        if choices:
            return self._choice(schema, choices, words, path, depth)
        if "type" not in schema:
            if words:
                raise InvalidSchema(f"{_at(path)}{words[0]} needs a type beside it")
            return msgspec.Raw
        return self._typed(schema, words, path, depth)

    # ── one of several ──────────────────────────────────────────────────────────────────────────────────────

    def _choice(self, schema: Schema, choices: list[str], words: list[str], path: str, depth: int) -> Any:
        (choice, *more) = choices
        others = [word for word in words if word not in (choice, "type")]
        if more or others or (choice in ("anyOf", "oneOf", "$ref") and "type" in words):
            beside = (more or others or ["type"])[0]
            raise InvalidSchema(f"{_at(path)}{beside} can't stand beside {choice}")
        if choice == "$ref":
            return self._reference(schema["$ref"], path, depth)
        if choice in ("anyOf", "oneOf"):
            return self._alternatives(schema[choice], f"{path}.{choice}", depth)
        values = schema["enum"] if choice == "enum" else [schema["const"]]
        return _literal(values, schema.get("type"), f"{path}.{choice}")

    def _reference(self, target: Any, path: str, depth: int) -> Any:
        parts = target.split("/") if isinstance(target, str) else []
        if parts[:1] != ["#"] or len(parts) != 3 or parts[1] not in ("definitions", "$defs"):
            raise InvalidSchema(f"{_at(path)}$ref must lead to #/definitions/… or #/$defs/…")
        if target in self._followed:
            raise InvalidSchema(f"{_at(path)}$ref leads in a circle")
        try:
            found = self._root[parts[1]][parts[2]]  # type: ignore[index]
        except (KeyError, TypeError):
            raise InvalidSchema(f"{_at(path)}$ref {target} leads nowhere") from None
        self._followed.append(target)
        kind = self.type_of(found, path, depth + 1)
        self._followed.pop()
        return kind

    def _alternatives(self, schemas: Any, path: str, depth: int) -> Any:
        if not isinstance(schemas, list) or not schemas:
            raise InvalidSchema(f"{_at(path)}must be a list of schemas")
        types = [self.type_of(each, f"{path}[{at}]", depth + 1) for at, each in enumerate(schemas)]
        if len(types) > 1 and msgspec.Raw in types:
            raise InvalidSchema(f"{_at(path)}one of them takes anything")
        _check_disjoint([kind for each in schemas for kind in self._kinds(each)], path)
        return _union(types)

    def _kinds(self, schema: Any) -> Iterable[Kind]:
        """Return the kinds of values that a schema takes, which was read before."""
        if not isinstance(schema, Mapping):
            return ()
        if "$ref" in schema:
            _, part, name = schema["$ref"].split("/")
            return self._kinds(self._root[part][name])  # type: ignore[index]
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return [kind for each in schema[choice] for kind in self._kinds(each)]
        if "const" in schema or "enum" in schema:
            values = schema.get("enum", [schema.get("const")])
            return {_kind_of(value) for value in values}
        names = schema.get("type", [])
        return {_KINDS[name] for name in ([names] if isinstance(names, str) else names)}

    # ── of a kind ───────────────────────────────────────────────────────────────────────────────────────────

    def _typed(self, schema: Schema, words: list[str], path: str, depth: int) -> Any:
        names = schema["type"]
        names = [names] if isinstance(names, str) else names
        if (
            not isinstance(names, list)
            or not names
            or not all(isinstance(name, str) and name in _KINDS for name in names)
        ):
            raise InvalidSchema(f"{_at(path)}type must be one or a list of {', '.join(_KINDS)}")
        kinds = {_KINDS[name] for name in names}
        known = frozenset({"type"}).union(*(_WORDS[kind] for kind in kinds))
        for word in words:
            if word not in known:
                raise InvalidSchema(f"{_at(path)}{word} can't be checked here")
        makers: dict[str, Callable[[Schema, str, int], Any]] = {
            "integer": self._number,
            "number": self._number,
            "string": self._text,
            "array": self._list,
            "object": self._object,
        }
        types: list[Any] = []
        for name in dict.fromkeys(names):
            if name == "integer" and "number" in names:
                continue
            if name in ("null", "boolean"):
                types.append(type(None) if name == "null" else bool)
            else:
                given = {**schema, "type": name}
                types.append(makers[name](given, path, depth))
        return _union(types)

    def _number(self, schema: Schema, path: str, depth: int) -> Any:
        whole = schema["type"] == "integer"
        bounds: dict[str, Any] = {}
        for word, name in (
            ("minimum", "ge"), ("exclusiveMinimum", "gt"), ("maximum", "le"), ("exclusiveMaximum", "lt"),
        ):  # fmt: skip
            if word not in schema:
                continue
            value = schema[word]
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InvalidSchema(f"{_at(path)}{word} must be a number")
            if whole and not float(value).is_integer():  # the nearest whole number that counts
                value, name = (math.ceil(value), "ge") if name in ("ge", "gt") else (math.floor(value), "le")
            bounds[name] = int(value) if whole else float(value)
        if {"ge", "gt"} <= set(bounds) or {"le", "lt"} <= set(bounds):
            raise InvalidSchema(f"{_at(path)}one lower and one upper bound at most")
        if "multipleOf" in schema:
            step = schema["multipleOf"]
            if not whole or isinstance(step, bool) or not isinstance(step, int) or step < 1:
                raise InvalidSchema(f"{_at(path)}multipleOf can be checked of integers, and must be one")
            bounds["multiple_of"] = step
        if whole and any(not -(2**63) <= value < 2**63 for value in bounds.values()):
            raise InvalidSchema(f"{_at(path)}bounds of integers have at most 64 bits")
        return _bounded(int if whole else float, bounds)

    def _text(self, schema: Schema, path: str, depth: int) -> Any:
        bounds = _sizes(schema, path, "minLength", "maxLength")
        if "pattern" in schema:
            bounds["pattern"] = _pattern(schema["pattern"], path, bounded="max_length" in bounds)
        return _bounded(str, bounds)

    def _list(self, schema: Schema, path: str, depth: int) -> Any:
        inner = self.type_of(schema.get("items", True), f"{path}[]", depth + 1)
        return _bounded(GenericAlias(list, (inner,)), _sizes(schema, path, "minItems", "maxItems"))

    def _object(self, schema: Schema, path: str, depth: int) -> Any:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, Mapping) or not all(isinstance(name, str) for name in properties):
            raise InvalidSchema(f"{_at(path)}properties must be a mapping")
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise InvalidSchema(f"{_at(path)}required must be a list of names")
        sizes = _sizes(schema, path, "minProperties", "maxProperties")
        more = schema.get("additionalProperties", True)
        if not properties and not required and more is not False:
            inner = self.type_of(more, f"{path}.*", depth + 1)
            return _bounded(GenericAlias(dict, (str, inner)), sizes)
        if sizes:
            raise InvalidSchema(f"{_at(path)}minProperties and maxProperties can't stand beside properties")
        if not isinstance(more, bool):
            raise InvalidSchema(f"{_at(path)}additionalProperties beside properties must be true or false")
        unnamed = [name for name in required if name not in properties]
        if unnamed and not more:
            raise InvalidSchema(
                f"{_at(path)}{unnamed[0]} is required, but additionalProperties: false lets nobody send it:"
                " name it in properties"
            )
        fields: list[tuple[str, Any, Any]] = []
        names: dict[str, str] = {}
        for at, name in enumerate(dict.fromkeys([*required, *properties])):
            kind = self.type_of(properties.get(name, True), f"{path}.{name}", depth + 1)
            names[f"f{at}"] = name
            if name in required:
                fields.append((f"f{at}", kind, msgspec.NODEFAULT))
            elif kind is msgspec.Raw:
                fields.append((f"f{at}", kind, msgspec.Raw()))
            else:
                fields.append((f"f{at}", kind | msgspec.UnsetType, msgspec.UNSET))
        return msgspec.defstruct(
            "Payload", fields, rename=names, forbid_unknown_fields=not more, gc=False, kw_only=True
        )


def _at(path: str) -> str:
    return f"{path.lstrip('.')}: " if path else ""


def _union(types: list[Any]) -> Any:
    return types[0] if len(types) == 1 else reduce(or_, types)


def _bounded(kind: Any, bounds: dict[str, Any]) -> Any:
    return Annotated[kind, msgspec.Meta(**bounds)] if bounds else kind


def _kind_of(value: Any) -> Kind:
    return "string" if isinstance(value, str) else "number"


def _check_disjoint(kinds: list[Kind], path: str) -> None:
    twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
    if twice:
        raise InvalidSchema(f"{_at(path)}two of them take the same kind of value ({twice[0]})")


def _literal(values: Any, kind: Any, path: str) -> Any:
    """Return the type of some texts, or of some whole numbers; ``kind``: what the schema says of the type."""
    found = {type(value) for value in values} if isinstance(values, list) else set()
    fits = {"string": {str}, "integer": {int}, "number": {int}}
    if found not in ({str}, {int}) or (kind is not None and fits.get(str(kind)) != found):
        raise InvalidSchema(f"{_at(path)}must be texts or whole numbers, of one kind, and of the type")
    return Literal[tuple(values)]


def _sizes(schema: Schema, path: str, least: str, most: str) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    for word, name in ((least, "min_length"), (most, "max_length")):
        if word in schema:
            value = schema[word]
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
                raise InvalidSchema(f"{_at(path)}{word} must be a whole number")
            sizes[name] = value
    return sizes


def _pattern(text: Any, path: str, *, bounded: bool) -> str:
    """Return a pattern for the parser: one that takes time linear in a text. ``bounded``: texts have a
    greatest length.
    """
    if not isinstance(text, str) or len(text) > PATTERN_MAX or _PATTERN.fullmatch(text) is None:
        raise InvalidSchema(
            f"{_at(path)}pattern must be ^…$, of characters and sets [abc], each with a repeat or without"
        )
    varying = [found[1] for found in _VARYING.finditer(text[1:-1]) if found[1]]
    if len(varying) > 1:
        raise InvalidSchema(f"{_at(path)}of a pattern's repeats only one may vary")
    # for each character it looks at all that follows the repeat
    if varying and not bounded and (varying[0] in "*+" or varying[0].endswith(",}")):
        raise InvalidSchema(f"{_at(path)}a pattern with a repeat without an end needs maxLength")
    try:
        re.compile(text)
    except re.error as error:
        raise InvalidSchema(f"{_at(path)}pattern: {error}") from None
    # as ECMA-262 has it: \d is 0 to 9, and $ is the very end
    return f"(?a:{text[:-1]})\\Z"
