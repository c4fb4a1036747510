"""Control: commands are done, and what they came to is told without guessing."""

import asyncio

import msgspec
import pytest
import pytest_asyncio
from tests.support.eventually import MS, eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import ScriptedBus

from router.core import control
from router.core.api_keys import EVERYTHING, Scope
from router.core.control import Given, parse_command
from router.core.control_problems import Problem, ProblemCode
from router.core.placement import Placement
from router.core.verbs import (
    BATCH,
    BLOCK,
    BROADCAST,
    COUNT,
    DISCONNECT,
    EXPLAIN,
    OVERVIEW,
    PUBLISH,
    ROOMS,
    SAMPLES,
)
from router.shell import control as shell
from router.shell import router_calls
from router.shell.control import Control
from router.shell.message_writer import MessageWriter
from router.shell.peer_messages import PeerMessages
from router.shell.router_calls import RouterCalls
from warren.address import shard_of
from warren.batch import BatchLimits
from warren.contract.commands import Done, Outcome, Outcomes, Published
from warren.contract.installation import SampleList
from warren.contract.queries import RoomCount, RoomsPage
from warren.envelope import Command, Commanded, CommandResult, Publish, Receipt, decode
from warren.topology import Topology


class Here:
    """A shard's part in our router."""

    version, said = 2, None

    def answer(self, body):
        return self.said


class Whole:
    """What is known of the whole installation."""

    def answer(self, body):
        return SampleList(every_ms=1, samples=[])


class Harness:
    def __init__(self, limits=None):
        self.bus, self.topology = ScriptedBus(), Topology(shards=2)
        self.context = router_context(self.bus, topology=self.topology)
        self.outbox = PeerMessages(self.context)
        self.calls = RouterCalls("r1", Placement("r1", 2), self.outbox, self.context.metrics)
        self.shards = [Here(), Here()]
        self.writer = MessageWriter(self.context, limits or BatchLimits())
        self.control = Control(self.context, self.writer, self.calls, self.shards, Whole())

    async def do(self, verb, body, scopes=EVERYTHING):
        command = parse_command(verb, msgspec.json.encode(body), Given(self.context.clock.wall_us(), 1_000))
        assert not isinstance(command, Problem), command
        return await self.control.do(command, scopes)

    def written(self):
        envelopes = [each for published in self.bus.published for each in decode(published.body)]
        return [each for each in envelopes if isinstance(each, Publish)]

    async def close(self):
        self.bus.release()
        await self.writer.close()
        await self.outbox.close()


@pytest_asyncio.fixture
async def harness():
    harness = Harness()
    yield harness
    await harness.close()


async def test_a_message_is_done_when_the_log_has_it(harness):
    """Its place is not waited for where nobody asks, and no receipt is asked for."""
    harness.bus.held = True
    doing = asyncio.create_task(harness.do(PUBLISH, {"address": "room.a", "payload": 1, "id": "m"}))
    await eventually(harness.written)
    assert not doing.done()
    harness.bus.release()
    assert await doing == Published(id="m", address="room.a")
    (message,) = harness.written()
    assert (message.room, message.receipt, message.asker) == ("a", 0, "")


async def test_who_waits_is_told_where_the_message_stands(harness):
    """By the fold's receipt, which its record asks for."""
    body = {"address": "room.a", "payload": 1, "id": "m", "wait_ms": 5_000}
    doing = asyncio.create_task(harness.do(PUBLISH, body))
    await eventually(harness.written)
    (message,) = harness.written()
    assert (message.receipt, message.asker) == (1, "r1")
    harness.calls.take(
        Receipt("m", "a", "e-1", 7, duplicate=True, users=1, connections=1, gateways=1, level=1)
    )
    there = {"users": 1, "connections": 1, "gateways": 1}
    assert await doing == Published(id="m", address="room.a", epoch="e-1", seq=7, duplicate=True, **there)


async def test_who_waits_for_more_is_told_when_it_is_written(harness):
    """By how many gateways, and how many have died before; also of many messages at once."""
    one = {"address": "room.a", "payload": 1, "id": "m"}
    body = {"messages": [one], "wait_ms": 5_000, "receipt": "written"}
    doing = asyncio.create_task(harness.do(BATCH, body))
    await eventually(harness.written)
    (message,) = harness.written()
    assert (message.receipt, message.asker) == (2, "r1")
    told = {"users": 3, "connections": 4, "gateways": 2, "written": 1, "lost": 1}
    harness.calls.take(Receipt("m", "a", "e-1", 7, duplicate=False, **told, level=2))
    outcome = Outcome(status=200, id="m", address="room.a", epoch="e-1", seq=7, duplicate=False, **told)
    assert await doing == Outcomes(results=[outcome], failed=0)


