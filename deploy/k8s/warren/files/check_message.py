"""Sends one message from a client on one gateway to a client on another (`helm test`), and one through the
Service.

GATEWAYS: a name with the address of every gateway; SERVICE: host:port of the Service; ROOM.
/etc/warren/test/token is a token to use, or /etc/warren/test/secret signs one (HS256, for AUDIENCE and
ISSUER, the user in USER_CLAIM).
"""

import asyncio
import json
import os
import pathlib
import socket
import sys
import time
import uuid
from collections.abc import Callable

import aiohttp

MOUNTED = pathlib.Path("/etc/warren/test")


def token() -> str | None:
    """Return the token to connect with, or None where nobody is asked for one."""
    if (given := MOUNTED / "token").exists():
        return given.read_text().strip()
    if not (secret := MOUNTED / "secret").exists():
        return None
    import jwt

    room = [os.environ["ROOM"]]
    claims: dict = {"exp": int(time.time()) + 300, "warren": {"join": room, "publish": room}}
    inner = claims
    *outer, last = os.environ["USER_CLAIM"].split(".")
    for part in outer:
        inner = inner.setdefault(part, {})
    inner[last] = "helm-test"
    claims |= {name: value for name, value in (("aud", os.environ["AUDIENCE"]), ("iss", os.environ["ISSUER"])) if value}
    return jwt.encode(claims, secret.read_text().rstrip("\r\n"), algorithm="HS256")


async def until(client: aiohttp.ClientWebSocketResponse, kind: str, fits: Callable[[dict], bool] = lambda frame: True) -> dict:
    """Return the next frame of a kind that fits; end the test where the server refuses or closes."""
    async for message in client:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        frame = json.loads(message.data)
        if frame["type"] == "ERROR":
            sys.exit(f"refused: {frame['payload']}")
        if frame["type"] == kind and fits(frame):
            return frame
    sys.exit(f"closed with {client.close_code} before {kind} came")


async def send(client: aiohttp.ClientWebSocketResponse, kind: str, **fields: object) -> None:
    """Send a frame."""
    await client.send_json({"type": kind, "version": "1.0", "timestamp": int(time.time() * 1000), "payload": {}, **fields})


async def talk(http: aiohttp.ClientSession, sender_at: str, reader_at: str) -> None:
    """Send one message from a client at one address to a client at another."""
    bearer = token()
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    room, said = os.environ["ROOM"], uuid.uuid4().hex
    clients = [
        await http.ws_connect(f"http://{at}/ws", protocols=["warren.v1"], headers=headers) for at in (sender_at, reader_at)
    ]
    try:
        for client in clients:
            await until(client, "WELCOME")
            await send(client, "JOIN", room=room)
            await until(client, "JOINED", lambda frame: frame.get("room") == room)
        began = time.monotonic()
        await send(clients[0], "CHAT", room=room, id=said, payload={"said": said})
        got = await until(clients[1], "CHAT", lambda frame: frame["payload"] == {"said": said})
        took_ms = (time.monotonic() - began) * 1000
        await until(clients[0], "ACK", lambda frame: frame.get("ref") == said)
        print(f"{sender_at} → {reader_at}: seq {got['seq']} in {took_ms:.1f} ms", flush=True)
    finally:
        for client in clients:
            await client.close()


async def main() -> None:
    """Talk in both directions between two gateways, and from the Service to one of them."""
    found = await asyncio.get_running_loop().getaddrinfo(os.environ["GATEWAYS"], 8080, type=socket.SOCK_STREAM)
    # Where pods have two addresses each, those of one family: else both ends might be one pod.
    own = {entry[4][0] for entry in found if entry[0] == found[0][0]}
    gateways = sorted(f"[{address}]:8080" if ":" in address else f"{address}:8080" for address in own)
    if len(gateways) < 2:
        print("only one gateway is ready: the message comes back from where it was sent", flush=True)
    async with aiohttp.ClientSession() as http, asyncio.timeout(60):
        await talk(http, gateways[0], gateways[-1])
        await talk(http, gateways[-1], gateways[0])
        await talk(http, os.environ["SERVICE"], gateways[0])


asyncio.run(main())
