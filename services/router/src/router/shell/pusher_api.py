"""PusherApi: the Pusher HTTP API, beside the HTTP API and on its port: a backend that speaks it needs another
host and port, and nothing else.

What a request means is ``core/pusher_api.py``'s; what is to be done goes the way of every command
(``control.py``): a 200 means that the event stands in the log. No secret and no signature is ever logged.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import hdrs, web

from router.core import control, pusher_api, verbs
from router.core.api_keys import EVERYTHING
from router.core.attempt_limits import Failures
from router.core.control import Command, Message
from router.core.control_problems import Problem
from router.core.control_reads import AnyRead, HistoryRead, MembersRead, RoomsRead
from router.core.pusher_api import Listing, Look, Members, Outgoing, Refusal, Request, Terminate, Trigger
from router.shell.control import Control
from router.shell.router_context import RouterContext
from warren.address import user_room
from warren.contract import commands as bodies
from warren.contract import queries
from warren.envelope import Command as Entry
from warren.errors import CloseCode
from warren.logs import event, get_logger
from warren.pusher import channels, messages
from warren.pusher_apps import PusherAppsFile

BODY_S: Final = 10.0
PAGE: Final = 500
# Channels that one answer lists; who has more asks by their prefixes.
LISTED_MAX: Final = 10_000
# Counts that are asked for at a time.
AT_ONCE: Final = 32
CACHE_S: Final = 1_800
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_logger = get_logger("router.pusher_api")
T = TypeVar("T")


class _Unanswered(Exception):
    """Something can't be done now."""

    def __init__(self, status: int, says: str, code: str, retry_after_ms: int = 0) -> None:
        self.status = status
        self.code = code
        self.retry_after_ms = retry_after_ms
        super().__init__(says)

    @classmethod
    def of(cls, problem: Problem) -> _Unanswered:
        """Return the one that a command's problem is."""
        return cls(problem.code.status, problem.detail, problem.code.value, problem.retry_after_ms)


