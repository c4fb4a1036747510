"""A result that comes once, or an error in its place: what a caller waits for, without a loop to wait in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from warren_client.errors import WarrenError

T = TypeVar("T")


class Outcome(Generic[T]):
    """Settled by the first ``resolve`` or ``reject``; later ones change nothing."""

    def __init__(self) -> None:
        """It is open."""
        self.is_done = False
        self.value: T | None = None
        self.error: WarrenError | None = None
        self._then: list[Callable[[Outcome[T]], None]] = []

    @staticmethod
    def failed(error: WarrenError) -> Outcome[T]:
        """Return one that is settled by an error."""
        outcome: Outcome[T] = Outcome()
        outcome.reject(error)
        return outcome

    def resolve(self, value: T) -> None:
        """Settle it with a result."""
        if not self.is_done:
            self.value = value
            self._settled()

    def reject(self, error: WarrenError) -> None:
        """Settle it with an error."""
        if not self.is_done:
            self.error = error
            self._settled()

    def then(self, what: Callable[[Outcome[T]], None]) -> None:
        """Call ``what`` as soon as it is settled, which may be now."""
        if self.is_done:
            what(self)
        else:
            self._then.append(what)

    def _settled(self) -> None:
        self.is_done = True
        waiting, self._then = self._then, []
        for what in waiting:
            what(self)
