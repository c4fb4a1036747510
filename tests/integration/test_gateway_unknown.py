"""What a client may send before it is known."""

from __future__ import annotations

import asyncio
import json
import zlib

import pytest
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.gateways import House, gateway_settings, raw_upgrade
from tests.support.raw import close_of, masked
from tests.support.tokens import SECRET, Signer

JWT = {"auth": "jwt", "jwt_secret": SECRET}
KIB = 1024


def deflated(payload: bytes) -> bytes:
    """Return a message as permessage-deflate sends it."""
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("sent", "code", "says"),
    [
        (masked(b"x" * (32 * KIB + 1)), 4003, b"More than 32768 bytes before the token was checked"),
        (masked(b"", 1, fin=False) + masked(b"x" * 33_000, 0), 4003, b"More than 32768 bytes"),
        (masked(b"p" * 125, 0xA) * 600, 4001, b"More than 65536 bytes before the token was checked"),
        (masked(b"[]") * 9_000, 4001, b"More than 65536 bytes before the token was checked"),
    ],
)
async def test_a_stranger_may_send_little(home: House, sent: bytes, code: int, says: bytes) -> None:
    """32 KiB a message and 64 KiB in all; beyond it the client is told which."""
    gateway = await home.gateway(gateway_settings(auth=JWT))
    reader, writer = await raw_upgrade(gateway.port)
    writer.write(sent)
    answer = await asyncio.wait_for(reader.read(), 5)
    assert close_of(answer) == code
    assert says in answer
    writer.close()
    await eventually(lambda: len(gateway.connections) == 0)


async def test_a_strangers_message_is_bounded_once_it_is_inflated(home: House) -> None:
    """A kilobyte that inflates to a MiB is refused before it is judged."""
    gateway = await home.gateway(gateway_settings(auth=JWT))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    bomb = deflated(b"[" * KIB * KIB)
    assert len(bomb) < 2_000
    writer.write(masked(bomb, bits=0x40))
    assert close_of(await asyncio.wait_for(reader.read(), 5)) == 4003
    writer.close()


async def test_who_is_known_may_send_as_much_as_everyone(home: House) -> None:
    """By a token at the upgrade, by AUTH, or where none is asked for: a message of a MiB passes, and as many
    as one likes.
    """
    await home.gateway(gateway_settings(auth=JWT))
    await home.gateway()
    token = Signer().token("ann")
    text = "x" * (KIB * KIB - 200)
    at_upgrade = await connect(home.url(), token=token)
    by_auth = await connect(home.url(), welcome=False)
    await by_auth.send_raw(json.dumps({"type": "AUTH", "payload": {"token": token}, "pad": "x" * 31_000}))
    await by_auth.expect("WELCOME")
    anonymous = await connect(home.url(home.gateways[1]))
    for client in (at_upgrade, by_auth, anonymous):
        for number in range(2):
            await client.send("CHAT", "default", text, id=f"m{number}")
        await client.expect_all("ACK", 2, timeout_s=20)
        await client.close()


async def test_what_comes_while_a_token_is_checked_waits_at_the_client(home: House) -> None:
    """It is not read until the check has ended, so a megabyte behind the upgrade costs nothing until then,
    and passes afterwards.
    """
    gateway = await home.gateway(gateway_settings(auth=JWT))
    authenticator, free = gateway._authenticator, asyncio.Event()
    check = authenticator.check

    async def slow(token: str) -> object:
        await free.wait()
        return await check(token)

    authenticator.check = slow  # type: ignore[method-assign,assignment]
    ann = await connect(home.url(), token=Signer().token("ann"), welcome=False)
    await eventually(lambda: len(gateway.connections) == 1)
    (guest,) = gateway.connections.guests()
    await eventually(lambda: not guest.transport._transport.is_reading())
    sending = asyncio.create_task(ann.send("CHAT", "default", "x" * 1_000_000, id="big"))
    await asyncio.wait({sending}, timeout=0.3)
    assert guest.transport._incoming.parser.held < 64 * KIB
    free.set()
    await ann.expect("WELCOME")
    await ann.expect("ACK", ref="big")
    await sending
    await ann.close()
