"""What goes out has the form of the vectors, and what the server would refuse is refused at once, with its code."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.client_scene import EPOCH, Scene
from tests.support.vectors import vectors

from warren_client.core.encode import Draft, Question, check_page, check_room, message_text, request_text
from warren_client.core.link import Credentials
from warren_client.errors import InvalidError
from warren_client.messages import Position

FIELDS = ("type", "room", "payload", "id", "key", "include_sender", "traceparent", "encoding")
REQUEST_FIELDS = ("service", "timeout_ms", "durable", "ref", "receipt")
CONTROL = {"JOIN", "LEAVE", "HISTORY", "PING", "AUTH", "PRESENCE", "SEEN"}
REQUESTS = {"REQUEST", "CANCEL"}
OWN = {"encoding", "version", "include_sender", "timestamp"}  # the client writes these itself

SAID = [vector for vector in vectors("client") if "message" in vector]
MESSAGES = [each for each in SAID if each["message"]["type"] not in CONTROL | REQUESTS]


def name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def meaning(frame: dict[str, Any]) -> dict[str, Any]:
    return {field: frame[field] for field in FIELDS + REQUEST_FIELDS if frame.get(field) is not None}


def expected(message: dict[str, Any]) -> dict[str, Any]:
    found = {field: value for field, value in message.items() if value is not None}
    if "payload_base64" in found:
        found |= {"payload": found.pop("payload_base64"), "encoding": "base64"}
    return found


def payload_of(message: dict[str, Any]) -> Any:
    return (
        base64.b64decode(message["payload_base64"]) if "payload_base64" in message else message.get("payload")
    )


def opened(**options: Any) -> Scene:
    scene = Scene(**options)
    scene.open()
    scene.joined("@ann")
    return scene


@pytest.mark.parametrize("vector", MESSAGES, ids=name)
def test_send_writes_exactly_what_a_vector_says(vector: dict[str, Any]) -> None:
    """A message with an id waits for its ACK; one without is sent as an ephemeral one."""
    message = vector["message"]
    scene = opened()
    known = {field: message[field] for field in ("key", "traceparent", "receipt") if field in message}
    draft = Draft(
        type=message["type"],
        payload=payload_of(message),
        room=message.get("room"),
        id=message.get("id"),
        include_sender=message.get("include_sender") is True,
        **known,
    )
    if draft.id is None:
        scene.do(lambda: scene.session.send_ephemeral(draft))
    else:
        scene.do(lambda: scene.session.send(draft))
    assert meaning(scene.socket.last) == expected(message)


@pytest.mark.parametrize("vector", [e for e in SAID if e["message"]["type"] in REQUESTS], ids=name)
def test_request_writes_exactly_what_a_vector_says(vector: dict[str, Any]) -> None:
    """CANCEL is what giving up writes."""
    message = vector["message"]
    scene = opened()
    if message["type"] == "CANCEL":
        asked = scene.do(lambda: scene.session.request(Question(service="s", id=message["ref"])))
        scene.do(lambda: scene.session.cancel(asked))
    else:
        fields = ("timeout_ms", "durable", "traceparent")
        known = {field: message[field] for field in fields if field in message}
        question = Question(
            service=message["service"], id=message["id"], payload=payload_of(message), **known
        )
        scene.do(lambda: scene.session.request(question))
    assert meaning(scene.socket.last) == expected(message)


def ask_presence(scene: Scene, room: str, payload: dict[str, Any]) -> None:
    if "update" in payload:
        state = scene.room(room, presence=True)
        scene.do(lambda: scene.session.update(state, payload["update"]))
        return
    watch, unwatch = payload.get("watch"), payload.get("unwatch")
    session = scene.session
    if watch:
        scene.do(lambda: session.watch_contacts(watch))
    else:
        scene.do(lambda: session.watch_contacts([*(unwatch or ()), "ann"]))
        scene.do(lambda: session.watch_contacts(["ann"]))


def join(scene: Scene, message: dict[str, Any]) -> None:
    payload = message.get("payload") or {}
    presence, since = payload.get("presence"), payload.get("since")
    at = Position(since["epoch"], since["seq"]) if since and "grant" not in payload else None
    state = scene.session.room(message["room"], at, "catch_up", 10)
    if presence is not None:
        scene.session.watch(state, presence.get("info"), "info" in presence)
    scene.do(lambda: scene.session.join(state))
    if "grant" in payload:
        scene.joined(message["room"], **(since or {}), grant=payload["grant"])
    if presence is not None and "digest" in presence:
        digest = presence["digest"]
        member = {"user": "bob", "proof": digest}
        scene.joined(message["room"], **(since or {}))
        scene.presence(message["room"], page=True, after="", more=False, joined=[member], digest=digest)
    if "grant" in payload or (presence is not None and "digest" in presence):
        scene.again()


def leave(scene: Scene, message: dict[str, Any]) -> None:
    room = scene.room(message["room"])
    scene.do(lambda: scene.session.rooms.leave(room))


def history(scene: Scene, message: dict[str, Any]) -> None:
    payload = message.get("payload") or {}
    scene.do(lambda: scene.session.history(message["room"], payload.get("before"), payload["limit"]))


def seen(scene: Scene, message: dict[str, Any]) -> None:
    at = Position(message["payload"]["epoch"], message["payload"]["seq"])
    room = scene.room(message["room"], epoch=at.epoch)
    scene.do(lambda: scene.session.saw(room, at))


def authenticate(scene: Scene, message: dict[str, Any]) -> None:
    scene.wait(2_000)
    scene.token(message["payload"]["token"])


ACTS: dict[str, Callable[[Scene, dict[str, Any]], None]] = {
    "JOIN": join,
    "LEAVE": leave,
    "HISTORY": history,
    "PING": lambda scene, _: scene.wait(30_000),
    "AUTH": authenticate,
    "PRESENCE": lambda scene, message: ask_presence(scene, message.get("room", ""), message["payload"]),
    "SEEN": seen,
}


def is_ours(vector: dict[str, Any]) -> bool:
    """Whether this client uses the form. It reads presence in pages of its own size, is told of a room as long as
    it is a member, shows its first token before AUTH, and always says how long a page of history is.
    """
    message, payload = vector["message"], vector["message"].get("payload") or {}
    if message["type"] not in CONTROL:
        return False
    if message["type"] == "PRESENCE":
        return "update" in payload or isinstance(payload.get("watch", payload.get("unwatch")), list)
    if message["type"] == "HISTORY":
        return "limit" in payload
    # a client has no presence that it does not watch, and none of a room that it was never in
    is_unwatched = "presence" in payload and payload["presence"].get("watch") is not True
    return not (message["type"] == "AUTH" and payload.get("grant")) and not is_unwatched


@pytest.mark.parametrize("vector", [each for each in SAID if is_ours(each)], ids=name)
def test_the_clients_own_frames_have_the_form_of_the_vectors(vector: dict[str, Any]) -> None:
    """JOIN, LEAVE, HISTORY, PING, AUTH, PRESENCE and SEEN."""
    message = vector["message"]
    if message.get("room", "").startswith("@"):
        pytest.skip("the user's own room is joined by itself")
    who = Credentials("t", can_fetch=True)
    scene = Scene(who=who)
    scene.open(expires_at=EPOCH + 32_000)
    scene.joined("@ann")
    ACTS[message["type"]](scene, message)
    found = meaning([each for each in scene.socket.of(message["type"]) if each.get("room") != "@ann"][-1])
    assert found.pop("id")
    wanted = expected(message)
    wanted.pop("id", None)
    if message["type"] == "PING":
        wanted.pop("payload", None)  # anything: ours carries nothing
    assert found == wanted


def sendable(vector: dict[str, Any]) -> dict[str, Any] | None:
    """Return a vector's frame as an application could mean it, if it could."""
    try:
        frame = json.loads(vector["frame"])
    except (ValueError, RecursionError):
        return None
    if not isinstance(frame, dict) or OWN & set(frame) or "type" not in frame:
        return None
    return frame


