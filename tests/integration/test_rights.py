"""What a fresh token with fewer rights takes away, with everything real: gateways and routers as processes,
RabbitMQ, stock clients.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.support.buses import through
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.pods import Pods
from tests.support.proxy import Proxy
from tests.support.rabbit import Rabbit
from tests.support.tokens import SECRET, Signer

pytestmark = pytest.mark.rabbit

WIDE = Signer().token("ann")
NARROW = Signer().token("ann", warren={"join": ["open"], "publish": ["open"]})
ENV = {
    "WARREN_GATEWAY_AUTH": "jwt",
    "WARREN_GATEWAY_JWT_SECRET": SECRET,
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_GATEWAY_PUBLISH_TIMEOUT_MS": "6000",
    "WARREN_NAMESPACES": "[{name: club, pattern: 'club*', publish: members}]",
}


async def test_membership_and_publishing_end_at_once(pods: Pods, rabbit: Rabbit) -> None:
    """Between two gateways: what others say in a room that is lost does not arrive, what is said to it is
    refused, and what waited while the broker was away never gets there.
    """
    await pods.router()
    async with Proxy(rabbit.host, rabbit.port) as proxy:
        near = await pods.gateway(ENV | {"WARREN_AMQP_URL": through(rabbit, proxy)})
        far = await pods.gateway(ENV)
        async with (
            await connect(near.url, token=WIDE) as ann,
            await connect(far.url, token=Signer().token("bob")) as bob,
        ):
            for client in (ann, bob):
                for room in ("open", "club", "wall"):
                    await client.join(room)
            for room in ("open", "club", "wall"):
                await ann.publish(room, "while it may")
            await proxy.cut()
            await ann.expect("DEGRADED")
            for room in ("club", "wall"):
                await ann.send("CHAT", room, "waits", id=f"{room}-0")
            await ann.settle()
            await asyncio.sleep(0.2)  # until that is tried; what comes now waits behind it
            for number in (1, 2):
                for room in ("club", "wall"):
                    await ann.send("CHAT", room, "waits", id=f"{room}-{number}")
            await ann.send("CHAT", "open", "kept", id="kept")
            await ann.send("AUTH", payload={"token": NARROW}, id="a")
            await ann.expect("AUTHENTICATED", ref="a")
            for room in ("club", "wall"):
                await ann.expect("LEFT", room=room)
                await ann.expect("ERROR", ref=f"{room}-2", payload__code="forbidden")
                await ann.send("CHAT", room, "after", id=f"{room}-after")
            await ann.expect("ERROR", ref="club-after", payload__code="forbidden")
            await ann.expect("ERROR", ref="wall-after", payload__code="forbidden")
            await proxy.restore()
            await ann.expect("RESTORED")
            await ann.expect("ACK", ref="kept")
            await bob.expect("CHAT", payload="kept")
            for room in ("club", "wall", "open"):
                await bob.publish(room, "last")
            await ann.expect("CHAT", room="open", payload="last")
            await ann.settle()
            assert [one["room"] for one in ann.of_type("CHAT") if one["payload"] == "last"] == ["open"]
            heard = [one["payload"] for one in bob.of_type("CHAT") if one["room"] in ("club", "wall")]
            assert heard == ["while it may"] * 2
            # What was under way when the token came, nobody knows of: its sender hears that by its deadline.
            waited = {f"{room}-{number}" for room in ("club", "wall") for number in range(3)}
            await eventually(lambda: waited <= {error["ref"] for error in ann.of_type("ERROR")}, 20)
            codes = {error["payload"]["code"] for error in ann.of_type("ERROR") if error["ref"] in waited}
            assert codes <= {"forbidden", "unavailable"}
            assert not waited & {ack["ref"] for ack in ann.of_type("ACK")}
