"""Gateway events: what gateways alone know of Pusher channels and webhooks are told: client events, and that
a cache channel had no event. They go to the events exchange, as JSON, where a webhook of the app wants them.
"""

from __future__ import annotations

import msgspec

from warren.pusher.apps import App, Webhook

CLIENT_EVENT = "client_event"
CACHE_MISS = "cache_miss"


class GatewayEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of them."""

    event_id: str
    event: str  # CLIENT_EVENT or CACHE_MISS
    app: str
    channel: str
    name: str = ""
    data: str = ""
    socket_id: str = ""
    user_id: str = ""


def is_for(webhook: Webhook, event: str, channel: str) -> bool:
    """Say whether a webhook is told of this event of a channel."""
    return event in webhook.events and channel.startswith(webhook.prefix)


def is_wanted(app: App, event: str, channel: str) -> bool:
    """Say whether any webhook of an app is."""
    return any(is_for(webhook, event, channel) for webhook in app.webhooks)
