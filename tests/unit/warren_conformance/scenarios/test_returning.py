"""The scenarios of `returning.py`: which of them, and which others, find a fault of the reference client."""

from __future__ import annotations

import pytest
from tests.conformance_kit.faults import found_by

# fault ▶ all scenarios that fail
FOUND_BY = {
    "forgets_manual": {"request-durable", "returns-manually", "returns-with-positions"},
    "forgets_positions": {
        "backoff-when-unreachable",
        "drain-cut-short",
        "drain-keeps-its-slot",
        "dropped-unnumbered",
        "epoch-unannounced",
        "epoch-unasked",
        "gap-asks-and-holds-back",
        "gap-expired-in-replay",
        "gap-for-good",
        "gap-where-it-is",
        "grant-of-welcome",
        "left-unavailable",
        "own-in-replay",
        "own-in-second-replay",
        "repeats-after-return",
        "request-durable",
        "returns-with-positions",
        "silent-server",
        "unnumbered",
    },
    "speaks_before_welcome": {"welcome-first"},
}


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_is_found_by_the_scenarios_that_are_meant_for_it(fault: str) -> None:
    """Exactly these scenarios fail for a client with this fault alone."""
    assert found_by(fault) == FOUND_BY[fault]
