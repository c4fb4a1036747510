"""Plan: the effects of a batch, sorted by destination.

What goes to one gateway keeps its order. A message whose room has members on every living gateway goes out once to all of them, where that
saves something, unless the same batch says something about membership of that room (JOINED and LEFT must not change places with
messages, and two destinations have no order between them). ``shell/worker.py`` makes one for each batch; it is sent as a whole, and
confirmed before the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from router.core.effects import EVERY, Deliver, Effect, Reject, Reply, Tell
from warren.envelope import Envelope, Joined, Left

# Below this, one copy for each gateway is as cheap, and nobody gets what does not concern them.
WORTH_ALL = 3


@dataclass(slots=True)
class Plan:
    """What goes where."""

    every: list[Envelope] = field(default_factory=list)
    each: dict[str, list[Envelope]] = field(default_factory=dict)
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
    moving = {
        effect.message.room
        for effect in effects
        if isinstance(effect, Reply) and isinstance(effect.message, (Joined, Left))
    }
    split: dict[str, bool] = {}  # room ▶ whether one of its messages can't go to all
    if whole and len(living) >= WORTH_ALL:
        for effect in effects:
            if isinstance(effect, Deliver) and effect.gateways is not EVERY and not split.get(effect.message.room):
                split[effect.message.room] = not living.issubset(effect.gateways)
    for effect in effects:
        match effect:
            case Deliver(gateways=gateways, message=message):
                if gateways == EVERY or (split.get(message.room) is False and message.room not in moving):
                    made.every.append(message)
                    made.copies += 1
                else:
                    made.copies += len(gateways)
                    for gateway in gateways:
                        made.to(gateway, message)
            case Reply(gateway=gateway, message=reply):
                made.to(gateway, reply)
            case Tell(message=question):
                made.every.append(question)
            case Reject():
                made.aside.append(effect)
    return made
