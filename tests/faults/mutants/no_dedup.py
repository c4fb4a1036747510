"""A router that forgets every message id at once: a repeat is a new message."""

from __future__ import annotations

from tests.faults import mutants

from router.core.message_ids import MessageIds

SERVICE = "router"

if __name__ == "__main__":
    MessageIds.get = lambda self, key: None  # type: ignore[method-assign]
    mutants.run(SERVICE)
