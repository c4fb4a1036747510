"""The JSON schema of the chart's value ``namespaces``, made from what parses it (``warren.namespaces``): its
fields, choices and bounds.

A misspelt key or a value that no pod would take is then refused by Helm, before anything is installed. What a
schema can't say (that no name and no pattern comes twice) the pods say themselves.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, get_args

from warren.namespaces import (
    CLAIM,
    MAX_HISTORY_AGE_S,
    MAX_HISTORY_COUNT,
    MAX_NAMESPACES,
    MAX_PRESENCE,
    MAX_RATE_COUNT,
    MAX_RATE_PER_MS,
    NAME,
    PATTERN,
    HistoryPolicy,
    Join,
    PresenceMode,
    PresencePolicy,
    Publish,
    RateLimit,
    RoomPolicy,
    Slow,
    Watch,
    WhenExceeded,
)

Schema = dict[str, Any]

# As warren.message_rules.is_type; the tests hold both together.
TYPE = re.compile(r"[A-Za-z0-9_\-.:]{1,64}")


def namespaces_schema() -> Schema:
    """Return the schema of the list."""
    rate = _mapping(
        RateLimit,
        {
            "count": _number(1, MAX_RATE_COUNT),
            "per_ms": _number(1, MAX_RATE_PER_MS),
            "policy": {"enum": list(get_args(WhenExceeded))},
        },
    )
    history = _mapping(
        HistoryPolicy, {"count": _number(0, MAX_HISTORY_COUNT), "age_s": _number(0, MAX_HISTORY_AGE_S)}
    )
    mode = {"enum": [*get_args(PresenceMode), False]}  # a bare off is false in YAML
    presence = _mapping(
        PresencePolicy,
        {
            "mode": mode,
            "max": _number(1, MAX_PRESENCE),
            "watch": {"enum": list(get_args(Watch))},
            "info_claim": _text(CLAIM),
        },
    )
    presence["required"] = ["mode"]
    entry = _mapping(
        RoomPolicy,
        {
            "name": _text(NAME),
            "pattern": _text(PATTERN),
            "include_sender": {"type": "boolean"},
            "join": {"enum": list(get_args(Join))},
            "publish": {"enum": list(get_args(Publish))},
            "ephemeral_types": {"type": "array", "items": _text(TYPE)},
            "rate": {"anyOf": [rate, {"type": "null"}]},
            "slow": {"enum": list(get_args(Slow))},
            # a bare off is false in YAML
            "history": {"anyOf": [history, {"enum": ["off", False]}]},
            "presence": {"anyOf": [presence, mode]},
        },
    )
    entry["required"] = ["name", "pattern"]
    return {"type": "array", "maxItems": MAX_NAMESPACES, "items": entry}


def _mapping(cls: type, properties: Schema) -> Schema:
    """Return the schema of a mapping with exactly the fields of ``cls``."""
    names = [field.name for field in fields(cls)]
    if set(names) != set(properties):
        raise AssertionError(f"{cls.__name__} and its schema differ in {set(names) ^ set(properties)}")
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: properties[name] for name in names},
    }


def _number(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _text(rule: re.Pattern[str]) -> Schema:
    return {"type": "string", "pattern": f"^{rule.pattern}$"}
