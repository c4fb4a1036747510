"""A gateway that hides from the router where its clients stand, and tells them that nothing was missed."""

from __future__ import annotations

import msgspec
from tests.faults import mutants

from warren import envelope as wire

SERVICE = "gateway"


def hide(envelope: wire.Envelope) -> wire.Envelope:
    """Return a JOIN without its position, anything else as it is."""
    return msgspec.structs.replace(envelope, since=None) if isinstance(envelope, wire.Join) else envelope


def flatter(envelope: wire.Envelope | Exception) -> wire.Envelope | Exception:
    """Return JOINED with recovered: true, anything else as it is."""
    return msgspec.structs.replace(envelope, recovered=True) if isinstance(envelope, wire.Joined) else envelope


if __name__ == "__main__":
    mutants.on_encoding(hide)
    mutants.on_decoding(flatter)
    mutants.run(SERVICE)
