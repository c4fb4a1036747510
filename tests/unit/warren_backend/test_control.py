"""Each verb of the contract has a method that says all of its fields, as Warren reads them."""

from __future__ import annotations

import inspect
import json
from typing import Any, get_type_hints

import msgspec
import pytest

from warren.contract.queries import VERBS
from warren_backend import Backend, CommandFailed, Notification, contract
from warren_backend.control import Control
from warren_backend.testing import Recording

CALLS: dict[str, dict[str, Any]] = {
    "publish": {"address": "room.a", "payload": b"x", "wait_ms": 5, "receipt": "written", "key": "k"},
    "batch": {"messages": [Notification(address="room.a", payload=1)], "wait_ms": 5},
    "broadcast": {"payload": {"x": 1}, "addresses": ["room.a", "user.b"], "expiration_ms": 5},
    "disconnect": {"address": "user.ann", "except_": ["g1~5f"], "code": 4007, "reason": "r"},
    "remove": {"address": "room.a", "user": "ann", "reason": "r"},
    "add": {"address": "user.ann", "rooms": ["a"]},
    "block": {"address": "room.a", "user": "ann", "until_ms": 5},
    "unblock": {"address": "room.a", "user": "ann"},
    "revoke": {"address": "user.ann", "token_id": "t", "before_s": 5, "until_ms": 9},
    "presence": {"address": "room.a", "limit": 5, "cursor": "c"},
    "count": {"address": "room.a"},
    "history": {"address": "room.a", "limit": 5, "before": 9},
    "rooms": {"prefix": "a", "limit": 5},
    "blocks": {"room": "a", "user": "ann", "limit": 5},
    "status": {"users": ["ann"]},
    "overview": {},
    "samples": {"after": 5},
    "gateways": {"limit": 5, "cursor": "c"},
    "shards": {"limit": 5, "cursor": "c"},
    "explain": {"address": "room.a", "id": "m", "user": "ann"},
}
# What a method calls otherwise, or says itself.
SPELLED = {"expiration": "expiration_ms", "except": "except_"}
OWN = {"encoding", "traceparent"}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
async def test_a_verb_says_all_of_its_fields_and_its_result_is_the_contracts(verb: Any) -> None:
    """What is sent is what the router's own struct takes."""
    method = getattr(Control, verb.name)
    fields = {
        SPELLED.get(field.encode_name, field.encode_name) for field in msgspec.structs.fields(verb.body)
    }
    taken = set(inspect.signature(method).parameters) - {"self"}
    assert fields - taken - OWN - ({"id"} if verb.name == "batch" else set()) == set()
    result = get_type_hints(method)["return"]
    assert result is getattr(contract, verb.result.__name__)
    backend = Backend("amqp://nobody.example/%2F")
    async with Recording(backend) as warren:
        if verb.name == "explain":
            with pytest.raises(CommandFailed, match="not_found"):
                await backend.control.explain(**CALLS["explain"])
        else:
            answered = await getattr(backend.control, verb.name)(**CALLS[verb.name])
            assert (
                result.__required_keys__
                <= set(answered)
                <= result.__required_keys__ | result.__optional_keys__
            )
        (command,) = warren.commands
    assert command.verb == verb.name
    said = dict(command.fields) | ({"address": command.address} if verb.addressed else {})
    body = msgspec.json.decode(json.dumps(said).encode(), type=verb.body)
    for name, value in CALLS[verb.name].items():
        if name not in ("payload", "messages"):
            stands = {"except_": "except_", "expiration_ms": "expiration"}.get(name, name)
            assert getattr(body, stands) == value


async def test_what_changes_something_has_an_id() -> None:
    """Its own where one is named; queries have none."""
    backend = Backend("amqp://nobody.example/%2F")
    async with Recording(backend) as warren:
        await backend.control.remove("room.a", user="ann", id="mine")
        await backend.control.unblock("user.ann")
        await backend.control.count("room.a")
    first, second, third = (command.fields.get("id") for command in warren.commands)
    assert first == "mine"
    assert second
    assert third is None


async def test_an_address_that_is_none_is_refused_here() -> None:
    """Nothing is sent."""
    backend = Backend("amqp://nobody.example/%2F")
    async with Recording(backend) as warren:
        with pytest.raises(ValueError, match="is no address"):
            await backend.control.count("a room")
        assert warren.commands == []


async def test_members_are_read_page_by_page() -> None:
    """To the last one."""
    pages = [
        {"connections": 3, "members": [{"user": "a", "connections": []}], "next": "1"},
        {"connections": 3, "members": [{"user": "b", "connections": []}]},
    ]
    cursors = []

    async def commander(verb: str, fields: Any, **_: Any) -> dict[str, Any]:
        cursors.append((verb, fields["cursor"]))
        return pages[len(cursors) - 1]

    control = Control(commander)
    assert [member["user"] async for member in control.members("room.a")] == ["a", "b"]
    assert cursors == [("presence", ""), ("presence", "1")]
