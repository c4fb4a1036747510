"""Services: what clients may ask backends for, and how long an answer may take: the list ``services:`` in the
namespace file.

    services:
      - pattern: "orders.*"
        call: token            # anyone | token
        timeout_ms: 5000

The first pattern that matches a service's name counts; what none matches nobody may ask for. This module does
no I/O and knows no service that exists.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from warren.document_schema import Choice, Number, Text, key
from warren.patterns import matches

Call = Literal["anyone", "token"]

MAX_SERVICES: Final = 256
MAX_TIMEOUT_MS: Final = 60_000
CACHED_SERVICES: Final = 1_024

SERVICE_RULE: Final = (
    "1 to 128 letters, digits and _ - in words with dots between them, the last of which is not cancel"
)
PATTERN: Final = re.compile(r"[A-Za-z0-9_\-.*]{1,128}")
# A routing key: its words are what backends' bindings match. The last one tells a request from its cancel.
_SERVICE = re.compile(r"(?=.{1,128}\Z)[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)*(?<!\.cancel)")


def is_service(name: str) -> bool:
    """Say whether ``name`` may be a service's (see SERVICE_RULE)."""
    return _SERVICE.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """Who may ask the services of one pattern: ``anyone`` who is known, or only with a ``token`` whose claim
    allows this service; and how long an answer, or the next part of one, may take at most.
    """

    pattern: str = key(
        "*",
        Text(PATTERN, "1 to 128 characters of a service's name or *"),
        "The services that it is for; `*` stands for any run of characters, also none.",
        example="orders.*",
        required=True,
    )
    call: Call = key(
        "anyone",
        Choice(Call),
        "Who may ask: `anyone` who is connected, or only who has a `token` whose claim allows this service.",
        example="token",
    )
    timeout_ms: int = key(
        5_000,
        Number(1, MAX_TIMEOUT_MS),
        "How long an answer, or the next part of one, may take at most, in ms.",
        example=2_000,
    )


class Services:
    """An ordered list of policies."""

    def __init__(self, policies: Iterable[ServicePolicy] = ()) -> None:
        """The first whose pattern matches counts."""
        self.policies = tuple(policies)
        # The cache only saves time; it is bounded because clients choose the names.
        self.policy = functools.lru_cache(maxsize=CACHED_SERVICES)(self._find)

    def _find(self, service: str) -> ServicePolicy | None:
        """Return the policy of a service, None where nobody may ask for it; reached as ``policy(service)``,
        through the cache.
        """
        return next((policy for policy in self.policies if matches(policy.pattern, service)), None)
