"""API keys: who may command what by HTTP: names, scopes, rates and expiry, read from YAML that holds no key,
only each one's SHA-256.

    keys:
      - name: shop                             # in audit lines; the key itself never is
        sha256: 9f86d08…                       # of the key, in hex; several in a list while it is replaced
        scopes: ["publish:chat:*", "presence:*", "disconnect"]
        rate: {count: 100, per_ms: 1000}       # commands and messages; none: no bound
        expires: 2027-01-31T00:00:00Z          # none: never

A scope is a verb, or ``*`` for every one, and the pattern of the rooms that it may be used on (none: all); a
user's own room is ``@<user>``. To publish to everyone takes the scope ``broadcast``. It reads no file and
knows no clock.
"""

from __future__ import annotations

import datetime
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeGuard

import yaml

from warren.contract.installation import KeyRights, KeyScope
from warren.errors import SettingsError
from warren.patterns import matches

MAX_KEYS: Final = 256
MAX_SCOPES: Final = 256
MAX_HASHES: Final = 8
MAX_KEY_BYTES: Final = 512
MAX_RATE: Final = 1_000_000
MAX_PER_MS: Final = 86_400_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
_PATTERN = re.compile(r"[A-Za-z0-9._\-:/@*|+=%!$&'?^`{}~]{1,256}")
_FIELDS = ("name", "sha256", "scopes", "rate", "expires")


@dataclass(frozen=True, slots=True)
class Scope:
    """What one verb (``*``: every one) may be used on."""

    verb: str
    pattern: str = "*"

    def covers(self, verb: str, room: str) -> bool:
        """Say whether it allows ``verb`` on this room."""
        return self.verb in (verb, "*") and matches(self.pattern, room)

    def covers_prefix(self, verb: str, prefix: str) -> bool:
        """Say whether it allows ``verb`` on every room whose name begins so."""
        head, star, tail = self.pattern.partition("*")
        return self.verb in (verb, "*") and bool(star) and not tail.strip("*") and prefix.startswith(head)


EVERYTHING: Final = (Scope("*"),)


@dataclass(frozen=True, slots=True)
class KeyRate:
    """``count`` commands and messages in ``per_ms``."""

    count: int
    per_ms: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key: never the key itself."""

    name: str
    hashes: tuple[str, ...]
    scopes: tuple[Scope, ...]
    rate: KeyRate | None = None
    expires_us: int = 0  # µs since the Unix epoch; 0: never

    def rights(self) -> KeyRights:
        """Return what its holder may know of it."""
        scopes = [KeyScope(verb=scope.verb, pattern=scope.pattern) for scope in self.scopes]
        return KeyRights(
            name=self.name, scopes=scopes, expires=self.expires_us // 1_000 if self.expires_us else None
        )

    def expired(self, now_us: int) -> bool:
        """Say whether it counts no more."""
        return bool(self.expires_us) and now_us >= self.expires_us


class ApiKeys:
    """All keys of an installation."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        """In any order."""
        self.keys = tuple(keys)
        self._hashes = [(each, key) for key in self.keys for each in key.hashes]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.keys)

    def find(self, key: bytes) -> ApiKey | None:
        """Return whose key this is; None where it is nobody's. How long it takes tells nothing about which
        hashes are near.
        """
        if len(key) > MAX_KEY_BYTES:
            return None
        digest = hash_of(key)
        found: ApiKey | None = None
        for each, owner in self._hashes:
            if hmac.compare_digest(each, digest):
                found = owner
        return found

    @classmethod
    def parse(cls, text: str, verbs: Iterable[str]) -> ApiKeys:
        """Read YAML text; ``verbs`` are those that scopes may name. Raises SettingsError with every problem,
        each with its path and without what stands there.
        """
        try:
            document = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f" (line {mark.line + 1})" if mark is not None else ""
            raise SettingsError([f"keys: not YAML{where}"]) from None
        reading = _Reading(frozenset(verbs))
        keys = reading.document(document)
        if reading.problems:
            raise SettingsError(reading.problems)
        return cls(keys)


def hash_of(key: bytes) -> str:
    """Return a key's SHA-256 in hex, as the file has it."""
    return sha256(key).hexdigest()


