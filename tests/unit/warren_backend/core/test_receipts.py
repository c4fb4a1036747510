"""Receipts, as routers write them."""

from __future__ import annotations

import pytest

from warren.contract.examples import EXAMPLES
from warren.contract.receipts import ReceiptPayload
from warren_backend.core.errors import NotificationRefused, ReceiptUnknown
from warren_backend.core.receipts import Receipt, receipt_of


def test_each_field_is_read() -> None:
    """What is not said is not known, and no number."""
    payload = {"id": "i", "room": "@ann", "epoch": "e", "seq": 12, "users": 0, "complete": True, "written": 2}
    assert receipt_of(payload) == Receipt(
        id="i", room="@ann", epoch="e", seq=12, users=0, complete=True, written=2
    )
    assert receipt_of({"complete": False}).users is None


def test_the_examples_of_the_contract_are_read() -> None:
    """All their fields have a place."""
    fields = {each for each in ReceiptPayload.__struct_fields__ if each not in ("refused", "reason")}
    assert fields == set(Receipt.__slots__)
    for example in EXAMPLES[ReceiptPayload]:
        if not {"refused", "reason"} & set(example):
            found = receipt_of(example)
            assert {name: getattr(found, name) for name in example} == example


def test_a_refusal_and_a_full_router_are_errors() -> None:
    """With the reason."""
    with pytest.raises(NotificationRefused, match="reserved type"):
        receipt_of({"complete": True, "refused": "reserved type: UPPER CASE types are Warren's own"})
    with pytest.raises(ReceiptUnknown, match="overloaded"):
        receipt_of({"complete": False, "reason": "overloaded"})
    with pytest.raises(ReceiptUnknown):
        receipt_of([1])
