"""Which of some users are connected anywhere. It sends nothing itself: its owner does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from warren_client.core.feed import Feed
from warren_client.errors import InvalidError
from warren_client.messages import ContactChange

CONTACTS = 100
_CHANGES = 1_000


class Contacts:
    """``online`` is user ▶ True, False, or None: not known (yet), or not told to this client."""

    def __init__(self) -> None:
        """Nobody is watched."""
        self.online: dict[str, bool | None] = {}
        self.changes: Feed[ContactChange] | None = None

    def listen(self) -> Feed[ContactChange]:
        """Return the queue of changes from now on. A reader that is too slow is told to look anew."""
        if self.changes is None:
            self.changes = Feed(_CHANGES, ContactChange(None, None))
        return self.changes

    def set(self, users: Iterable[str]) -> dict[str, Any]:
        """Watch these users and no others. Return what the server has to be asked for."""
        wanted = dict.fromkeys(users)
        if len(wanted) > CONTACTS:
            raise InvalidError("invalid_message", f"at most {CONTACTS} contacts can be watched")
        unwatch = [user for user in self.online if user not in wanted]
        watch = [user for user in wanted if user not in self.online]
        for user in unwatch:
            del self.online[user]
        self.online |= dict.fromkeys(watch)
        return ({"watch": watch} if watch else {}) | ({"unwatch": unwatch} if unwatch else {})

    def take(self, user: str, payload: Mapping[str, Any]) -> None:
        """A PRESENCE of a user's own room has arrived."""
        if user not in self.online:
            return
        count, now = payload.get("count"), self.online[user]
        if payload.get("watching") is False:
            now = None
        elif count:
            now = int(count["users"]) > 0 or int(count["connections"]) > 0
        if now != self.online[user]:
            self.online[user] = now
            if self.changes is not None:
                self.changes.put(ContactChange(user, now))
