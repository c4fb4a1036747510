"""OneMessages: messages that clients post without a connection, each with a token.

Whether a user may say anything at all (a block, a revoked token) is known to the routers alone, so they are
asked before; they are asked again where nothing comes, and where nothing comes for long the client is to try
again. What is under way has a place among the pod's connections.
"""

from __future__ import annotations

import asyncio

from gateway.core.client_messages import Acked, Error, error
from gateway.core.one_message import UserRateLimits, checked, closed
from gateway.core.permissions import Identity
from gateway.core.session import Session
from gateway.shell.admission import FULL_SAYS, GOING, Admission
from gateway.shell.auth import Refusal
from gateway.shell.connection import ClientInfo, GatewayContext
from gateway.shell.connections import Connections
from gateway.shell.one_message import OneMessage
from gateway.shell.router_requests import RouterRequests
from warren import envelope
from warren.address import shard_of, user_room
from warren.errors import CloseCode, ErrorCode, ProtocolError

# The routers are asked so often, with so long for each answer.
ASKS = 4
ANSWER_S = 1.0
# Longer than any message waits for the broker.
SAID_S = 15.0

_DENIED = {int(code): code for code in CloseCode}
_UNKNOWN = "The routers do not answer; send the message again with the same id"


class OneMessages:
    """One gateway's."""

    def __init__(
        self,
        admission: Admission,
        connections: Connections,
        context: GatewayContext,
        routers: RouterRequests,
        said_s: float = SAID_S,
    ) -> None:
        """``context`` is that of the connections too; ``said_s``: how long a message may take."""
        self._admission = admission
        self._connections = connections
        self._context = context
        self._routers = routers
        self._said_s = said_s
        self._limits = UserRateLimits(context.session.rate)
        self._asked: dict[str, asyncio.Future[envelope.AccessAnswer]] = {}

    async def identify(self, client: ClientInfo) -> Identity | Error:
        """Return who says something, or why that is nobody."""
        authenticator = self._context.authenticator
        try:
            if authenticator.anonymous:
                return authenticator.guest(client.user)
            return await authenticator.check(client.token)
        except Refusal as refusal:
            self._context.metrics.auth_failures(refusal.reason)
            return error(ErrorCode.UNAUTHORIZED, str(refusal))

    async def say(
        self, client: ClientInfo, identity: Identity, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> Acked | Error:
        """Have a message taken; return what became of it."""
        if self._admission.draining:
            return error(ErrorCode.DRAINING, GOING)
        conn = self._connections.next_id()
        try:
            frame, ref = checked(body, conn)
        except ProtocolError as refusal:
            return error(refusal.code, refusal.message, refusal.ref or "")
        if not self._connections.reserve():
            return error(ErrorCode.OVERLOADED, FULL_SAYS, ref)
        try:
            denied = await self._denied(conn, identity, ref)
            return denied or await self._say(conn, client, identity, headers, frame, ref)
        finally:
            self._connections.free()

    async def _say(
        self,
        conn: str,
        client: ClientInfo,
        identity: Identity,
        headers: tuple[tuple[str, str], ...],
        frame: bytes,
        ref: str,
    ) -> Acked | Error:
        context = self._context
        session = Session(conn, context.session, context.namespaces, headers=headers)
        session.visits(self._limits.of(client.ip if identity.anonymous else identity.user))
        connection = OneMessage(session, client, context)
        self._connections.enter(conn, connection)
        try:
            return await connection.say(frame, ref, identity, self._said_s)
        finally:
            connection.finish()
            self._connections.leave(conn)

    async def _denied(self, conn: str, identity: Identity, ref: str) -> Error | None:
        """Return why this user may say nothing; None: it may."""
        query = envelope.AccessQuery(conn, identity.user, identity.token_id, identity.issued_s)
        shard = shard_of(user_room(identity.user), self._context.session.shards)
        answer: asyncio.Future[envelope.AccessAnswer] = asyncio.get_running_loop().create_future()
        self._asked[conn] = answer
        try:
            for _ in range(ASKS):
                self._routers.ask(shard, query)
                await asyncio.wait((answer,), timeout=ANSWER_S)
                if answer.done():
                    break
            else:
                return error(ErrorCode.UNAVAILABLE, _UNKNOWN, ref)
        finally:
            del self._asked[conn]
        said = answer.result()
        if not said.code:
            return None
        return closed(_DENIED.get(said.code, CloseCode.DISCONNECTED), said.reason, ref)

    def answered(self, answer: envelope.AccessAnswer) -> None:
        """Take what a router says about who may say something."""
        asked = self._asked.get(answer.conn)
        if asked is not None and not asked.done():
            asked.set_result(answer)
