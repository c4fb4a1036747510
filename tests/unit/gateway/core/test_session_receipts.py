"""SessionReceipts: each message of which somebody wants to know has an answer, and rights are kept."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.client_messages import ClientMessage, Receipt
from gateway.core.session_receipts import OPEN_MAX, WAIT_S, SessionReceipts, level_of
from warren import envelope
from warren.errors import ErrorCode, ProtocolError
from warren.log_entries import RECEIPT_NONE, RECEIPT_SEEN, RECEIPT_WRITTEN
from warren.namespaces import RoomPolicy

OFF, WRITTEN, SEEN = (RoomPolicy(receipts=mode) for mode in ("off", "written", "seen"))


def told(ident="m", room="a", *, level=RECEIPT_WRITTEN, complete=True, readers=-1, seen=0):
    return envelope.Receipt(
        ident, room, "e", 1, False, 1, 1, 1, complete=complete, level=level, readers=readers, seen=seen
    )


@pytest.mark.parametrize(
    ("receipt", "policy", "level"),
    [
        ("", OFF, RECEIPT_NONE),
        ("written", WRITTEN, RECEIPT_WRITTEN),
        ("written", SEEN, RECEIPT_WRITTEN),
        ("seen", SEEN, RECEIPT_SEEN),
    ],
)
def test_what_the_namespace_allows_may_be_asked(receipt, policy, level):
    """Up to its level."""
    assert level_of(ClientMessage("CHAT", id="m", receipt=receipt), policy, ephemeral=False) == level


@pytest.mark.parametrize(
    ("message", "policy", "ephemeral", "code"),
    [
        (ClientMessage("CHAT", id="m", receipt="written"), OFF, False, ErrorCode.FORBIDDEN),
        (ClientMessage("CHAT", id="m", receipt="seen"), WRITTEN, False, ErrorCode.FORBIDDEN),
        (ClientMessage("CHAT", receipt="written"), SEEN, False, ErrorCode.INVALID_MESSAGE),
        (ClientMessage("TYPING", id="m", receipt="seen"), SEEN, True, ErrorCode.INVALID_MESSAGE),
    ],
)
def test_what_may_not_be_asked_is_refused(message, policy, ephemeral, code):
    """And says why."""
    with pytest.raises(ProtocolError) as caught:
        level_of(message, policy, ephemeral=ephemeral)
    assert caught.value.code is code
    assert caught.value.message.startswith("receipt: ")


def test_each_level_is_told_once():
    """First written, then seen; other rooms' and others' are not."""
    receipts = SessionReceipts()
    receipts.ask("m", "a", RECEIPT_SEEN, 0.0)
    assert receipts.told(told("n")) is None
    assert receipts.told(told(room="b")) is None
    assert receipts.told(told()) == Receipt("m", "a", True)
    seen = told(level=RECEIPT_SEEN, readers=2, seen=2)
    assert receipts.told(seen) == Receipt("m", "a", True, 2, 2)
    assert receipts.told(seen) is None


def test_nobody_is_told_more_than_was_asked():
    """A newer router's level is not known here."""
    receipts = SessionReceipts()
    receipts.ask("m", "a", RECEIPT_WRITTEN, 0.0)
    assert receipts.told(told(level=RECEIPT_SEEN)) is None
    assert receipts.told(told(level=9)) is None
    assert receipts.told(msgspec.structs.replace(told(), complete=False)) == Receipt("m", "a", False)


def test_what_is_not_told_in_time_is_told_as_not_known():
    """Once; asking again waits anew."""
    receipts = SessionReceipts()
    receipts.ask("m", "a", RECEIPT_WRITTEN, 0.0)
    receipts.ask("n", "a", RECEIPT_SEEN, 0.0)
    receipts.ask("o", "a", RECEIPT_WRITTEN, 0.0)
    receipts.ask("o", "a", RECEIPT_WRITTEN, 5.0)
    assert receipts.expire(WAIT_S[RECEIPT_WRITTEN]) == [Receipt("m", "a", False)]
    assert receipts.expire(WAIT_S[RECEIPT_SEEN]) == [
        Receipt("n", "a", False, None, 0),
        Receipt("o", "a", False),
    ]
    assert receipts.expire(99.0) == []
    assert len(receipts) == 0


def test_what_was_refused_is_not_waited_for():
    """Its ERROR says all."""
    receipts = SessionReceipts()
    receipts.ask("m", "a", RECEIPT_WRITTEN, 0.0)
    assert len(receipts) == 1
    receipts.refused("m")
    receipts.refused("n")
    assert not receipts
    assert receipts.expire(99.0) == []


def test_so_many_may_be_waited_for():
    """A repeat of one of them is no more."""
    receipts = SessionReceipts()
    for number in range(OPEN_MAX):
        receipts.ask(str(number), "a", RECEIPT_WRITTEN, 0.0)
    receipts.ask("0", "a", RECEIPT_WRITTEN, 0.0)
    with pytest.raises(ProtocolError) as caught:
        receipts.ask("more", "a", RECEIPT_WRITTEN, 0.0)
    assert caught.value.code is ErrorCode.OVERLOADED
