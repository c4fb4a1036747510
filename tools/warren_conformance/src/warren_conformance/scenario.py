"""Scenario: a script that leads a client through one part of the protocol, and the rule that it checks.

``SCENARIOS`` has all of them by name, once the package ``scenarios`` is imported.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warren_conformance.trial import Trial

Script = Callable[["Trial"], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """What is checked, by which rule of docs/protocol.md, and what a client has to be able to do for it."""

    name: str
    rule: str
    section: str
    script: Script
    needs: frozenset[str] = frozenset()
    times: dict[str, int] = field(default_factory=dict)  # what the client's own times should be here, in ms


SCENARIOS: dict[str, Scenario] = {}

# What a client may declare. Everything else is demanded of every client.
CAPABILITIES = {
    "contacts": "watches whether users are connected (PRESENCE with `watch`)",
    "durable": "asks services durably (ACCEPTED, and the answer as a message)",
    "grants": "shows the grants that WELCOME and JOINED bring",
    "history": "reads older messages (HISTORY)",
    "msgpack": "speaks warren.v1.msgpack",
    "pause": "its application can stop taking messages",
    "presence": "keeps a list of who is in a room (PRESENCE)",
    "receipts": "asks for receipts (RECEIPT)",
    "requests": "asks services (REQUEST, CANCEL)",
    "seen": "says what its user has seen (SEEN)",
    "tokens": "gets tokens, and fresh ones, from its application",
}


def scenario(
    name: str, rule: str, section: str, *, needs: str = "", times: dict[str, int] | None = None
) -> Callable[[Script], Script]:
    """Register a script. ``rule`` is a sentence of what is demanded, ``section`` a heading of
    docs/protocol.md.
    """

    def register(script: Script) -> Script:
        assert name not in SCENARIOS, f"two scenarios are called {name}"
        SCENARIOS[name] = Scenario(name, rule, section, script, frozenset(needs.split()), times or {})
        return script

    return register
