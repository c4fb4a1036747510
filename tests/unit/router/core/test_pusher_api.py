"""The Pusher API: whose request it is, and what it asks for."""

import json

import pytest

from router.core import pusher_api
from router.core.pusher_api import Listing, Look, Members, Refusal, Request, Terminate, Trigger
from warren.envelope import spared_of
from warren.pusher import signatures
from warren.pusher.apps import App, Apps
from warren.pusher.channels import socket_of

APP = App(id="1001", key="k", secret=("7ad3773142a6692b25b8", "another-secret-of-30-characters"))
APPS = Apps([APP, App(id="off", key="o", secret=("7ad3773142a6692b25b8",), enabled=False)])
NOW_S = 1_764_000_000


def signed(method, path, body=b"", *, secret=APP.secret[0], query=None, key="k", at_s=NOW_S, **changed):
    given = {"auth_key": key, "auth_timestamp": str(at_s), "auth_version": "1.0", **(query or {})}
    if body:
        given["body_md5"] = signatures.body_md5(body)
    given |= changed
    text = signatures.of_request(method, path, given)
    given.setdefault("auth_signature", signatures.sign(secret, text))
    return Request(method, path, "&".join(f"{name}={value}" for name, value in given.items() if value), body)


def judged(request):
    return pusher_api.refusal(pusher_api.app_of(APPS, request), request, NOW_S)


def asked(method, path, body=None, query="", app=APP):
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return pusher_api.call_of(app, Request(method, f"/apps/1001{path}", query, raw), 5, "r1.p7")


def test_a_signed_request_is_let_in():
    """By any secret that counts, and however its path is escaped; the key says whose it is where the path
    does not.
    """
    body = b'{"name":"e"}'
    for secret in APP.secret:
        assert judged(signed("POST", "/apps/1001/events", body, secret=secret)) is None
    assert (
        judged(signed("GET", "/apps/1001/channels", query={"info": "user_count", "filter_by_prefix": "a"}))
        is None
    )
    plain = signed("GET", "/apps/1001/channels/a=b")
    assert judged(Request("GET", "/apps/1001/channels/a%3Db", plain.query)) is None
    assert judged(signed("POST", "/users/7/terminate_connections", body)) is None
    assert judged(signed("GET", "/apps/1001/channels", at_s=NOW_S - 600)) is None


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/apps/1001/channels", ""),
        signed("GET", "/apps/1001/channels", auth_version=""),
        signed("GET", "/apps/1001/channels", auth_version="2"),
        signed("GET", "/apps/1001/channels", at_s=NOW_S - 601),
        signed("GET", "/apps/1001/channels", at_s=NOW_S + 601),
        signed("GET", "/apps/1001/channels", auth_timestamp="1e9"),
        signed("GET", "/apps/1001/channels", auth_timestamp="9" * 400),
        signed("GET", "/apps/1001/channels", secret="wrong"),
        signed("GET", "/apps/1001/channels", key="o"),
        signed("GET", "/apps/other/channels"),
        signed("GET", "/apps/1001/channels", auth_signature="%C3%A9"),
        signed("POST", "/apps/1001/events", b"{}", body_md5=""),
        signed("POST", "/apps/1001/events", b"{}", body_md5="0" * 32),
        Request("POST", "/apps/1001/events", signed("GET", "/apps/1001/events").query),
    ],
)
def test_what_is_not_signed_is_a_401(request_):
    """And the right signature is not among what is said."""
    refused = judged(request_)
    assert refused is not None
    assert refused.status == 401
    for secret in APP.secret:
        assert secret not in refused.says


def test_a_changed_body_or_path_is_not_what_was_signed():
    """Nor another method."""
    request = signed("POST", "/apps/1001/events", b'{"name":"e"}')
    assert judged(Request("POST", request.path, request.query, b'{"name":"f"}')).status == 401
    assert judged(Request("POST", "/apps/1001/batch_events", request.query, request.body)).status == 401
    assert judged(Request("GET", request.path, request.query, request.body)).status == 401


def test_a_parameter_that_stands_there_twice_is_refused():
    """Only one of them can have been signed, and the other would count."""
    request = signed("GET", "/apps/1001/channels", query={"filter_by_prefix": "a"})
    for more in ("filter_by_prefix=", "FILTER_BY_PREFIX=b", "auth_key=k"):
        assert judged(Request("GET", request.path, f"{request.query}&{more}")).status == 401
        assert judged(Request("GET", request.path, f"{more}&{request.query}")).status == 401
    assert judged(Request("GET", request.path, f"{request.query}&info=user_count")).status == 401


def test_a_disabled_app_may_do_nothing():
    """It is told so where its signature holds."""
    request = signed("GET", "/apps/off/channels", key="o")
    assert judged(request) == Refusal(403, "The app is disabled.")


def test_an_event_is_a_message_for_each_channel():
    """Each once, in the room of its channel; who is spared stands in the id."""
    call = asked("POST", "/events", {"name": "e", "channels": ["a", "private-b", "a"], "data": '{"n":1}'})
    assert isinstance(call, Trigger)
    assert [
        (each.channel, each.message.room, each.message.type, each.message.payload) for each in call.events
    ] == [
        ("a", "pusher:1001:a", "e", b'{"n":1}'),
        ("private-b", "pusher:1001:private-b", "e", b'{"n":1}'),
    ]
    assert {each.message.id for each in call.events} == {""}
    call = asked(
        "POST", "/events", {"name": "e", "channel": "a", "data": "x", "socket_id": socket_of("g1~1f")}
    )
    assert spared_of(call.events[0].message.id) == "g1~1f"
    call = asked("POST", "/events", {"name": "e", "channel": "#server-to-user-7", "data": "x"})
    assert call.events[0].message.room == "@pusher:1001:7"


