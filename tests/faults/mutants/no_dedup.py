"""A router that forgets every message id at once: a repeat is a new message."""

from __future__ import annotations

from tests.faults import mutants

from router.core.dedup import Dedup

SERVICE = "router"

if __name__ == "__main__":
    Dedup.get = lambda self, key, now_us: None  # type: ignore[method-assign]
    mutants.run(SERVICE)
