"""One envelope on its way up."""

from __future__ import annotations

from gateway.shell.in_flight_publish import LEAVE, MESSAGE, InFlightPublish
from warren import envelope


def message(id: str = "") -> envelope.Publish:  # noqa: A002
    return envelope.Publish("r", "CHAT", b"1", 1, "g~1", "ann", id)


def test_a_message_without_id_waits_until_it_has_counted():
    """A confirm is not enough: it may be of a life that is over."""
    sending = InFlightPublish(message(), 0, 0.0, 10.0)
    assert sending.waits
    sending.settle(batch=1)
    assert sending.waits
    sending.counted, sending.envelope = True, None
    assert not sending.waits


def test_a_message_with_an_id_waits_for_its_answer():
    """Also where it is known to have counted."""
    sending = InFlightPublish(message("m"), 0, 0.0, 10.0)
    sending.counted, sending.envelope = True, None
    assert sending.waits
    sending.awaited = False
    assert not sending.waits


def test_what_is_answered_waits_for_nothing():
    """Though nobody has said that it counted."""
    sending = InFlightPublish(message("m"), 0, 0.0, 10.0)
    sending.answered = True
    assert not sending.waits
    assert sending.envelope is not None


def test_a_message_with_an_id_of_our_own_waits_for_no_answer():
    """Nobody is told that it was accepted, so nobody waits for that."""
    sending = InFlightPublish(message("~g~1.1"), 0, 0.0, 10.0)
    assert (sending.waits, sending.id) == (True, "")
    sending.counted, sending.envelope = True, None
    assert not sending.waits


def test_an_answer_is_known_by_its_key():
    """By connection, id and room, and by what it is to; where none comes there is no key, and nobody waits
    for it.
    """
    found = [
        (sending.key, sending.awaited)
        for sending in (
            InFlightPublish(message("m"), 0, 0.0, 10.0),
            InFlightPublish(message("~m"), 0, 0.0, 10.0),
            InFlightPublish(envelope.Leave(("r",), "g~1", "l"), 0, 0.0, 0.0),
            InFlightPublish(envelope.Leave(("r",), "g~1"), 0, 0.0, 0.0),
            InFlightPublish(envelope.Join("r", "g~1", "ann", "j"), 0, 0.0, 0.0),
        )
    ]
    assert found == [
        (("g~1", "m", "r", MESSAGE), True),
        ((), False),
        (("g~1", "l", "r", LEAVE), True),
        ((), False),
        ((), False),
    ]


def test_what_has_to_count_is_kept():
    """Messages, and leaves that are answered; who wants to join asks anew. Messages alone count against the
    limits.
    """
    found = [
        (sending.kept, sending.charged)
        for sending in (
            InFlightPublish(message(), 0, 0.0, 10.0),
            InFlightPublish(envelope.Join("r", "g~1", "ann", "j"), 0, 0.0, 0.0),
            InFlightPublish(envelope.Leave(("r",), "g~1", "l"), 0, 0.0, 0.0),
            InFlightPublish(envelope.Leave(("r",), "g~1"), 0, 0.0, 0.0),
        )
    ]
    assert found == [(True, True), (False, False), (True, False), (False, False)]
