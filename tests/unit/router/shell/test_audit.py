"""Audit: who commanded what, and never with which key."""

import logging

from prometheus_client import CollectorRegistry
from tests.support.gateways import logged

from router.core.api_keys import Scope
from router.core.control import Given, parse_command, refusal
from router.core.verbs import BROADCAST, PUBLISH
from router.shell.audit import Audit
from warren.contract.commands import Outcomes, Published
from warren.metrics import RouterMetrics


def command(verb, text):
    return parse_command(verb, text, Given(1, 1_000))


def test_a_command_for_many_has_its_line(caplog):
    """With the name of the key, and how many failed."""
    metrics = RouterMetrics(CollectorRegistry())
    with caplog.at_level(logging.INFO):
        Audit(metrics, "http").done(
            BROADCAST,
            command(BROADCAST, b'{"payload": "secret", "id": "m"}'),
            Outcomes(results=[], failed=0),
            by="shop",
            trace_id=lambda: "t",
        )
    (line,) = logged(caplog.records, "control_broadcast")
    assert {name: value for name, value in line.items() if value is not None} == {
        "protocol": "http", "by": "shop", "id": "m", "failed": 0, "trace_id": "t",
    }  # fmt: skip
    assert metrics.registry.get_sample_value("warren_router_commands_total", {"verb": "broadcast"}) == 1


def test_messages_to_single_addresses_have_none_unless_asked_for(caplog):
    """They are counted; at level debug each has one."""
    audit = Audit(RouterMetrics(CollectorRegistry()), "http")
    found = command(PUBLISH, b'{"address": "room.a", "payload": 1}')
    done = Published(id="m", address="room.a")
    with caplog.at_level(logging.INFO):
        audit.done(PUBLISH, found, done, by="shop", trace_id=str)
    assert logged(caplog.records, "control_publish") == []
    with caplog.at_level(logging.DEBUG):
        audit.done(PUBLISH, found, done, by="shop", trace_id=str)
    assert logged(caplog.records, "control_publish")[0]["address"] == "room.a"


def test_what_was_not_allowed_has_a_line_in_any_case(caplog):
    """A key that is used for what it is not for."""
    metrics = RouterMetrics(CollectorRegistry())
    found = command(PUBLISH, b'{"address": "room.a", "payload": 1}')
    with caplog.at_level(logging.WARNING):
        Audit(metrics, "http").done(
            PUBLISH, found, refusal(found, (Scope("presence"),)), by="shop", trace_id=str
        )
    (line,) = logged(caplog.records, "control_publish")
    assert (line["by"], line["code"]) == ("shop", "forbidden")
    assert (
        metrics.registry.get_sample_value("warren_router_command_problems_total", {"code": "forbidden"}) == 1
    )
