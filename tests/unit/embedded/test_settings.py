"""Embedded mode's settings: defaults for one's own machine, PORT, and every problem at once."""

from __future__ import annotations

import pytest

from embedded.settings import read_embedded
from warren.errors import SettingsError


def problems(**env: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_embedded(env)
    return caught.value.problems


def test_defaults_need_nothing():
    """An empty environment gives two anonymous gateways on 127.0.0.1:8080 and :8081 and no RabbitMQ."""
    settings = read_embedded({})
    assert settings.host == "127.0.0.1"
    assert settings.ports == (8080, 8081)
    assert [gateway.auth.auth for gateway in settings.gateways] == ["anonymous", "anonymous"]
    assert settings.on_rabbit is False


def test_rooms_tell_who_is_there_and_what_is_seen():
    """So that the page can show it; namespaces of the environment take the place of this one."""
    shown = read_embedded({}).gateways[0].namespaces.namespaces.policy("chat:lobby")
    assert (shown.presence.mode, shown.presence.watch) == ("users", "anyone")
    assert shown.receipts == "seen"
    given = read_embedded({"WARREN_NAMESPACES": "[{name: a, pattern: 'a:*'}]"})
    assert [policy.name for policy in given.router.namespaces.namespaces.policies] == ["a"]


def test_port_moves_both():
    """PORT is the first gateway's, and the second takes the next one."""
    assert read_embedded({"PORT": "9000"}).ports == (9000, 9001)
    assert read_embedded({"PORT": "65525"}).ports == (65525, 65526)


@pytest.mark.parametrize("text", ["0", "65526", "80.5", "-1", "http", "٣", " 80", "99999999999999999999"])
def test_a_bad_port_is_named(text: str):
    """What is no port with a next one is a problem that names PORT and its limits."""
    [problem] = problems(PORT=text)
    assert problem.startswith("PORT: must be a number from 1 to 65525")


def test_the_api_takes_a_port_above_the_gateways():
    """With a key of its own for each run, unless a file with keys is named; it can be moved and left out."""
    settings = read_embedded({"PORT": "9000"})
    assert (settings.router.api.port, settings.router.api.host, settings.trial_key) == (
        9010,
        "127.0.0.1",
        True,
    )
    own = read_embedded({"WARREN_ROUTER_API_PORT": "0", "WARREN_ROUTER_API_KEYS_FILE": "keys.yaml"})
    assert (own.router.api.port, own.trial_key) == (0, False)


def test_pages_of_this_machine_may_connect_to_both_gateways():
    """By whatever port and name of it they came, such as a development server's; and those of the environment
    besides.
    """
    settings = read_embedded({"PORT": "9000", "WARREN_GATEWAY_ORIGINS": "https://a.example"})
    assert set(settings.origins) == {
        "http://127.0.0.1:*",
        "http://localhost:*",
        "http://[::1]:*",
        "https://a.example",
    }


def test_the_environment_counts_for_more_than_the_defaults():
    """A variable of the services is taken, here the gateway's limit, the router's and the log level."""
    settings = read_embedded(
        {"WARREN_GATEWAY_RATE": "7", "WARREN_ROUTER_DEDUP_COUNT": "9", "WARREN_LOG_LEVEL": "debug"}
    )
    assert [gateway.limits.rate for gateway in settings.gateways] == [7, 7]
    assert settings.router.memory.dedup_count == 9
    assert settings.router.log.log_level == "debug"


def test_a_rabbitmq_that_is_named_is_used():
    """WARREN_AMQP_URL switches to RabbitMQ, for gateways and router alike."""
    settings = read_embedded({"WARREN_AMQP_URL": "amqp://a:b@h:1/"})
    assert settings.on_rabbit is True
    assert settings.router.bus.amqp_urls == settings.gateways[0].bus.amqp_urls == ("amqp://a:b@h:1/",)


def test_all_problems_at_once_and_each_once():
    """A wrong PORT, a wrong variable of each service and the gateway's own port are all named, once."""
    found = problems(
        PORT="x", WARREN_GATEWAY_MESSAGE_BYTES="0", WARREN_ROUTER_DEDUP_COUNT="0", WARREN_GATEWAY_PORT="1"
    )
    assert sorted(problem.split(":")[0] for problem in found) == [
        "PORT",
        "WARREN_GATEWAY_MESSAGE_BYTES",
        "WARREN_GATEWAY_PORT",
        "WARREN_ROUTER_DEDUP_COUNT",
    ]


def test_the_end_fits_into_five_seconds():
    """The gateways' and the router's own deadlines are shorter than what Ctrl-C may take."""
    settings = read_embedded({})
    assert settings.gateways[0].times.drain_deadline_ms <= 2_000
    assert settings.router.takeover.stop_deadline_ms <= 2_000


def test_what_is_read_later_is_looked_at_too():
    """The variables of tracing, the keys and the files for TLS, all together with the rest."""
    found = problems(
        PORT="x",
        OTEL_TRACES_SAMPLER="sesame",
        WARREN_GATEWAY_JWT_SECRET="sesame",
        WARREN_AMQP_URL="amqps://h",
        WARREN_AMQP_CA_FILE="/no/such.pem",
    )
    assert sorted(problem.split(":")[0].split(" ")[0] for problem in found) == [
        "OTEL_TRACES_SAMPLER",
        "PORT",
        "WARREN_AMQP_CA_FILE",
        "WARREN_GATEWAY_JWT_SECRET",
    ]
    assert "sesame" not in "".join(found)


def test_its_service_may_be_called_unless_the_user_says_what_may():
    """A file of namespaces of one's own has a list of services of its own."""
    echo = read_embedded({}).gateways[0].namespaces.namespaces.services
    assert [policy.pattern for policy in echo.policies] == ["echo"]
    own = read_embedded({"WARREN_NAMESPACES": "services: [{pattern: x}]"}).gateways[0]
    assert [policy.pattern for policy in own.namespaces.namespaces.services.policies] == ["x"]
