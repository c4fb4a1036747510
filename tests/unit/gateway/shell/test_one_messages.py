"""Messages without a connection: who may say something, and the places that they take."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.eventually import MS, eventually
from tests.support.gateways import gateway_settings, house
from tests.support.tokens import SECRET, Signer

from gateway.core.client_messages import Acked, Error
from gateway.shell import one_messages
from gateway.shell.connection import ClientInfo
from warren import envelope
from warren.errors import ErrorCode

CHAT = json.dumps({"type": "CHAT", "room": "a", "id": "m"}).encode()


def client(token: str = "", user: str = "") -> ClientInfo:
    """Return who says something."""
    return ClientInfo("192.0.2.1", "", "warren.v1", token, user)


async def test_routers_are_asked_again_until_they_answer(monkeypatch: pytest.MonkeyPatch):
    """And not for ever; places are given back, answers that come late are nobody's."""
    monkeypatch.setattr(one_messages, "ANSWER_S", 50 * MS)
    async with house() as home:
        gateway = await home.gateway()
        made = gateway._link._ends.one_messages
        ann = await made.identify(client(user="ann"))
        assert not isinstance(ann, Error)
        home.router.answers = False
        answer = await made.say(client(user="ann"), ann, (), CHAT)
        assert isinstance(answer, Error)
        assert (answer.code, answer.ref) == (ErrorCode.UNAVAILABLE, "m")
        await eventually(lambda: len(home.router.of(envelope.AccessQuery)) == one_messages.ASKS)
        assert len(gateway.connections) == 0
        assert not made._asked
        made.answered(envelope.AccessAnswer("g~1", 0))
        saying = asyncio.create_task(made.say(client(user="ann"), ann, (), CHAT))
        await eventually(lambda: len(home.router.of(envelope.AccessQuery)) > one_messages.ASKS)
        home.router.answers = True
        assert isinstance(await saying, Acked)


async def test_who_says_something_is_asked_for_a_token():
    """As a connection is; a name that is none, and a token that does not hold, is nobody's."""
    async with house() as home:
        gateway = await home.gateway(gateway_settings(auth={"auth": "jwt", "jwt_secret": SECRET}))
        made = gateway._link._ends.one_messages
        ann = await made.identify(client(Signer().token("ann")))
        assert not isinstance(ann, Error)
        assert ann.user == "ann"
        for token in ("", "x"):
            assert isinstance(await made.identify(client(token)), Error)
        assert b'auth_failures_total{reason="missing"} 1.0' in gateway.metrics.render()[0]


async def test_a_pod_that_goes_takes_no_more():
    """It says so at once."""
    async with house() as home:
        gateway = await home.gateway()
        made = gateway._link._ends.one_messages
        ann = await made.identify(client(user="ann"))
        assert not isinstance(ann, Error)
        gateway.readiness.drain()
        answer = await made.say(client(user="ann"), ann, (), CHAT)
        assert isinstance(answer, Error)
        assert answer.code == ErrorCode.DRAINING
