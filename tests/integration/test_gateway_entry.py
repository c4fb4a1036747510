"""Who may come in to a gateway, and how others are refused."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.support.client import connect
from tests.support.eventually import MS, eventually
from tests.support.gateways import (
    House,
    gateway_settings,
    get,
    logged,
    upgrade_refusal,
)
from tests.support.tokens import SECRET, JwksServer, Signer, confused_token, unsigned_token
from websockets.typing import Origin, Subprotocol

from gateway.settings import ListenSettings
from warren import envelope


@pytest.mark.parametrize("where", ["query", "header", "subprotocol"])
async def test_a_token_at_the_upgrade_lets_in(home: House, where: Any) -> None:
    """A token by ``?token=``, by Authorization or by subprotocol makes its user known, and is not echoed."""
    await home.gateway(gateway_settings(auth={"auth": "jwt", "jwt_secret": SECRET}))
    async with await connect(home.url(), token=Signer().token("ann"), token_in=where) as ann:
        assert ann.user == "ann"
        assert ann.socket.subprotocol == "warren.v1"


async def test_a_token_by_auth_lets_in_and_extends(home: House) -> None:
    """AUTH as the first message lets in; a later one extends the life; one of another user closes
    with 4001.
    """
    await home.gateway(gateway_settings(auth={"auth": "jwt", "jwt_secret": SECRET}))
    ann = await connect(home.url(), welcome=False)
    await ann.send("AUTH", payload={"token": Signer().token("ann", expires_in_s=60)})
    welcome = await ann.expect("WELCOME")
    await ann.send("AUTH", payload={"token": Signer().token("ann", expires_in_s=600)}, id="a2")
    extended = await ann.expect("AUTHENTICATED", ref="a2")
    assert extended["payload"]["expires_at"] > welcome["payload"]["expires_at"] + 500_000
    await ann.send("AUTH", payload={"token": Signer().token("bob")})
    assert (await ann.closed())[0] == 4001
    await ann.close()


async def test_a_narrower_token_takes_its_rooms_away_at_once(home: House) -> None:
    """LEFT comes for each, the router hears of it, and what others say there then does not arrive."""
    await home.gateway(gateway_settings(auth={"auth": "jwt", "jwt_secret": SECRET}))
    ann = await connect(home.url(), token=Signer().token("ann"))
    bob = await connect(home.url(), token=Signer().token("bob"))
    for client in (ann, bob):
        await client.join("open")
        await client.join("closed")
    await ann.send("AUTH", payload={"token": Signer().token("ann", warren={"join": ["open"]})}, id="a2")
    await ann.expect("AUTHENTICATED", ref="a2")
    left = [(await ann.expect("LEFT"))["room"] for _ in range(2)]
    assert sorted(left) == ["closed", "default"]
    await eventually(lambda: home.router.members("closed") == {bob.id})
    await bob.send("CHAT", "closed", "not for ann", id="m1")
    await bob.expect("ACK", ref="m1")
    await bob.send("CHAT", "open", "for ann", id="m2")
    await ann.expect("CHAT", payload="for ann")
    assert [message for message in ann.received if message.get("payload") == "not for ann"] == []
    await ann.send("HISTORY", "closed", id="h1")
    await ann.expect("ERROR", ref="h1", payload__code="not_joined")
    await ann.send("JOIN", "closed", id="j1")
    await ann.expect("ERROR", ref="j1", payload__code="forbidden")
    await ann.close()
    await bob.close()


async def test_a_narrower_token_takes_the_right_to_publish_away_at_once(home: House) -> None:
    """The next message to the room is refused, and so is what waits for the broker: it never gets there."""
    gateway = await home.gateway(gateway_settings(auth={"auth": "jwt", "jwt_secret": SECRET}))
    narrow = Signer().token("ann", warren={"publish": ["open"]})
    async with (
        await connect(home.url(), token=Signer().token("ann")) as ann,
        await connect(home.url(), token=Signer().token("bob")) as bob,
    ):
        for client in (ann, bob):
            await client.join("open")
            await client.join("read-only")
        await ann.publish("read-only", "while it may")
        home.broker.cut(gateway.bus)
        await ann.expect("DEGRADED")
        await ann.send("CHAT", "open", "kept", id="m1")
        for number in range(3):
            await ann.send("CHAT", "read-only", f"waits {number}", id=f"w{number}")
        await ann.send("AUTH", payload={"token": narrow}, id="a2")
        await ann.expect("AUTHENTICATED", ref="a2")
        refused = [await ann.expect("ERROR", ref=f"w{number}") for number in range(1, 3)]
        assert {error["payload"]["code"] for error in refused} == {"forbidden"}
        await ann.send("CHAT", "read-only", "after", id="m2")
        await ann.expect("ERROR", ref="m2", payload__code="forbidden")
        home.broker.restore(gateway.bus)
        await ann.expect("ACK", ref="m1")
        await bob.expect("CHAT", payload="kept")
        await bob.publish("read-only", "last")
        await ann.expect("CHAT", payload="last")
        heard = [message["payload"] for message in bob.of_type("CHAT") if message["room"] == "read-only"]
        assert heard == ["while it may"]


async def test_expiry_closes_with_4001(home: House) -> None:
    """When the token's life ends the client gets ERROR unauthorized and 4001."""
    await home.gateway(
        gateway_settings(
            auth={"auth": "jwt", "jwt_secret": SECRET, "jwt_leeway_s": 0}, times={"heartbeat_ms": 200}
        )
    )
    ann = await connect(home.url(), token=Signer().token("ann", expires_in_s=600 * MS))
    error = await ann.expect("ERROR")
    assert (error["payload"]["code"], error["payload"]["reconnect"]) == ("unauthorized", "fresh token")
    assert await ann.closed() == (4001, "Unauthorized")
    await ann.close()


