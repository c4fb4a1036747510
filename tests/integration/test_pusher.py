"""The Pusher protocol and API on two gateways and a router in one process, by a client and a backend that were
written from its description.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.pusher import APP, KEY, PusherClient, PusherInstallation, pusher_installation, sign
from websockets.asyncio.client import connect as websocket


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[PusherInstallation]:
    async with pusher_installation(tmp_path) as house:
        yield house


async def test_an_event_reaches_subscribers_on_all_gateways_but_its_sender(house: PusherInstallation) -> None:
    """A backend triggers an event for three channels; each subscriber gets it once, with data as text, on
    whichever gateway; the connection that it names does not.
    """
    async with await house.client(0) as ann, await house.client(1) as bob:
        assert json.loads(ann.raw[0])["data"].startswith('{"socket_id":"')
        for client in (ann, bob):
            await client.subscribe("news")
            await client.subscribe("private-a")

        told = await house.backend.trigger(["news", "private-a", "empty"], "App\\Events\\Sold", {"n": 1})
        await house.backend.trigger("news", "second", "plain text", socket_id=ann.socket_id)
        await house.backend.trigger("news", "third", {"n": 3})

        assert told == {}
        await bob.expect("third", "news")
        assert [frame["data"] for frame in bob.of("App\\Events\\Sold")] == [{"n": 1}] * 2
        assert bob.of("second", "news")[0]["data"] == "plain text"
        assert '"data":"{\\"n\\": 1}"' in "".join(bob.raw)
        await ann.expect("third", "news")
        assert ann.of("second") == []
        assert "user_id" not in bob.of("third")[0]


async def test_presence_tells_who_is_there_and_who_comes_and_goes(house: PusherInstallation) -> None:
    """Who subscribes gets the whole list, with oneself; the others one frame for each member that comes or
    goes, on whichever gateway; a second connection of a member is nobody new.
    """
    async with await house.client(0) as ann, await house.client(1) as bob:
        listed = await ann.subscribe("presence-room", "1", {"name": "Ann"})
        assert listed["data"]["presence"] == {"count": 1, "ids": ["1"], "hash": {"1": {"name": "Ann"}}}
        listed = await bob.subscribe("presence-room", "2")
        assert listed["data"]["presence"] == {
            "count": 2, "ids": ["1", "2"], "hash": {"1": {"name": "Ann"}, "2": None},
        }  # fmt: skip
        assert (await ann.expect("pusher_internal:member_added"))["data"] == {"user_id": "2"}

        async with await house.client(1) as carol, await house.client(0) as tab:
            await carol.subscribe("presence-room", "ü 3", {"name": "Carol"})
            listed = await tab.subscribe("presence-room", "2")
            # her gateway may hear of carol a moment later
            known = set(listed["data"]["presence"]["ids"])
            assert known >= {"1", "2"}
            if "ü 3" not in known:
                await tab.expect("pusher_internal:member_added", "presence-room")
            for client in (ann, bob):
                added = await client.expect("pusher_internal:member_added", count=2 if client is ann else 1)
                assert added["data"] == {"user_id": "ü 3", "user_info": {"name": "Carol"}}
            await bob.say("client-typing", {"on": True}, "presence-room")
            typing = await carol.expect("client-typing", "presence-room")
            assert (typing["user_id"], typing["data"]) == ("2", {"on": True})
            assert (await tab.expect("client-typing"))["user_id"] == "2"
        for client in (ann, bob):
            gone = await client.expect("pusher_internal:member_removed")
            assert gone["data"] == {"user_id": "ü 3"}
        await bob.say("pusher:unsubscribe", {"channel": "presence-room"})
        gone = await ann.expect("pusher_internal:member_removed", count=2)
        assert gone["data"] == {"user_id": "2"}
        assert bob.of("client-typing") == []
        assert len(ann.of("pusher_internal:member_added")) == 2


async def test_a_signed_in_user_is_reached_by_the_user_and_can_be_sent_away(
    house: PusherInstallation,
) -> None:
    """Who signs in may subscribe to the user's own channel, is reached there by a backend of either kind, and
    is closed by terminate_connections with a code after which clients stay away.
    """
    async with await house.client(0) as ann, await house.client(1) as bob:
        await ann.sign_in("7", user_info={"name": "Ann"})
        await ann.subscribe("#server-to-user-7")
        await bob.sign_in("8")
        await house.backend.trigger("#server-to-user-7", "hello", {"n": 1})
        assert (await ann.expect("hello"))["channel"] == "#server-to-user-7"
        await bob.say("pusher:subscribe", {"channel": "#server-to-user-7", "auth": ""})
        refused = await bob.expect("pusher:subscription_error")
        assert refused["data"]["type"] == "AuthError"

        status, told = await house.backend.ask("POST", "/users/7/terminate_connections", {})
        assert (status, told) == (200, {})
        code, _ = await ann.closed()
        assert code == 4009
        await bob.settle()


async def test_a_wrong_signature_subscribes_to_nothing(house: PusherInstallation) -> None:
    """A signature of another channel, another socket, another app or of nothing is refused, and nothing of
    the channel comes.
    """
    async with await house.client() as ann, await house.client() as bob:
        right = sign(f"{ann.socket_id}:private-a")
        for auth in (
            f"{KEY}:{sign(f'{ann.socket_id}:private-b')}",
            f"{KEY}:{sign(f'{bob.socket_id}:private-a')}",
            f"{KEY}:{sign(f'{ann.socket_id}:private-a', 'another secret')}",
            f"other-key:{right}",
            right,
            f"{KEY}:{right[:-1]}é",
            "",
        ):
            before = len(ann.of("pusher:subscription_error"))
            await ann.say("pusher:subscribe", {"channel": "private-a", "auth": auth})
            told = await ann.expect("pusher:subscription_error", "private-a", before + 1)
            assert (told["data"]["type"], told["data"]["status"]) == ("AuthError", 401)
            assert right not in json.dumps(told)
        await house.backend.trigger("private-a", "secret", "x")
        await ann.settle()
        assert ann.of("secret") == []
        await ann.subscribe("private-a")  # the right one


async def test_who_may_not_connect_is_told_why_by_a_close_code(house: PusherInstallation) -> None:
    """The code and an error frame say why; an error is JSON, not text in it, as clients have it of Pusher."""
    for key, query, code, origin in (
        ("unknown", "protocol=7", 4001, None),
        ("off-key", "protocol=7", 4003, None),
        (KEY, "protocol=3", 4007, None),
        (KEY, "protocol=x", 4007, None),
        (KEY, "", 4008, None),
        (KEY, "protocol=7", 4009, "https://elsewhere.example"),
    ):
        async with PusherClient(await websocket(house.url(0, key, query), origin=origin)) as client:
            found, reason = await client.closed()
            assert (found, client.frames[0]["event"], client.frames[0]["data"]["code"]) == (
                code,
                "pusher:error",
                code,
            )
            assert reason


async def test_a_client_of_warren_meets_them_in_the_room(house: PusherInstallation) -> None:
    """The channel is a room: what a backend of Warren publishes there is an event, and what is for everyone
    comes too; a client without a token that names it may not come in, whatever the namespaces say of all rooms.
    """
    address = f"ws://{house.embedded.addresses[1]}/ws"
    async with await house.client(0) as ann, await connect(address, user="bob") as bob:
        await ann.subscribe("news")
        await bob.send("JOIN", room=f"pusher:{APP}:news", id="j1")
        refused = await bob.expect("ERROR", ref="j1")
        assert refused["payload"]["code"] == "forbidden"
        headers = {"Authorization": f"Bearer {house.embedded.trial_key.text}"}
        for address in (f"room.pusher:{APP}:news", "all"):
            body = {"address": address, "type": "order.paid", "payload": {"to": address}, "wait_ms": 5_000}
            url = f"{house.embedded.api}/v1/publish"
            async with house.session.post(url, json=body, headers=headers) as response:
                assert response.status == 200, await response.text()
        heard = await ann.expect("order.paid", count=2)
        assert [frame.get("channel") for frame in ann.of("order.paid")] == ["news", None]
        assert heard["data"] == {"to": "all"}


async def test_cache_channels_give_the_last_event(house: PusherInstallation) -> None:
    """Who subscribes to a cache channel is given its last event, or told that there is none."""
    async with await house.client(0) as ann, await house.client(1) as bob:
        await ann.subscribe("private-cache-a")
        await ann.expect("pusher:cache_miss", "private-cache-a")
        await house.backend.trigger("private-cache-a", "price", {"n": 1})
        await house.backend.trigger("private-cache-a", "price", {"n": 2})
        await ann.expect("price", count=2)
        await ann.say("client-x", {}, "private-cache-a")
        await bob.subscribe("private-cache-a")
        assert (await bob.expect("price", "private-cache-a"))["data"] == {"n": 2}
        await bob.settle()
        assert (len(bob.of("price")), bob.of("client-x"), bob.of("pusher:cache_miss")) == (1, [], [])
        status, told = await house.backend.ask(
            "GET", "/channels/private-cache-a", query={"info": "cache,subscription_count"}
        )
        assert status == 200
        assert told["occupied"] is True
        assert (told["subscription_count"], told["cache"]["data"]) == (2, '{"n": 2}')
        assert 0 < told["cache"]["ttl"] <= 1_800


async def test_channels_and_their_users_are_told(house: PusherInstallation) -> None:
    """GET tells which channels are occupied, how many are there, and who."""
    long = "presence-" + "x" * 155
    async with await house.client(0) as ann, await house.client(1) as bob:
        for client, user in ((ann, "1"), (bob, "2")):
            await client.subscribe("presence-a", user)
            await client.subscribe(long[9:])
        await ann.subscribe("presence-b;=,@", "1")
        await ann.subscribe("news")

        async def listed(**query: str) -> dict[str, object]:
            status, told = await house.backend.ask("GET", "/channels", query=query)
            assert status == 200, told
            return dict(told["channels"])

        assert set(await listed()) == {"news", "presence-a", "presence-b;=,@", long[9:]}
        assert await listed(filter_by_prefix="presence-", info="user_count") == {
            "presence-a": {"user_count": 2},
            "presence-b;=,@": {"user_count": 1},
        }
        assert await house.backend.ask("GET", "/channels/presence-a/users") == (
            200, {"users": [{"id": "1"}, {"id": "2"}]},
        )  # fmt: skip
        assert await house.backend.ask("GET", "/channels/nobody") == (200, {"occupied": False})
        assert (await house.backend.ask("GET", "/channels/news/users"))[0] == 400
        told = await house.backend.trigger(["presence-a", "presence-q"], "e", "", info="user_count")
        assert told == {"channels": {"presence-a": {"user_count": 2}, "presence-q": {"user_count": 0}}}
        # the room of another app is another one
        house.backend.secret = "0123456789abcdefother"
        assert await house.backend.ask("GET", "/channels", app="other", key="other-key") == (
            200,
            {"channels": {}},
        )


async def test_long_names_work(house: PusherInstallation) -> None:
    """A channel whose name is longer than a room's may be is one like any other, presence included."""
    long, member = "private-" + "=" * 150 + "a", "presence-" + "y" * 155
    async with await house.client(0) as ann, await house.client(1) as bob:
        for client, user in ((ann, "1"), (bob, "2")):
            await client.subscribe(long)
            await client.subscribe(long[:-1] + "b")
            await client.subscribe(member, user)
        await house.backend.trigger(long, "hello", {"n": 1})
        await ann.say("client-hi", {"n": 2}, long)
        assert (await bob.expect("hello", long))["data"] == {"n": 1}
        assert (await bob.expect("client-hi", long))["data"] == {"n": 2}
        assert (await ann.expect("pusher_internal:member_added", member))["data"] == {"user_id": "2"}
        await ann.say("client-who", "text", member)
        assert (await bob.expect("client-who", member))["user_id"] == "1"
        assert bob.of("hello", long[:-1] + "b") == []


