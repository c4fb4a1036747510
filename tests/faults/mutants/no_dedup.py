"""A router that knows no message id: a repeat is a new message."""

from __future__ import annotations

from tests.faults import mutants

from router.core.message_ids import MessageIds

SERVICE = "router"

if __name__ == "__main__":
    MessageIds.get = lambda self, key: None  # type: ignore[method-assign]
    MessageIds.put = lambda self, key, place: None  # type: ignore[method-assign]
    mutants.run(SERVICE)
