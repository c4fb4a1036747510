"""One envelope on its way up."""

from __future__ import annotations

from gateway.shell.sending import Sending
from warren import envelope


def message(id: str = "") -> envelope.Publish:  # noqa: A002
    return envelope.Publish("r", "CHAT", b"1", 1, "g~1", "ann", id)


def test_a_message_without_id_waits_for_its_confirm_only():
    """Without an id nobody waits once it is sent."""
    sending = Sending(message(), 0, 0.0, 10.0)
    assert sending.waits
    sending.settle(batch=1)
    assert (sending.waits, sending.envelope) == (False, None)


def test_a_message_with_an_id_waits_for_its_answer():
    """With an id it waits for the router's answer too, though its payload is let go with the confirm."""
    sending = Sending(message("m"), 0, 0.0, 10.0)
    sending.settle(batch=1)
    assert (sending.waits, sending.envelope) == (True, None)
    sending.answered = True
    assert not sending.waits


def test_a_message_with_an_id_of_our_own_waits_for_its_confirm_only():
    """Nobody is told that it was accepted, so nobody waits for that."""
    sending = Sending(message("~g~1.1"), 0, 0.0, 10.0)
    assert (sending.waits, sending.id) == (True, "")
    sending.settle(batch=1)
    assert not sending.waits


def test_joins_and_leaves_wait_for_their_confirm():
    """A join belongs to nobody who could be told, so it waits only to be sent."""
    sending = Sending(envelope.Join("r", "g~1", "ann", "j"), 0, 0.0, 0.0)
    assert (sending.waits, sending.conn, sending.id) == (True, "", "")
    sending.settle()
    assert not sending.waits
