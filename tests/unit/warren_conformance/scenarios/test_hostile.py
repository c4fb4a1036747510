"""The scenarios of `hostile.py`: which of them, and which others, find a fault of the reference client."""

from __future__ import annotations

import pytest
from tests.conformance_kit.faults import found_by

# fault ▶ all scenarios that fail
FOUND_BY = {
    "dies_of_rubbish": {
        "survives-what-is-no-frame",
        "survives-wrong-answers",
        "survives-wrong-fields",
        "survives-wrong-presence",
    },
    "joins_strangers_rooms": {"epoch-of-everyone", "survives-unknown-rooms"},
}


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_is_found_by_the_scenarios_that_are_meant_for_it(fault: str) -> None:
    """Exactly these scenarios fail for a client with this fault alone."""
    assert found_by(fault) == FOUND_BY[fault]
