"""The scenarios of `own_messages.py`: which of them, and which others, find a fault of the reference client."""

from __future__ import annotations

import pytest
from tests.conformance_kit.faults import found_by

# fault ▶ all scenarios that fail
FOUND_BY = {
    "ack_moves_the_position": {
        "own-in-replay",
        "own-in-second-replay",
    },
    "own_seq_is_a_gap": {"own-seq-by-ack"},
    "takes_second_replays_for_copies": {"own-in-second-replay"},
}


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_is_found_by_the_scenarios_that_are_meant_for_it(fault: str) -> None:
    """Exactly these scenarios fail for a client with this fault alone."""
    assert found_by(fault) == FOUND_BY[fault]
