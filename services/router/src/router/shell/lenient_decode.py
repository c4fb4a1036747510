"""Opening: from a delivery's bytes to envelopes, saving what can be saved of a batch that is partly spoilt.

It never raises: what is wrong comes back as a reason to set the batch aside. The inbox calls it.
"""

from __future__ import annotations

from warren.envelope import Envelope, decode, decode_each
from warren.errors import MalformedEnvelope, UnsupportedEnvelope


def opened(body: bytes) -> tuple[list[Envelope], str]:
    """Return the envelopes of a batch in their order, and why it must be set aside (empty: all is well)."""
    try:
        return decode(body), ""
    except UnsupportedEnvelope as error:
        return [], f"unsupported: {error}"
    except MalformedEnvelope:
        pass
    try:
        parts = decode_each(body)
    except MalformedEnvelope as error:
        return [], f"malformed: {error}"
    envelopes = [part for part in parts if not isinstance(part, MalformedEnvelope)]
    return envelopes, f"malformed: {len(parts) - len(envelopes)} of {len(parts)} parts are no envelopes"
