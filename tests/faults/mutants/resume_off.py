"""A router that never looks at the position a client comes back with: every JOIN is a first one."""

from __future__ import annotations

import msgspec
from tests.faults import mutants

from warren import envelope as wire

SERVICE = "router"


def forget(envelope: wire.Envelope | Exception) -> wire.Envelope | Exception:
    """Return a JOIN without its position, anything else as it is."""
    return msgspec.structs.replace(envelope, since=None) if isinstance(envelope, wire.Join) else envelope


if __name__ == "__main__":
    mutants.on_decoding(forget)
    mutants.run(SERVICE)
