"""Up to where the users of one room have seen its messages, as the server tells. A seq only grows, and the
sum of all seqs proves that nothing is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SeenNews:
    """What one PRESENCE says of it: ``total`` is the sum of the seqs of all users."""

    epoch: str
    total: int
    users: Mapping[str, int]

    @staticmethod
    def of(said: Mapping[str, Any]) -> SeenNews:
        """Read the field ``seen`` of a PRESENCE."""
        users = {str(user): int(seq) for user, seq in (said.get("users") or {}).items()}
        return SeenNews(str(said["epoch"]), int(said["sum"]), users)


class SeenPositions:
    """``users`` is user ▶ seq; ``epoch`` None: the room does not tell who has seen what."""

    def __init__(self) -> None:
        """Nothing is known."""
        self.users: dict[str, int] = {}
        self.epoch: str | None = None
        self._sum = 0
        self._told = 0  # the sum that the room has

    @property
    def is_complete(self) -> bool:
        """Whether these are all, as the sum says."""
        return self._sum == self._told

    def take(self, news: SeenNews) -> bool:
        """Take what has changed. Return whether it is news."""
        is_news = news.epoch != self.epoch and self.clear()
        self.epoch = news.epoch
        for user, seq in news.users.items():
            before = self.users.get(user, 0)
            if seq > before:
                self.users[user] = seq
                self._sum += seq - before
                is_news = True
        self._told = news.total
        return is_news

    def replace(self, page: SeenNews, later: Iterable[SeenNews]) -> bool:
        """Take a page that has all users; ``later`` is what was told since it was asked for. Return whether
        it is news.
        """
        epoch, before = self.epoch, self.users
        self.users = {}
        self._sum = 0
        self.take(page)
        newer = [each for each in later if each.epoch == page.epoch]
        for each in newer:
            self.take(each)
        self._told = max(page.total, *(each.total for each in newer), 0)  # the page may be the newest of them
        return epoch != self.epoch or self.users != before

    def clear(self) -> bool:
        """The room tells nothing (any more). Return whether anything was known."""
        is_news = bool(self.users)
        self.users = {}
        self.epoch = None
        self._sum = self._told = 0
        return is_news
