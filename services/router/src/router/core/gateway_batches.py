"""GatewayBatches: which batches of gateways count: those of a life that the log knows, each once.

A batch is taken once: where its number is above the last one of a life that is there. A life begins with its
first batch, and a name's later life has a higher number; of lives that have ended only the latest of each
name, and only so many, are remembered.
"""

from __future__ import annotations

import enum
from collections import OrderedDict


class Verdict(enum.Enum):
    """What becomes of a batch."""

    TAKEN = "taken"
    BEGINS = "begins"  # taken, as the first of a new life
    REPEAT = "repeat"
    REFUSED = "refused"  # of a life that is not there


class GatewayBatches:
    """Gateways that are there, and those that were."""

    def __init__(
        self,
        living: dict[str, tuple[int, int]] | None = None,
        ended: dict[str, tuple[int, int]] | None = None,
    ) -> None:
        """Both are name ▶ (life, number of its last batch that was taken); ``ended`` the oldest first."""
        self.living: dict[str, tuple[int, int]] = {} if living is None else living
        self.ended: OrderedDict[str, tuple[int, int]] = OrderedDict(ended or ())
        self.names: tuple[str, ...] = tuple(self.living)  # of those that live, ready to use

    def judge(self, gateway: str, life: int, number: int, *, hello: bool) -> Verdict:
        """Say what becomes of a batch; ``hello``: it is one that begins a life."""
        known = self.living.get(gateway)
        if known is not None and known[0] == life:
            return Verdict.TAKEN if number > known[1] else Verdict.REPEAT
        last = max(known[0] if known else 0, self.ended.get(gateway, (0, 0))[0])
        return Verdict.BEGINS if hello and life > last else Verdict.REFUSED

    def take(self, gateway: str, life: int, number: int) -> None:
        """A batch is taken."""
        new = gateway not in self.living
        self.living[gateway] = (life, number)
        if new:
            self.names = tuple(self.living)

    def end(self, gateway: str, remembered: int) -> int:
        """A living gateway's life is over; return the number of its last batch. At most ``remembered`` ended
        ones are.
        """
        life, counted = self.living.pop(gateway)
        self.names = tuple(self.living)
        self.ended.pop(gateway, None)
        self.ended[gateway] = (life, counted)
        self.forget(remembered)
        return counted

    def note(self, gateway: str, life: int, remembered: int) -> None:
        """A life is over of which no batch was taken."""
        last = self.ended.pop(gateway, (0, 0))[0]
        self.ended[gateway] = (max(life, last), 0)
        self.forget(remembered)

    def counted(self, gateway: str, life: int) -> int:
        """Return the last batch of an ended life that was taken; 0 where that is not known."""
        known = self.ended.get(gateway)
        return known[1] if known is not None and known[0] == life else 0

    def forget(self, remembered: int) -> None:
        """Forget the ended lives that are too many, the oldest first."""
        while len(self.ended) > remembered:
            self.ended.popitem(last=False)
