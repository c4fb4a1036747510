"""The router's settings: defaults, names, and what does not fit together."""

import pytest

from router.settings import RouterSettings, new_router_id
from warren.address import connection_id, is_connection
from warren.errors import SettingsError
from warren.settings import describe, read


def test_an_empty_environment_gives_the_defaults():
    """Also with the gateway's variables in it, which are not the router's."""
    settings = read(RouterSettings, {"WARREN_GATEWAY_PORT": "1"})
    assert settings == RouterSettings()
    assert (settings.probes.internal_port, settings.takeover.lease_ms, settings.flow.prefetch) == (
        9081,
        5_000,
        128,
    )


def test_every_variable_is_the_routers_own_or_shared():
    """Nothing that only the router reads is called as if both did; each has a meaning."""
    shared = {
        "WARREN_AMQP_URL", "WARREN_AMQP_HEARTBEAT_S", "WARREN_PREFIX", "WARREN_SHARDS", "WARREN_LOG_LEVEL",
        "WARREN_LOG_FILE", "WARREN_NAMESPACES", "WARREN_PUSHER_APPS_FILE", "WARREN_AMQP_CA_FILE", "WARREN_AMQP_CERT_FILE", "WARREN_AMQP_KEY_FILE",
        "WARREN_BROKER_NOTIFY_BYTES", "WARREN_BROKER_LOG_BYTES", "WARREN_BROKER_POD_BYTES", "WARREN_BROKER_DEAD_BYTES",
    }  # fmt: skip
    for variable in describe(RouterSettings):
        assert variable.name in shared or variable.name.startswith("WARREN_ROUTER_")
        assert variable.meaning.endswith(".")


def test_values_are_read_into_their_groups():
    """Each by its own name."""
    settings = read(
        RouterSettings,
        {
            "WARREN_ROUTER_PREFETCH": "7",
            "WARREN_ROUTER_DEDUP_COUNT": "8",
            "WARREN_ROUTER_HISTORY_FLOOR_MS": "0",
            "WARREN_ROUTER_ID": "pod-1",
            "WARREN_SHARDS": "4",
            "WARREN_ROUTER_EVENTS": "client,message",
            "WARREN_NAMESPACES": "[{name: n, pattern: 'n*', history: off}]",
        },
    )
    assert settings.events == ("client", "message")
    assert settings.memory.history_floor_ms == 0
    assert not settings.namespaces.namespaces.policy("n1").history.kept
    assert (settings.flow.prefetch, settings.memory.dedup_count, settings.id, settings.bus.shards) == (
        7,
        8,
        "pod-1",
        4,
    )


def test_all_problems_are_named_at_once():
    """A wrong value, a name that nobody knows, and times that do not fit together."""
    with pytest.raises(SettingsError) as raised:
        read(
            RouterSettings,
            {
                "WARREN_ROUTER_PREFETCH": "many",
                "WARREN_ROUTER_PREFECTH": "7",
                "WARREN_ROUTER_LEASE_MS": "1000",
                "WARREN_ROUTER_LISTEN_MS": "2000",
                "WARREN_ROUTER_EVENTS": "client,rooms",
            },
        )
    text = str(raised.value)
    assert len(raised.value.problems) == 4
    for name in (
        "WARREN_ROUTER_PREFETCH:",
        "WARREN_ROUTER_PREFECTH:",
        "WARREN_ROUTER_LEASE_MS must",
        "WARREN_ROUTER_EVENTS: must be some of client, room, message, undelivered, not rooms",
    ):
        assert name in text


def test_a_routers_lease_outlasts_a_heartbeat_that_is_lost():
    """Else routers would take each other for dead."""
    with pytest.raises(SettingsError) as raised:
        read(RouterSettings, {"WARREN_ROUTER_PEER_LEASE_MS": "900"})
    assert "WARREN_ROUTER_PEER_LEASE_MS must be at least twice WARREN_ROUTER_ANNOUNCE_MS" in str(raised.value)


def test_backends_can_be_told_nothing():
    """A dash is the empty list."""
    assert read(RouterSettings, {"WARREN_ROUTER_EVENTS": "-"}).events == ()


def test_an_id_is_new_for_every_life():
    """It begins with what was asked for, and could be a gateway's in a connection's address."""
    one, two = new_router_id("pod-1"), new_router_id("pod-1")
    assert one != two
    assert one.startswith("pod-1-")
    assert is_connection(connection_id(new_router_id(""), 1))


@pytest.mark.parametrize(
    ("name", "most", "rule"),
    [
        ("WARREN_ROUTER_HISTORY_BYTES", 4_000_000, "at least twice"),
        ("WARREN_ROUTER_CHECKPOINT_BYTES", 2_000_000, "at least four times"),
    ],
)
def test_a_log_that_can_not_hold_what_is_looked_for_there_is_a_problem(name, most, rule):
    """Who begins to read has to find a whole checkpoint, and what is kept in memory after it."""
    env = {
        "WARREN_BROKER_LOG_BYTES": "8000000",
        "WARREN_ROUTER_HISTORY_BYTES": "1000000",
        "WARREN_ROUTER_CHECKPOINT_BYTES": "1000000",
    }
    with pytest.raises(SettingsError, match=f"WARREN_BROKER_LOG_BYTES must be {rule}"):
        read(RouterSettings, env | {name: str(most + 1)})
    assert read(RouterSettings, env | {name: str(most)}).bus.broker_log_bytes == 8_000_000
