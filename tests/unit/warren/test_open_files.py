"""Open files: the soft limit goes up to the hard one, and the log says so."""

from __future__ import annotations

import logging
import resource

import pytest
from tests.support.gateways import logged

from warren import open_files
from warren.open_files import OpenFiles, raise_limit

NOFILE, INFINITY = resource.RLIMIT_NOFILE, resource.RLIM_INFINITY


class System:
    """A system with these limits, which takes no soft one above ``most``."""

    def __init__(self, soft: int, hard: int, most: int = INFINITY) -> None:
        self.limits = (soft, hard)
        self.most = most

    def get(self, _: int) -> tuple[int, int]:
        return self.limits

    def set(self, _: int, wanted: tuple[int, int]) -> None:
        if self.most != INFINITY and (wanted[0] == INFINITY or wanted[0] > self.most):
            raise ValueError("current limit exceeds maximum limit")
        self.limits = wanted


@pytest.mark.parametrize(
    ("system", "found"),
    [
        (System(1_024, 524_288), OpenFiles(524_288, 1_024, 524_288)),
        (System(4_096, 4_096), OpenFiles(4_096, 4_096, 4_096)),
        (System(1_024, INFINITY), OpenFiles(None, 1_024, None)),
        (System(256, INFINITY, most=100_000), OpenFiles(65_536, 256, None)),
        (System(1_024, 4_096, most=1_024), OpenFiles(1_024, 1_024, 4_096)),
    ],
    ids=["containerd", "same", "unlimited", "unlimited by name only", "refused"],
)
def test_the_limit_is_raised_as_far_as_it_goes(
    system: System, found: OpenFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the system takes none that is higher the service goes on with what it has."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(open_files.resource, "getrlimit", system.get)
    monkeypatch.setattr(open_files.resource, "setrlimit", system.set)
    assert raise_limit() == found
    (line,) = logged(caplog.records, "open_files")
    assert (line.get("soft"), line.get("hard"), line["before"]) == (found.limit, found.hard, found.before)
    assert bool(line.get("reason")) is (system.most == 1_024)
