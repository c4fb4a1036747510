"""The scenarios of `gaps.py`: which of them, and which others, find a fault of the reference client."""

from __future__ import annotations

import pytest
from tests.conformance_kit.faults import found_by

# fault ▶ all scenarios that fail
FOUND_BY = {
    "asks_for_each_message": {
        "backoff-when-unreachable",
        "drain-cut-short",
        "gap-asks-and-holds-back",
        "grant-of-welcome",
    },
    "delivers_behind_gaps": {"gap-where-it-is"},
    "delivers_while_it_asks": {
        "backoff-when-unreachable",
        "drain-cut-short",
        "dropped-unnumbered",
        "gap-asks-and-holds-back",
        "gap-where-it-is",
        "join-answered-twice",
        "own-ack-overtaken",
        "own-in-second-replay",
    },
    "expired_is_a_gap": {"gap-expired-in-replay"},
    "hides_gaps": {
        "epoch-on-return",
        "epoch-unannounced",
        "epoch-unasked",
        "gap-for-good",
        "gap-where-it-is",
        "join-answered-twice",
    },
    "sees_no_gaps": {
        "dropped-unnumbered",
        "epoch-unannounced",
        "gap-asks-and-holds-back",
        "gap-for-good",
        "gap-where-it-is",
        "join-answered-twice",
        "own-in-second-replay",
    },
}


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_is_found_by_the_scenarios_that_are_meant_for_it(fault: str) -> None:
    """Exactly these scenarios fail for a client with this fault alone."""
    assert found_by(fault) == FOUND_BY[fault]
