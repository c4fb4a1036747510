"""The names are those that Warren declares."""

from __future__ import annotations

from warren.topology import Topology
from warren_backend.core.names import Names, cancel_key


def test_they_are_those_of_the_topology() -> None:
    """Under any prefix."""
    for prefix in ("warren", "blue"):
        names, topology = Names(prefix), Topology(prefix)
        assert (names.notify, names.control, names.events) == (
            topology.notify,
            topology.control,
            topology.events,
        )
        assert (names.rpc, names.hooks, names.replies) == (topology.rpc, topology.hooks, topology.replies)
        assert names.durable_replies == topology.rpc_replies
        assert cancel_key("orders.get") == topology.cancel_key("orders.get")


def test_own_queues_begin_with_what_the_rights_say() -> None:
    """Once."""
    assert Names().queue("audit") == "app.audit"
    assert Names().queue("app.audit") == "app.audit"
    assert Names(own="shop").queue("app.audit") == "shop.app.audit"
