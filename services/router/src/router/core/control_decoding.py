"""Control decoding: a command's JSON text, or the query of a GET, to its body; or everything that is wrong
with it, at once.

In time that is linear in the bytes: what is right is decoded once, and only what is wrong is looked at field
by field. It knows the types of fields (``warren/contract/commands.py``) and nothing of what they mean. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar, get_origin

import msgspec

from router.core.control_problems import FAULTS_MAX, Problem, ProblemCode, invalid
from warren.contract.problem import Fault

S = TypeVar("S", bound=msgspec.Struct)

_WHERE = re.compile(r" - at `\$([^`]*)`$")
_REGEX = "matching regex"
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


@cache
def _decoder(cls: type[S]) -> msgspec.json.Decoder[S]:
    return msgspec.json.Decoder(cls)


@cache
def _types(cls: type[msgspec.Struct]) -> dict[str, tuple[Any, bool]]:
    """Return each field's type, by its name, and whether it must be there."""
    return {field.encode_name: (field.type, field.required) for field in msgspec.structs.fields(cls)}


@cache
def _field_decoder(cls: type[msgspec.Struct], name: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_types(cls)[name][0])


def decoded(cls: type[S], text: bytes) -> S | Problem:
    """Return the body that JSON ``text`` is, or what is wrong with it. What is left raw in it is not looked
    into. No text at all is an object without members.
    """
    text = text or b"{}"
    try:
        body: S = _decoder(cls).decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _what_is_wrong(cls, text)
    return body


def _what_is_wrong(cls: type[msgspec.Struct], text: bytes) -> Problem:
    try:
        fields = _objects.decode(text)
    except msgspec.ValidationError:
        return invalid([Fault("", "must be a JSON object")])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Problem(ProblemCode.INVALID_FORMAT, "The body is no JSON text in UTF-8.")
    known, faults = _types(cls), _faults_of_names(cls, fields)
    for name, (_, required) in known.items():
        if name not in fields:
            if required:
                faults.append(Fault(f"/{name}", "is missing"))
            continue
        try:
            _field_decoder(cls, name).decode(fields[name])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            faults.append(_fault(cls, name, error))
    # What has no fault by itself can't be read for a reason that is none of one field's.
    return invalid(faults) if faults else Problem(ProblemCode.INVALID_FORMAT, "The body can't be read.")


def with_member(text: bytes, name: str, value: str) -> bytes | Problem:
    """Return JSON ``text`` with this member, which it need not have, and then must have with this value."""
    try:
        fields = _objects.decode(text or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return text  # what is wrong with it is told where it is decoded
    own = msgspec.json.encode(value)
    given = fields.setdefault(name, msgspec.Raw(own))
    try:
        same = msgspec.json.decode(given) == value
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        same = False
    if not same:
        return invalid([Fault(f"/{name}", "is not that of the routing key")])
    return msgspec.json.encode(fields)


def from_query(cls: type[S], pairs: Iterable[tuple[str, str]]) -> S | Problem:
    """Return the body that a query (name and value, decoded) asks for. A list is given by its name once for
    each of its items.
    """
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    known, values = _types(cls), dict[str, Any]()
    faults = _faults_of_names(cls, given)
    for name, (kind, required) in known.items():
        texts = given.get(name)
        if texts is None:
            if required:
                faults.append(Fault(f"/{name}", "is missing"))
            continue
        many = _is_list(kind)
        if len(texts) > 1 and not many:
            faults.append(Fault(f"/{name}", "is given more than once"))
            continue
        try:
            values[name] = msgspec.convert(texts if many else texts[0], kind, strict=False)
        except msgspec.ValidationError as error:
            faults.append(_fault(cls, name, error))
    return invalid(faults) if faults else msgspec.convert(values, cls)


def _is_list(kind: Any) -> bool:
    inner = getattr(kind, "__origin__", kind) if hasattr(kind, "__metadata__") else kind
    return get_origin(inner) is list


def _faults_of_names(cls: type[msgspec.Struct], given: Iterable[str]) -> list[Fault]:
    known = list(_types(cls))
    faults: list[Fault] = []
    for name in given:
        if name in known or len(faults) >= FAULTS_MAX:
            continue
        near = difflib.get_close_matches(name[:64], known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        faults.append(Fault(f"/{pointed(name[:64])}", f"is unknown; {hint}"))
    return faults


def _fault(cls: type[msgspec.Struct], name: str, error: Exception) -> Fault:
    """Return what a decoder says about one field, with the place inside it as a part of the pointer."""
    text, pointer = str(error), f"/{name}"
    place = _WHERE.search(text)
    if place is not None:
        text = text[: place.start()]
        inside = place.group(1).replace("[...]", ".*").replace("[", ".").replace("]", "")
        pointer += inside.replace(".", "/")
    if not isinstance(error, msgspec.ValidationError):
        text = "can't be read"
    elif _REGEX in text:
        text = f"must be {_described(cls, name)}"
    return Fault(pointer, f"{text[:1].lower()}{text[1:]}")


@cache
def _described(cls: type[msgspec.Struct], name: str) -> str:
    """Return what a field that has a pattern is, in words."""
    found = _pattern_of(msgspec.json.schema(_types(cls)[name][0]))
    return f"{found[:1].lower()}{found[1:].rstrip('.')}" or "as the documentation says"


def _pattern_of(schema: Any) -> str:
    match schema:
        case {"pattern": str(), "description": str(words)}:
            return words
        case dict():
            return next(filter(None, map(_pattern_of, schema.values())), "")
        case list():
            return next(filter(None, map(_pattern_of, schema)), "")
        case _:
            return ""


def pointed(name: str) -> str:
    """Return a member's name as it stands in a JSON pointer (RFC 6901 section 3)."""
    return name.replace("~", "~0").replace("/", "~1")
