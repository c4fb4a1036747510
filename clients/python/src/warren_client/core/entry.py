"""A frame that waits to be sent or answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from warren_client.core.outcome import Outcome
from warren_client.errors import WarrenError


@dataclass(slots=True, eq=False)
class Entry:
    """``build`` makes the text at the moment in which it is sent; ``outcome`` is what the caller waits
    for.
    """

    id: str
    kind: str  # message, REQUEST, RECEIPT, or the type of a control frame
    build: Callable[[], str] = field(repr=False)
    room: str | None = None
    outcome: Outcome[Any] = field(default_factory=Outcome, repr=False, init=False)
    echo: bool = False  # the sender wants its own copy
    once: bool = False  # on this connection only
    yields: bool = False  # it is sent when nothing else waits
    sent_at: float | None = field(default=None, init=False)
    was_sent: bool = field(default=False, init=False)  # on any connection
    resent: bool = field(default=False, init=False)  # on more than one
    is_queued: bool = field(default=False, init=False)
    callers: int = field(default=0, init=False)  # who wait for the outcome
    is_abandoned: bool = field(default=False, init=False)  # nobody waits for it any more
    refusals: int = field(default=0, init=False)
    tries: int = field(default=0, init=False)  # as a suspect
    fault: WarrenError | None = field(default=None, init=False)  # what a suspect may have been refused with

    @property
    def is_unanswered(self) -> bool:
        """Whether it is done once it is sent: the server answers it only to refuse it."""
        return self.kind == "SEEN"


@dataclass(frozen=True, slots=True)
class Urgent:
    """A frame that goes before all entries, once: a heartbeat, a token."""

    id: str | None
    build: Callable[[], str]
    sent: Callable[[], None] | None = None
