"""A router that hears of no other: it takes itself for the only one, and speaks for every shard as long as it
lives. Run in the router's place; nothing of it is in the product.
"""

from __future__ import annotations

from tests.faults import mutants

from router.core.router_leases import RouterLeases

if __name__ == "__main__":
    RouterLeases.heartbeat = lambda self, beat, now: False  # type: ignore[method-assign]
    RouterLeases.leaving = lambda self, router: False  # type: ignore[method-assign]
    mutants.run("router")
