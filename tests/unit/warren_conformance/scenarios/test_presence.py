"""The scenarios of `presence.py`: which of them, and which others, find a fault of the reference client."""

from __future__ import annotations

import pytest
from tests.conformance_kit.faults import found_by

# fault ▶ all scenarios that fail
FOUND_BY = {
    "adds_pages_to_the_list": {"presence-after-return"},
    "ignores_the_digest": {"presence-lost-diff"},
    "keeps_who_has_left": {"presence-list"},
    "reads_at_once": {"presence-lost-diff"},
    "reads_one_page": {"presence-pages"},
    "reads_without_need": {"presence-list"},
    "watches_once": {"contacts-again"},
}


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_is_found_by_the_scenarios_that_are_meant_for_it(fault: str) -> None:
    """Exactly these scenarios fail for a client with this fault alone."""
    assert found_by(fault) == FOUND_BY[fault]
