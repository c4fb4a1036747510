"""The scenarios of `backoff.py`: which of them, and which others, find a fault of the reference client."""

from __future__ import annotations

import pytest
from tests.conformance_kit.faults import found_by

# fault ▶ all scenarios that fail
FOUND_BY = {
    "gives_up": {"backoff-when-refused", "backoff-when-unreachable"},
    "no_jitter": {"backoff-has-jitter"},
    "tight_loop": {
        "backoff-has-jitter",
        "backoff-when-closed-at-once",
        "backoff-when-refused",
        "close-retry-after",
        "token-refused-again",
    },
    "welcome_ends_the_backoff": {
        "backoff-when-closed-at-once",
        "backoff-when-refused",
        "token-refused-again",
    },
}


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_is_found_by_the_scenarios_that_are_meant_for_it(fault: str) -> None:
    """Exactly these scenarios fail for a client with this fault alone."""
    assert found_by(fault) == FOUND_BY[fault]
