"""The scenarios of `websocket_frames.py`: which of them, and which others, find a fault of the reference client."""

from __future__ import annotations

import pytest
from tests.conformance_kit.faults import found_by

# fault ▶ all scenarios that fail
FOUND_BY = {
    "breaks_texts": {"fragments", "texts"},
    "closes_on_unknown_types": {"unknown-is-ignored"},
    "fragments_are_messages": {"fragments"},
    "no_pongs": {"answers-pings", "fragments"},
    "offers_unknown_subprotocols": {"json-without-subprotocol", "msgpack"},
    "small_limit": {"compressed", "large-and-deep"},
}


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_is_found_by_the_scenarios_that_are_meant_for_it(fault: str) -> None:
    """Exactly these scenarios fail for a client with this fault alone."""
    assert found_by(fault) == FOUND_BY[fault]
