"""RetryingPublisher: a publish that is repeated until it is confirmed."""

import asyncio

import pytest
from tests.support.eventually import eventually
from tests.support.scripted_bus import ScriptedBus

from router.shell.retrying_publisher import RetryingPublisher
from warren.bus import Properties
from warren.errors import BusUnavailable, NotConfirmed, Unroutable


async def test_what_is_confirmed_goes_once():
    """With the exchange, key, body and flags that were given."""
    bus = ScriptedBus()
    assert await RetryingPublisher(bus).publish("x", "k", b"1", Properties())
    (published,) = bus.published
    assert (published.exchange, published.key, published.body, published.mandatory) == ("x", "k", b"1", True)
    assert published.persistent


@pytest.mark.parametrize("error", [NotConfirmed(), BusUnavailable(), Unroutable()])
async def test_what_fails_is_repeated_until_it_is_confirmed(error):
    """Whatever the failure, the same bytes go again."""
    bus = ScriptedBus()
    bus.script("k", error, error)
    assert await RetryingPublisher(bus).publish("x", "k", b"1", Properties())
    assert [published.body for published in bus.published] == [b"1"] * 3


async def test_a_missing_queue_is_said_once(caplog):
    """However often it is tried, one line names the exchange that leads nowhere."""
    bus = ScriptedBus()
    bus.script("k", Unroutable(), Unroutable())
    assert await RetryingPublisher(bus).publish("x", "k", b"1", Properties())
    (line,) = caplog.records
    assert (line.getMessage(), line.warren_fields["exchange"]) == ("no_queue", "x")


async def test_the_return_of_the_broker_ends_the_pause():
    """A pause of a minute is over as soon as the broker is back."""
    bus = ScriptedBus()
    publisher = RetryingPublisher(bus)
    bus.tell(False)
    pause = asyncio.create_task(publisher.wait(60.0))
    await asyncio.sleep(0)
    assert not pause.done()
    bus.tell(True)
    await eventually(pause.done)


async def test_what_is_not_wanted_any_more_is_not_repeated():
    """It says that it was not confirmed."""
    bus = ScriptedBus()
    bus.script("k", NotConfirmed(), NotConfirmed())
    assert not await RetryingPublisher(bus).publish(
        "x", "k", b"1", Properties(), lambda: len(bus.published) < 2
    )
    assert len(bus.published) == 2
