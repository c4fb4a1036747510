"""The gateway's settings."""

from __future__ import annotations

import ipaddress

import pytest

from gateway.settings import GatewaySettings, new_gateway_id
from warren.address import is_connection
from warren.errors import SettingsError
from warren.settings import describe, read, report

ANONYMOUS = {"WARREN_GATEWAY_AUTH": "anonymous"}


def problems(**env: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(GatewaySettings, ANONYMOUS | env)
    return caught.value.problems


def test_jwt_without_a_key_is_a_problem():
    """The default asks for tokens, so it needs a key; anonymous must be asked for."""
    with pytest.raises(SettingsError) as caught:
        read(GatewaySettings, {})
    (problem,) = caught.value.problems
    assert "WARREN_GATEWAY_JWT_SECRET" in problem
    assert read(GatewaySettings, ANONYMOUS).auth.auth == "anonymous"


def test_defaults_are_those_of_the_protocol():
    """Without more the limits and the heartbeat are those that the protocol's page promises."""
    settings = read(GatewaySettings, ANONYMOUS)
    limits = settings.limits
    assert (limits.message_bytes, limits.rate, limits.rate_per_ms) == (1_048_576, 5, 1_000)
    assert (settings.times.heartbeat_ms, settings.rooms) == (30_000, ("default",))
    assert (settings.listen.port, settings.probes.internal_port) == (8080, 9080)


def test_lists_and_networks_are_parsed():
    """Rooms, origins, audiences and networks are comma separated, and ``-`` is the empty list."""
    settings = read(
        GatewaySettings,
        ANONYMOUS
        | {
            "WARREN_GATEWAY_ROOMS": "a, b,a",
            "WARREN_GATEWAY_ORIGINS": "https://a.example,*",
            "WARREN_GATEWAY_TRUSTED_PROXIES": "10.0.0.0/8, ::1/128",
        },
    )
    assert settings.rooms == ("a", "b")
    assert settings.listen.origins == ("https://a.example", "*")
    assert settings.listen.trusted_proxies == (
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("::1/128"),
    )
    assert read(GatewaySettings, ANONYMOUS | {"WARREN_GATEWAY_ROOMS": "-"}).rooms == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("ID", "a b"),
        ("ROOMS", "@ann"),
        ("ORIGINS", "app.example"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("JWT_ALGORITHMS", "none"),
        ("JWKS", "ftp://x/y"),
        ("JWKS", "https://h:70000/y"),
        ("JWKS", "https://[::1/y"),
        ("JWKS", "https://u:se/cret@h/y"),
        ("JWKS", "https:///y"),
        ("JWKS", "u:secret@h/y"),
        ("JWKS_REFRESH_S", "inf"),
        ("JWKS_RETRY_S", "nan"),
        ("HOST", "[::]"),
        ("HOST", "0.0.0.0:8080"),
        ("INTERNAL_HOST", "http://h"),
        ("ORIGINS", "https://[::1"),
        ("ORIGINS", "https://u:secret@app.example"),
        ("TRUST_TRACEPARENT", "sometimes"),
        ("UPLINK_BYTES", "1000000"),
        ("DRAIN_DEADLINE_MS", "10000"),
        ("LEASE_MS", "1500"),
        ("HEARTBEAT_MS", "0"),
        ("MAX_AGE_MS", "999"),
        ("MAX_AGE_JITTER_PERCENT", "101"),
        ("FULL_PERCENT", "-1"),
        ("ROOMS_PER_CONNECTION", "1"),
        ("CONNECTIONS_PER_USER", "1001"),
        ("CONNECTIONS_PER_USER_WHEN_EXCEEDED", "panic"),
        ("AUTH", "basic"),
        ("STATS", "nowhere"),
        ("FOO", "1"),
    ],
)
def test_wrong_values_name_their_variable(name, value):
    """Each wrong value is one problem with the variable's name in it."""
    (problem,) = problems(**{f"WARREN_GATEWAY_{name}": value})
    assert f"WARREN_GATEWAY_{name}" in problem
    assert "cret" not in problem


def test_all_problems_come_at_once():
    """Several wrong values are reported together."""
    found = problems(WARREN_GATEWAY_PORT="x", WARREN_GATEWAY_ROOMS="a b", WARREN_SHARDS="0")
    assert len(found) == 3


def test_every_variable_has_a_meaning_and_no_secret_is_shown():
    """Each variable has a meaning that is a sentence, and the report hides the secret."""
    for variable in describe(GatewaySettings):
        assert variable.meaning.endswith("."), variable.name
    shown = report(GatewaySettings, {"WARREN_GATEWAY_JWT_SECRET": "very secret indeed"})
    assert "very secret indeed" not in shown


def test_gateway_ids_are_new_for_every_life():
    """An id keeps its prefix, is never the same twice, and makes connection ids that are valid."""
    assert new_gateway_id("pod-1").startswith("pod-1-")
    assert len({new_gateway_id("") for _ in range(100)}) == 100
    assert is_connection(new_gateway_id("x" * 48) + "~1")


def test_a_report_shows_no_credentials_in_addresses():
    """Nor what is in a file of keys."""
    env = {"WARREN_GATEWAY_JWKS": "https://ann:sesame@idp/keys", "WARREN_GATEWAY_JWT_PUBLIC_KEY": "sesame"}
    assert "sesame" not in report(GatewaySettings, env)


def test_grant_keys_are_lines():
    """The first signs; each is long, and none is ever shown."""
    first, second = "a" * 32, "b" * 40
    env = ANONYMOUS | {"WARREN_GATEWAY_GRANT_KEYS": f"{first}\n\n  {second}\n"}
    assert read(GatewaySettings, env).hooks.grant_key_bytes == (first.encode(), second.encode())
    assert read(GatewaySettings, ANONYMOUS).hooks.grant_key_bytes == ()
    (problem,) = problems(WARREN_GATEWAY_GRANT_KEYS=f"{first}\nshort\n{second}\nbrief")
    assert "key 2, 4 has less than 32 characters" in problem
    assert "short" not in problem
    assert first not in report(GatewaySettings, env)


def test_headers_for_hooks_are_in_lower_case_and_once():
    """As they are looked for."""
    env = ANONYMOUS | {"WARREN_GATEWAY_HOOK_HEADERS": "Cookie, X-Tag,cookie"}
    assert read(GatewaySettings, env).hooks.hook_headers == ("cookie", "x-tag")


def test_no_room_at_connect_is_a_backend_s_to_decide():
    """A client could not be told that it is not let in, so the settings say so."""
    hooks = "namespaces: [{name: d, pattern: default, hooks: [join]}]"
    (problem,) = problems(WARREN_NAMESPACES=hooks)
    assert "a backend decides who may join default" in problem
    env = ANONYMOUS | {"WARREN_NAMESPACES": hooks, "WARREN_GATEWAY_ROOMS": "-"}
    assert read(GatewaySettings, env).rooms == ()


def test_a_closed_connection_takes_no_place_of_the_users_next_one():
    """Where the new one is refused for it; where the old one is replaced it may wait."""
    limited = ANONYMOUS | {"WARREN_GATEWAY_CONNECTIONS_PER_USER": "1"}
    refuse = {"WARREN_GATEWAY_CONNECTIONS_PER_USER_WHEN_EXCEEDED": "refuse"}
    assert read(GatewaySettings, limited).grace_s == 3.0
    assert read(GatewaySettings, limited | refuse).grace_s == 0.0
    assert read(GatewaySettings, ANONYMOUS | refuse).grace_s == 3.0
