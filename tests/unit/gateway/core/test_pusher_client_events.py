"""Client events: the message that one is, and where it may go."""

import pytest

from gateway.core.pusher_client_events import EVENT_BYTES, ClientEvent, published_of
from gateway.core.pusher_subscriptions import Subscription
from warren import envelope
from warren.errors import ErrorCode, ProtocolError
from warren.pusher.apps import App

APP = App(id="shop", key="k", secret=("7ad3773142a6692b25b8",), client_events=True)
THERE = Subscription("presence-a", "pusher:shop:7")
ORIGIN = ("g~1", "~g~1.1", 5)


def published(channel="private-a", name="client-x", data="1", app=APP, subscription=THERE):
    return published_of(app, ClientEvent(name, channel, data), app.room(channel), subscription, ORIGIN)


def test_it_is_a_message_of_the_member():
    """Its data as it stands; of a cache channel it is not kept; of a long name the channel goes along."""
    assert published() == envelope.Publish(
        "pusher:shop:private-a", "client-x", b"1", 5, "g~1", "pusher:shop:7", "~g~1.1"
    )
    assert published("private-cache-a").ephemeral
    long = published("private-" + "x" * 150)
    assert (long.type, b"x" * 150 in long.payload) == ("pusher.event", True)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"app": App(id="shop", key="k")}, ErrorCode.FORBIDDEN),
        ({"channel": "news"}, ErrorCode.FORBIDDEN),
        ({"channel": "private-encrypted-a"}, ErrorCode.FORBIDDEN),
        ({"subscription": None}, ErrorCode.NOT_JOINED),
        ({"name": "client-" + "x" * 200}, ErrorCode.INVALID_MESSAGE),
        ({"data": "x" * (EVENT_BYTES + 1)}, ErrorCode.MESSAGE_TOO_LARGE),
        ({"data": "ä" * (EVENT_BYTES // 2 + 1)}, ErrorCode.MESSAGE_TOO_LARGE),
        ({"data": "\ud83d"}, ErrorCode.INVALID_PAYLOAD),
    ],
)
def test_what_may_not_be_said_is_refused(given, code):
    """With the reason."""
    with pytest.raises(ProtocolError) as raised:
        published(**given)
    assert raised.value.code is code
