"""The client's own messages: their seqs come in ACKs, and are no gap."""

from __future__ import annotations

from warren_conformance.connection import MESSAGE
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Order and position"
OWN = "the client's own messages are missing in what it gets; their seqs come in ACKs"


@scenario("own-seq-by-ack", OWN, SECTION)
async def own_seq_by_ack(trial: Trial) -> None:
    """Acknowledge two messages, and send a third one of somebody else."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="one")
    await client.do("send", tag="s2", type="CHAT", room="chat:a", payload="two")
    for tag, seq in (("s1", 12), ("s2", 13)):
        told = await client.told("sent", "the client did not say that its message was accepted", tag=tag)
        if told.get("ok") is not True:
            raise Breach(f"the client says that a message failed which was acknowledged: {told.get('code')}")
        if told.get("seq", seq) != seq:
            raise Breach(f"the client says that its message has the seq {told['seq']}, and ACK said {seq}")
    await connection.publish("chat:a")
    await client.delivers("chat:a", 14)
    await client.quiet(client.seconds("gap_ms") + 0.3)
    if len(connection.of("JOIN", "chat:a")) > 1:
        raise Breach(
            "the client took the seqs of its own acknowledged messages for a gap, and sent JOIN again"
        )


@scenario("own-ack-overtaken", "a later message may overtake the ACK of an own one", SECTION)
async def own_ack_overtaken(trial: Trial) -> None:
    """Send the ACK after the message that follows it."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    connection.hold(MESSAGE)
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="one")
    frame = await connection.expect(MESSAGE, "the client did not send the message")
    ack = client.room("chat:a").accept(frame, client.user)
    await connection.publish("chat:a")
    await connection.send(ack)
    await connection.publish("chat:a")
    await client.delivers("chat:a", 13, 14)
    await client.told("sent", "the client did not say that its message was accepted", tag="s1", ok=True)
    if client.all_told("gap"):
        raise Breach("the client told its application of a gap, although only its own ACK was late")


@scenario("own-in-replay", "what JOIN brings includes the client's own messages: none counts twice", SECTION)
async def own_in_replay(trial: Trial) -> None:
    """Cut the connection after the ACK of an own message, with one of somebody else on either side."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    connection.hold(MESSAGE)
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="one")
    frame = await connection.expect(MESSAGE, "the client did not send the message")
    lost = client.room("chat:a").publish()  # 12, which never comes on this connection
    await connection.send(client.room("chat:a").accept(frame, client.user))
    await client.told("sent", "the client did not say that its message was accepted", tag="s1", ok=True)
    connection.cut()
    client.room("chat:a").publish()
    again = await client.returns()
    join = await again.expect("JOIN", "the client did not join its room again", room="chat:a")
    since = (join.get("payload") or {}).get("since") or {}
    if since.get("seq", 0) >= lost["seq"]:
        raise Breach(
            f"the client came back with seq {since.get('seq')} because of the ACK of its own message 13, "
            "and so loses 12, which it never got"
        )
    await client.delivers("chat:a", 12, 14)


@scenario(
    "own-in-second-replay",
    "a client that sends JOIN twice, because the first JOINED is late, gets messages twice, including its own",
    SECTION,
    times={"ack_ms": 500},
)
async def own_in_second_replay(trial: Trial) -> None:
    """Answer a JOIN that was sent twice, with an own message of the client between the answers."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    connection.hold("JOIN")
    client.room("chat:a").publish()  # 12, which does not come by itself
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="one")
    await client.told("sent", "the client did not say that its message was accepted", tag="s1", ok=True)
    await connection.publish("chat:a")
    first = await connection.expect("JOIN", "the client did not JOIN again, although 12 is missing before 14")
    await client.quiet(client.seconds("ack_ms") + 2.0)
    joins = connection.of("JOIN", "chat:a")
    await connection.answer(first)
    await client.delivers("chat:a", 12, 14)
    if joins[-1] is first:
        trial.note("the client waits for JOINED, and does not send JOIN again")
        return
    await client.do("send", tag="s2", type="CHAT", room="chat:a", payload="two")
    await client.told("sent", "the client did not say that its message was accepted", tag="s2", ok=True)
    for join in joins[joins.index(first) + 1 :]:
        await connection.answer(join)
    await connection.publish("chat:a")
    await client.delivers("chat:a", 16)
    if client.all_told("gap"):
        raise Breach("the client told its application of a gap, although messages only came twice")
    own = [seq for seq in (13, 15) if client.all_told("message", room="chat:a", seq=seq)]
    if own == [15]:
        raise Breach(
            "the client delivered its own message 15, which the second replay has brought, and not 13, which both "
            "have: it takes what was sent again for copies that somebody has asked for"
        )
