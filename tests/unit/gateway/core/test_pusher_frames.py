"""Frames of Pusher clients: read, or named for what is wrong with them."""

import json

import msgspec
import pytest

from gateway.core import pusher_frames
from warren.errors import ErrorCode, ProtocolError


def test_data_may_be_json_or_json_in_text():
    """Clients differ."""
    for data in ({"channel": "a", "auth": "k:s"}, json.dumps({"channel": "a", "auth": "k:s"})):
        said = pusher_frames.decode(json.dumps({"event": "pusher:subscribe", "data": data}))
        assert pusher_frames.data_of(said, pusher_frames.Subscribe).channel == "a"
    assert pusher_frames.text_of(pusher_frames.decode(b'{"event":"client-a","data":{"n": 1}}')) == '{"n": 1}'
    assert pusher_frames.text_of(pusher_frames.decode('{"event":"client-a","data":"x"}')) == "x"
    assert pusher_frames.text_of(pusher_frames.decode('{"event":"client-a"}')) == "null"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "1",
        '{"data":1}',
        '{"event":1}',
        '{"event":"a","channel":1}',
        b"\xff",
        '{"event":"a","data":' + "[" * 200 + "]" * 200 + "}",
    ],
)
def test_what_is_no_frame_is_said_to_be_none(text):
    """Never more than a ProtocolError."""
    with pytest.raises(ProtocolError) as raised:
        pusher_frames.decode(text)
    assert raised.value.code is ErrorCode.INVALID_FORMAT


@pytest.mark.parametrize("data", [None, 1, "x", {}, {"channel": 1}, '{"channel":1}', '"x"', "\ud83d"])
def test_data_that_lacks_something_is_named(data):
    """With the event that it is of."""
    said = pusher_frames.Said("pusher:subscribe", msgspec.Raw(json.dumps(data).encode()))
    with pytest.raises(ProtocolError) as raised:
        pusher_frames.data_of(said, pusher_frames.Subscribe)
    assert raised.value.code in (ErrorCode.INVALID_MESSAGE, ErrorCode.INVALID_FORMAT)


def test_a_member_has_an_id_and_perhaps_something_that_is_shown():
    """An id may be a number; both are bounded."""
    assert pusher_frames.member_of('{"user_id":7,"user_info":{"a": 1}}') == ("7", b'{"a": 1}')
    assert pusher_frames.member_of('{"user_id":"ä","user_info":null}') == ("ä", b"")
    assert pusher_frames.member_of('{"user_id":"a"}') == ("a", b"")
    for wrong in (
        "", "x", "{}", '{"user_id":""}', '{"user_id":null}', json.dumps({"user_id": "x" * 129}),
        json.dumps({"user_id": "a", "user_info": "x" * 1_024}),
    ):  # fmt: skip
        with pytest.raises(ProtocolError):
            pusher_frames.member_of(wrong)
    assert pusher_frames.user_of('{"id":7}') == "7"
    with pytest.raises(ProtocolError):
        pusher_frames.user_of('{"user_id":7}')


def test_a_channels_name_is_judged():
    """A user's own is one too."""
    for name in ("a", "presence-a=,;.@", "#server-to-user-7"):
        pusher_frames.check_channel(name)
    for name in ("", "a b", "x" * 201, "#a", "a/b"):
        with pytest.raises(ProtocolError):
            pusher_frames.check_channel(name)


def test_what_is_said_has_the_form_that_clients_expect():
    """Data is text; an error's is not."""
    assert json.loads(pusher_frames.established("1.2", 120)) == {
        "event": "pusher:connection_established",
        "data": '{"socket_id":"1.2","activity_timeout":120}',
    }
    assert json.loads(pusher_frames.error("no", 4009))["data"] == {"code": 4009, "message": "no"}
    assert json.loads(pusher_frames.pong()) == {"event": "pusher:pong", "data": "{}"}
    assert json.loads(pusher_frames.subscribed("a")) == {
        "event": "pusher_internal:subscription_succeeded", "data": "{}", "channel": "a",
    }  # fmt: skip
    told = json.loads(pusher_frames.not_subscribed("a", "AuthError", "no", 401))
    assert json.loads(told["data"]) == {"type": "AuthError", "error": "no", "status": 401}
    assert json.loads(pusher_frames.cache_miss("a"))["event"] == "pusher:cache_miss"
    assert json.loads(json.loads(pusher_frames.signed_in("{}"))["data"]) == {"user_data": "{}"}
