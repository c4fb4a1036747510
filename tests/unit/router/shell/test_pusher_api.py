"""The Pusher API over HTTP: what is done of a request, and how it is answered."""

import hashlib
import hmac
import json
from types import SimpleNamespace

import msgspec
import pytest
from aiohttp import web
from tests.support.router_context import router_context
from tests.support.scripted_bus import ManualClock, ScriptedBus
from yarl import URL

from router.core import control
from router.core.attempt_limits import FAILURES
from router.core.control_problems import Problem, ProblemCode
from router.shell.pusher_api import PusherApi
from warren.contract import commands as bodies
from warren.contract import queries
from warren.pusher.apps import App, Apps

SECRET = "7ad3773142a6692b25b8"
APP = App(id="1", key="k", secret=(SECRET,))


class Backend:
    """The commands that were to be done, and what each is answered."""

    def __init__(self):
        self.done = []
        self.answers = {}

    async def do(self, command, scopes):
        self.done.append(command)
        told = self.answers.get(command.verb.name)
        if callable(told):
            told = told(command)
        if told is None:
            told = bodies.Outcomes(results=[bodies.Outcome(status=200) for _ in command.messages], failed=0)
        return control.told(command, told) if command.read is not None else told


class Known:
    def __init__(self):
        self.apps = Apps([APP])

    def __bool__(self):
        return True


class Rig:
    def __init__(self):
        self.clock = ManualClock(5_000_000_000)
        self.backend = Backend()
        context = router_context(ScriptedBus(), clock=self.clock)
        self.api = PusherApi(context, self.backend, Known())

    async def ask(self, method, path, body=None, secret=SECRET, **query):
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        path = f"/apps/1{path}"
        at_s = self.clock.wall_us() // 1_000_000
        given = {"auth_key": "k", "auth_timestamp": str(at_s), "auth_version": "1.0", **query}
        if raw:
            given["body_md5"] = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        text = f"{method}\n{path}\n" + "&".join(f"{name}={given[name]}" for name in sorted(given))
        given["auth_signature"] = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        url = URL(f"{path}?{'&'.join(f'{name}={value}' for name, value in given.items())}", encoded=True)
        chunks = [part for part in (raw[:10], raw[10:]) if part] + [b""]

        async def readany():
            return chunks.pop(0)

        response = await self.api.answer(
            SimpleNamespace(
                method=method,
                rel_url=url,
                content_length=None,
                content=SimpleNamespace(readany=readany),
                remote="192.0.2.1",
            )
        )
        assert isinstance(response, web.Response)
        text = response.text
        return (
            response.status,
            json.loads(text) if "json" in response.content_type else text,
            response.headers,
        )


@pytest.fixture
def rig():
    return Rig()


async def test_an_event_is_a_batch_of_messages(rig):
    """Each to the room of its channel; the answer says nothing more."""
    found = await rig.ask("POST", "/events", {"name": "e", "channels": ["a", "b"], "data": "1"})
    assert found[:2] == (200, {})
    (command,) = rig.backend.done
    assert [each.made.room for each in command.messages] == ["pusher:1:a", "pusher:1:b"]
    assert [each.address for each in command.messages] == ["room.pusher:1:a", "room.pusher:1:b"]


async def test_what_was_not_published_is_not_said_to_be(rig):
    """With the status that tells whether to come again, and when."""
    rig.backend.answers["batch"] = lambda command: bodies.Outcomes(
        results=[
            bodies.Outcome(status=200),
            bodies.Outcome(status=503, code="overloaded", detail="Full.", retry=True, retry_after_ms=1_500),
        ],
        failed=1,
    )
    status, told, headers = await rig.ask(
        "POST", "/events", {"name": "e", "channels": ["a", "b"], "data": "1"}
    )
    assert (status, told, headers["Retry-After"]) == (503, "Full.\n", "2")
    rig.backend.answers["batch"] = Problem(ProblemCode.UNAVAILABLE, "Away.")
    status, told, _ = await rig.ask("POST", "/events", {"name": "e", "channel": "a", "data": "1"})
    assert (status, told) == (503, "Away.\n")


async def test_attributes_come_with_the_answer(rig):
    """Of each channel that the event went to; of a batch as a list."""
    rig.backend.answers["count"] = queries.Counted(users=3, connections=4)
    event = {"name": "e", "channels": ["presence-a"], "data": "", "info": "user_count,subscription_count"}
    _, told, _ = await rig.ask("POST", "/events", event)
    assert told == {"channels": {"presence-a": {"user_count": 3, "subscription_count": 4}}}
    batch = [
        {"name": "e", "channel": "a", "data": "", "info": "subscription_count"},
        {"name": "e", "channel": "b", "data": ""},
    ]
    _, told, _ = await rig.ask("POST", "/batch_events", {"batch": batch})
    assert told == {"batch": [{"subscription_count": 4}, {}]}