REFUSED = [each for each in vectors("client") if "error" in each and sendable(each) is not None]


def write(frame: dict[str, Any]) -> None:
    if frame.get("type") == "REQUEST":
        fields = {field: value for field, value in frame.items() if field != "type"}
        request_text(Question(**({"service": None, "id": None} | fields)), EPOCH)
    else:
        message_text(Draft(**frame), EPOCH)


@pytest.mark.parametrize("vector", REFUSED, ids=name)
def test_what_the_server_would_refuse_is_refused_at_once_with_its_code(vector: dict[str, Any]) -> None:
    """Nothing of it is sent, also not as an ephemeral message."""
    frame = sendable(vector)
    assert frame is not None
    with pytest.raises(InvalidError) as caught:
        write(frame)
    assert caught.value.code == vector["error"]
    if "ref" in vector:
        assert caught.value.ref == vector["ref"]


def test_there_are_vectors_of_each_kind() -> None:
    """The tests above prove something."""
    assert len(MESSAGES) > 5
    assert len(REFUSED) > 15
    assert {each["message"]["type"] for each in SAID if is_ours(each)} == CONTROL


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (float("nan"), "JSON"),
        ({"a": object()}, "JSON"),
        ({1, 2}, "JSON"),
        ({"text": "ab\ud83d"}, "surrogate"),
        ({"\udc00": 1}, "surrogate"),
    ],
)
def test_a_payload_that_is_no_json_is_refused_with_the_reason(payload: object, what: str) -> None:
    """The error says what is wrong and names the message."""
    with pytest.raises(InvalidError, match=what) as caught:
        message_text(Draft(type="CHAT", payload=payload, room="r", id="m1"), EPOCH)
    assert (caught.value.code, caught.value.ref) == ("invalid_format", "m1")


def nested(levels: int) -> object:
    payload: object = "[{\\"
    for level in range(levels):
        payload = [payload] if level % 2 else {"a": payload}
    return payload


def test_a_payload_may_be_nested_128_levels_deep() -> None:
    """One level more is refused, however deep it is."""
    message_text(Draft(type="CHAT", payload=nested(128), room="r"), EPOCH)
    for levels in (129, 500, 100_000):
        with pytest.raises(InvalidError, match="128 levels"):
            message_text(Draft(type="CHAT", payload=nested(levels), room="r"), EPOCH)


def test_brackets_in_text_are_no_levels() -> None:
    """Strings with brackets, quotes and backslashes count for nothing."""
    message_text(Draft(type="CHAT", payload=['[{"\\' * 1_000] * 3, room="r"), EPOCH)


@pytest.mark.parametrize("room", ["", "@ann", "*", "a b", "x" * 129, "ä", None, 7])
def test_a_room_that_can_not_be_joined_is_refused(room: Any) -> None:
    """The user's own room is the client's business."""
    with pytest.raises(InvalidError, match="room"):
        check_room(room)


@pytest.mark.parametrize(("before", "limit"), [(0, 50), (1.5, 50), (None, 0), (True, 1), (None, "5")])
def test_a_page_that_is_none_is_refused(before: Any, limit: Any) -> None:
    """Whole numbers from 1 on."""
    with pytest.raises(InvalidError):
        check_page(before, limit)
    check_page(None, 50)
