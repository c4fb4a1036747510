"""Tokens: shown when the client connects, refreshed before they expire, fetched anew after 4001."""

from __future__ import annotations

from warren_conformance.connection import Connection
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

DAY_MS = 86_400_000
LASTS_MS = 4_000


async def _shows(connection: Connection, token: str) -> None:
    """Hold the connection to show this token, in the upgrade or by AUTH as its first message."""
    shown = connection.asked.shown("token")
    if shown is None:
        auth = await connection.expect("AUTH", "the client showed no token, and sent no AUTH before WELCOME")
        shown = (auth.get("payload") or {}).get("token")
    if shown != token:
        raise Breach(f"the client showed the token {shown!r}, and its application gave {token!r}")


async def _connected(trial: Trial, *, lasts_ms: int | None = None) -> Connection:
    """Return the first connection of a client with a token that expires after this time."""
    client = await trial.client()
    await client.connect(tokens=True, user=None)
    connection = await client.upgraded(await client.upgrade("the client did not connect", 5.0))
    connection.hold("AUTH")
    await _shows(connection, "token-1")
    await connection.welcome(expires_at=None if lasts_ms is None else trial.wall_ms() + lasts_ms)
    return connection


@scenario(
    "token-is-shown",
    "the token goes in the query, the header, the subprotocol, or AUTH",
    "Connect",
    needs="tokens",
)
async def token_is_shown(trial: Trial) -> None:
    """Have the application give a token."""
    await _connected(trial)


@scenario(
    "token-fresh-after-4001",
    "after 4001 a client comes back with a fresh token",
    "Close codes",
    needs="tokens",
)
async def token_fresh_after_4001(trial: Trial) -> None:
    """Close with 4001."""
    connection = await _connected(trial)
    client = connection.client
    await connection.error("unauthorized", close=4001, reconnect="fresh token")
    await connection.close(4001, "Unauthorized")
    again = await client.upgraded(
        await client.upgrade("the client did not come back with a fresh token after 4001", 5.0)
    )
    again.hold("AUTH")
    await _shows(again, "token-2")
    await again.welcome()


@scenario(
    "token-refused-again",
    "a client whose fresh tokens are refused too does not come in a tight loop",
    "Close codes",
    needs="tokens",
)
async def token_refused_again(trial: Trial) -> None:
    """Close each connection with 4001 for three seconds."""
    connection = await _connected(trial)
    client = connection.client
    began = client.now()
    await connection.close(4001, "Unauthorized")
    while client.now() < began + 3.0:
        try:
            connection = await client.upgraded(await client.upgrade("-", began + 3.0 - client.now()))
        except Breach:
            break
        await connection.error("unauthorized", close=4001, reconnect="fresh token")
        await connection.close(4001, "Unauthorized")
    tries = len([at for at in client.attempts if at > began])
    if tries > 22:
        raise Breach(
            f"the client came {tries} times in 3 s, and was closed with 4001 each time: a tight loop"
        )


@scenario(
    "token-refresh",
    "AUTH on an open connection extends it to the new token's expiry",
    "What a client sends",
    needs="tokens",
)
async def token_refresh(trial: Trial) -> None:
    """Let the token expire in 4 s, and the next one too."""
    lasts_ms = int(LASTS_MS * trial.patience)
    connection = await _connected(trial, lasts_ms=lasts_ms)
    expires_at = trial.wall_ms() + lasts_ms
    client = connection.client
    for number in (2, 3):
        left = (expires_at - trial.wall_ms()) / 1_000
        auth = await connection.expect(
            "AUTH", "the client let its token expire: it sent no AUTH before", within=left
        )
        token = (auth.get("payload") or {}).get("token")
        if token != f"token-{number}":
            raise Breach(
                f"the client refreshed with the token {token!r}, and its application gave token-{number}"
            )
        expires_at = trial.wall_ms() + lasts_ms
        answer = {"type": "AUTHENTICATED", "payload": {"expires_at": expires_at}, "version": "1.0"}
        await connection.send(answer | {"ref": auth.get("id")})
    if connection.closed.done() or len(client.connections) > 1:
        raise Breach("the client opened another connection to refresh its token")


@scenario(
    "token-far-expiry",
    "a token that lasts for months needs no refresh now",
    "What a client sends",
    needs="tokens",
)
async def token_far_expiry(trial: Trial) -> None:
    """Let the token expire in 60 days: more ms than a timer of 32 bits can wait."""
    connection = await _connected(trial, lasts_ms=60 * DAY_MS)
    await connection.client.quiet(1.5)
    if connection.of("AUTH") and connection.asked.shown("token"):
        raise Breach("the client refreshed its token at once, and it is good for 60 days")
    if len(connection.client.tokens) > 1:
        raise Breach("the client asked its application for another token, and its own is good for 60 days")
