"""The demo page: its files, the gateways' addresses, and ``POST /demo/notify``, which publishes as a backend
would.

Only embedded mode and `make run-rabbit` have it: anybody who reaches the port may publish, so pages of other
origins are refused. It knows no room and no connection; what it publishes takes the same way as a backend's
message.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import orjson
from aiohttp import web

from warren import address
from warren.bus import Bus, Properties
from warren.errors import BusUnavailable, NotConfirmed, SettingsError, Unroutable
from warren.message_rules import TYPE_RULE, is_reserved_type, is_type
from warren.origins import origin_allowed
from warren.telemetry import is_valid
from warren.topology import ALL, Topology

MAX_BYTES = 256 * 1024
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
_FOLDERS = {"/demo": "demo", "/js": "js"}  # path ▶ folder below clients/
_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Notice(msgspec.Struct, forbid_unknown_fields=True):
    """What the page's form asks for."""

    to: str
    payload: msgspec.Raw
    name: str = ""
    type: str = "NOTIFICATION"

    def routing_key(self) -> str:
        """Return the key for the notify exchange. Raises ValueError with what is wrong."""
        checks = {"room": address.is_room, "user": address.is_user, "conn": address.is_connection}
        rules = {
            "room": address.ROOM_RULE,
            "user": address.USER_RULE,
            "conn": "a connection's id: <gateway>~<number>",
        }
        if not is_type(self.type) or is_reserved_type(self.type):
            raise ValueError(
                f"the type {self.type!r} can't be sent; type: {TYPE_RULE}; most UPPER CASE ones are reserved"
            )
        if self.to == "all":
            return ALL
        if self.to not in checks:
            raise ValueError(f"to: one of room, user, conn, all; not {self.to!r}")
        if not checks[self.to](self.name):
            raise ValueError(f"{self.name!r} is no {self.to}: {rules[self.to]}")
        return f"{self.to}.{self.name}"


class Page:
    """The page's routes."""

    def __init__(
        self,
        clients: Path,
        bus: Bus,
        topology: Topology,
        *,
        gateways: Sequence[str],
        origins: Iterable[str],
        services: Sequence[str] = (),
    ) -> None:
        """``clients``: the checkout's folder of that name; ``gateways``: host:port of each; ``origins``:
        whose pages may publish; ``services``: which the page offers to ask.
        """
        self._files = dict(_files(clients))
        self._bus = bus
        self._topology = topology
        self._config = orjson.dumps({"gateways": list(gateways), "services": list(services)})
        self._origins = tuple(origins)
        # the client asks a gateway that it can't connect to whether it answers HTTP
        # a policy knows no IPv6
        asked = " ".join(f"http://{gateway}" for gateway in gateways if "[" not in gateway)
        policy = (
            f"default-src 'self'; connect-src 'self' ws: wss: {asked}; frame-ancestors 'none'; "
            f"base-uri 'none'"
        )
        self._headers = {**_HEADERS, "Content-Security-Policy": policy}

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return what a gateway's public port serves besides its own."""
        return [
            *(web.get(path, self._file) for path in self._files),
            web.get("/demo/config.json", self._gateways),
            web.post("/demo/notify", self._notify),
        ]

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = self._files[request.path]
        headers = {**self._headers, "Content-Type": f"{_TYPES[path.suffix]}; charset=utf-8"}
        return web.FileResponse(path, headers=headers)

    async def _gateways(self, _: web.Request) -> web.Response:
        return web.Response(body=self._config, content_type="application/json", headers=self._headers)

    async def _notify(self, request: web.Request) -> web.Response:
        origin = ", ".join(request.headers.getall("Origin", ()))
        if not origin_allowed(origin, "", self._origins):
            return _answer(403, error=f"pages of {origin} may not publish here")
        if request.content_type != "application/json":  # what a foreign page can't send unasked
            return _answer(415, error="the body must be application/json")
        if request.content_length is None or request.content_length > MAX_BYTES:
            return _answer(413, error=f"the body must be at most {MAX_BYTES} bytes")
        try:
            notice = msgspec.json.decode((await request.read()).decode(), type=Notice)
            key = notice.routing_key()
        except (msgspec.MsgspecError, ValueError) as error:
            return _answer(400, error=str(error))
        traceparent = request.headers.get("traceparent", "")
        properties = Properties(
            content_type="application/json",
            type=notice.type,
            message_id=str(uuid.uuid4()),
            headers={"traceparent": traceparent} if is_valid(traceparent) else {},
        )
        try:
            await self._bus.publish(
                self._topology.notify, key, bytes(notice.payload), properties, mandatory=True
            )
        except (BusUnavailable, NotConfirmed, Unroutable) as error:
            return _answer(503, error=f"the broker did not take it: {error}")
        return _answer(200, key=key, id=properties.message_id or "")


def find_clients(start: Path) -> Path:
    """Return the folder ``clients`` of the checkout that ``start`` is in. Raises SettingsError where there is
    none.
    """
    for folder in start.resolve().parents:
        if (folder / "clients" / "demo" / "index.html").is_file():
            return folder / "clients"
    raise SettingsError(
        [
            (
                f"embedded mode serves clients/demo and clients/js from a checkout of Warren, and {start} is "
                f"in none"
            )
        ]
    )


def _files(clients: Path) -> Iterable[tuple[str, Path]]:
    """Yield (path, file) of each file that is served, and of nothing else."""
    yield "/", clients / "demo" / "index.html"
    for prefix, folder in _FOLDERS.items():
        for path in sorted((clients / folder).iterdir()):
            if path.suffix in _TYPES and path.name != "index.html":
                yield f"{prefix}/{path.name}", path


def _answer(status: int, **content: str) -> web.Response:
    body: Mapping[str, str] = content
    return web.Response(
        body=orjson.dumps(body), status=status, content_type="application/json", headers=_HEADERS
    )
