"""A router that feeds a gateway from now on, not from where that stands, and says otherwise: what lies between is left out."""

from __future__ import annotations

from tests.faults import mutants

from router.core.feeds import Feeds
from warren.envelope import LifeEnded, Number, Reset

SERVICE = "router"

_number = Feeds.number


def number(feeds: Feeds, said: Number) -> LifeEnded | Reset | None:
    """Let the chain go on with nothing behind it."""
    answer = _number(feeds, said)
    chain = feeds._chains.get(said.gateway)
    if chain is not None:
        chain.behind = False
    return answer


if __name__ == "__main__":
    Feeds.number = number  # type: ignore[method-assign]
    mutants.run(SERVICE)
