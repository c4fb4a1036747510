"""docs/namespaces.md and docs/namespaces.schema.json: what a namespace file may hold, from the keys that read
it.

It returns texts and writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from warren import namespaces
from warren.document_schema import OFF, Key, ListOf, MappingOf, Rule, keys_of
from warren.namespaces import RoomPolicy
from warren.services import ServicePolicy

HEAD = Path(__file__).with_suffix(".md")  # what is not made
MARK = "<!-- keys -->"
SERVICES_MARK = "<!-- services -->"


def namespaces_page(note: str) -> str:
    """Return docs/namespaces.md; ``note`` says that it is made."""
    title, rest = HEAD.read_text(encoding="utf-8").split("\n", 1)
    before, _, after = rest.partition(MARK)
    page = "".join([title, "\n\n", note, "\n", before, "\n".join(_tables()), after])
    return page.replace(SERVICES_MARK, "\n".join(_table(keys_of(ServicePolicy))))


def namespaces_schema() -> str:
    """Return docs/namespaces.schema.json."""
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Warren's namespaces"}
    return json.dumps(whole | namespaces.file_schema(), indent=2, ensure_ascii=False) + "\n"


def _tables() -> Iterator[str]:
    """Yield the lines of a table for the namespace, and of one for each mapping in it."""
    yield from _table(keys_of(RoomPolicy))
    for each in keys_of(RoomPolicy):
        inner = _mapping(each.rule)
        if inner is not None:
            yield from ["", f"### `{each.name}`", "", _stands_for(each, inner), ""]
            yield from _table(inner.keys.values())


def _table(keys: Iterable[Key]) -> Iterator[str]:
    yield "| key | meaning | may be | default | example |"
    yield "| --- | --- | --- | --- | --- |"
    for each in keys:
        default = (
            "required" if each.required else "" if each.default in (None, "") else _code(each.written_default)
        )
        says = _escaped(each.rule.says)
        yield f"| `{each.name}` | {_escaped(each.meaning)} | {says} | {default} | {_code(each.example)} |"


def _default(each: Key) -> str:
    return "" if each.default in (None, "") else _code(each.written_default)


def _stands_for(each: Key, inner: MappingOf[Any]) -> str:
    """Say what may stand in the place of the mapping."""
    return f"`{each.name}` is {_escaped(inner.says)}; the keys of the mapping:"


def _mapping(rule: Rule) -> MappingOf[Any] | None:
    """Return the mapping that a value is, or that a list has."""
    if isinstance(rule, ListOf):
        return _mapping(rule.rule)
    return rule if isinstance(rule, MappingOf) else None


def _code(value: Any) -> str:
    """Return a value as it would stand in the file, on one line."""
    if value == OFF:
        return "`off`"  # needs no quotes here, though PyYAML gives it some
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    text = text.removesuffix("\n").removesuffix("\n...")
    return f"`{_escaped(text)}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