async def test_all_pages_of_channels_are_listed_and_long_names_asked_about(rig):
    """Rooms that are no channel of the app, or tell a wrong name, are left out."""
    long = "c" * 200
    rooms = ["pusher:1:a", "pusher:1:b/ec", APP.room(long), "pusher:1:x//" + "0" * 43, "pusher:1:zz"]

    def page(command):
        begin = rooms.index(command.read.after) + 1 if command.read.after else 0
        shown = [queries.RoomCount(room=room, connections=2) for room in rooms[begin : begin + 2]]
        more = begin + 2 < len(rooms)
        return queries.RoomsPage(rooms=shown, next=shown[-1].room if more else "")

    def member(command):
        info = json.dumps({"channel": long}).encode()
        return queries.PresencePage(
            users=1,
            connections=1,
            members=[queries.Present(user="u", connections=[], info=msgspec.Raw(info))],
        )

    rig.backend.answers |= {"rooms": page, "presence": member}
    _, told, _ = await rig.ask("GET", "/channels", info="subscription_count")
    assert told == {"channels": {name: {"subscription_count": 2} for name in ("a", "b=c", "zz", long)}}
    _, told, _ = await rig.ask("GET", "/channels", filter_by_prefix="b=")
    assert told == {"channels": {"b=c": {}}}


async def test_a_channel_and_its_members_are_told(rig):
    """Ids as clients know them."""
    rig.backend.answers |= {
        "count": queries.Counted(users=1, connections=0),
        "presence": queries.PresencePage(
            users=2, connections=2,
            members=[queries.Present(user=user, connections=[]) for user in ("pusher:1:7", "pusher:1:%C3%A4")],
        ),
        "history": queries.HistoryPage(
            epoch="e", seq=2, more=False,
            messages=[
                queries.HistoryMessage(seq=1, type="price", payload=msgspec.Raw(b"7"), timestamp=4_990_000),
                queries.HistoryMessage(seq=2, type="client-x", payload=msgspec.Raw(b"8"), timestamp=4_999_000),
            ],
        ),
    }  # fmt: skip
    assert (await rig.ask("GET", "/channels/a"))[1] == {"occupied": False}
    assert (await rig.ask("GET", "/channels/presence-a/users"))[1] == {"users": [{"id": "7"}, {"id": "ä"}]}
    _, told, _ = await rig.ask("GET", "/channels/cache-a", info="cache")
    assert told == {"occupied": False, "cache": {"data": "7", "ttl": 1_790}}
    rig.backend.answers["history"] = queries.HistoryPage(epoch="e", seq=0, more=False, messages=[])
    assert (await rig.ask("GET", "/channels/cache-a", info="cache"))[1] == {"occupied": False}


async def test_a_user_is_sent_away(rig):
    """By a command like any other."""
    rig.backend.answers["disconnect"] = bodies.Done(id="x", connections=1)
    assert (await rig.ask("POST", "/users/7/terminate_connections", {}))[:2] == (200, {})
    (command,) = rig.backend.done
    assert (command.entry.verb, command.entry.room, command.entry.code) == ("disconnect", "@pusher:1:7", 4006)


async def test_wrong_signatures_are_counted_by_address(rig):
    """After some of them their address has to wait; right ones from there are let in all the same."""
    for _ in range(FAILURES.count):
        assert (await rig.ask("GET", "/channels", secret="wrong"))[0] == 401
    status, _, headers = await rig.ask("GET", "/channels", secret="wrong")
    assert (status, "Retry-After" in headers) == (429, True)
    rig.backend.answers["rooms"] = queries.RoomsPage(rooms=[])
    assert (await rig.ask("GET", "/channels"))[0] == 200


async def test_what_is_refused_is_a_sentence(rig):
    """A body that is too large is not read to its end."""
    status, told, _ = await rig.ask("POST", "/events", b"x" * 100_000)
    assert (status, "at most" in told) == (413, True)
    assert (await rig.ask("PUT", "/events", {}))[0] == 405
    assert (await rig.ask("POST", "/nothing", {}))[0] == 404
    assert rig.api.takes("/apps/1/events")
    assert not rig.api.takes("/v1/publish")
    assert rig.backend.done == []