async def test_who_waits_for_users_is_told_how_many_have_seen_it(harness):
    """And how many were there to see it."""
    body = {"address": "room.a", "payload": 1, "id": "m", "wait_ms": 5_000, "receipt": "seen"}
    doing = asyncio.create_task(harness.do(PUBLISH, body))
    await eventually(harness.written)
    (message,) = harness.written()
    assert message.receipt == 3
    there = {"users": 2, "connections": 2, "gateways": 1, "written": 1, "lost": 0, "readers": 2, "seen": 1}
    harness.calls.take(Receipt("m", "a", "e-1", 7, duplicate=False, **there, complete=False, level=3))
    expected = {"epoch": "e-1", "seq": 7, "duplicate": False, "complete": False}
    assert await doing == Published(id="m", address="room.a", **there, **expected)


async def test_who_has_waited_for_long_enough_is_told_what_is_known(harness):
    """That it is in the log; nothing else."""
    answer = await harness.do(PUBLISH, {"address": "room.a", "payload": 1, "id": "m", "wait_ms": 1})
    assert answer == Published(id="m", address="room.a", complete=False)


async def test_a_message_to_one_connection_has_no_number(harness):
    """And none is told."""
    body = {"address": "conn.g1~5", "payload": 1, "id": "m", "wait_ms": 5_000}
    doing = asyncio.create_task(harness.do(PUBLISH, body))
    await eventually(harness.written)
    harness.calls.take(
        Receipt("m", "g1~5", "", 0, duplicate=False, users=-1, connections=-1, gateways=1, level=1)
    )
    assert await doing == Published(id="m", address="conn.g1~5", duplicate=False, gateways=1)


async def test_what_is_not_confirmed_in_time_may_be_sent_again(harness, monkeypatch):
    """Its fate is not known, and nobody writes it from here any more."""
    monkeypatch.setattr(shell, "WRITE_S", 5 * MS)
    harness.bus.held = True
    answer = await harness.do(PUBLISH, {"address": "room.a", "payload": 1, "id": "m"})
    assert isinstance(answer, Problem)
    assert (answer.code, answer.code.retry) == (ProblemCode.UNAVAILABLE, True)


async def test_of_several_those_count_that_came_in_time():
    """Whatever their order; who is cancelled while it waits waits no longer."""
    loop = asyncio.get_running_loop()
    late, came = loop.create_future(), loop.create_future()
    came.set_result(None)
    await shell._all_done([late, came], 5 * MS)
    assert (shell._done(late), shell._done(came)) == (False, True)
    waiting = asyncio.create_task(shell._all_done([loop.create_future()], 60.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_what_is_not_allowed_is_not_written(harness):
    """Of a batch the rest is."""
    scopes = (Scope("publish", "chat:*"),)
    denied = await harness.do(PUBLISH, {"address": "room.a", "payload": 1}, scopes)
    assert isinstance(denied, Problem)
    assert denied.code is ProblemCode.FORBIDDEN
    body = {
        "messages": [{"address": "room.a", "payload": 1}, {"address": "room.chat:a", "payload": 2, "id": "m"}]
    }
    outcomes = await harness.do(BATCH, body, scopes)
    assert isinstance(outcomes, Outcomes)
    assert [(each.status, each.code, each.id) for each in outcomes.results] == [
        (403, "forbidden", None),
        (200, None, "m"),
    ]
    assert outcomes.failed == 1
    assert [message.room for message in harness.written()] == ["chat:a"]


async def test_a_broadcast_tells_what_became_of_each_address(harness):
    """One of them may fail alone."""
    body = {"addresses": ["room.a", "user.ann"], "payload": 1}
    outcomes = await harness.do(BROADCAST, body, (Scope("broadcast"), Scope("publish", "a")))
    assert isinstance(outcomes, Outcomes)
    assert [(each.address, each.status) for each in outcomes.results] == [("room.a", 200), ("user.ann", 403)]


async def test_what_has_no_room_takes_all_behind_it_along():
    """Or the order of a room would be lost when it is sent again."""
    harness = Harness(BatchLimits(batch_count=1, waiting_count=1))
    harness.bus.held = True
    messages = [{"address": "room.a", "payload": number, "id": f"m{number}"} for number in range(4)]
    doing = asyncio.create_task(harness.do(BATCH, {"messages": messages}))
    await eventually(harness.written)
    harness.bus.release()
    outcomes = await doing
    assert isinstance(outcomes, Outcomes)
    statuses = [each.status for each in outcomes.results]
    assert statuses == sorted(statuses)
    assert {each.code for each in outcomes.results if each.status != 200} == {"overloaded"}
    assert outcomes.results[-1].retry_after_ms
    await harness.close()


# ── who is where ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_command_stands_in_the_log_of_its_address(harness):
    """And is done once the fold has told what it came to."""
    body = {"address": "user.ann", "except": ["g1~5"], "reason": "bye", "id": "d1"}
    doing = asyncio.create_task(harness.do(DISCONNECT, body))
    await eventually(lambda: harness.bus.published)
    (published,) = harness.bus.published
    head, entry = decode(published.body)
    assert published.key == str(shard_of("@ann", 2))
    assert head == Commanded("r1", harness.context.clock.wall_us())
    assert entry == Command("d1", "disconnect", "@ann", spare=("g1~5",), reason="bye")
    harness.calls.take(CommandResult("d1", "@ann", b'{"connections":2}'))
    assert await doing == Done(id="d1", connections=2)


async def test_a_command_whose_result_does_not_come_is_written_again(harness, monkeypatch):
    """Under the same id, which counts once: the one who should have told it has died."""
    monkeypatch.setattr(shell, "AGAIN_S", 5 * MS)
    doing = asyncio.create_task(harness.do(DISCONNECT, {"address": "user.ann"}))
    await eventually(lambda: len(harness.bus.published) >= 3)
    entries = {decode(each.body)[1].id for each in harness.bus.published}
    assert len(entries) == 1
    (ident,) = entries
    harness.calls.take(CommandResult(ident, "@ann", b'{"connections":0,"duplicate":true}'))
    assert await doing == Done(id=ident, connections=0, duplicate=True)


async def test_a_command_that_nobody_has_done_in_time_may_be_sent_again(harness, monkeypatch):
    """Its fate is not known."""
    monkeypatch.setattr(shell, "CHANGE_S", 5 * MS)
    answer = await harness.do(DISCONNECT, {"address": "user.ann"})
    assert isinstance(answer, Problem)
    assert answer.code is ProblemCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (b'{"code":"overloaded","message":"full"}', ProblemCode.OVERLOADED),
        (b'{"code":"invalid_message","message":"code: no"}', ProblemCode.INVALID_MESSAGE),
    ],
)
async def test_what_the_fold_refuses_is_a_problem(harness, result, code):
    """With its words."""
    doing = asyncio.create_task(harness.do(BLOCK, {"address": "user.ann", "id": "b"}))
    await eventually(lambda: harness.bus.published)
    harness.calls.take(CommandResult("b", "@ann", result))
    answer = await doing
    assert isinstance(answer, Problem)
    assert answer.code is code


