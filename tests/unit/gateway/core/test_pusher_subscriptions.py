"""Which room a subscription is, and as whom; that the session asks is ``test_pusher_session.py``'s."""

import json

import pytest

from gateway.core.pusher_frames import Subscribe
from gateway.core.pusher_subscriptions import Subscription, is_told, subscription_of
from warren.errors import ErrorCode, ProtocolError
from warren.pusher.apps import App

APP = App(id="shop", key="k", secret=("7ad3773142a6692b25b8",))
SOCKET = "1.2"


def test_a_public_channel_is_anybodys():
    """Nobody in particular is there."""
    assert subscription_of(APP, SOCKET, "", Subscribe("news")) == (
        "pusher:shop:news",
        Subscription("news", "pusher:shop:"),
    )


def test_what_a_rooms_name_does_not_tell_is_told_with_its_members():
    """So that it can be listed."""
    long = "c" * 200
    room, subscription = subscription_of(APP, SOCKET, "", Subscribe(long))
    assert (is_told(room), json.loads(subscription.info)) == (False, {"channel": long})
    assert is_told("pusher:shop:news")


def test_a_member_is_whom_the_app_has_signed():
    """With what is shown of it."""
    data = '{"user_id":"7","user_info":{"n":1}}'
    auth = f"k:{APP.signs(f'{SOCKET}:presence-a:{data}')}"
    room, subscription = subscription_of(APP, SOCKET, "", Subscribe("presence-a", auth, data))
    assert (room, subscription) == (
        "pusher:shop:presence-a",
        Subscription("presence-a", "pusher:shop:7", b'{"n":1}', followed=True),
    )


@pytest.mark.parametrize(
    ("wanted", "user"),
    [
        (Subscribe("private-a"), ""),
        (Subscribe("private-a", "k:0"), ""),
        (Subscribe("presence-a", "k:0"), ""),
        (Subscribe("#server-to-user-7"), ""),
        (Subscribe("#server-to-user-7"), "pusher:shop:8"),
        (Subscribe("#server-to-user-"), "pusher:shop:8"),
    ],
)
def test_others_may_not(wanted, user):
    """Whatever they lack."""
    with pytest.raises(ProtocolError) as raised:
        subscription_of(APP, SOCKET, user, wanted)
    assert raised.value.code is ErrorCode.FORBIDDEN


def test_a_users_own_channel_is_the_users():
    """Who has signed in may subscribe to it."""
    room, subscription = subscription_of(APP, SOCKET, "pusher:shop:7", Subscribe("#server-to-user-7"))
    assert (room, subscription.user) == ("@pusher:shop:7", "pusher:shop:7")
