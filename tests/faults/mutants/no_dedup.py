"""A router that knows no message id: a repeat is a new message."""

from __future__ import annotations

from tests.faults import mutants

from router.core.dedup import SeenIds

SERVICE = "router"

if __name__ == "__main__":
    SeenIds.get = lambda self, key: None  # type: ignore[method-assign]
    SeenIds.put = lambda self, key, place: None  # type: ignore[method-assign]
    mutants.run(SERVICE)