async def test_where_a_router_is_too_old_nothing_is_written(harness):
    """Its fold would pass the command over."""
    for shard in harness.shards:
        shard.version = 1
    answer = await harness.do(BLOCK, {"address": "user.ann", "id": "b"})
    assert isinstance(answer, Problem)
    assert answer.code is ProblemCode.NOT_SUPPORTED
    assert harness.bus.published == []


async def test_a_read_is_asked_of_each_shard_that_knows(harness):
    """And its answers become one."""
    for shard, users in zip(harness.shards, ("ann", "bob"), strict=True):
        page = RoomsPage(rooms=[RoomCount(room=f"{users}-room", connections=1)])
        shard.said = msgspec.json.encode(page)
    answer = await harness.do(ROOMS, {"limit": 1})
    assert isinstance(answer, RoomsPage)
    assert [room.room for room in answer.rooms] == ["ann-room"]
    assert control.cursor_of(answer.next) == "ann-room"
    denied = await harness.do(ROOMS, {"prefix": "b"}, (Scope("rooms", "chat:*"),))
    assert isinstance(denied, Problem)


async def test_a_read_that_nobody_answers_is_told_so(harness, monkeypatch):
    """It may be asked again; of what is not known that is told."""
    monkeypatch.setattr(shell, "READ_S", 5 * MS)
    answer = await harness.do(COUNT, {"address": "room.a"})
    assert isinstance(answer, Problem)
    assert answer.code is ProblemCode.UNAVAILABLE
    for shard in harness.shards:
        shard.said = b""
    answer = await harness.do(EXPLAIN, {"address": "room.a", "id": "m"})
    assert isinstance(answer, Problem)
    assert answer.code is ProblemCode.NOT_FOUND


async def test_who_can_not_be_waited_for_is_told_to_come_again(harness, monkeypatch):
    """Too many wait for receipts: nothing is written for one more."""
    monkeypatch.setattr(router_calls, "OPEN_MAX", 0)
    answer = await harness.do(PUBLISH, {"address": "room.a", "payload": 1, "wait_ms": 100})
    assert isinstance(answer, Problem)
    assert answer.code is ProblemCode.OVERLOADED
    assert harness.written() == []


async def test_the_whole_installation_is_known_without_asking_anybody(harness):
    """A key with the scope is answered at once; one for rooms alone is refused, with the scope it lacks."""
    assert await harness.do(SAMPLES, {}) == SampleList(every_ms=1, samples=[])
    assert harness.bus.published == []
    denied = await harness.do(OVERVIEW, {}, (Scope("rooms"), Scope("overview", "chat:*")))
    assert isinstance(denied, Problem)
    assert denied.detail == "The key has no scope that covers overview."