async def test_hostile_clients_cost_little_and_harm_nobody(house: PusherInstallation) -> None:
    """Rubbish is named and answered; ten thousand subscriptions end at the limit, and their sender is held
    back; another client goes on.
    """
    async with await house.client(0) as bad, await house.client(0) as good:
        for text in (
            "",
            "[]",
            "{",
            '{"event":5}',
            '{"event":"x","data":' + "[" * 1_000 + "]" * 1_000 + "}",
            "\ud83d"[:0],
        ):
            before = len(bad.of("pusher:error"))
            await bad.text(text)
            told = await bad.expect("pusher:error", count=before + 1)
            assert told["data"]["code"] is None
            assert "Pusher protocol" in told["data"]["message"]
        for name in ("", "x" * 201, "a b", "#server-to-user-", "ä"):
            before = len(bad.of("pusher:subscription_error"))
            await bad.say("pusher:subscribe", {"channel": name})
            await bad.expect("pusher:subscription_error", count=before + 1)
        flood = asyncio.gather(
            *(bad.say("pusher:subscribe", {"channel": f"c{number}"}) for number in range(10_000)),
            return_exceptions=True,
        )
        await bad.expect("pusher_internal:subscription_succeeded", count=100)
        await good.subscribe("news")
        await house.backend.trigger("news", "hello", "x")
        await good.expect("hello")
        assert len(bad.of("pusher_internal:subscription_succeeded")) == 100
        _status, told = await house.backend.ask("GET", "/channels")
        assert len(told["channels"]) == 101
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
        bad.cut()  # its close would wait behind the rest


