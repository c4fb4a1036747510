"""Webhooks: what is told of the channels of Pusher apps, to whom, when, and in which batches.

Events of rooms, and what gateways tell, come in the order of their queue. A channel is occupied by its first
connection and vacated by its last one; a member is added by the first connection of the user and removed by
the last one. What ends waits HOLD_S: where the same begins again by then, nothing has happened. What is due
goes to each webhook that wants it, in order, one batch at a time; one that is not taken is tried again with
back-off for TRIED_S, then given up.

An event is settled once all that it leads to was taken, was given up or came to nothing: then, and not
before, its delivery may be acknowledged. So a router that dies has told some twice, and nothing never. What
waits is bounded for each webhook; beyond that the oldest are given up. Pure: the time is an argument, in
monotonic seconds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from warren.contract.events import MembershipEvent
from warren.pusher import channels
from warren.pusher.apps import App, Apps, Webhook
from warren.pusher.gateway_events import GatewayEvent
from warren.retry import Backoff

HOLD_S: Final = 3.0
TRIED_S: Final = 300.0
AGAIN_FIRST_S: Final = 1.0
AGAIN_LAST_S: Final = 60.0
BATCH: Final = 50
WAITING: Final = 500
REMEMBERED: Final = 10_000
_encode: Final = msgspec.json.Encoder().encode

Settle = Callable[[], None]


Told = MembershipEvent | GatewayEvent


@dataclass(slots=True)
class _Source:
    """One event that came, and what is open of it."""

    settle: Settle
    open: int = 1  # 1: it is being looked at

    def done(self) -> None:
        self.open -= 1
        if not self.open:
            self.settle()


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing to tell."""

    body: bytes
    sources: tuple[_Source, ...]

    def done(self) -> None:
        for source in self.sources:
            source.done()


@dataclass(slots=True)
class _Target:
    """One webhook: what waits for it."""

    app: App
    webhook: Webhook
    waiting: deque[_Item] = field(default_factory=deque)
    again: Backoff = field(default_factory=lambda: Backoff(AGAIN_FIRST_S, AGAIN_LAST_S))
    due: float = 0.0
    since: float | None = None  # since when what is first is tried
    under_way: int = 0


@dataclass(frozen=True, slots=True)
class Post:
    """Send this to ``url``, and say by ``posted`` what came of it."""

    target: tuple[str, str]
    url: str
    body: bytes
    headers: dict[str, str]


