"""Sending again: under the same id, so that it counts once; never what was refused for good."""

from __future__ import annotations

from warren_conformance.connection import MESSAGE
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SAME_ID = "the id makes repeats harmless: what is sent again has the id that it had"


@scenario("resend-under-the-same-id", SAME_ID, "Messages")
async def resend_under_the_same_id(trial: Trial) -> None:
    """Accept a message, and cut the connection before its ACK."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    connection.hold(MESSAGE)
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload={"text": "once"})
    frame = await connection.expect(MESSAGE, "the client did not send the message")
    if "id" not in frame:
        raise Breach("the client sent a message without an id: nobody can say whether it was accepted")
    client.room("chat:a").accept(frame, client.user)
    connection.cut()
    again = await client.returns()
    told = await client.told("sent", "the client never said what became of its message", tag="s1", within=6.0)
    if told.get("ok") is False and not told.get("retry"):
        raise Breach("the client says that its message was refused, and its fate was unknown")
    if told.get("ok") is False:
        trial.note("the client leaves it to its application to send a message again whose ACK was lost")
    for sent in again.of(MESSAGE):
        if sent.get("payload") == {"text": "once"} and sent.get("id") != frame["id"]:
            raise Breach(
                f"the client sent its message again under a new id ({sent.get('id')} for {frame['id']})"
            )
    if told.get("ok") and told.get("seq", 12) != 12:
        raise Breach(f"the client says that its message has the seq {told.get('seq')}, and it was 12")


@scenario("resend-in-order", "what is sent again after a reconnect is sent in order", "Order and position")
async def resend_in_order(trial: Trial) -> None:
    """Cut the connection while three messages have no ACK."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    connection.hold(MESSAGE)
    for n in (1, 2, 3):
        await client.do("send", tag=f"s{n}", type="CHAT", room="chat:a", payload=n)
    await connection.expect(MESSAGE, "the client did not send the message")
    connection.cut()
    again = await client.returns()
    for n in (1, 2, 3):
        told = await client.told(
            "sent", "the client never said what became of its message", tag=f"s{n}", within=6.0
        )
        if told.get("ok") is False and not told.get("retry"):
            raise Breach("the client says that its message was refused, and its fate was unknown")
    order = [frame["payload"] for frame in again.of(MESSAGE)]
    first = [n for index, n in enumerate(order) if n not in order[:index]]
    if first != sorted(first):
        raise Breach(f"the client sent its messages again in the order {first}")


@scenario("ids-are-unique", "an id is unique for the user in that room: random ids are best", "Messages")
async def ids_are_unique(trial: Trial) -> None:
    """Let two clients of one user send to one room."""
    first, second = await trial.client(), await trial.client()
    for client in (first, second):
        await client.joins("chat:a")
    for client in (first, second):
        for n in (1, 2, 3):
            tag = f"{client.name}-{n}"
            await client.do("send", tag=tag, type="CHAT", room="chat:a", payload=tag)
            await client.told("sent", "the client did not say that its message was accepted", tag=tag)


@scenario(
    "refused-for-good",
    "a client must not resend a message that was refused with `retry: false`: tell the user and drop it",
    "Errors",
    times={"ack_ms": 500},
)
async def refused_for_good(trial: Trial) -> None:
    """Refuse a message for good, and cut the connection."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    connection.hold(MESSAGE)
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="no")
    frame = await connection.expect(MESSAGE, "the client did not send the message")
    await connection.error("forbidden", frame.get("id"))
    told = await client.told(
        "sent", "the client did not tell its application that a message was refused", tag="s1"
    )
    if told.get("ok") is not False:
        raise Breach("the client says that a message was accepted which was refused")
    if told.get("code") not in (None, "forbidden"):
        raise Breach(
            f"the client says that the message was refused with {told['code']}, and it was forbidden"
        )
    await client.quiet(client.seconds("ack_ms") + 0.5)
    connection.cut()
    again = await client.returns()
    await client.quiet(0.5)
    if len(connection.of(MESSAGE)) + len(again.of(MESSAGE)) > 1:
        raise Breach("the client sent a message again that was refused with retry: false")


@scenario(
    "refused-for-now",
    "with `retry: true`, send it again under the same `id`, after `retry_after_ms` if that is given",
    "Errors",
)
async def refused_for_now(trial: Trial) -> None:
    """Refuse a message for a while."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    connection.hold(MESSAGE)
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="later")
    frame = await connection.expect(MESSAGE, "the client did not send the message")
    refused_at = client.now()
    await connection.error("rate_limited", frame.get("id"), retry=True, retry_after_ms=800)
    connection.release(MESSAGE)
    told = await client.told("sent", "the client never said what became of its message", tag="s1", within=8.0)
    times = [at for at, each in connection.frames if each.get("payload") == "later"][1:]
    if times and times[0] - refused_at < 0.75:
        raise Breach(
            f"the client sent the message again after {times[0] - refused_at:.2f} s, and retry_after_ms was 800"
        )
    if any(each.get("id") != frame.get("id") for each in connection.of(MESSAGE)):
        raise Breach("the client sent the message again under a new id")
    if told.get("ok") is False:
        if told.get("retry") is not True:
            raise Breach(
                "the client does not tell its application that the message may be sent again (retry)"
            )
        trial.note("the client leaves it to its application to send again what was refused for a while")


