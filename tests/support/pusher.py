"""A client and a backend of the Pusher protocol, written from its description and on stock libraries alone:
nothing of Warren's signs or spells here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from tests.support.eventually import eventually
from tests.support.ports import embedded_port
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosed

from embedded.app import Embedded
from embedded.settings import read_embedded
from warren.lifecycle import Part

APP, KEY, SECRET = "1001", "278d425bdf160c739803", "7ad3773142a6692b25b8"
APPS = f"""
apps:
  - id: {APP}
    key: {KEY}
    secret: {SECRET}
    client_events: true
  - id: other
    key: other-key
    secret: 0123456789abcdefother
  - id: paused
    key: off-key
    secret: 0123456789abcdefoff
    enabled: false
"""


def sign(text: str, secret: str = SECRET) -> str:
    """Return a signature."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class PusherClient:
    """One connection. What comes is kept in ``frames``, each with its data parsed where that is JSON."""

    def __init__(self, connection: ClientConnection, key: str = KEY, secret: str = SECRET) -> None:
        self.frames: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self.key = key
        self.secret = secret
        self._connection = connection
        self._reader = asyncio.create_task(self._read())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.close()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for text in self._connection:
                assert isinstance(text, str)
                self.raw.append(text)
                frame = json.loads(text)
                data = frame.get("data")
                if isinstance(data, str):
                    with suppress(ValueError):
                        frame["data"] = json.loads(data)
                self.frames.append(frame)
        except ConnectionClosed:
            pass

    @property
    def socket_id(self) -> str:
        """What the server calls it."""
        found: str = self.frames[0]["data"]["socket_id"]
        return found

    def cut(self) -> None:
        """End without a word."""
        self._connection.transport.abort()

    async def closed(self) -> tuple[int, str]:
        """Wait for the end; return its code and reason."""
        await asyncio.wait_for(self._connection.wait_closed(), 10)
        return self._connection.close_code or 0, self._connection.close_reason or ""

    async def say(self, event: str, data: Any = None, channel: str | None = None) -> None:
        """Send a frame."""
        frame = {"event": event} | ({} if data is None else {"data": data})
        await self.text(json.dumps(frame | ({} if channel is None else {"channel": channel})))

    async def text(self, text: str) -> None:
        """Send what may be no frame."""
        await self._connection.send(text)

    async def subscribe(
        self, channel: str, user: str = "", info: Any = None, *, auth: str | None = None
    ) -> dict[str, Any]:
        """Subscribe as a client does whose backend allows it; return what the subscription succeeds with."""
        data: dict[str, Any] = {"channel": channel}
        if channel.startswith(("private-", "presence-")):
            text = f"{self.socket_id}:{channel}"
            if channel.startswith("presence-"):
                member = {"user_id": user} | ({} if info is None else {"user_info": info})
                data["channel_data"] = json.dumps(member)
                text += f":{data['channel_data']}"
            data["auth"] = auth if auth is not None else f"{self.key}:{sign(text, self.secret)}"
        await self.say("pusher:subscribe", data)
        return await self.expect("pusher_internal:subscription_succeeded", channel)

    async def subscribe_again(self, channel: str, user: str = "") -> None:
        """Subscribe to what was subscribed to before."""
        told = len(self.of("pusher_internal:subscription_succeeded", channel))
        await self.subscribe(channel, user)
        await self.expect("pusher_internal:subscription_succeeded", channel, told + 1)

    async def sign_in(self, user: str, **more: Any) -> None:
        """Sign in as a client does whose backend allows it."""
        user_data = json.dumps({"id": user} | more)
        text = f"{self.socket_id}::user::{user_data}"
        await self.say(
            "pusher:signin", {"auth": f"{self.key}:{sign(text, self.secret)}", "user_data": user_data}
        )
        await self.expect("pusher:signin_success")

    def of(self, event: str, channel: str | None = None) -> list[dict[str, Any]]:
        """Return the frames of this event that have come."""
        return [
            frame
            for frame in self.frames
            if frame["event"] == event and (channel is None or frame.get("channel") == channel)
        ]

    async def expect(self, event: str, channel: str | None = None, count: int = 1) -> dict[str, Any]:
        """Wait for a frame; return the last one of so many."""
        await eventually(
            lambda: len(self.of(event, channel)) >= count,
            10,
            what=f"{count} of {event} on {channel}: {self.frames}",
        )
        return self.of(event, channel)[count - 1]

    async def settle(self) -> None:
        """Wait until all that was sent before is handled, and answered where it is at once."""
        before = len(self.of("pusher:pong"))
        await self.say("pusher:ping", {})
        await self.expect("pusher:pong", count=before + 1)


