"""Receipts: what has become of a message is told to the application that asked."""

from __future__ import annotations

from warren_conformance.connection import MESSAGE
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Receipts, and what is seen"


@scenario(
    "receipt-told",
    "ask for a receipt with the field `receipt` of a message that has an `id`",
    SECTION,
    needs="receipts",
)
async def receipt_told(trial: Trial) -> None:
    """Say that a message is written, and seen by two of two."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="there?", receipt="seen")
    frame = await connection.expect(MESSAGE, "the client did not send the message")
    if frame.get("receipt") != "seen" or "id" not in frame:
        raise Breach(
            f"the client did not ask for a receipt: receipt {frame.get('receipt')!r}, id {frame.get('id')!r}"
        )
    await client.told("sent", "the client did not say that its message was accepted", tag="s1", ok=True)
    for payload in (
        {"level": "written", "complete": True},
        {"level": "seen", "complete": True, "readers": 2, "seen": 2},
    ):
        await connection.send(
            {"type": "RECEIPT", "ref": frame["id"], "room": "chat:a", "payload": payload, "version": "1.0"}
        )
        await client.told(
            "receipt",
            f"the client did not tell of the receipt {payload['level']}",
            level=payload["level"],
            complete=True,
        )


@scenario(
    "receipt-incomplete",
    "`complete: false`: it was not so in time, or nobody knows",
    SECTION,
    needs="receipts",
)
async def receipt_incomplete(trial: Trial) -> None:
    """Say that nobody knows."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="there?", receipt="written")
    frame = await connection.expect(MESSAGE, "the client did not send the message")
    await client.told("sent", "the client did not say that its message was accepted", tag="s1", ok=True)
    payload = {"level": "written", "complete": False}
    await connection.send(
        {"type": "RECEIPT", "ref": frame.get("id"), "room": "chat:a", "payload": payload, "version": "1.0"}
    )
    await client.told(
        "receipt", "the client did not tell that the receipt is incomplete", level="written", complete=False
    )
