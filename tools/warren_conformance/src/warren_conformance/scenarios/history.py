"""History: older messages on request, which move no position."""

from __future__ import annotations

from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach


@scenario(
    "history-page",
    "HISTORY: at most `limit` messages before that seq, oldest first",
    "What a client sends",
    needs="history",
)
async def history_page(trial: Trial) -> None:
    """Have the application read a page, and go on with the room."""
    client = await trial.client()
    for _ in range(30):
        client.room("chat:a").publish()
    connection = await client.joins("chat:a", seq=30)
    await client.do("history", tag="h1", room="chat:a", before=21, limit=5)
    told = await client.told("history", "the client's application got no history", tag="h1", ok=True)
    asked = connection.of("HISTORY")[0].get("payload")
    if asked != {"before": 21, "limit": 5}:
        raise Breach(f"the client asked for {asked}, and its application for 5 messages before 21")
    seqs = [each.get("seq") for each in told.get("messages", [])]
    if seqs != [16, 17, 18, 19, 20] or told.get("more") is not True:
        raise Breach(
            f"the client told its application {seqs} (more: {told.get('more')}), and the page was 16 to 20"
        )
    await connection.publish("chat:a")
    await client.delivers("chat:a", 31)
    connection.hold("HISTORY")
    await client.do("history", tag="h2", room="chat:b")
    frame = await connection.expect("HISTORY", "the client sent no HISTORY")
    await connection.error("not_joined", frame.get("id"))
    await client.told("history", "the client did not say that history was refused", tag="h2", ok=False)
