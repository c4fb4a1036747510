"""Testing: stands in for Warren in an application's own unit tests: it keeps what was sent, and asks, tells
and has decided what clients and gateways would. There is no broker, and nothing is delivered.

    async with Recording(backend) as warren:
        await backend.notify("room.a", {"text": "hello"})
        assert warren.notifications[0].payload == {"text": "hello"}
        assert await warren.ask("orders.get", {"id": 7}, user="ann") == {"id": 7}
"""

# ruff: noqa: A002 (id is the contract's own word)
from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from warren_backend.backend import Backend
from warren_backend.core import command, patterns, payloads
from warren_backend.core.command import Commander
from warren_backend.core.decision import (
    ConnectQuestion,
    HookName,
    JoinQuestion,
    PublishQuestion,
    Question,
    answer_to,
)
from warren_backend.core.errors import BackendError, CommandFailed, InvalidRoute
from warren_backend.core.event import event_of
from warren_backend.core.messages import Incoming
from warren_backend.core.notification import Level, Notification, lists
from warren_backend.core.once import MemoryOnce, Once
from warren_backend.core.receipts import Receipt
from warren_backend.core.request import Last, Request
from warren_backend.core.routes import Routes
from warren_backend.shell.calling import call, in_parts, parts
from warren_backend.shell.notifier import Sent


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was sent."""

    verb: str
    address: str | None
    fields: Mapping[str, Any]


class Recording:
    """A wire that goes nowhere. ``with`` has the backend use it from its next start on; ``async with`` starts
    the backend, too.

    ``results`` has what commands are answered, by verb (else as if nobody were there); ``receipt`` what is
    told of notifications; while ``failure`` is set, everything that is sent raises it.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._once: dict[int, Once] = {}
        self.notifications: list[Notification] = []
        self.receipts: list[Level | None] = []  # which one each of them asked for
        self.commands: list[Command] = []
        self.results: dict[str, dict[str, Any]] = {}
        self.receipt = Receipt(complete=True, users=0, connections=0, gateways=0)
        self.failure: BackendError | None = None

    def __enter__(self) -> Self:
        self._backend.use(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._backend.use(None)

    async def __aenter__(self) -> Self:
        self._backend.use(self)
        await self._backend.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._backend.stop()
        self._backend.use(None)

    # ── what a client, a gateway or a router would do ───────────────────────────────────────────────────────

    async def ask(
        self,
        service: str,
        payload: object = None,
        *,
        user: str = "ann",
        connection: str = "g1~1",
        id: str | None = None,
        durable: bool = False,
    ) -> Any:
        """Return what a service answers, or the list of the parts that it yields. Raises what it raises."""
        route = next((each for each in self._backend.services if patterns.fits(each.pattern, service)), None)
        if route is None:
            raise InvalidRoute(f"no service is registered for {service!r}")
        request = Request(
            service=service,
            payload=_crossed(payload),
            user=user,
            connection=connection,
            id=f"{user}~{id or uuid.uuid4()}",
            attempt=1,
            durable=durable,
            timeout_s=None,
        )
        if not in_parts(route.call):
            return _crossed(await call(route.call, request))
        said: list[Any] = []
        async for part in parts(route.call, request):
            if isinstance(part, Last):
                return [*said, _crossed(part.payload)]
            said.append(_crossed(part))
        return said

    async def tell(self, routing_key: str, **fields: Any) -> int:
        """Tell an event to all who hear events of this key, and return how many functions did. The same
        ``event_id`` counts once. Raises what they raise.
        """
        kind = next(
            (each for each in ("message.undelivered", "message") if routing_key.startswith(f"{each}.")),
            routing_key,
        )
        body = {"event_id": str(uuid.uuid4()), "event": kind, "at": 0} | fields
        event = event_of(Incoming(routing_key=routing_key, body=json.dumps(body).encode()))
        heard = 0
        for number, route in enumerate(self._backend.events):
            if any(patterns.fits(key, routing_key) for key in route.keys):
                once = route.once or self._once.setdefault(number, MemoryOnce())
                async with once.claim(event.key) as new:
                    if new:
                        await call(route.call, event)
                        heard += 1
        return heard

    async def decide(self, question: Question) -> dict[str, Any]:
        """Return the answer to a gateway's question, as Warren would read it. Raises what the hook raises."""
        hook: HookName
        match question:
            case PublishQuestion():
                hook, key = "publish", f"publish.{question.namespace}"
            case JoinQuestion():
                hook, key = "join", f"join.{question.namespace}"
            case ConnectQuestion():
                hook, key = "connect", "connect"
        route = next((each for each in self._backend.hooks if patterns.fits(each.key, key)), None)
        if route is None:
            raise InvalidRoute(f"no hook is registered for {key!r}")
        answer: dict[str, Any] = json.loads(answer_to(hook, await call(route.call, question)))
        return answer

    # ── what the backend uses ───────────────────────────────────────────────────────────────────────────────

    @property
    def commander(self) -> Commander:
        """Keeps commands."""
        return self._command

    async def start(self, routes: Routes, timeout_s: float) -> None:
        """There is nothing to connect."""

    async def stop(self, grace_s: float) -> None:
        """There is nothing to disconnect."""

    async def send(
        self,
        notification: Notification,
        receipt: Level | None,
        timeout_s: float,
        receipt_timeout_s: float | None,
    ) -> Sent:
        """Keep a notification. Raises InvalidNotification as the broker's wire does."""
        if self.failure is not None:
            raise self.failure
        notification.message()
        self.notifications.append(notification)
        self.receipts.append(receipt)
        if receipt is None:
            return Sent(notification.id, notification.address)
        return Sent(
            notification.id, notification.address, asyncio.create_task(self._receipt(notification.id))
        )

    async def send_many(self, many: Iterable[Notification], timeout_s: float) -> list[str]:
        """Keep notifications."""
        if self.failure is not None:
            raise self.failure
        sent = list(many)
        list(lists(sent))  # raises where one is invalid
        self.notifications += sent
        self.receipts += [None] * len(sent)
        return [each.id for each in sent]

    async def _receipt(self, ident: str) -> Receipt:
        return Receipt(
            **{**{name: getattr(self.receipt, name) for name in self.receipt.__slots__}, "id": ident}
        )

    async def _command(
        self,
        verb: str,
        fields: Mapping[str, Any],
        *,
        address: str | None,
        ident: str | None,
        timeout_s: float,
    ) -> dict[str, Any]:
        if self.failure is not None:
            raise self.failure
        command.message_of(verb, fields, address=address, ident=ident, traceparent=None)
        self.commands.append(Command(verb, address, command.said(fields)))
        if (result := self.results.get(verb)) is not None:
            return result
        return _nothing(verb, fields, address, ident)


# How an installation is that has nothing but a router which says so.
NO_INSTALLATION: Final[Mapping[str, Any]] = {
    "version": "test",
    "at": 0,
    **dict.fromkeys(("connections", "users", "rooms", "members", "gateways", "waiting", "shards"), 0),
    **dict.fromkeys(("in_rate", "out_rate", "error_rate"), 0.0),
    "silent_shards": [],
    "broker": "up",
    "routers": [],
}


def _nothing(verb: str, fields: Mapping[str, Any], address: str | None, ident: str | None) -> dict[str, Any]:
    """Return what Warren answers where nobody is, and nothing was ever sent."""
    match verb:
        case "presence":
            return {"users": 0, "connections": 0, "members": []}
        case "count":
            return {"users": 0, "connections": 0}
        case "history":
            return {"epoch": "test", "seq": 0, "messages": []}
        case "rooms":
            return {"rooms": []}
        case "blocks":
            return {"blocks": []}
        case "overview":
            return dict(NO_INSTALLATION)
        case "samples":
            return {"every_ms": 2_000, "samples": []}
        case "gateways":
            return {"gateways": []}
        case "shards":
            return {"shards": []}
        case "status":
            return {"users": [{"user": user, "online": False} for user in fields["users"]]}
        case "explain":
            raise CommandFailed({"code": "not_found", "status": 404, "detail": "No such message is known."})
        case "batch":
            return {"results": [{"status": 200} for _ in fields["messages"]], "failed": 0}
        case "broadcast":
            return {"results": [{"status": 200} for _ in fields["addresses"] or ["all"]], "failed": 0}
        case "publish":
            return {"id": ident, "address": address}
        case _:
            return {"id": ident, "connections": 0}


def _crossed(payload: object) -> Any:
    """Return a payload as it is behind the broker. Raises ValueError where it can't go there."""
    return payloads.decoded(*payloads.encoded(payload))
