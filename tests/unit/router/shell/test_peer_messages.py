"""PeerMessages: what a router says to others, best effort and bounded."""

import pytest
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import ScriptedBus

from router.shell import peer_messages
from router.shell.peer_messages import PeerMessages
from warren.envelope import CommandResult, decode
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.topology import ALL


class Rig:
    """A router's on a scripted bus."""

    def __init__(self):
        self.bus = ScriptedBus()
        self.context = router_context(self.bus)
        self.messages = PeerMessages(self.context)

    def said(self):
        """Return what was published: the key, whether it was mandatory, the ids."""
        return [
            (one.key, one.mandatory, [each.id for each in decode(one.body)])
            for one in self.bus.published
            if (one.exchange, one.persistent) == ("warren.routers", False)
        ]

    def rejected(self, reason):
        return self.context.metrics.registry.get_sample_value(
            "warren_router_rejected_total", {"reason": reason}
        )


def result(ident):
    return CommandResult(ident, "@ann", b"{}")


@pytest.fixture
async def rig():
    made = Rig()
    yield made
    await made.messages.close()


async def test_what_is_told_together_goes_to_each_router_in_one_body(rig):
    """In the order in which it was told; to all of them, nobody need be there."""
    for router, ident in (("r1", "1"), ("r2", "2"), ("r1", "3"), (ALL, "4")):
        rig.messages.tell(router, result(ident))
    await eventually(
        lambda: rig.said() == [("r1", True, ["1", "3"]), ("r2", True, ["2"]), (ALL, False, ["4"])]
    )


async def test_what_a_router_says_to_itself_does_not_go_by_the_broker(rig):
    """It is given to whoever takes it, in its order, and not in the turn in which it was told; what is for all
    goes by the broker.
    """
    taken = []
    rig.messages.own_to(lambda envelopes: taken.append([each.id for each in envelopes]))
    for router, ident in (("own", "1"), ("r2", "2"), ("own", "3"), (ALL, "4")):
        rig.messages.tell(rig.context.id if router == "own" else router, result(ident))
    assert taken == []
    await eventually(lambda: rig.said() == [("r2", True, ["2"]), (ALL, False, ["4"])])
    assert taken == [["1", "3"]]


@pytest.mark.parametrize("error", [BusUnavailable("away"), NotConfirmed("nack"), Unroutable("nobody")])
async def test_what_is_lost_is_counted_and_not_repeated(rig, error):
    """Who waits for it asks again."""
    rig.bus.script("r1", error)
    rig.messages.tell("r1", result("1"))
    await eventually(lambda: rig.rejected("peer_message_lost") == 1)
    rig.messages.tell("r1", result("2"))
    await eventually(lambda: rig.said()[-1:] == [("r1", True, ["2"])])


async def test_what_is_too_much_is_dropped_and_counted(rig, monkeypatch):
    """While the broker owes its confirms."""
    monkeypatch.setattr(peer_messages, "WAITING_COUNT", 1)
    messages = PeerMessages(rig.context)
    for number in range(3):
        messages.tell("r1", result(str(number)))
    assert rig.rejected("peer_message_dropped") == 2
    await messages.close()
