"""Broker users: patterns that match the names they are for, and nothing that only looks alike."""

import re

import pytest
from scripts.chart.broker_users import NOTHING, backends, service_permissions, together

from warren.topology import Topology

TOPOLOGY = Topology("a.b", 2)
USERS = {rights.kind: rights.permissions for rights in backends(TOPOLOGY, "shop")}


def allows(pattern: str, name: str) -> bool:
    """Say what RabbitMQ would: a pattern is looked for anywhere in the name."""
    return re.search(pattern, name) is not None


def test_the_services_may_use_their_own_names_and_answer_backends() -> None:
    """A dot in the prefix stands for itself."""
    rights = service_permissions("a.b")
    for right in ("configure", "write", "read"):
        assert all(allows(rights[right], queue.name) for queue in TOPOLOGY.queues())
        assert allows(rights[right], TOPOLOGY.gateway_queue("g", "n")[0].name)
        for name in ("axb.log.1", "a.bc.log.1", "other.a.b.log", "app.orders", "amq.topic"):
            assert not allows(rights[right], name), (right, name)
    assert allows(rights["write"], "amq.default")
    assert not allows(rights["read"], "amq.default")
    assert not allows(rights["configure"], "amq.default")


@pytest.mark.parametrize(
    ("kind", "write", "read"),
    [
        ("notifier", "notify", None),
        ("events", None, "events"),
        ("rpc", "replies", "rpc"),
        ("hooks", "replies", "hooks"),
        ("control", "control", None),
    ],
)
def test_each_backend_may_use_what_it_is_for(kind: str, write: str | None, read: str | None) -> None:
    """Of Warren's names one exchange for each direction, and no queue; nothing at all may be declared but
    queues of its own.
    """
    rights = USERS[kind]
    exchanges = {exchange.name for exchange in TOPOLOGY.exchanges()} | {TOPOLOGY.hooks, TOPOLOGY.control}
    names = {
        *exchanges,
        *(queue.name for queue in TOPOLOGY.queues()),
        TOPOLOGY.replies_queue("g", "n")[0].name,
    }
    wanted = {"configure": None, "write": write, "read": read}
    for right, exchange in wanted.items():
        expected = {f"a.b.{exchange}"} if exchange else set()
        assert {name for name in names if allows(rights[right], name)} == expected, right
        assert not allows(rights[right], "amq.default")
        assert not allows(rights[right], f"x.a.b.{exchange}")
        assert not allows(rights[right], f"a.b.{exchange}.more")
        assert allows(rights[right], "shop.orders") is (read is not None)
        assert not allows(rights[right], "shopping.orders")


def test_a_backend_of_several_kinds_has_the_rights_of_all() -> None:
    """And none besides; each name stands once."""
    users = {rights.kind: rights for rights in backends(Topology())}
    assert together([users["notifier"], users["rpc"], users["hooks"]]).permissions == {
        "configure": r"^app\.",
        "write": r"^(warren\.notify$|warren\.replies$|app\.)",
        "read": r"^(warren\.rpc$|warren\.hooks$|app\.)",
    }
    assert together([users["notifier"], users["control"]]).permissions == {
        "configure": NOTHING,
        "write": r"^(warren\.notify$|warren\.control$)",
        "read": NOTHING,
    }
