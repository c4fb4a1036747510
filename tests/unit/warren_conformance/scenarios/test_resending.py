"""The scenarios of `resending.py`: which of them, and which others, find a fault of the reference client."""

from __future__ import annotations

import pytest
from tests.conformance_kit.faults import found_by

# fault ▶ all scenarios that fail
FOUND_BY = {
    "believes_the_first_replay": {"join-answered-twice"},
    "counts_its_ids": {"ids-are-unique"},
    "forgets_refused_joins": {"join-refused-for-now"},
    "forgets_what_it_sent": {
        "request-durable",
        "request-over-reconnect",
        "resend-in-order",
        "resend-under-the-same-id",
    },
    "hammers_what_is_refused": {"refused-without-ref"},
    "joins_again_at_once": {"join-refused-for-now"},
    "keeps_refused_rooms": {"join-refused-for-good"},
    "resends_in_reverse": {"resend-in-order"},
    "resends_under_new_ids": {"request-durable", "request-over-reconnect", "resend-under-the-same-id"},
    "resends_what_was_refused": {"refused-for-good"},
    "retries_at_once": {"refused-for-now"},
}


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_is_found_by_the_scenarios_that_are_meant_for_it(fault: str) -> None:
    """Exactly these scenarios fail for a client with this fault alone."""
    assert found_by(fault) == FOUND_BY[fault]
