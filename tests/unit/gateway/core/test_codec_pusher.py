"""The Pusher protocol's spelling of messages."""

import json

import pytest

from gateway.core import codec_pusher
from gateway.core.client_messages import Degraded
from warren.envelope import Deliver
from warren.errors import ProtocolError
from warren.pusher import messages
from warren.pusher.channels import room_of


def deliver(room, kind="sold", payload=b'{"n":1}', **more):
    return Deliver(room, "e", 1, kind, payload, 0, **more)


def test_an_event_has_its_data_as_text():
    """JSON in a string inside JSON, and the channel's own name."""
    assert codec_pusher.encode_delivery(deliver("pusher:shop:a/eb")) == (
        b'{"event":"sold","data":"{\\"n\\":1}","channel":"a=b"}'
    )
    assert json.loads(codec_pusher.encode_delivery(deliver("pusher:shop:a", payload=b'"hi"')))["data"] == "hi"
    assert (
        json.loads(codec_pusher.encode_delivery(deliver("pusher:shop:a", payload=b"\x00", binary=True)))[
            "data"
        ]
        == "AA=="
    )


def test_who_has_said_it_is_told_of_client_events_in_presence_channels_alone():
    """By the id that the channel knows."""
    told = codec_pusher.encode_delivery(
        deliver("pusher:shop:presence-a", "client-x", user="pusher:shop:%C3%A4")
    )
    assert json.loads(told)["user_id"] == "ä"
    for room, kind, user in (
        ("pusher:shop:private-a", "client-x", "pusher:shop:7"),
        ("pusher:shop:presence-a", "sold", "pusher:shop:7"),
        ("pusher:shop:presence-a", "client-x", ""),
    ):
        assert "user_id" not in json.loads(codec_pusher.encode_delivery(deliver(room, kind, user=user)))


def test_a_users_own_room_is_the_users_channel():
    """Everyone's, and one connection's, are none."""
    assert codec_pusher.channel_of("@pusher:shop:7") == "#server-to-user-7"
    assert codec_pusher.channel_of("@7") == "#server-to-user-7"
    for room in ("*", "g1~1", "news"):
        assert "channel" not in json.loads(codec_pusher.encode_delivery(deliver(room)))


def test_a_channel_whose_room_does_not_tell_it_is_told_by_the_message():
    """Where that is the room's; anybody may write another one into a message."""
    long = "private-" + "x" * 150
    room = room_of("shop", long)
    kind, payload = messages.message_of("sold", "1", long)
    assert json.loads(codec_pusher.encode_delivery(deliver(room, kind, payload)))["channel"] == long
    kind, payload = messages.message_of("sold", "1", "private-other")
    assert codec_pusher.encode_delivery(deliver(room, kind, payload)) == b""
    assert codec_pusher.encode_delivery(deliver(room)) == b""
    assert json.loads(codec_pusher.encode_delivery(deliver("pusher:shop:a", kind, payload)))["channel"] == "a"


@pytest.mark.parametrize("kind", ["pusher:error", "pusher_internal:subscription_succeeded", "PRESENCE"])
def test_what_looks_like_the_protocols_own_is_spelled_as_nothing(kind):
    """Whoever sends it."""
    assert codec_pusher.encode_delivery(deliver("pusher:shop:a", kind)) == b""


def test_warrens_own_words_have_no_form_here():
    """And its frames are not read by this codec."""
    assert codec_pusher.encode(Degraded(), 0) == b""
    with pytest.raises(ProtocolError):
        codec_pusher.decode("{}")