class Webhooks:
    """One router's."""

    def __init__(self) -> None:
        """Nothing is to be told."""
        self._apps = Apps()
        self._targets: dict[tuple[str, str], _Target] = {}  # by app and address
        # What has ended, and is told unless it begins again: ▶ when, as what, and of which events it comes.
        self._held: OrderedDict[tuple[str, str], tuple[float, dict[str, Any], list[_Source]]] = OrderedDict()
        self._seen: OrderedDict[str, None] = OrderedDict()  # ids of events
        self.given_up = 0

    @property
    def waiting(self) -> int:
        """How many wait, to be told or to come to nothing."""
        return len(self._held) + sum(len(target.waiting) for target in self._targets.values())

    def use(self, apps: Apps) -> None:
        """Have these apps count from now on. What waits for a webhook that is none any more is given up."""
        if apps is self._apps:
            return
        self._apps = apps
        wanted = {(app.id, hook.url): (app, hook) for app in apps.by_id.values() for hook in app.webhooks}
        for key in [key for key in self._targets if key not in wanted]:
            for item in self._targets.pop(key).waiting:
                item.done()
        for key, (app, hook) in wanted.items():
            known = self._targets.get(key)
            if known is None:
                self._targets[key] = _Target(app, hook)
            else:
                known.app, known.webhook = app, hook

    def lost(self) -> None:
        """The queue goes to another consumer, with all that is not settled."""
        self._held.clear()
        self._seen.clear()
        for target in self._targets.values():
            target.waiting.clear()
            target.under_way = 0
            target.since = None

    # ── what comes ──────────────────────────────────────────────────────────────────────────────────────────

    def take(self, told: Told, settle: Settle, now: float) -> None:
        """Take one event; ``settle`` is called once nothing of it is open any more."""
        source = _Source(settle)
        if told.event_id not in self._seen:
            self._seen[told.event_id] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            if isinstance(told, GatewayEvent):
                self._of_gateway(told, source)
            else:
                self._of_room(told, source, now)
        source.done()

    def _of_gateway(self, told: GatewayEvent, source: _Source) -> None:
        event: dict[str, Any] = {"name": told.event, "channel": told.channel}
        if told.event == "client_event":
            event |= {"event": told.name, "data": told.data, "socket_id": told.socket_id}
            if told.user_id:
                event["user_id"] = told.user_id
        self._put(told.app, event, [source])

    def _of_room(self, told: MembershipEvent, source: _Source, now: float) -> None:
        place = channels.place_of(told.room)
        if place is None or not place.channel or place.app not in self._apps.by_id:
            return
        app, channel = place
        came = told.event == "room.joined"
        edge = 1 if came else 0
        if told.members == edge:
            names = ("channel_occupied", "channel_vacated")
            self._edge(app, (told.room, ""), {"channel": channel}, names, came, source, now)
        if told.connections == edge and channels.is_presence(channel):
            named = {"channel": channel, "user_id": channels.id_of(told.user)}
            names = ("member_added", "member_removed")
            self._edge(app, (told.room, told.user), named, names, came, source, now)

    def _edge(
        self,
        app: str,
        key: tuple[str, str],
        event: dict[str, Any],
        names: tuple[str, str],
        came: bool,
        source: _Source,
        now: float,
    ) -> None:
        """Something has begun, or ended."""
        held = self._held.pop(key, None)
        if came and held is not None:
            for ended in held[2]:
                ended.done()  # it never ended
        elif came:
            self._put(app, {"name": names[0], **event}, [source])
        else:
            source.open += 1
            sources = [source] if held is None else [*held[2], source]
            due = now + HOLD_S if held is None else held[0]
            self._held[key] = due, {"app": app, "name": names[1], **event}, sources

    def _put(self, app: str, event: dict[str, Any], sources: list[_Source]) -> None:
        """Have an event told to each webhook of an app that wants it."""
        body = _encode(event)
        for key, target in self._targets.items():
            hook = target.webhook
            if (
                key[0] != app
                or event["name"] not in hook.events
                or not event["channel"].startswith(hook.prefix)
            ):
                continue
            for source in sources:
                source.open += 1
            target.waiting.append(_Item(body, tuple(sources)))
            if len(target.waiting) - target.under_way > WAITING:
                self._give_up(target, target.under_way, 1)

    def _give_up(self, target: _Target, begin: int, count: int) -> None:
        for _ in range(count):
            item = target.waiting[begin]
            del target.waiting[begin]
            item.done()
        self.given_up += count

    # ── what goes ───────────────────────────────────────────────────────────────────────────────────────────

    def due(self, now: float, now_ms: int) -> list[Post]:
        """Return what is to be sent now: at most one batch for each webhook. ``now_ms`` is the time that it
        says.
        """
        while self._held and next(iter(self._held.values()))[0] <= now:
            _, (_, event, sources) = self._held.popitem(last=False)
            app = event.pop("app")
            self._put(app, event, sources)
            for source in sources:
                source.done()
        posts: list[Post] = []
        for key, target in self._targets.items():
            if not target.waiting or target.under_way or target.due > now:
                continue
            target.under_way = min(BATCH, len(target.waiting))
            if target.since is None:
                target.since = now
            items = [target.waiting[at].body for at in range(target.under_way)]
            body = b'{"time_ms":%d,"events":[%b]}' % (now_ms, b",".join(items))
            headers = {
                "Content-Type": "application/json",
                "X-Pusher-Key": target.app.key,
                "X-Pusher-Signature": target.app.signs(body),
            }
            posts.append(Post(key, target.webhook.url, body, headers))
        return posts

    def posted(self, target: tuple[str, str], taken: bool, now: float) -> None:
        """A batch was taken, or not: then it is sent again later, unless it was tried for too long."""
        known = self._targets.get(target)
        if known is None or not known.under_way:
            return
        count, known.under_way = known.under_way, 0
        if not taken and known.since is not None and now - known.since < TRIED_S:
            known.due = now + known.again.next()
            return
        known.again.reset()
        known.since = None
        known.due = now
        for _ in range(count):
            known.waiting.popleft().done()
        if not taken:
            self.given_up += count
