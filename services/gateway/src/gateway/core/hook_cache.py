"""HookCache: what backends have decided of late, for as long as they said that it holds.

Bounded by count and bytes; what was not looked at for longest goes first. No user has more than a small part
of it: who asks for a thousand rooms pushes out what is his own. Time is an argument, in monotonic seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from gateway.core.hook_messages import Hook, HookAnswer

ANSWERS_MAX: Final = 65_536
BYTES_MAX: Final = 32 * 1024 * 1024
# Of one user.
USER_ANSWERS_MAX: Final = 256
# However long a backend says that its answer holds: from then on a change of its mind counts.
AGE_MAX_S: Final = 600.0
# A refusal holds so long where the backend does not say: who was refused asks again at once.
DENIAL_S: Final = 5.0

# What an entry takes besides its texts.
_ENTRY_BYTES: Final = 600
_TEXT_BYTES: Final = 64


class Key(NamedTuple):
    """What an answer is good for. ``seen`` stands for the claims and headers that the backend was shown."""

    hook: Hook
    user: str
    room: str
    seen: bytes


class Kept(NamedTuple):
    """An answer that is kept. ``given_s`` is when the backend gave it, seconds since the Unix epoch."""

    answer: HookAnswer
    given_s: int
    until: float

    @property
    def bytes(self) -> int:
        """What it takes, roughly."""
        answer = self.answer
        rooms = sum(_TEXT_BYTES + len(room) for room in answer.rooms)
        return _ENTRY_BYTES + len(answer.reason) + len(answer.info) + rooms


class HookCache:
    """A gateway's."""

    def __init__(
        self, answers: int = ANSWERS_MAX, size: int = BYTES_MAX, of_one_user: int = USER_ANSWERS_MAX
    ) -> None:
        """Begin empty."""
        self._answers_max, self._bytes_max, self._user_max = answers, size, of_one_user
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._by_user: dict[str, OrderedDict[Key, None]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._kept)

    def put(self, key: Key, answer: HookAnswer, now: float, given_s: int) -> None:
        """Keep an answer for as long as it holds, where it holds for more than the one question."""
        holds_s = min(float(answer.ttl_s), AGE_MAX_S)
        if not holds_s and not answer.allow and key.hook != "publish":
            holds_s = DENIAL_S
        self._drop(key)
        if holds_s <= 0:
            return
        kept = Kept(answer, given_s, now + holds_s)
        self._kept[key] = kept
        self.bytes += kept.bytes
        own = self._by_user.setdefault(key.user, OrderedDict())
        own[key] = None
        if len(own) > self._user_max:
            self._drop(next(iter(own)))
        while len(self._kept) > self._answers_max or self.bytes > self._bytes_max:
            self._drop(next(iter(self._kept)))

    def get(self, key: Key, now: float) -> Kept | None:
        """Return an answer that still holds; None: there is none."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until <= now:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        self._by_user[key.user].move_to_end(key)
        return kept

    def forget(self, user: str) -> None:
        """Drop all that concerns a user."""
        for key in list(self._by_user.get(user, ())):
            self._drop(key)

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self.bytes -= kept.bytes
        own = self._by_user[key.user]
        del own[key]
        if not own:
            del self._by_user[key.user]
