"""Routes: which functions of an application answer which services, hear which events and decide which hooks.

They are collected by decorators, before anything runs, and each that would get in another's way is refused
with the reason. Nothing here calls them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from warren_backend.core import patterns
from warren_backend.core.answers import Answers
from warren_backend.core.decision import (
    AllowConnect,
    AllowJoin,
    AllowPublish,
    ConnectQuestion,
    Decision,
    Deny,
    HookName,
    JoinQuestion,
    PublishQuestion,
)
from warren_backend.core.errors import InvalidRoute
from warren_backend.core.event import Event
from warren_backend.core.once import Once
from warren_backend.core.request import Request

_PATTERN = re.compile(r"(?:[A-Za-z0-9_\-]+|\*|#)(?:\.(?:[A-Za-z0-9_\-]+|\*|#))*")
# What AMQP lets a queue be called; there is room for what is put before and behind.
_QUEUE = re.compile(r"[A-Za-z0-9\-_.:@#,/+ ]{1,160}")
# Kinds of events, and how their keys go on; a room's name may have dots.
_EVENTS: Final = ("client.connected", "client.disconnected", "room.joined", "room.left", "message.#")

F = TypeVar("F", bound=Callable[..., Any])
FC = TypeVar("FC", bound="Callable[[ConnectQuestion], Any]")
FJ = TypeVar("FJ", bound="Callable[[JoinQuestion], Any]")
FP = TypeVar("FP", bound="Callable[[PublishQuestion], Any]")
FE = TypeVar("FE", bound="Callable[[Event], Any]")
FR = TypeVar("FR", bound="Callable[[Request], Any]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRoute:
    """A service: at most ``concurrency`` requests are worked on at once in this process, and ``prefetch``
    taken in. ``waiting``: beyond so many in the queue clients are told ``overloaded`` at once.
    ``timeout_s``: no answer, or part of one, may take longer, also where its client would wait.
    """

    pattern: str
    call: Callable[[Request], Any]
    queue: str
    concurrency: int = 16
    prefetch: int = 32
    waiting: int = 10_000
    timeout_s: float = 600.0
    answers: Answers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRoute:
    """A consumer of events. Without ``queue`` it hears what happens while it is connected; a queue keeps what
    happens meanwhile, and several processes share it.
    """

    keys: tuple[str, ...]
    call: Callable[[Event], Any]
    queue: str | None = None
    tries: int = 5
    timeout_s: float = 60.0
    prefetch: int = 64
    once: Once | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookRoute:
    """A hook, for a namespace (``*``: for all)."""

    hook: HookName
    call: Callable[[Any], Any]
    queue: str
    namespace: str = "*"
    concurrency: int = 64
    waiting: int = 10_000

    @property
    def key(self) -> str:
        """The routing key of its questions."""
        return self.hook if self.hook == "connect" else f"{self.hook}.{self.namespace}"


class _HookDecorators:
    """``hook.connect``, ``hook.join("chat")``, ``hook.publish("chat")``."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def connect(self, call: FC) -> FC:
        """Decide who may connect: answer with AllowConnect, Deny, True or False."""
        self._routes.add_hook(HookRoute(hook="connect", call=call, queue="hooks.connect"))
        return call

    def join(self, namespace: str = "*", *, queue: str = "", concurrency: int = 64) -> Callable[[FJ], FJ]:
        """Decide who may join the rooms of a namespace: answer with AllowJoin, Deny, True or False."""
        return self._decorator("join", namespace, queue, concurrency)

    def publish(self, namespace: str = "*", *, queue: str = "", concurrency: int = 64) -> Callable[[FP], FP]:
        """Decide who may publish to them: answer with AllowPublish, Deny, True or False."""
        return self._decorator("publish", namespace, queue, concurrency)

    def _decorator(self, hook: HookName, namespace: str, queue: str, concurrency: int) -> Callable[[F], F]:
        def decorate(call: F) -> F:
            self._routes.add_hook(
                HookRoute(
                    hook=hook,
                    call=call,
                    namespace=namespace,
                    queue=queue or _queue_of(f"hooks.{hook}.{namespace}"),
                    concurrency=concurrency,
                )
            )
            return call

        return decorate


