"""AMQP's properties, to and fro."""

from __future__ import annotations

import pytest
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from warren_backend.core.messages import Outgoing
from warren_backend.shell.properties import incoming_of, properties_of


def delivered(**properties: object) -> DeliveredMessage:
    deliver = Basic.Deliver(consumer_tag="t", delivery_tag=1, redelivered=True, routing_key="k")
    return DeliveredMessage(deliver, ContentHeader(properties=Basic.Properties(**properties)), b"x", None)  # type: ignore[arg-type]


def test_what_is_sent_is_what_comes() -> None:
    """Each property has its place."""
    message = Outgoing(
        routing_key="k",
        body=b"x",
        content_type="application/json",
        type="CHAT",
        message_id="i",
        correlation_id="c",
        reply_to="q",
        expiration_ms=9,
        headers={"n": 1, "more": True, "key": "v"},
    )
    properties = properties_of(message, 7)
    assert (properties.delivery_mode, properties.expiration) == (2, "7")
    came = incoming_of(delivered(**{name: getattr(properties, name) for name in properties.attributes()}))
    assert (came.routing_key, came.body, came.type, came.message_id) == ("k", b"x", "CHAT", "i")
    assert (came.correlation_id, came.reply_to, came.expiration_ms) == ("c", "q", 7)
    assert (came.content_type, came.headers, came.redelivered) == (
        "application/json",
        dict(message.headers),
        True,
    )


def test_what_need_not_last_is_transient() -> None:
    """And has no end where none was said."""
    properties = properties_of(Outgoing(routing_key="k", body=b"", persistent=False), None)
    assert (properties.delivery_mode, properties.expiration, properties.headers) == (1, None, None)


@pytest.mark.parametrize("expiration", [None, "", "soon", "-1", "٣"])
def test_an_expiration_that_is_no_number_is_none(expiration: str | None) -> None:
    """Strangers write properties, too."""
    assert incoming_of(delivered(expiration=expiration)).expiration_ms is None
