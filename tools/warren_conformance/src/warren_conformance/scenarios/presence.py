"""Presence: the client's list of who is in a room is right, whatever was lost, and it asks only when it is not."""

from __future__ import annotations

import asyncio
import contextlib

from warren_conformance.client import Client
from warren_conformance.connection import Connection
from warren_conformance.presence_list import PresenceList
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Presence"
# The server's advice is some seconds at most; with the kit's few users a client needs no more than this.
READ_WITHIN_S = 8.0
AT_ONCE_S = 0.015


async def _watches(trial: Trial, people: PresenceList) -> tuple[Client, Connection]:
    """Return a client that has joined the room and was told who is there."""
    client = await trial.client()
    connection = await client.opens()
    connection.hold("JOIN", "PRESENCE")
    await client.do("join", room=people.room, presence=True)
    await _let_in(connection, people)
    return client, connection


async def _let_in(connection: Connection, people: PresenceList) -> None:
    join = await connection.expect("JOIN", "the client did not join the room", room=people.room)
    wanted = (join.get("payload") or {}).get("presence") or {}
    if wanted.get("watch") is not True:
        raise Breach(f"the client joined the room without asking who is there: {join.get('payload')}")
    room = connection.client.room(people.room)
    since = (join.get("payload") or {}).get("since")
    await connection.send(*room.joined(join.get("id"), since, presence={"watching": True}))
    await connection.send(people.page())


async def _knows(client: Client, people: PresenceList, why: str, within: float = 3.0) -> None:
    await client.told("presence", why, room=people.room, users=people.users, within=within)


@scenario(
    "presence-list",
    "setting and removing members; if the sum is `digest`, send nothing",
    SECTION,
    needs="presence",
)
async def presence_list(trial: Trial) -> None:
    """Tell of members that come and go, each diff once and one of them twice."""
    people = PresenceList("chat:a", trial.random)
    people.change(joined=("ann", "bob"))
    client, connection = await _watches(trial, people)
    await _knows(client, people, "the client did not tell its application who is in the room")
    diff = people.change(joined=("eve",), left=("bob",))
    await connection.send(diff)
    await _knows(client, people, "the client's list is wrong after a member has come and one has gone")
    await connection.send(diff)
    for n in range(5):
        await connection.send(people.change(joined=(f"u{n}",)))
    await _knows(client, people, "the client's list is wrong after five members have come")
    await client.quiet(1.0)
    if asked := connection.of("PRESENCE", people.room):
        raise Breach(
            f"the client asked for the list ({asked[0].get('payload')}), although its digest was right"
        )


@scenario(
    "presence-lost-diff",
    "if the sum is not `digest`, ask for the list after a random delay, because others may lack the same",
    SECTION,
    needs="presence",
)
async def presence_lost_diff(trial: Trial) -> None:
    """Lose a diff, three times, and measure how long the client waits before it asks."""
    people = PresenceList("chat:a", trial.random)
    people.change(joined=("ann", "bob"))
    client, connection = await _watches(trial, people)
    await _knows(client, people, "the client did not tell its application who is in the room")
    waits = []
    for n in range(3):
        people.change(joined=(f"lost{n}",))
        await connection.send(people.change(joined=(f"came{n}",)))
        noticed_at = client.now()
        asked = await connection.expect(
            "PRESENCE",
            "the client did not ask for the list, although its digest is wrong",
            within=READ_WITHIN_S,
        )
        waits.append(client.now() - noticed_at)
        await connection.send(people.answer(asked))
        await _knows(client, people, "the client's list is wrong after it has read it", within=READ_WITHIN_S)
    if max(waits) < AT_ONCE_S:
        raise Breach(
            "the client asked for the list at once, three times: many clients would ask at the same moment"
        )


@scenario(
    "presence-pages",
    "leave out `after` for the first page; with `more`, others follow behind it",
    SECTION,
    needs="presence",
)
async def presence_pages(trial: Trial) -> None:
    """Have a room of 12 users, tell of it in pages of 5, and change it between two pages."""
    people = PresenceList("chat:a", trial.random)
    people.change(joined=tuple(f"user{n:02}" for n in range(12)))
    client = await trial.client()
    connection = await client.opens()
    connection.hold("JOIN", "PRESENCE")
    await client.do("join", room=people.room, presence=True)
    join = await connection.expect("JOIN", "the client did not join the room", room="chat:a")
    await connection.send(*client.room("chat:a").joined(join.get("id"), presence={"watching": True}))
    await connection.send(people.page(limit=5))
    changed = False
    deadline = client.now() + client.patience(READ_WITHIN_S * 2)
    while not client.all_told("presence", room="chat:a", users=people.users):
        left = deadline - client.now()
        if left <= 0:
            raise Breach("the client did not read the list to its end, or has it wrong")
        with contextlib.suppress(Breach, TimeoutError):
            async with asyncio.timeout(0.2):
                asked = await connection.expect("PRESENCE", "-", within=left)
                payload = asked.get("payload") or {}
                await connection.send(
                    people.page(
                        asked.get("id"),
                        limit=min(5, payload.get("limit") or 5),
                        after=payload.get("after") or "",
                    )
                )
                if payload.get("after") and not changed:
                    changed = True
                    await connection.send(people.change(joined=("user99",), left=("user01",)))


@scenario(
    "presence-after-return",
    "a new connection tells anew who is there: who has gone meanwhile is gone",
    SECTION,
    needs="presence",
)
async def presence_after_return(trial: Trial) -> None:
    """Let members come and go while the client is away."""
    people = PresenceList("chat:a", trial.random)
    people.change(joined=("ann", "bob", "eve"))
    client, connection = await _watches(trial, people)
    await _knows(client, people, "the client did not tell its application who is in the room")
    connection.cut()
    people.change(joined=("dan",), left=("bob", "eve"))
    again = await client.returns()
    again.hold("JOIN", "PRESENCE")
    await _let_in(again, people)
    deadline = client.now() + client.patience(READ_WITHIN_S)
    while not client.all_told("presence", room="chat:a", users=people.users):
        if client.now() > deadline:
            raise Breach("the client's list is wrong after it came back: it still has who has gone meanwhile")
        with contextlib.suppress(Breach):
            asked = await again.expect("PRESENCE", "-", within=0.2)
            await again.send(people.answer(asked))


@scenario(
    "contacts-again",
    "a new connection watches nothing: after a reconnect, say again what you watch",
    SECTION,
    needs="contacts",
)
async def contacts_again(trial: Trial) -> None:
    """Have the application watch two users, and cut the connection."""
    client = await trial.client()
    connection = await client.opens()
    await client.do("watch", users=["bob", "eve"])
    for attempt in (connection, None):
        live = attempt or await client.returns()
        asked = await live.expect("PRESENCE", "the client did not say which users it watches")
        if sorted((asked.get("payload") or {}).get("watch") or []) != ["bob", "eve"]:
            raise Breach(
                f"the client asked to watch {asked.get('payload')}, and its application watches bob and eve"
            )
        await live.send(
            {"type": "PRESENCE", "ref": asked.get("id"), "payload": {"watching": True}, "version": "1.0"},
            _contact("bob", 1 if attempt else 0),
            _contact("eve", 0),
        )
        await client.told(
            "contact", "the client did not say whether a user is connected", user="bob", online=bool(attempt)
        )
        live.cut()


def _contact(user: str, connections: int) -> dict[str, object]:
    count = {"users": min(1, connections), "connections": connections}
    payload = {"version": 1, "count": count, "digest": "0" * 16}
    return {"type": "PRESENCE", "room": f"@{user}", "payload": payload, "version": "1.0"}