class _Reading:
    """One pass over a document that collects the problems. What stands in the file is not repeated: where a
    hash belongs somebody may have put a key.
    """

    def __init__(self, verbs: frozenset[str]) -> None:
        self.problems: list[str] = []
        self._verbs = verbs

    def document(self, document: Any) -> list[ApiKey]:
        entries = document.get("keys") if isinstance(document, Mapping) else None
        if not isinstance(entries, list):
            self.problems.append("keys: must be a list of keys under the name keys")
            return []
        if len(entries) > MAX_KEYS:
            self.problems.append(f"keys: at most {MAX_KEYS}")
            return []
        keys = [
            key
            for key in (self._key(f"keys[{index}]", entry) for index, entry in enumerate(entries))
            if key is not None
        ]
        self._unique("name", [key.name for key in keys])
        self._unique("sha256", [each for key in keys for each in key.hashes])
        return keys

    def _key(self, path: str, entry: Any) -> ApiKey | None:
        if not isinstance(entry, Mapping):
            self.problems.append(f"{path}: must be a mapping with {', '.join(_FIELDS)}")
            return None
        known = len(self.problems)
        if any(field not in _FIELDS for field in entry):
            self.problems.append(f"{path}: has a field that is none of {', '.join(_FIELDS)}")
        name = entry.get("name")
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            self.problems.append(f"{path}.name: must be 1 to 64 letters, digits and _ . -")
            name = ""
        hashes = self._hashes(f"{path}.sha256", entry.get("sha256"))
        scopes = self._scopes(f"{path}.scopes", entry.get("scopes"))
        rate = self._rate(f"{path}.rate", entry.get("rate"))
        expires_us = self._expires(f"{path}.expires", entry.get("expires"))
        if len(self.problems) > known:
            return None
        return ApiKey(name, hashes, scopes, rate, expires_us)

    def _hashes(self, path: str, value: Any) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        texts = [each.lower() for each in values if isinstance(each, str)]
        right = [each for each in texts if _HASH.fullmatch(each)]
        if not 1 <= len(values) <= MAX_HASHES or len(right) != len(values):
            self.problems.append(f"{path}: must be 64 hex digits in quotes, or a list of up to {MAX_HASHES}")
        return tuple(right)

    def _scopes(self, path: str, value: Any) -> tuple[Scope, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_SCOPES:
            self.problems.append(f"{path}: must be a list of 1 to {MAX_SCOPES} scopes")
            return ()
        scopes = []
        for index, text in enumerate(value):
            verb, colon, pattern = text.partition(":") if isinstance(text, str) else ("", "", "")
            if verb != "*" and verb not in self._verbs:
                self.problems.append(
                    f"{path}[{index}]: must begin with * or one of {', '.join(sorted(self._verbs))}"
                )
            elif colon and _PATTERN.fullmatch(pattern) is None:
                self.problems.append(f"{path}[{index}]: behind the colon must be a room's name or a pattern")
            else:
                scopes.append(Scope(verb, pattern if colon else "*"))
        return tuple(scopes)

    def _rate(self, path: str, value: Any) -> KeyRate | None:
        if value is None:
            return None
        fields: Mapping[Any, Any] = value if isinstance(value, Mapping) else {}
        count, per_ms = fields.get("count"), fields.get("per_ms", 1_000)
        if _whole(count, MAX_RATE) and _whole(per_ms, MAX_PER_MS) and set(fields) <= {"count", "per_ms"}:
            return KeyRate(count, per_ms)
        self.problems.append(
            f"{path}: must have count (1 to {MAX_RATE}), and may have per_ms (1 to {MAX_PER_MS})"
        )
        return None

    def _expires(self, path: str, value: Any) -> int:
        if value is None:
            return 0
        try:
            if isinstance(value, str):
                value = datetime.datetime.fromisoformat(value)
            if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
                value = datetime.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone follows
            if isinstance(value, datetime.datetime):
                zoned = value if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)
                return max(1, round(zoned.timestamp() * 1_000_000))
        except (ValueError, OverflowError):
            pass
        self.problems.append(f"{path}: must be a date and time, as 2027-01-31T00:00:00Z")
        return 0

    def _unique(self, field: str, values: list[str]) -> None:
        if len(set(values)) != len(values):
            self.problems.append(f"keys: two of them have the same {field}")


def _whole(value: Any, most: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