@pytest.mark.parametrize("bad", ["none", "confused", "expired", "garbage", "other secret"])
async def test_a_bad_token_is_closed_with_4001_after_the_upgrade(
    home: House, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that does not hold gets ERROR unauthorized and 4001 after the upgrade, and is in no
    log line.
    """
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets").setLevel(logging.WARNING)  # the client may say what it likes
    signer = Signer("RS256")
    gateway = await home.gateway(
        gateway_settings(auth={"auth": "jwt", "jwt_secret": SECRET, "jwt_public_key": signer.public_pem})
    )
    token = {
        "none": unsigned_token(),
        "confused": confused_token(signer),
        "expired": Signer().token(expires_in_s=-60),
        "garbage": "abc.def.ghi",
        "other secret": Signer(secret="x" * 40).token(),
    }[bad]
    client = await connect(home.url(), token=token, token_in="subprotocol", welcome=False)
    await client.expect("ERROR", payload__code="unauthorized", payload__close=4001)
    assert await client.closed() == (4001, "Unauthorized")
    await client.close()
    await eventually(lambda: len(gateway.connections) == 0)
    assert token not in "".join(f"{record.getMessage()}{vars(record)}" for record in caplog.records)
    assert b"warren_gateway_auth_failures_total{" in gateway.metrics.render()[0]
    # the gateway asks where that stands
    assert {join.room for join in home.router.of(envelope.Join)} <= {"*"}


async def test_no_token_in_time_is_closed_with_4001(home: House) -> None:
    """A client that never sends AUTH, or something else first, is closed with 4001."""
    await home.gateway(gateway_settings(auth={"auth": "jwt", "jwt_secret": SECRET, "auth_timeout_ms": 200}))
    silent = await connect(home.url(), welcome=False)
    hasty = await connect(home.url(), welcome=False)
    await hasty.send("CHAT", "default", "hi")
    for client in (silent, hasty):
        assert (await client.closed())[0] == 4001
        await client.close()


async def test_keys_of_a_jwks_rotate(home: House) -> None:
    """A token of a key that was added to the set after the start is taken."""
    old, new = Signer("RS256", kid="old"), Signer("ES256", kid="new")
    async with JwksServer(old) as provider:
        auth = {"auth": "jwt", "jwks": provider.url, "jwks_retry_s": 0.001}
        await home.gateway(gateway_settings(auth=auth))
        async with await connect(home.url(), token=old.token("ann")) as ann:
            assert ann.user == "ann"
        provider.document = {"keys": [new.jwk()]}
        async with await connect(home.url(), token=new.token("bob")) as bob:
            assert bob.user == "bob"
        refused = await connect(home.url(), token=old.token("ann"), welcome=False)
        assert (await refused.closed())[0] == 4001
        await refused.close()


async def test_claims_bound_the_rooms(home: House) -> None:
    """A token's patterns say which rooms may be joined and published to."""
    await home.gateway(gateway_settings(auth={"auth": "jwt", "jwt_secret": SECRET}))
    token = Signer().token("ann", warren={"join": ["chat:*"], "publish": ["chat:a"]})
    async with await connect(home.url(), token=token) as ann:
        assert ann.welcome["payload"]["rooms"] == ["@ann"]
        await ann.join("chat:a")
        await ann.send("JOIN", "news", id="n")
        await ann.expect("ERROR", ref="n", payload__code="forbidden")
        await ann.publish("chat:a", 1)
        await ann.send("CHAT", "chat:b", 1, id="b")
        await ann.expect("ERROR", ref="b", payload__code="forbidden")


async def test_anonymous_names_are_checked(home: House) -> None:
    """An anonymous client may choose its name within the rule; without one it is a guest."""
    await home.gateway()
    async with await connect(home.url()) as guest:
        assert guest.user.startswith("guest-")
    wrong = await connect(home.url(), user="@root", welcome=False)
    assert (await wrong.closed())[0] == 4001
    await wrong.close()


async def test_upgrades_are_refused_with_http(home: House) -> None:
    """A foreign origin is 403, subprotocols that are not spoken 400 (which lists those that are), and no
    WebSocket 400.
    """
    gateway = await home.gateway(gateway_settings(listen={"origins": ("https://*.example",)}))
    assert (await upgrade_refusal(home.url(), origin=Origin("https://evil.test")))[0] == 403
    async with await connect(home.url(), origin="https://app.example"):
        pass
    async with await connect(home.url(), origin=f"http://127.0.0.1:{gateway.port}"):
        pass
    status, text, _ = await upgrade_refusal(home.url(), subprotocols=[Subprotocol("mqtt")])
    assert (status, "warren.v1, warren.v1.msgpack" in text) == (400, True)
    assert (await get(home.url(scheme="http")))[0] == 400
    exposition = gateway.metrics.render()[0].decode()
    for reason in ("origin", "subprotocol", "no_websocket"):
        assert f'warren_gateway_upgrades_refused_total{{reason="{reason}"}} 1.0' in exposition
    assert len(gateway.connections) == 0


async def test_a_full_pod_answers_503(home: House) -> None:
    """Beyond the limit of connections an upgrade is 503 with Retry-After; a place that becomes free is given
    again.
    """
    gateway = await home.gateway(gateway_settings(limits={"connections": 2}))
    async with await connect(home.url()), await connect(home.url()):
        status, _, headers = await upgrade_refusal(home.url())
        assert (status, headers["Retry-After"]) == (503, "5")
    await eventually(lambda: len(gateway.connections) == 0)
    async with await connect(home.url()):
        pass


async def test_connect_and_disconnect_are_logged(home: House, caplog: pytest.LogCaptureFixture) -> None:
    """``ws_connect`` has the address behind a trusted proxy, ``ws_disconnect`` the duration, the code and the
    counts.
    """
    caplog.set_level(logging.INFO)
    gateway = await home.gateway(
        gateway_settings(listen={"trusted_proxies": "127.0.0.0/8", "origins": ("*",)})
    )
    headers = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}
    async with await connect(home.url(), user="ann", headers=headers, origin="https://a.example") as ann:
        await ann.publish("default", 1)
        conn = ann.id
    await eventually(lambda: len(gateway.connections) == 0)
    assert logged(caplog.records, "ws_connect") == [
        {
            "connection": conn,
            "user": "ann",
            "ip": "203.0.113.9",
            "origin": "https://a.example",
            "protocol": "warren.v1",
            "transport": "websocket",
        }
    ]
    (line,) = logged(caplog.records, "ws_disconnect")
    assert (line["connection"], line["code"], line["messages_in"], line["ip"]) == (
        conn,
        1000,
        1,
        "203.0.113.9",
    )
    assert line["duration_ms"] >= 0
    assert line["messages_out"] >= 4
    assert line["bytes_out"] > line["bytes_in"] > 0


async def test_echo_is_off_unless_it_is_asked_for(home: House) -> None:
    """``/ws/echo`` lets anybody in, so it is not there where no setting says so."""
    await home.gateway(gateway_settings(listen={"echo": ListenSettings().echo}))
    status, _, _ = await get(home.url(path="/ws/echo", scheme="http"))
    assert status == 404
