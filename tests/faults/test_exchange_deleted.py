"""An operator deletes an exchange of a running installation: it comes back with its bindings, and messages
flow again.
"""

from __future__ import annotations

import pika
import pytest
from tests.support.pods import Pods
from tests.support.rabbit import Rabbit
from tests.support.talk import Talk

from warren.topology import Topology

pytestmark = [pytest.mark.rabbit, pytest.mark.slow]

ENV = {"WARREN_GATEWAY_RATE": "100000", "WARREN_GATEWAY_ROOMS": "-"}


@pytest.mark.parametrize("name", ["egress", "routers"])
async def test_a_deleted_exchange_heals(pods: Pods, rabbit: Rabbit, topology: Topology, name: str) -> None:
    """Processes find that nothing reaches their own queue, and consume anew; nothing that was acknowledged is
    lost.
    """
    gateways, _ = await pods.installation(2, 2, ENV)
    async with Talk([gateway.url for gateway in gateways], ["one", "two", "three"]) as talk:
        await talk.goes_on()
        with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
            connection.channel().exchange_delete(getattr(topology, name))
        await talk.goes_on(timeout_s=30.0)
        await talk.settled(30.0)
