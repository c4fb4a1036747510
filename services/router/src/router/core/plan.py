"""Plan: the effects of a batch, sorted by destination.

What is for the log comes before all else, what goes to one gateway keeps its order. A message whose room has members on every living gateway goes
out once to all of them, where that saves something, unless the same batch tells some gateway about membership or position of that room: JOINED, LEFT
and what is sent again must not change places with messages, and two destinations have no order between them. ``shell/worker.py`` makes one
for each batch; it is sent as a whole, and confirmed before the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from router.core.effects import EVERY, Append, Deliver, Effect, Emit, Reject, Reply, Tell
from warren import envelope as wire
from warren.envelope import Envelope

# Below this, one copy for each gateway is as cheap, and nobody gets what does not concern them.
WORTH_ALL = 3

# What must keep its place among the messages of its room.
_PLACED = (wire.Joined, wire.Left, wire.Resync, wire.Deliver)


@dataclass(slots=True)
class Plan:
    """What goes where. ``log`` first, confirmed; then ``every`` and ``each``; then ``events`` and ``aside``."""

    log: list[wire.Deliver | wire.Checkpoint] = field(default_factory=list)
    every: list[Envelope] = field(default_factory=list)
    each: dict[str, list[Envelope]] = field(default_factory=dict)
    events: list[Emit] = field(default_factory=list)
    aside: list[Reject] = field(default_factory=list)
    copies: int = 0  # messages that leave for gateways, counted once for each destination

    def to(self, gateway: str, envelope: Envelope) -> None:
        """Add an envelope for one gateway."""
        self.each.setdefault(gateway, []).append(envelope)


def plan(effects: Iterable[Effect], living: frozenset[str], *, whole: bool = True) -> Plan:
    """Sort effects by destination. ``living`` are the gateways known to live; ``whole`` False: nothing goes to all at
    once but what is addressed to everyone.
    """
    effects = list(effects)
    made = Plan()
    moving: dict[str, dict[str, None]] = {}  # room ▶ the gateways that are told something of it by itself
    for effect in effects:
        if isinstance(effect, Reply) and isinstance(effect.message, _PLACED):
            moving.setdefault(effect.message.room, {})[effect.gateway] = None
    split: dict[str, bool] = {}  # room ▶ whether one of its messages can't go to all
    if whole and len(living) >= WORTH_ALL:
        for effect in effects:
            if isinstance(effect, Deliver) and effect.gateways is not EVERY and not split.get(effect.message.room):
                split[effect.message.room] = not living.issubset(effect.gateways)
    for effect in effects:
        match effect:
            case Append(entry=entry):
                made.log.append(entry)
            case Deliver(gateways=gateways, message=message):
                if gateways == EVERY or (split.get(message.room) is False and message.room not in moving):
                    made.every.append(message)
                    made.copies += 1
                    # Everyone's address has no other way, so whom it may overtake something gets a second copy in order.
                    gateways = tuple(moving.get(message.room, ()))
                made.copies += len(gateways)
                for gateway in gateways:
                    made.to(gateway, message)
            case Reply(gateway=gateway, message=reply):
                made.to(gateway, reply)
            case Tell(message=question):
                made.every.append(question)
            case Emit():
                made.events.append(effect)
            case Reject():
                made.aside.append(effect)
    return made
