"""Control: every verb by which backends command Warren, with the types of the contract.

Whether a command goes over AMQP or HTTP is the commander's business. What changes something has an id under
which it counts once; ``id`` names one, else each call has its own.
"""

# ruff: noqa: A002 (id is the contract's own word)
from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, cast

from warren_backend import contract
from warren_backend.core import addresses, payloads
from warren_backend.core.command import Commander
from warren_backend.core.notification import DEFAULT_TYPE, Level, Notification

TIMEOUT_S: Final = 30.0

CloseCode = Literal[1012, 4001, 4006, 4007]


class Control:
    """Each method returns the result of its verb. Raises CommandFailed with Warren's problem,
    CommandUnanswered where no answer came in time, ValueError where an address can't be one.
    """

    def __init__(self, commander: Commander, timeout_s: float = TIMEOUT_S) -> None:
        self.commander = commander
        self._timeout_s = timeout_s

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────────

    async def publish(
        self,
        address: str,
        payload: object,
        *,
        type: str = DEFAULT_TYPE,
        id: str | None = None,
        key: str | None = None,
        expiration_ms: int | None = None,
        seen_within_ms: int | None = None,
        wait_ms: int | None = None,
        receipt: Level | None = None,
    ) -> contract.Published:
        """Send a message, and with ``wait_ms`` wait for its receipt."""
        fields = _payload(payload) | {
            "type": type,
            "key": key,
            "expiration": expiration_ms,
            "seen_within_ms": seen_within_ms,
            "wait_ms": wait_ms,
            "receipt": receipt,
        }
        return cast("contract.Published", await self._change("publish", fields, address, id))

    async def batch(
        self, messages: Iterable[Notification], *, wait_ms: int | None = None, receipt: Level | None = None
    ) -> contract.Outcomes:
        """Send up to 1,000 messages, each for itself."""
        entries = [_entry(message) for message in messages]
        fields = {"messages": entries, "wait_ms": wait_ms, "receipt": receipt}
        return cast("contract.Outcomes", await self._ask("batch", fields))

    async def broadcast(
        self,
        payload: object,
        addresses: Sequence[str] | None = None,
        *,
        type: str = DEFAULT_TYPE,
        id: str | None = None,
        key: str | None = None,
        expiration_ms: int | None = None,
        seen_within_ms: int | None = None,
        wait_ms: int | None = None,
        receipt: Level | None = None,
    ) -> contract.Outcomes:
        """Send one message to up to 1,000 addresses, or to everyone."""
        fields = _payload(payload) | {
            "addresses": None if addresses is None else list(addresses),
            "type": type,
            "key": key,
            "expiration": expiration_ms,
            "seen_within_ms": seen_within_ms,
            "wait_ms": wait_ms,
            "receipt": receipt,
        }
        return cast("contract.Outcomes", await self._change("broadcast", fields, None, id))

    # ── who may be in ───────────────────────────────────────────────────────────────────────────────────────

    async def disconnect(
        self,
        address: str,
        *,
        code: CloseCode | None = None,
        reason: str = "",
        except_: Sequence[str] = (),
        id: str | None = None,
    ) -> contract.Done:
        """Close all connections of a user, or one; ``except_`` are left alone."""
        fields = {"code": code, "reason": reason, "except": list(except_)}
        return cast("contract.Done", await self._change("disconnect", fields, address, id))

    async def remove(
        self,
        address: str,
        *,
        user: str | None = None,
        connection: str | None = None,
        reason: str = "",
        except_: Sequence[str] = (),
        id: str | None = None,
    ) -> contract.Done:
        """Take a user, or one connection, out of a room."""
        fields = {"user": user, "connection": connection, "reason": reason, "except": list(except_)}
        return cast("contract.Done", await self._change("remove", fields, address, id))

    async def add(
        self, address: str, rooms: Sequence[str], *, except_: Sequence[str] = (), id: str | None = None
    ) -> contract.Done:
        """Have all connections of a user, or one, join rooms."""
        fields = {"rooms": list(rooms), "except": list(except_)}
        return cast("contract.Done", await self._change("add", fields, address, id))

    async def block(
        self,
        address: str,
        *,
        user: str | None = None,
        until_ms: int = 0,
        reason: str = "",
        id: str | None = None,
    ) -> contract.Done:
        """Keep a user out of everything, or out of a room."""
        fields = {"user": user, "until_ms": until_ms, "reason": reason}
        return cast("contract.Done", await self._change("block", fields, address, id))

    async def unblock(self, address: str, *, user: str | None = None, id: str | None = None) -> contract.Done:
        """Let a user in again."""
        return cast("contract.Done", await self._change("unblock", {"user": user}, address, id))

    async def revoke(
        self,
        address: str,
        *,
        token_id: str | None = None,
        before_s: int | None = None,
        until_ms: int = 0,
        id: str | None = None,
    ) -> contract.Done:
        """Let nobody in by a token of a user: one by its id, or all that were issued before."""
        fields = {"token_id": token_id, "before_s": before_s, "until_ms": until_ms}
        return cast("contract.Done", await self._change("revoke", fields, address, id))

    # ── who is where ────────────────────────────────────────────────────────────────────────────────────────

    async def presence(self, address: str, *, limit: int = 100, cursor: str = "") -> contract.PresencePage:
        """Tell who is in a room: one page of it."""
        fields = {"limit": limit, "cursor": cursor}
        return cast("contract.PresencePage", await self._ask("presence", fields, address))

    async def members(self, address: str, *, page: int = 500) -> AsyncIterator[contract.Present]:
        """Yield everybody in a room, page by page. A room with too many to be named yields nobody."""
        cursor = ""
        while True:
            found = await self.presence(address, limit=page, cursor=cursor)
            for member in found["members"]:
                yield member
            if not (cursor := found.get("next", "")):
                return

    async def count(self, address: str) -> contract.Counted:
        """Tell how many are in a room."""
        return cast("contract.Counted", await self._ask("count", {}, address))

    async def history(self, address: str, *, limit: int = 50, before: int = 0) -> contract.HistoryPage:
        """Tell the last messages of a room."""
        fields = {"limit": limit, "before": before}
        return cast("contract.HistoryPage", await self._ask("history", fields, address))

    async def rooms(self, prefix: str = "", *, limit: int = 100, cursor: str = "") -> contract.RoomsPage:
        """Tell which rooms have members: one page of them."""
        fields = {"prefix": prefix, "limit": limit, "cursor": cursor}
        return cast("contract.RoomsPage", await self._ask("rooms", fields))

    async def blocks(
        self,
        room: str | None = None,
        *,
        prefix: str = "",
        user: str | None = None,
        limit: int = 100,
        cursor: str = "",
    ) -> contract.BlocksPage:
        """Tell who is kept out of a room, of rooms whose names begin so, or (`@`) of everything: a page."""
        fields = {"room": room, "prefix": prefix, "user": user, "limit": limit, "cursor": cursor}
        return cast("contract.BlocksPage", await self._ask("blocks", fields))

    async def status(self, users: Sequence[str]) -> contract.Statuses:
        """Tell which of up to 500 users are online."""
        return cast("contract.Statuses", await self._ask("status", {"users": list(users)}))

    async def explain(self, address: str, id: str, *, user: str | None = None) -> contract.Explained:
        """Tell what became of a message, by its id."""
        return cast("contract.Explained", await self._ask("explain", {"id": id, "user": user}, address))

    # ── how the installation is ─────────────────────────────────────────────────────────────────────────────

    async def overview(self) -> contract.Installation:
        """Tell how the whole installation is."""
        return cast("contract.Installation", await self._ask("overview", {}))

    async def samples(self, after: int = 0) -> contract.SampleList:
        """Tell its figures of the last ten minutes; ``after``: only those from after this time, ms since the
        Unix epoch.
        """
        return cast("contract.SampleList", await self._ask("samples", {"after": after}))

    async def gateways(self, *, limit: int = 100, cursor: str = "") -> contract.GatewaysPage:
        """Tell which gateways live: one page of them."""
        return cast("contract.GatewaysPage", await self._ask("gateways", {"limit": limit, "cursor": cursor}))

    async def shards(self, *, limit: int = 100, cursor: str = "") -> contract.ShardsPage:
        """Tell who speaks for each shard: one page of them."""
        return cast("contract.ShardsPage", await self._ask("shards", {"limit": limit, "cursor": cursor}))

    async def _change(
        self, verb: str, fields: Mapping[str, Any], address: str | None, ident: str | None
    ) -> dict[str, Any]:
        ident = ident or str(uuid.uuid4())
        body = {**fields, "id": ident}
        return await self.commander(verb, body, address=address, ident=ident, timeout_s=self._timeout_s)

    async def _ask(self, verb: str, fields: Mapping[str, Any], address: str | None = None) -> dict[str, Any]:
        return await self.commander(verb, fields, address=address, ident=None, timeout_s=self._timeout_s)


def _payload(payload: object) -> dict[str, Any]:
    if isinstance(payload, payloads.Bytes):
        return {"payload": base64.b64encode(bytes(payload)).decode(), "encoding": "base64"}
    return {"payload": payload}


def _entry(message: Notification) -> dict[str, Any]:
    addresses.checked(message.address)
    optional = {
        "key": message.key,
        "expiration": message.expiration_ms,
        "traceparent": message.traceparent,
        "seen_within_ms": message.seen_within_ms,
    }
    return {
        "address": message.address,
        "id": message.id,
        "type": message.type,
        **_payload(message.payload),
        **{name: value for name, value in optional.items() if value is not None},
    }
