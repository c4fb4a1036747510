"""ObservedFlag: a yes or no, and who is told when it changes."""

from __future__ import annotations

from collections.abc import Callable


class ObservedFlag:
    """No at first."""

    __slots__ = ("_listeners", "_value")

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._value = False
        self._listeners: list[Callable[[bool], None]] = []

    def __bool__(self) -> bool:
        """Return what it is now."""
        return self._value

    def watch(self, listener: Callable[[bool], None]) -> None:
        """Tell ``listener`` of each change from now on, in the order in which listeners came."""
        self._listeners.append(listener)

    def set(self, value: bool, *, quietly: bool = False) -> None:
        """Change it; nobody hears of it where it was so already, or ``quietly``."""
        if value == self._value:
            return
        self._value = value
        if not quietly:
            for listener in self._listeners:
                listener(value)