def test_a_batch_has_up_to_ten_events():
    """Each for one channel."""
    batch = [{"name": "e", "channel": f"c{number}", "data": ""} for number in range(10)]
    call = asked("POST", "/batch_events", {"batch": batch})
    assert (len(call.events), call.batch) == (10, True)
    for wrong in ([], batch * 2, [{"name": "e", "channels": ["a"], "data": ""}]):
        assert asked("POST", "/batch_events", {"batch": wrong}).status == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"[]", 400), (b"\xff", 400), (b'{"name":"e"}', 400),
        ({"name": "e", "data": ""}, 400),
        ({"name": "e", "data": "", "channels": []}, 400),
        ({"name": "e", "data": "", "channels": [f"c{n}" for n in range(101)]}, 400),
        ({"name": "e", "data": "", "channels": ["a", "private-encrypted-b"]}, 400),
        ({"name": "e", "data": "", "channel": "a b"}, 400),
        ({"name": "e", "data": "", "channel": "#server-to-user-"}, 400),
        ({"name": "e", "data": {}, "channel": "a"}, 400),
        ({"name": "pusher:e", "data": "", "channel": "a"}, 400),
        ({"name": "", "data": "", "channel": "a"}, 400),
        ({"name": "x" * 201, "data": "", "channel": "a"}, 400),
        ({"name": "e", "data": "x" * 10_241, "channel": "a"}, 413),
        ({"name": "e", "data": "ä" * 5_121, "channel": "a"}, 413),
        ({"name": "e", "data": "", "channel": "a", "socket_id": "x"}, 400),
        ({"name": "e", "data": "", "channel": "a", "info": "cache"}, 400),
        ({"name": "e", "data": "", "channel": "a", "info": "who"}, 400),
        (b'{"name":"e","data":"\\ud83d","channel":"a"}', 400),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_event_is_named(body, status):
    """And nothing of it is published."""
    refused = asked("POST", "/events", body)
    assert isinstance(refused, Refusal)
    assert refused.status == status
    assert refused.says.endswith(".")


def test_the_data_may_have_ten_kilobytes_whatever_its_characters_take():
    """A body is large enough for them escaped."""
    body = json.dumps({"name": "e", "data": "\x00" * 10_240, "channels": ["c" * 200] * 1}).encode()
    assert len(body) < pusher_api.max_body("/apps/1/events")
    assert pusher_api.max_body("/apps/1/batch_events") == 10 * pusher_api.max_body("/apps/1/events")
    assert isinstance(asked("POST", "/events", body), Trigger)


def test_reads_are_asked_for():
    """With what is to be told of each channel."""
    assert asked("GET", "/channels") == Listing(APP, "", ())
    assert asked(
        "GET", "/channels", query="filter_by_prefix=presence-&info=user_count,subscription_count"
    ) == Listing(APP, "presence-", ("user_count", "subscription_count"))
    assert asked("GET", "/channels/presence-a", query="info=user_count") == Look(
        APP, "presence-a", ("user_count",)
    )
    assert asked("GET", "/channels/cache-a%3Db", query="info=cache") == Look(APP, "cache-a=b", ("cache",))
    assert asked("GET", "/channels/presence-a/users") == Members(APP, "presence-a")
    assert asked("POST", "/users/7/terminate_connections", {}) == Terminate(APP, "pusher:1001:7")
    call = pusher_api.call_of(APP, Request("POST", "/users/7/terminate_connections", ""), 5, "x")
    assert call == Terminate(APP, "pusher:1001:7")


@pytest.mark.parametrize(
    ("method", "path", "query", "status"),
    [
        ("GET", "/channels", "info=user_count", 400),
        ("GET", "/channels", "info=user_count&filter_by_prefix=pre", 400),
        ("GET", "/channels", "info=cache", 400),
        ("GET", "/channels", "filter_by_prefix=a%20b", 400),
        ("GET", "/channels/a%20b", "", 400),
        ("GET", "/channels/a", "info=user_count", 400),
        ("GET", "/channels/a", "info=who", 400),
        ("GET", "/channels/a/users", "", 400),
        ("POST", "/users/" + "x" * 200 + "/terminate_connections", "", 400),
        ("POST", "/channels", "", 404),
        ("GET", "/events", "", 404),
        ("GET", "/", "", 404),
        ("GET", "/channels/a/b/c", "", 404),
    ],
)
def test_what_can_not_be_asked_for_is_named(method, path, query, status):
    """By a sentence."""
    refused = asked(method, path, query=query)
    assert (refused.status, bool(refused.says)) == (status, True)


def test_attributes_are_those_that_were_wanted():
    """A room with too many to count has as many users as connections."""
    assert pusher_api.attributes((), 1, 2, None) == {}
    assert pusher_api.attributes(("user_count", "subscription_count", "cache"), 1, 2, {"data": "x"}) == {
        "user_count": 1, "subscription_count": 2, "cache": {"data": "x"},
    }  # fmt: skip
    assert pusher_api.attributes(("user_count", "cache"), None, 2, None) == {"user_count": 2}
