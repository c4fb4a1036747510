"""Who may come in, by whatever transport."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from tests.support.gateways import logged
from tests.support.scripted_bus import ManualClock

from gateway.settings import ListenSettings
from gateway.shell.admission import LOG_EVERY_S, ORIGIN_MAX, RETRY_AFTER_S, Admission
from warren.metrics import GatewayMetrics
from warren.probes import Readiness


class Guest:
    """One that is served until it is let go."""

    def __init__(self) -> None:
        self.transport = SimpleNamespace(on_excess=None)
        self.goes = asyncio.Event()
        self.fails = False

    def end(self, _: object) -> None:
        pass

    async def run(self) -> None:
        await self.goes.wait()
        if self.fails:
            raise RuntimeError("a bug")


class Rig:
    """An admission, with connections that write down what is done."""

    def __init__(self, **settings: Any) -> None:
        self.did: list[str] = []
        connections: Any = SimpleNamespace(
            enter=lambda name, _: self.did.append(f"enter {name}"),
            leave=lambda name: self.did.append(f"leave {name}"),
            free=lambda: self.did.append("free"),
        )
        self.clock, self.metrics, self.readiness = ManualClock(), GatewayMetrics(), Readiness()
        self.admission = Admission(
            ListenSettings(**settings), connections, self.readiness, self.clock, self.metrics
        )


def request(path: str = "/sse", **headers: str) -> web.Request:
    """Return a request of this origin and address."""
    return make_mocked_request("GET", path, headers={"Host": "h", **headers})


def test_a_refusal_is_counted_and_says_when_to_come_back():
    """Only where that is of use."""
    rig = Rig()
    full = rig.admission.refusal("full", web.HTTPServiceUnavailable, "Full.")
    assert full.headers["Retry-After"] == str(RETRY_AFTER_S) == "5"
    bad = rig.admission.refusal("rooms", web.HTTPBadRequest, "No.", {"X": "y"})
    assert (bad.text, bad.headers["X"]) == ("No.\n", "y")
    assert "Retry-After" not in bad.headers
    assert b'upgrades_refused_total{reason="full"} 1.0' in rig.metrics.render()[0]
    rig.readiness.drain()  # the other pods are not concerned
    going = rig.admission.refusal("draining", web.HTTPServiceUnavailable, "Going.")
    assert going.headers["Retry-After"] == "1"


def test_an_origin_is_let_in_or_named_in_the_log(caplog: pytest.LogCaptureFixture):
    """Once in a while, and no longer than it may be."""
    rig = Rig(origins=("https://app.test",))
    for origin in ("", "http://h", "https://app.test"):
        assert rig.admission.check_origin(request(**{"Origin": origin} if origin else {})) == origin
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(web.HTTPForbidden):
                rig.admission.check_origin(request(Origin="https://" + "e" * 1_000))
    (line,) = logged(caplog.records, "upgrade_refused")
    assert len(line["origin"]) == ORIGIN_MAX
    rig.clock.advance(LOG_EVERY_S + 1)
    with pytest.raises(web.HTTPForbidden):
        rig.admission.check_origin(request(Origin="https://" + "e" * 1_000))
    assert len(logged(caplog.records, "upgrade_refused")) == 2


def test_a_client_is_what_its_request_says():
    """Its name, where it came from and what it speaks."""
    rig = Rig()
    client = rig.admission.client(request("/sse?user=ann", Origin="http://h"), "warren.v1", "t")
    assert (client.user, client.origin, client.protocol, client.token) == (
        "ann",
        "http://h",
        "warren.v1",
        "t",
    )


def test_it_knows_whether_the_pod_goes():
    """From when it is not ready for that."""
    rig = Rig(sse=False)
    assert not rig.admission.by_http
    assert not rig.admission.draining
    rig.readiness.drain()
    assert rig.admission.draining


@pytest.mark.parametrize("fails", [False, True])
async def test_a_guest_is_served_until_it_ends(fails: bool):
    """Then it gives back its place, whatever its end was."""
    rig, guest = Rig(), Guest()
    guest.fails = fails
    rig.admission.begin("g~1", guest)  # type: ignore[arg-type]
    assert guest.transport.on_excess is not None
    (task,) = rig.admission._serving
    assert rig.did == ["enter g~1"]
    guest.goes.set()
    await asyncio.wait([task])  # type: ignore[list-item]
    assert rig.did == ["enter g~1", "leave g~1", "free"]
    assert (task.exception() is not None) == fails  # type: ignore[union-attr]


async def test_who_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch):
    """Once nobody waits any longer."""
    monkeypatch.setattr("gateway.shell.admission.CLEAN_UP_S", 0.01)
    rig, guest = Rig(), Guest()
    rig.admission.begin("g~1", guest)  # type: ignore[arg-type]
    await rig.admission.stop()
    assert rig.did == ["enter g~1", "leave g~1", "free"]
    await rig.admission.stop()
