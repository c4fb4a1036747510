"""MessageRates: how many messages a second each gateway takes in and writes, from the counters in its
heartbeats.

A rate is that between two heartbeats, by when these came, so it does not depend on when somebody looks. A
counter that begins anew with a gateway's next life makes no rate below zero. It remembers living gateways
alone. Pure: times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from router.core.gateway_leases import GatewayLeases
from warren.envelope import Heartbeat


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages, and ERROR frames, in a second."""

    messages_in: float = 0.0
    messages_out: float = 0.0
    errors: float = 0.0


NO_RATES: Final = Rates()


@dataclass(slots=True)
class _Counted:
    beat: Heartbeat
    at: float
    rates: Rates = NO_RATES


class MessageRates:
    """Those of all gateways."""

    def __init__(self) -> None:
        """Nothing was counted yet."""
        self._counted: dict[str, _Counted] = {}

    def look(self, gateways: GatewayLeases) -> None:
        """Compare what each gateway has said last with what it had said when this was called before."""
        before, self._counted = self._counted, {}
        for name, beat in gateways.all_said().items():
            at = gateways.heard_at(name)
            if at is None:
                continue
            known = before.get(name)
            if known is None or known.beat.started_us != beat.started_us:
                self._counted[name] = _Counted(beat, at)
            elif at <= known.at:  # it was not heard meanwhile
                self._counted[name] = known
            else:
                self._counted[name] = _Counted(beat, at, _between(known, beat, at - known.at))

    def of(self, gateway: str) -> Rates:
        """Return a gateway's rates."""
        known = self._counted.get(gateway)
        return NO_RATES if known is None else known.rates

    def total(self) -> Rates:
        """Return the sums of all gateways' rates."""
        rates = [known.rates for known in self._counted.values()]
        return Rates(
            sum(each.messages_in for each in rates),
            sum(each.messages_out for each in rates),
            sum(each.errors for each in rates),
        )


def _between(before: _Counted, beat: Heartbeat, seconds: float) -> Rates:
    was = before.beat
    return Rates(
        max(0, beat.messages_in - was.messages_in) / seconds,
        max(0, beat.messages_out - was.messages_out) / seconds,
        max(0, beat.errors - was.errors) / seconds,
    )
