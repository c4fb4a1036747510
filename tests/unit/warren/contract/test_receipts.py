"""receipts: what became of a message."""

import pytest
from tests.support.contract_examples import through

from warren.contract import receipts


@pytest.mark.parametrize("struct", [receipts.ReceiptPayload], ids=lambda struct: struct.__name__)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost and nothing is added."""
    for example, written in through(struct):
        assert written == example


def test_a_receipt_says_what_it_is_of():
    """The least that it has: what was asked, whether that is all, and of which message."""
    assert receipts.ReceiptPayload(True, "a").id == "a"