async def test_client_events_have_rights_a_rate_and_a_size(house: PusherInstallation) -> None:
    """They go to private and presence channels that one is subscribed to, ten a second, of 10 KiB; what is
    too much is refused with 4301 and the connection stays.
    """
    async with await house.client(0) as ann, await house.client(1) as bob:
        for client in (ann, bob):
            await client.subscribe("private-a")
            await client.subscribe("news")
            await client.subscribe("private-encrypted-a")
        for channel in ("news", "private-b", "private-encrypted-a", "", "presence-x y"):
            before = len(ann.of("pusher:error"))
            await ann.say("client-x", {}, channel)
            assert (await ann.expect("pusher:error", count=before + 1))["data"]["code"] == 4301
        await ann.say("client-x", "x" * 10_241, "private-a")
        await ann.expect("pusher:error", count=6)
        async with await house.client(0) as fast:
            await fast.subscribe("private-a")
            for number in range(30):
                await fast.say("client-n", number, "private-a")
            await fast.settle()
            refused = [frame["data"]["message"] for frame in fast.of("pusher:error")]
            assert refused
            assert all("10 client events" in text for text in refused)
            await eventually(lambda: len(bob.of("client-n")) == 30 - len(refused))
        assert bob.of("client-x") == []


async def test_requests_that_are_not_signed_rightly_do_nothing(house: PusherInstallation) -> None:
    """Each is a 401 that names what is wrong, without the right signature."""
    body = {"name": "e", "channel": "news", "data": "x"}
    async with await house.client() as ann:
        await ann.subscribe("news")
        for changed, says in (
            ({"auth_timestamp": "1000000000"}, "600 s"),
            ({"auth_timestamp": "9" * 15}, "600 s"),
            ({"auth_timestamp": "now"}, "600 s"),
            ({"auth_version": "2.0"}, "auth_version"),
            ({"auth_signature": "0" * 64}, "auth_signature"),
            ({"auth_signature": "é"}, "auth_signature"),
            ({"body_md5": "0" * 32}, "body_md5"),
            ({"auth_key": "other-key"}, "no app"),
        ):
            status, told = await house.backend.ask("POST", "/events", body, **changed)
            assert (status, says in told) == (401, True), told
        await house.backend.trigger("news", "after", "")
        await ann.expect("after")
        assert ann.of("e") == []