@scenario(
    "refused-without-ref",
    "if an ERROR with `retry: false` has no `ref`, it answers one of the frames that have no answer yet",
    "What the server sends",
    times={"ack_ms": 500},
)
async def refused_without_ref(trial: Trial) -> None:
    """Refuse the only message without an answer, and do not say which it was."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    connection.hold(MESSAGE)
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="bad")
    most, ends = 4, client.now() + 4.0
    await connection.expect(MESSAGE, "the client did not send the message")
    await connection.error("invalid_format")
    while client.now() < ends and not client.all_told("sent", tag="s1"):
        try:
            await connection.expect(MESSAGE, "-", within=0.2)
        except Breach:
            continue
        await connection.error("invalid_format")
    if len(connection.of(MESSAGE)) > most:
        raise Breach(
            f"the client sent a message {len(connection.of(MESSAGE))} times that was refused each time"
        )
    await client.told(
        "sent", "the client never told its application that the message was refused", tag="s1", ok=False
    )


@scenario(
    "join-refused-for-now",
    "after a JOIN was refused with `retry: true`, ask again after `retry_after_ms` plus a random delay",
    "What the server sends",
)
async def join_refused_for_now(trial: Trial) -> None:
    """Refuse a JOIN for a while."""
    client = await trial.client()
    connection = await client.opens()
    connection.hold("JOIN")
    await client.do("join", room="chat:a")
    join = await connection.expect("JOIN", "the client sent no JOIN")
    refused_at = client.now()
    await connection.error("unavailable", join.get("id"), retry=True, retry_after_ms=700)
    join = await connection.expect(
        "JOIN",
        "the client did not ask again after a JOIN was refused with retry: true",
        within=0.7 + client.seconds("backoff_cap_ms") + 2.0,
    )
    waited = client.now() - refused_at
    if waited < 0.65:
        raise Breach(f"the client asked again after {waited:.2f} s, and retry_after_ms was 700")
    await connection.answer(join)
    await client.told("joined", "the client did not say that it is in the room", room="chat:a", ok=True)


@scenario(
    "join-refused-for-good",
    "a JOIN that was refused with `retry: false` is not sent again, on this connection or on another",
    "Errors",
)
async def join_refused_for_good(trial: Trial) -> None:
    """Refuse a JOIN for good, and cut the connection."""
    client = await trial.client()
    connection = await client.opens()
    connection.hold("JOIN")
    await client.do("join", room="chat:a")
    join = await connection.expect("JOIN", "the client sent no JOIN")
    await connection.error("forbidden", join.get("id"))
    await client.told("joined", "the client did not say that the room is refused", room="chat:a", ok=False)
    await client.quiet(1.0)
    connection.cut()
    again = await client.returns()
    await client.quiet(0.5)
    if len(connection.of("JOIN", "chat:a")) + len(again.of("JOIN", "chat:a")) > 1:
        raise Breach("the client sent JOIN again for a room that was refused with retry: false")


@scenario(
    "join-answered-twice",
    "`recovered: false`: there is a gap. No messages from before this position follow, also none of a replay",
    "What the server sends",
    times={"ack_ms": 500},
)
async def join_answered_twice(trial: Trial) -> None:
    """End the replay of a JOIN that was sent twice with the second answer, which is `recovered: false`."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    connection.hold("JOIN")
    room = client.room("chat:a")
    room.publish()  # 12, which does not come by itself
    await connection.publish("chat:a")
    first = await connection.expect("JOIN", "the client did not JOIN again, although 12 is missing before 13")
    await client.quiet(client.seconds("ack_ms") + 2.0)
    last = connection.of("JOIN", "chat:a")[-1]
    if last is first:
        trial.note("the client waits for JOINED, and does not send JOIN again")
        await connection.answer(first)
        await client.delivers("chat:a", 12, 13)
        return
    room.publish()
    room.publish()
    joined, twelve, *_ = room.joined(first.get("id"), {"epoch": room.epoch, "seq": 11})
    await connection.send(joined, twelve)  # 13 to 15 are to follow
    await client.delivers("chat:a", 12)
    client.tolerates("chat:a", 13, 16)
    await connection.send(*room.joined(last.get("id")))
    await connection.publish("chat:a")
    await client.settled()
    if not client.all_told("gap"):
        # it may ask what has become of them
        asked = await connection.expect(
            "JOIN",
            "the client neither told its application of a gap nor sent JOIN, although the second JOINED has ended "
            "the replay which the first had promised",
            where=lambda frame: frame.get("id") != first.get("id"),
        )
        await connection.send(*room.joined(asked.get("id")))
        await client.told("gap", "the client did not tell its application that messages were lost")
    await connection.publish("chat:a")
    await client.delivers("chat:a", 17)
