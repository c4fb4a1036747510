"""The recorder sees each breach of the promise, and none where there is none."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.recorder import Recorder


def joined(seq: int = 0, epoch: str = "e", *, recovered: bool = False, missed: int = 0) -> dict[str, Any]:
    return {
        "type": "JOINED",
        "room": "r",
        "payload": {"epoch": epoch, "seq": seq, "recovered": recovered, "missed": missed},
    }


def chat(seq: int | None, n: int | None = None, *, sender: str = "ann", epoch: str = "e") -> dict[str, Any]:
    position = {} if seq is None else {"seq": seq, "epoch": epoch}
    return {
        "type": "CHAT",
        "room": "r",
        "sender": sender,
        "payload": {} if n is None else {"n": n},
        **position,
    }


def ack(seq: int, epoch: str = "e") -> dict[str, Any]:
    return {"type": "ACK", "room": "r", "ref": "x", "payload": {"seq": seq, "epoch": epoch}}


def recorder_of(*messages: dict[str, Any]) -> Recorder:
    recorder = Recorder()
    for message in messages:
        recorder(message)
    return recorder


def test_once_and_in_order_passes() -> None:
    """Seqs 1 to 3 with the sender's numbers 1 to 3 are what was promised."""
    recorder = recorder_of(joined(), chat(1, 1), chat(2, 2), chat(3, 3))
    recorder.check(sent={"ann": 3})
    assert recorder.position("r") == ("e", 3)
    assert recorder.delivered("r", "ann") == 3


def test_a_later_join_starts_at_its_position() -> None:
    """Who joins at seq 7 has not missed the first seven."""
    recorder_of(joined(7), chat(8), chat(9)).check()


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([joined(), chat(1), chat(3)], r"1 seq\(s\) never came: \[2\]"),
        ([joined(), chat(1), chat(1)], "a repeat"),
        ([joined(), chat(2), chat(1)], "seq 1 after 2"),
        ([joined(), chat(1, epoch="other")], "message of epoch 'other'"),
        ([joined(), chat(1, 1), chat(2, 3)], "number 3 after 1"),
        ([joined(), chat(1), joined(5)], r"continuity was lost 1 time\(s\)"),
        ([joined(), chat(1), joined(1, recovered=True, missed=2), chat(2)], r"never came: \[3\]"),
        ([joined(), chat(1), joined(1, "other", recovered=True)], "recovered in epoch other"),
        ([joined(), ack(2)], r"never came: \[1\]"),
    ],
)
def test_a_breach_is_named(messages: list[dict[str, Any]], complaint: str) -> None:
    """A gap, a repeat, a wrong order, a foreign epoch, a lost number and a lost continuity each fail the
    check in words.
    """
    with pytest.raises(AssertionError, match=complaint):
        recorder_of(*messages).check()


def test_what_one_sent_oneself_is_known_by_its_ack() -> None:
    """An own message is no gap once its ACK is there, whichever comes first, and a repeated ACK changes
    nothing.
    """
    recorder_of(joined(), chat(1), ack(2), chat(3), ack(2)).check()
    late = recorder_of(joined(), chat(1), chat(3))
    assert late.missing("r") == [2]
    late(ack(2))
    late.check()


def test_missing_messages_of_a_sender_are_named() -> None:
    """Where a sender's last messages never came, no seq shows it, but the count does."""
    recorder = recorder_of(joined(), chat(1, 1), chat(2, 2))
    with pytest.raises(AssertionError, match="of 'ann' came 2, numbers 1 to 2, not 1 to 3"):
        recorder.check(sent={"ann": 3})
    with pytest.raises(AssertionError, match="of 'bob' came 0"):
        recorder.check(sent={"bob": 1})
    recorder.check(sent={"bob": 0})


def test_recovery_goes_on_where_the_reader_was() -> None:
    """recovered: true claims continuity, and the missed messages then fill it."""
    recorder = recorder_of(
        joined(), chat(1, 1), joined(1, recovered=True, missed=2), chat(2, 2), chat(3, 3), chat(4, 4)
    )
    recorder.check(sent={"ann": 4})


def test_a_told_break_passes_only_where_allowed() -> None:
    """recovered: false is honest, so it passes where the test allows breaks; what follows is
    checked as ever.
    """
    recorder = recorder_of(joined(), chat(1, 1), joined(0, "second"), chat(1, 5, epoch="second"))
    recorder.check(breaks=True)
    assert recorder.breaks("r") == 1
    recorder(chat(3, 6, epoch="second"))
    with pytest.raises(AssertionError, match="never came"):
        recorder.check(breaks=True)


def test_unnumbered_messages_are_counted_apart() -> None:
    """A message without a seq is outside the order."""
    recorder = recorder_of(joined(), chat(None), chat(1), chat(None))
    recorder.check()
    assert recorder.unnumbered("r") == 2
    assert recorder.delivered("r") == 1


def test_leaving_forgets_the_room() -> None:
    """After LEFT a new JOINED is a first one, not a break."""
    recorder_of(joined(), chat(1), {"type": "LEFT", "room": "r"}, joined(9)).check()
