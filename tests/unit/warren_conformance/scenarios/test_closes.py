"""The scenarios of `closes.py`: which of them, and which others, find a fault of the reference client."""

from __future__ import annotations

import pytest
from tests.conformance_kit.faults import found_by

# fault ▶ all scenarios that fail
FOUND_BY = {
    "comes_back_after_close": {"closes-for-good"},
    "ignores_retry_after_of_close": {"close-retry-after"},
    "returns_after_1000": {"close-1000-stays-away"},
    "returns_after_1002": {"close-1002-stays-away"},
    "returns_after_4003": {"close-4003-stays-away"},
    "returns_after_4006": {"close-4006-stays-away"},
    "returns_after_4007": {"close-4007-stays-away"},
    "stays_away_after_1001": {"close-comes-back"},
    "stays_away_after_1013": {"backoff-when-closed-at-once", "close-comes-back", "close-retry-after"},
    "stays_away_after_4005": {"close-comes-back"},
}


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_is_found_by_the_scenarios_that_are_meant_for_it(fault: str) -> None:
    """Exactly these scenarios fail for a client with this fault alone."""
    assert found_by(fault) == FOUND_BY[fault]