class PusherBackend:
    """A backend that signs its requests."""

    def __init__(self, session: aiohttp.ClientSession, url: str, secret: str = SECRET) -> None:
        self._session = session
        self.url = url
        self.secret = secret

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        *,
        app: str = APP,
        key: str = KEY,
        **changed: str,
    ) -> tuple[int, Any]:
        """Return the status and the answer; ``changed`` parameters replace those that are right."""
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        path = f"/apps/{app}{path}"
        given = {"auth_key": key, "auth_timestamp": str(int(time.time())), "auth_version": "1.0"}
        if raw:
            given["body_md5"] = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        given |= query or {}
        given |= {name: value for name, value in changed.items() if name != "auth_signature"}
        text = f"{method}\n{path}\n" + "&".join(f"{name}={given[name]}" for name in sorted(given))
        given["auth_signature"] = changed.get("auth_signature") or sign(text, self.secret)
        async with self._session.request(
            method, f"{self.url}{path}?{urlencode(given)}", data=raw or None,
            headers={"Content-Type": "application/json"},
        ) as response:  # fmt: skip
            text = await response.text()
            return response.status, json.loads(text) if text.startswith(("{", "[")) else text

    async def trigger(self, channel: str | list[str], event: str, data: Any, **more: Any) -> Any:
        """Trigger an event; return the answer to it."""
        targets = [channel] if isinstance(channel, str) else channel
        data = data if isinstance(data, str) else json.dumps(data)
        status, told = await self.ask(
            "POST", "/events", {"name": event, "channels": targets, "data": data} | more
        )
        assert status == 200, told
        return told


class PusherInstallation:
    """An embedded Warren with two gateways that serves the protocol."""

    def __init__(self, embedded: Embedded, session: aiohttp.ClientSession, apps: Path) -> None:
        self.embedded = embedded
        self.apps = apps
        self.backend = PusherBackend(session, embedded.api)
        self.session = session

    def url(self, gateway: int = 0, key: str = KEY, query: str = "protocol=7&client=test") -> str:
        """Return where clients of an app connect."""
        return f"ws://{self.embedded.addresses[gateway]}/app/{key}?{query}"

    async def client(
        self, gateway: int = 0, key: str = KEY, secret: str = SECRET, **options: Any
    ) -> PusherClient:
        """Return a client that is connected."""
        client = PusherClient(await websocket(self.url(gateway, key), **options), key, secret)
        await client.expect("pusher:connection_established")
        return client


@asynccontextmanager
async def pusher_installation(
    folder: Path, apps: str = APPS, **env: str
) -> AsyncIterator[PusherInstallation]:
    """Run an embedded Warren that serves these apps."""
    file = folder / "apps.yaml"
    file.write_text(apps)
    given = {
        "PORT": str(embedded_port()),
        "WARREN_PUSHER_APPS_FILE": str(file),
        "WARREN_GATEWAY_GRACE_MS": "0",
    }
    embedded = Embedded(read_embedded({**given, **env}))
    begun: list[Part] = []
    try:
        for part in embedded.parts():
            begun.append(part)
            await part.start()
        async with aiohttp.ClientSession() as session:
            yield PusherInstallation(embedded, session, file)
    finally:
        for part in reversed(begun):
            await part.stop()