class Routes:
    """What an application registers. A part of an application may have its own; ``include`` adds one to
    another.
    """

    def __init__(self) -> None:
        self.services: list[ServiceRoute] = []
        self.events: list[EventRoute] = []
        self.hooks: list[HookRoute] = []
        self.hook = _HookDecorators(self)

    def service(
        self,
        pattern: str,
        *,
        queue: str = "",
        concurrency: int = 16,
        prefetch: int = 0,
        waiting: int = 10_000,
        timeout_s: float = 600.0,
        answers: Answers | None = None,
    ) -> Callable[[FR], FR]:
        """Answer the requests of clients to a service, or to those that fit a pattern.

        The function returns the answer, or yields its parts; it raises Refused to have the client get ERROR.
        It may be ``async`` or not (then it runs in a thread).
        """

        def decorate(call: FR) -> FR:
            self.add_service(
                ServiceRoute(
                    pattern=pattern,
                    call=call,
                    queue=queue or _queue_of(pattern),
                    concurrency=concurrency,
                    prefetch=prefetch or 2 * concurrency,
                    waiting=waiting,
                    timeout_s=timeout_s,
                    answers=answers,
                )
            )
            return call

        return decorate

    def on(
        self,
        *keys: str,
        queue: str | None = None,
        tries: int = 5,
        timeout_s: float = 60.0,
        once: Once | None = None,
    ) -> Callable[[FE], FE]:
        """Hear events, one after the other, each counted once by its id, and acknowledged when the function
        has returned. One that fails ``tries`` times is dead-lettered.
        """

        def decorate(call: FE) -> FE:
            self.add_event(
                EventRoute(keys=keys, call=call, queue=queue, tries=tries, timeout_s=timeout_s, once=once)
            )
            return call

        return decorate

    def include(self, other: Routes) -> None:
        """Add all that another has. Raises InvalidRoute."""
        for service in other.services:
            self.add_service(service)
        for event in other.events:
            self.add_event(event)
        for hook in other.hooks:
            self.add_hook(hook)

    def add_service(self, route: ServiceRoute) -> None:
        """Add a service. Raises InvalidRoute."""
        if _PATTERN.fullmatch(route.pattern) is None:
            raise InvalidRoute(
                f"{route.pattern!r} is no service: words of letters, digits, _ and -, or * and #, with dots"
            )
        for other in self.services:
            if patterns.overlap(route.pattern, other.pattern):
                raise InvalidRoute(
                    f"the services {other.pattern!r} and {route.pattern!r} would both be asked the same"
                )
        _positive(concurrency=route.concurrency, prefetch=route.prefetch, waiting=route.waiting)
        _positive(timeout_s=route.timeout_s)
        self._free(route.queue, [each.queue for each in self.services])
        self.services.append(route)

    def add_event(self, route: EventRoute) -> None:
        """Add a consumer of events. Raises InvalidRoute."""
        if not route.keys:
            raise InvalidRoute("name at least one event, such as 'client.disconnected'")
        for key in route.keys:
            if not any(patterns.overlap(key, kind) for kind in _EVENTS):
                raise InvalidRoute(
                    f"there is no event {key!r}: client.connected, client.disconnected, "
                    "room.joined, room.left, message.<type>.<room>, "
                    "message.undelivered.<type>.<room>, or a pattern with * and #"
                )
        _positive(tries=route.tries, timeout_s=route.timeout_s, prefetch=route.prefetch)
        if route.queue is not None:
            self._free(route.queue, [each.queue for each in self.events])
        self.events.append(route)

    def add_hook(self, route: HookRoute) -> None:
        """Add a hook. Raises InvalidRoute."""
        if route.hook != "connect" and re.fullmatch(r"[A-Za-z0-9_\-]+|\*", route.namespace) is None:
            raise InvalidRoute(f"{route.namespace!r} is no namespace: its name, or * for all")
        for other in self.hooks:
            if patterns.overlap(route.key, other.key):
                raise InvalidRoute(f"the hooks {other.key!r} and {route.key!r} would both be asked the same")
        _positive(concurrency=route.concurrency, waiting=route.waiting)
        self._free(route.queue, [each.queue for each in self.hooks])
        self.hooks.append(route)

    @staticmethod
    def _free(queue: str, taken: Sequence[str | None]) -> None:
        if _QUEUE.fullmatch(queue) is None:
            raise InvalidRoute(
                f"no queue can be called {queue!r}: 1 to 160 letters, digits and - _ . : @ # , / +"
            )
        if queue in taken:
            raise InvalidRoute(f"the queue {queue!r} is another one's: each has a queue of its own")


def _queue_of(pattern: str) -> str:
    """Return what the queue of a pattern is called: a star can't stand in its name."""
    return pattern.replace("*", "+")


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if number <= 0:
            raise InvalidRoute(f"{name} is {number}: it must be above 0")


__all__ = [
    "AllowConnect",
    "AllowJoin",
    "AllowPublish",
    "Decision",
    "Deny",
    "EventRoute",
    "HookRoute",
    "Routes",
    "ServiceRoute",
]
