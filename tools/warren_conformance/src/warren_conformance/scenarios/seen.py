"""What the user has seen: once a second is enough, only the last one matters, and it is said again after a
reconnect.
"""

from __future__ import annotations

from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Receipts, and what is seen"
SEEN = 20


@scenario(
    "seen-once-a-second",
    "SEEN counts for all messages up to this one, so once a second is enough",
    SECTION,
    needs="seen",
)
async def seen_once_a_second(trial: Trial) -> None:
    """Have the application see 20 messages within two seconds."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    for _ in range(SEEN):
        await connection.publish("chat:a")
    await client.delivers("chat:a", *range(1, SEEN + 1))
    began = client.now()
    for seq in range(1, SEEN + 1):
        await client.do("seen", room="chat:a", epoch="k3f9-1", seq=seq)
        await client.quiet(0.1)
    await connection.expect(
        "SEEN",
        f"the client never said that its user has seen message {SEEN}",
        where=lambda frame: (frame.get("payload") or {}).get("seq") == SEEN,
    )
    said = [(at, frame["payload"]["seq"]) for at, frame in connection.frames if frame["type"] == "SEEN"]
    # the first at once, then one a second, and the last one; what comes in a bunch was said in time
    lasted = said[-1][0] - began
    if len(said) > lasted + 2:
        raise Breach(f"the client said SEEN {len(said)} times in {lasted:.1f} s; once a second is enough")
    seqs = [seq for _, seq in said]
    if seqs != sorted(set(seqs)):
        raise Breach(f"the client said SEEN for {seqs}: what was seen only grows")


@scenario(
    "seen-again-after-return",
    "after a reconnect say it again, in case the last word did not get through",
    SECTION,
    needs="seen",
)
async def seen_again_after_return(trial: Trial) -> None:
    """Cut the connection right after SEEN."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    for _ in range(3):
        await connection.publish("chat:a")
    await client.delivers("chat:a", 1, 2, 3)
    await client.do("seen", room="chat:a", epoch="k3f9-1", seq=3)
    await connection.expect("SEEN", "the client did not say what its user has seen")
    connection.cut()
    again = await client.returns()
    frame = await again.expect(
        "SEEN", "the client did not say again what its user has seen, after a reconnect"
    )
    if frame["payload"] != {"epoch": "k3f9-1", "seq": 3}:
        raise Breach(f"the client said again {frame['payload']}, and its user has seen (k3f9-1, 3)")
