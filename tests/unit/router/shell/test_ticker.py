"""Ticker: every part has its turn, in order."""

import pytest
from tests.support.eventually import eventually

from router.shell import ticker as module
from router.shell.ticker import Ticker


class Part:
    def __init__(self, name, log):
        self.name, self.log = name, log

    def tick(self):
        self.log.append(self.name)


async def test_parts_are_ticked_in_their_order_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch):
    """Again and again; one that was never started can be stopped too."""
    monkeypatch.setattr(module, "EVERY_S", 0.001)
    log = []
    ticker = Ticker([Part("a", log), Part("b", log)])
    await ticker.stop()
    ticker.start()
    await eventually(lambda: len(log) >= 4)
    await ticker.stop()
    assert log == ["a", "b"] * (len(log) // 2)
