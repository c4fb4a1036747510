"""What gateways tell webhooks."""

import msgspec

from warren.pusher.apps import App, Webhook
from warren.pusher.gateway_events import CACHE_MISS, CLIENT_EVENT, GatewayEvent, is_wanted


def test_only_what_a_webhook_wants_is_told():
    """By its events, and by how its channels begin."""
    app = App(id="a", webhooks=(Webhook("u", (CLIENT_EVENT,), "presence-"), Webhook("v", (CACHE_MISS,))))
    assert is_wanted(app, CLIENT_EVENT, "presence-a")
    assert not is_wanted(app, CLIENT_EVENT, "private-a")
    assert is_wanted(app, CACHE_MISS, "cache-a")
    assert not is_wanted(App(id="a"), CACHE_MISS, "cache-a")


def test_what_is_empty_is_left_out():
    """As in all events."""
    event = GatewayEvent("g~1.1", CACHE_MISS, "a", "cache-a")
    text = msgspec.json.encode(event)
    assert text == b'{"event_id":"g~1.1","event":"cache_miss","app":"a","channel":"cache-a"}'
    assert msgspec.json.decode(text, type=GatewayEvent) == event