async def test_what_is_wrong_with_a_request_is_named(house: PusherInstallation) -> None:
    """A sentence under a status that the libraries know."""
    event = {"name": "e", "channel": "a", "data": ""}
    for path, body, status, says in (
        ("/events", event | {"data": "x" * 10_241}, 413, "10240"),
        ("/events", b"[" * 90_000, 413, "at most"),
        ("/events", event | {"channels": [f"c{n}" for n in range(101)]}, 400, "100"),
        ("/events", event | {"channels": []}, 400, "channels"),
        ("/events", event | {"name": "pusher:error"}, 400, "reserved"),
        ("/events", event | {"channel": "a b"}, 400, "channel"),
        ("/events", event | {"data": {"n": 1}}, 400, "data"),
        ("/events", event | {"socket_id": "x"}, 400, "socket_id"),
        ("/events", event | {"socket_id": "1." + "9" * 19}, 400, "socket_id"),
        ("/events", event | {"info": "user_count"}, 400, "user_count"),
        ("/events", b"\xff", 400, "no event"),
        ("/batch_events", {"batch": [event] * 11}, 400, "10"),
        ("/batch_events", {"batch": [{"name": "e", "data": ""}]}, 400, "batch[0]"),
        ("/nothing", {}, 404, "no such path"),
    ):
        found, told = await house.backend.ask("POST", path, body)
        assert (found, says in told) == (status, True), told


async def test_the_file_of_apps_is_read_again(house: PusherInstallation) -> None:
    """A secret that is replaced signs from then on; the connections of an app that is gone end with 4001."""
    async with (
        await house.client(0) as ann,
        await house.client(1, "other-key", "0123456789abcdefother") as other,
    ):
        await ann.subscribe("private-a")
        text = house.apps.read_text()
        house.apps.write_text(
            text.replace("7ad3773142a6692b25b8", "another-secret-of-20").replace("other-key", "new-key")
        )
        assert (await other.closed())[0] == 4001
        house.backend.secret = "another-secret-of-20"

        async def taken() -> bool:
            return (await house.backend.ask("GET", "/channels"))[0] == 200

        await eventually(taken, 5)
        await house.backend.trigger("private-a", "hello", "")
        await ann.expect("hello")
