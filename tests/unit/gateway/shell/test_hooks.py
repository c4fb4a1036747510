"""Hooks: what a backend is asked over the bus, and what its askers are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from tests.support.eventually import eventually
from tests.support.gateways import logged
from tests.support.scripted_bus import Delivered, ManualClock, Published, ScriptedBus

from gateway.core.actions import Consult
from gateway.core.grants import GrantKeys
from gateway.core.hook_desk import Allowed, Denied, HookDesk, Undecided
from gateway.core.hook_messages import HookAnswer, HookQuery
from gateway.core.hook_queue import WINDOW_FIRST
from gateway.core.inputs import HookDecided, Input
from gateway.core.open_calls import CallLimits
from gateway.shell.backend_calls import BackendCalls
from gateway.shell.hooks import NOBODY_MS, TOLD_AT_ONCE, Hooks
from warren.bus import Properties
from warren.errors import Nacked, Unroutable
from warren.metrics import GatewayMetrics
from warren.topology import Topology

TOPOLOGY = Topology(shards=4)


class Asker:
    """A connection that wants something decided."""

    def __init__(self, conn: str) -> None:
        self.id = conn
        self.told: list[Input] = []

    def put(self, item: Input) -> None:
        self.told.append(item)


class Rig:
    """Hooks on a scripted bus."""

    def __init__(self) -> None:
        self.bus, self.clock, self.metrics = ScriptedBus(), ManualClock(), GatewayMetrics()
        self.desk = HookDesk(GrantKeys([b"k" * 32]), 1.0, 1_000)
        self.calls = BackendCalls(
            "g", self.bus, TOPOLOGY, self.clock, self.metrics, {TOPOLOGY.hooks: CallLimits(64)}
        )
        self.hooks = Hooks(self.desk, self.calls, TOPOLOGY, self.clock, self.metrics, 1.0)

    def join(self, asker: Asker, user: str = "ann", room: str = "r", ticket: int = 1) -> None:
        query = HookQuery("join", user, asker.id, room=room, namespace="chat")
        self.hooks.consult(asker, Consult(ticket, query))

    async def asked(self, count: int) -> Published:
        await eventually(lambda: len(self.bus.published) == count)
        await self.settled()
        return self.bus.published[-1]

    async def settled(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)

    def reply(self, to: Published, body: bytes) -> None:
        properties = Properties(correlation_id=to.properties.correlation_id)
        self.bus.subscriptions[-1].deliver(Delivered(body, properties=properties))

    def count(self, decision: str) -> float:
        labels = {"decision": decision}
        return self.metrics.registry.get_sample_value("warren_gateway_hooks_total", labels) or 0.0


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    await made.calls.start()
    yield made
    await made.hooks.stop()
    await made.calls.stop()


async def test_a_question_goes_to_the_hook_s_own_key(rig: Rig):
    """As JSON, with the time that it is worth an answer; the asker is told by an input."""
    ann = Asker("g~1")
    rig.join(ann, ticket=7)
    sent = await rig.asked(1)
    assert (sent.exchange, sent.key, sent.mandatory) == ("warren.hooks", "join.chat", True)
    assert json.loads(sent.body) == {
        "hook": "join", "connection": "g~1", "user": "ann", "room": "r", "namespace": "chat"
    }  # fmt: skip
    assert (sent.properties.type, sent.properties.content_type) == ("join", "application/json")
    assert sent.properties.expiration_ms == 1_000
    rig.reply(sent, b'{"allow":true}')
    await eventually(lambda: ann.told)
    given_s = rig.clock.wall_us() // 1_000_000
    assert ann.told == [HookDecided(7, Allowed(HookAnswer(True), given_s=given_s))]
    assert rig.count("allowed") == 1


async def test_what_is_known_already_is_told_at_once(rig: Rig):
    """Without a question."""
    ann, other = Asker("g~1"), Asker("g~2")
    rig.join(ann)
    rig.reply(await rig.asked(1), b'{"allow":false,"reason":"no"}')
    await eventually(lambda: ann.told)
    rig.join(other, ticket=3)
    assert other.told == [HookDecided(3, Denied("no", "cache"))]
    sources = {"source": "cache"}
    assert rig.metrics.registry.get_sample_value("warren_gateway_hook_sources_total", sources) == 1


async def test_connect_has_a_key_without_a_namespace(rig: Rig):
    """It is one for the whole installation."""
    rig.hooks.consult(Asker("g~1"), Consult(1, HookQuery("connect", "", "g~1")))
    sent = await rig.asked(1)
    assert (sent.key, json.loads(sent.body)) == ("connect", {"hook": "connect", "connection": "g~1"})


@pytest.mark.parametrize(
    ("failure", "error", "retry_after_ms"),
    [("no_service", Unroutable("nobody"), NOBODY_MS), ("overloaded", Nacked("full"), 1_000)],
)
async def test_where_nobody_answers_it_is_closed(rig: Rig, failure, error, retry_after_ms):
    """At once where the broker says that nobody is there, or that the queue is full."""
    rig.bus.outcomes["join.chat"].append(error)
    ann = Asker("g~1")
    rig.join(ann)
    await eventually(lambda: ann.told)
    assert ann.told == [HookDecided(1, Undecided(failure, retry_after_ms))]
    assert rig.count(failure) == 1


async def test_an_answer_that_comes_late_decides_nothing(rig: Rig):
    """Who waited was told by then; one that never comes is the same."""
    ann = Asker("g~1")
    rig.join(ann)
    sent = await rig.asked(1)
    rig.clock.advance(1.1)
    await eventually(lambda: ann.told)
    rig.reply(sent, b'{"allow":true,"ttl":60}')
    rig.reply(sent, b'{"allow":true,"ttl":60}')
    await rig.settled()
    assert ann.told == [HookDecided(1, Undecided("timeout", 1_000))]
    assert len(rig.desk.cache) == len(rig.desk) == 0


async def test_a_second_answer_changes_nothing(rig: Rig):
    """Nor does one that says the opposite."""
    ann = Asker("g~1")
    rig.join(ann)
    sent = await rig.asked(1)
    rig.reply(sent, b'{"allow":false}')
    rig.reply(sent, b'{"allow":true,"ttl":60}')
    await rig.settled()
    assert ann.told == [HookDecided(1, Denied(""))]


async def test_rubbish_is_counted_and_closed(rig: Rig):
    """However often it comes."""
    ann = Asker("g~1")
    rig.join(ann)
    rig.reply(await rig.asked(1), b"\xff\x00 no JSON")
    await eventually(lambda: ann.told)
    assert ann.told == [HookDecided(1, Undecided("invalid", 1_000))]
    assert rig.count("invalid") == 1


async def test_who_has_gone_is_told_nothing(rig: Rig):
    """The answer is kept for others."""
    ann = Asker("g~1")
    rig.join(ann)
    sent = await rig.asked(1)
    rig.hooks.gone("g~1")
    rig.hooks.gone("g~1")
    rig.reply(sent, b'{"allow":true,"ttl":60}')
    await rig.settled()
    assert (ann.told, len(rig.desk.cache)) == ([], 1)


async def test_a_revocation_reaches_the_desk(rig: Rig):
    """What was kept of the user is asked anew."""
    ann = Asker("g~1")
    rig.join(ann)
    rig.reply(await rig.asked(1), b'{"allow":true,"ttl":60}')
    await eventually(lambda: ann.told)
    rig.join(ann, ticket=2)
    assert ann.told[1].verdict.source == "cache"
    rig.hooks.revoked("bob")
    rig.join(ann, ticket=3)
    assert ann.told[2].verdict.source == "cache"
    rig.hooks.revoked("ann")
    rig.join(ann, ticket=4)
    await rig.asked(2)


async def test_others_have_their_turn_while_many_are_told(rig: Rig):
    """A thousand connections with the same question do not stop the loop."""
    askers = [Asker(f"g~{number:x}") for number in range(3 * TOLD_AT_ONCE)]
    for asker in askers:
        rig.join(asker)
    sent = await rig.asked(1)
    rig.reply(sent, b'{"allow":true}')
    counts = []
    while not all(asker.told for asker in askers):
        await asyncio.sleep(0)
        counts.append(sum(bool(asker.told) for asker in askers))
    assert TOLD_AT_ONCE in counts
    assert 2 * TOLD_AT_ONCE in counts


async def test_what_waits_is_asked_when_there_is_place(rig: Rig):
    """Each asker is told of its own."""
    askers = [Asker(f"g~{number:x}") for number in range(int(WINDOW_FIRST) + 3)]
    for number, asker in enumerate(askers):
        rig.join(asker, f"u{number}")
    sent = await rig.asked(int(WINDOW_FIRST))
    rig.reply(sent, b'{"allow":true}')
    sent = await rig.asked(int(WINDOW_FIRST) + 2)  # one for the answer, and the window has grown by one
    assert json.loads(sent.body)["user"] == f"u{int(WINDOW_FIRST) + 1}"


async def test_a_fault_of_ours_is_closed_and_leaves_no_question_open(rig: Rig, caplog):
    """Whatever it is."""
    rig.calls.call = _fails  # type: ignore[method-assign]
    ann = Asker("g~1")
    rig.join(ann)
    await eventually(lambda: ann.told)
    assert ann.told == [HookDecided(1, Undecided("unavailable", 1_000))]
    assert len(rig.desk) == 0
    assert len(logged(caplog.records, "hook_fault")) == 1


async def _fails(*_: object) -> None:
    raise ZeroDivisionError("a fault")


async def test_who_was_refused_and_who_does_not_answer_is_logged(rig: Rig, caplog):
    """Once in a while, with what somebody would look for, and no payload or grant."""
    caplog.set_level("INFO")
    for number in range(3):
        asker = Asker(f"g~{number}")
        rig.join(asker, room=f"r{number}")
        rig.reply(await rig.asked(number + 1), b'{"allow":false,"reason":"not invited"}')
        await eventually(lambda asker=asker: asker.told)
    (line,) = logged(caplog.records, "hook_denied")
    assert {name: line[name] for name in ("hook", "user", "connection", "room", "reason")} == {
        "hook": "join", "user": "ann", "connection": "g~0", "room": "r0", "reason": "not invited"
    }  # fmt: skip
    for number in range(3, 6):
        asker = Asker(f"g~{number}")
        rig.join(asker, "bob", f"r{number}")
        rig.reply(await rig.asked(number + 1), b"rubbish")
        await eventually(lambda asker=asker: asker.told)
    (line,) = logged(caplog.records, "hook_failed")
    assert (line["routing_key"], line["failure"]) == ("join.chat", "invalid")


async def test_an_answer_that_is_too_long_for_a_grant_is_logged(rig: Rig, caplog):
    """Once in a while: its clients are let in, and asked about when they come back."""
    body = json.dumps({"allow": True, "ttl": 60, "rooms": [f"{room:0128}" for room in range(30)]}).encode()
    for number in range(2):
        asker = Asker(f"g~{number}")
        rig.hooks.consult(asker, Consult(1, HookQuery("connect", f"u{number}", asker.id)))
        rig.reply(await rig.asked(number + 1), body)
        await eventually(lambda asker=asker: asker.told)
        assert asker.told[0].verdict.grant == ""
    (line,) = logged(caplog.records, "grant_too_long")
    assert line["user"] == "u0"


async def test_each_anonymous_client_is_granted_by_its_own_name(rig: Rig):
    """Though the backend is asked once about those who have named none."""
    askers = [Asker(f"g~{number}") for number in range(3)]
    for number, asker in enumerate(askers):
        query = HookQuery("connect", "", asker.id, anonymous=f"guest-{number}")
        rig.hooks.consult(asker, Consult(1, query))
    rig.reply(await rig.asked(1), b'{"allow":true,"ttl":60}')
    await eventually(lambda: all(asker.told for asker in askers))
    for number, asker in enumerate(askers):
        name, grant = f"guest-{number}", asker.told[0].verdict.grant
        query = HookQuery("connect", name, asker.id, anonymous=name, grant=grant)
        rig.hooks.consult(asker, Consult(2, query))
        assert asker.told[1].verdict.source == "grant"
    assert rig.count("allowed") == 6
