"""The limits that WELCOME announces are kept."""

from __future__ import annotations

from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Heartbeat and limits"


@scenario(
    "rate-is-kept",
    "beyond the announced rate the connection is closed; every message counts, PING too",
    SECTION,
    times={"ping_ms": 300, "pong_ms": 2_000},
)
async def rate_is_kept(trial: Trial) -> None:
    """Announce 5 messages a second, and have the application send 14 at once."""
    client = await trial.client()
    await client.opens(limits={"rate": 5, "rate_per_ms": 1_000})
    await client.do("join", room="chat:a")
    for n in range(14):
        await client.do("send", tag=f"s{n}", type="CHAT", room="chat:a", payload=n)
    for n in range(14):
        told = await client.told(
            "sent", "the client never said what became of its message", tag=f"s{n}", within=15.0
        )
        if told.get("ok") is False and not told.get("retry"):
            raise Breach(
                f"the client says that a message failed for good ({told.get('code')}); it only had to wait"
            )


@scenario(
    "message-size-is-kept",
    "a message above the announced size closes the connection: it is refused before it is sent",
    SECTION,
)
async def message_size_is_kept(trial: Trial) -> None:
    """Announce 2 KiB, and have the application send more."""
    client = await trial.client()
    await client.opens(limits={"message_bytes": 2_048})
    await client.do("join", room="chat:a")
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="x" * 5_000)
    await client.told("sent", "the client did not say that its message is too large", tag="s1", ok=False)
    await client.do("send", tag="s2", type="CHAT", room="chat:a", payload="small")
    await client.told(
        "sent", "the client did not send what came after a message that is too large", tag="s2", ok=True
    )