class PusherApi:
    """One router's."""

    def __init__(self, context: RouterContext, control: Control, apps: PusherAppsFile) -> None:
        """``apps`` have the secrets; it is served where they have a file."""
        self._clock = context.clock
        self._metrics = context.metrics
        self._id = context.id
        self._control = control
        self.apps = apps
        self._failures = Failures()
        self._numbers = itertools.count(1)

    def takes(self, path: str) -> bool:
        """Say whether a path is one of this API's."""
        return bool(self.apps) and path.startswith(pusher_api.PATHS)

    async def answer(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path = http.rel_url.raw_path
        if http.method not in ("GET", "POST"):
            return _said(405, "There are GET and POST.", {hdrs.ALLOW: "GET, POST"})
        body = await _body(http, pusher_api.max_body(path))
        if isinstance(body, Refusal):
            return _said(body.status, body.says)
        request = Request(http.method, path, http.rel_url.raw_query_string, body)
        app = pusher_api.app_of(self.apps.apps, request)
        now_us = self._clock.wall_us()
        refused = pusher_api.refusal(app, request, now_us // 1_000_000)
        if refused is not None or app is None:
            return self._refused(http, refused)
        name = f"{self._id}.p{next(self._numbers)}"
        call = pusher_api.call_of(app, request, now_us, name)
        if isinstance(call, Refusal):
            return _said(call.status, call.says)
        self._metrics.commands("pusher")
        try:
            return web.json_response(
                await self._do(call), headers=_HEADERS, dumps=lambda told: msgspec.json.encode(told).decode()
            )
        except _Unanswered as unanswered:
            self._metrics.command_problems(unanswered.code)
            late_s = -(-unanswered.retry_after_ms // 1_000)
            return _said(
                unanswered.status, str(unanswered), {hdrs.RETRY_AFTER: str(late_s)} if late_s else {}
            )

    def _refused(self, http: web.BaseRequest, refused: Refusal | None) -> web.Response:
        if refused is None or refused.status != 401:
            return _said(403, "Forbidden." if refused is None else refused.says)
        self._metrics.rejected("pusher_api_signature")
        late_ms = self._failures.failed(http.remote or "", self._clock.monotonic())
        if late_ms:
            later = {str(hdrs.RETRY_AFTER): str(-(-late_ms // 1_000))}
            return _said(429, "Too many requests from here whose signatures do not hold.", later)
        event(_logger, "pusher_api_refused", level=logging.WARNING, ip=http.remote)
        return _said(401, refused.says)

    async def _do(self, call: pusher_api.Call) -> object:
        match call:
            case Trigger():
                return await self._trigger(call)
            case Listing():
                return await self._list(call)
            case Look():
                return await self._look(call.channel, call.app.room(call.channel), call.info)
            case Members():
                return await self._members(call)
            case Terminate():
                entry = Entry(
                    "", "disconnect", user_room(call.user), "", code=int(CloseCode.DISCONNECTED), reason=""
                )
                body = bodies.Disconnect(address=f"user.{call.user}")
                await self._command(Command(verbs.DISCONNECT, body, entry=entry))
                return {}

    # ── events ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _trigger(self, call: Trigger) -> object:
        sent = tuple(Message(f"room.{each.message.room}", each.message) for each in call.events)
        body = bodies.Batch(messages=msgspec.Raw(b"[]"))
        told = await self._control.do(Command(verbs.BATCH, body, messages=sent), EVERYTHING)
        if isinstance(told, Problem):
            raise _Unanswered.of(told)
        if isinstance(told, bodies.Outcomes) and told.failed:
            failed = next(each for each in told.results if each.status != 200)
            late_ms = failed.retry_after_ms or 0
            raise _Unanswered(failed.status, failed.detail or "Not published.", failed.code or "", late_ms)
        infos = await self._infos(call.events)
        if call.batch:
            return {"batch": infos} if any(each.info for each in call.events) else {}
        if not call.events[0].info:
            return {}
        return {"channels": {each.channel: info for each, info in zip(call.events, infos, strict=True)}}

    async def _infos(self, sent: Sequence[Outgoing]) -> list[dict[str, object]]:
        asked = [partial(self._attributes, each.channel, each.message.room, each.info) for each in sent]
        return await _few_at_a_time(asked)

    # ── reads ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _list(self, call: Listing) -> object:
        prefix = channels.prefix_of(call.app.id, call.prefix)
        found: dict[str, int] = {}
        after = ""
        while len(found) < LISTED_MAX:
            page = await self._read(
                verbs.ROOMS, queries.Rooms(prefix=prefix), RoomsRead(prefix, PAGE, after), queries.RoomsPage
            )
            found |= {each.room: each.connections for each in page.rooms}
            after = control.cursor_of(page.next) or ""
            if not after:
                break
        named = await self._named(call, found)
        if "user_count" not in call.info:
            told = {
                channel: pusher_api.attributes(call.info, None, found[room], None)
                for channel, room in named.items()
            }
            return {"channels": told}
        asked = [partial(self._attributes, channel, room, call.info) for channel, room in named.items()]
        return {"channels": dict(zip(named, await _few_at_a_time(asked), strict=True))}

    async def _named(self, call: Listing, rooms: dict[str, int]) -> dict[str, str]:
        """Return the rooms by their channels; those whose names don't tell them are asked about."""
        named: dict[str, str] = {}
        unnamed: list[str] = []
        for room in rooms:
            place = channels.place_of(room)
            if place is None or place.app != call.app.id:
                continue
            if not place.channel:
                unnamed.append(room)
            elif place.channel.startswith(call.prefix):
                named[place.channel] = room
        asked = [partial(self._name, room) for room in unnamed]
        told = zip(unnamed, await _few_at_a_time(asked), strict=True)
        return named | {
            channel: room
            for room, channel in told
            if channel and channel.startswith(call.prefix) and call.app.room(channel) == room
        }

    async def _name(self, room: str) -> str:
        page = await self._read(
            verbs.PRESENCE, queries.Presence(address=f"room.{room}"), MembersRead(room, 1, ""),
            queries.PresencePage,
        )  # fmt: skip
        info = page.members[0].info if page.members else msgspec.UNSET
        try:
            told = msgspec.json.decode(b"{}" if info is msgspec.UNSET else bytes(info))
        except msgspec.MsgspecError:
            return ""
        channel = told.get("channel") if isinstance(told, dict) else ""
        return channel if isinstance(channel, str) else ""

    async def _look(self, channel: str, room: str, wanted: tuple[str, ...]) -> object:
        counted = await self._count(room)
        told: dict[str, object] = {"occupied": counted.connections > 0}
        cache = await self._cache(room) if "cache" in wanted else None
        return told | pusher_api.attributes(wanted, counted.users, counted.connections, cache)

    async def _attributes(self, channel: str, room: str, wanted: tuple[str, ...]) -> dict[str, object]:
        if not wanted:
            return {}
        counted = await self._count(room)
        cache = await self._cache(room) if "cache" in wanted else None
        return pusher_api.attributes(wanted, counted.users, counted.connections, cache)

    async def _count(self, room: str) -> queries.Counted:
        body = queries.Count(address=f"room.{room}")
        return await self._read(verbs.COUNT, body, MembersRead(room, 0, ""), queries.Counted)

    async def _cache(self, room: str) -> dict[str, object] | None:
        body = queries.History(address=f"room.{room}")
        page = await self._read(verbs.HISTORY, body, HistoryRead(room, 0, 16), queries.HistoryPage)
        for message in reversed(page.messages):
            found = messages.event_of(message.type, bytes(message.payload))
            if found is not None and not found.name.startswith(messages.CLIENT):
                age_s = self._clock.wall_us() // 1_000_000 - message.timestamp // 1_000
                return {"data": found.data, "ttl": max(0, CACHE_S - age_s)}
        return None

    async def _members(self, call: Members) -> object:
        room, after, users = call.app.room(call.channel), "", list[dict[str, str]]()
        while True:
            body = queries.Presence(address=f"room.{room}")
            read = MembersRead(room, PAGE, after)
            page = await self._read(verbs.PRESENCE, body, read, queries.PresencePage)
            users += [{"id": channels.id_of(member.user)} for member in page.members]
            after = control.cursor_of(page.next) or ""
            if not after:
                return {"users": users}

    async def _read(self, verb: verbs.Verb, body: bodies.Body, read: AnyRead, kind: type[T]) -> T:
        told = await self._command(Command(verb, body, read=read))
        if not isinstance(told, kind):
            raise TypeError(f"a {verb.name} answers with {type(told).__name__}")
        return told

    async def _command(self, command: Command) -> Any:
        told = await self._control.do(command, EVERYTHING)
        if isinstance(told, Problem):
            raise _Unanswered.of(told)
        return told


async def _few_at_a_time(asked: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Return what each says, in order; a few are asked for at a time."""
    told: list[T] = []
    for begin in range(0, len(asked), AT_ONCE):
        told += await asyncio.gather(*(each() for each in asked[begin : begin + AT_ONCE]))
    return told


async def _body(http: web.BaseRequest, most: int) -> bytes | Refusal:
    """Return a request's body, or why it is not read."""
    large = Refusal(413, f"The body may have at most {most} bytes.")
    if (http.content_length or 0) > most:
        return large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while chunk := await http.content.readany():
                body += chunk
                if len(body) > most:
                    return large
    except TimeoutError:
        return Refusal(408, f"The body did not come within {BODY_S:g} s.")
    return bytes(body)


def _said(status: int, says: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a refusal as the API's libraries expect it: a sentence."""
    response = web.Response(status=status, text=says + "\n", headers={**_HEADERS, **(headers or {})})
    if status in (408, 413):
        response.force_close()
    return response
