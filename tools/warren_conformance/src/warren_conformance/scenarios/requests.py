"""Requests to services: one last word each, parts in order, never asked again under another id."""

from __future__ import annotations

from warren_conformance.codec import Frame
from warren_conformance.connection import Connection
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Requests to services"
NO_ANSWER = "the client's application got no answer to its request"


async def _asked(connection: Connection, tag: str, payload: object = 7, **fields: object) -> Frame:
    connection.hold("REQUEST", "CANCEL")
    await connection.client.do("request", tag=tag, service="orders.get", payload=payload, **fields)
    frame = await connection.expect("REQUEST", "the client sent no REQUEST")
    if frame.get("service") != "orders.get" or frame.get("payload") != payload:
        raise Breach(
            f"the client asked {frame.get('service')} for {frame.get('payload')}, and was told otherwise"
        )
    return frame


def _response(frame: Frame, payload: object, **fields: object) -> Frame:
    return {"type": "RESPONSE", "ref": frame["id"], "payload": payload, "version": "1.0", **fields}


@scenario("request-answered", "a RESPONSE has the REQUEST's id as `ref`", SECTION, needs="requests")
async def request_answered(trial: Trial) -> None:
    """Answer two requests in the other order."""
    client = await trial.client()
    connection = await client.opens()
    first, second = await _asked(connection, "r1", 1), await _asked(connection, "r2", 2)
    if first["id"] == second["id"]:
        raise Breach("the client sent two requests under one id")
    await connection.send(_response(second, "two"), _response(first, "one"))
    await client.told("answer", NO_ANSWER, tag="r1", ok=True, payload="one")
    await client.told("answer", NO_ANSWER, tag="r2", ok=True, payload="two")


@scenario(
    "request-parts",
    "all parts come, in order and once each, and a last one without `more`",
    SECTION,
    needs="requests",
)
async def request_parts(trial: Trial) -> None:
    """Answer in three parts."""
    client = await trial.client()
    connection = await client.opens()
    frame = await _asked(connection, "r1")
    await connection.send(_response(frame, "a", n=1, more=True), _response(frame, "b", n=2, more=True))
    await client.told("part", "the client did not deliver the parts of an answer as they came", tag="r1", n=2)
    if client.all_told("answer", tag="r1"):
        raise Breach("the client took a part of an answer for the last one")
    await connection.send(_response(frame, "c", n=3))
    await client.told("answer", NO_ANSWER, tag="r1", ok=True, payload="c")
    parts = [each["payload"] for each in client.all_told("part", tag="r1")]
    if parts not in (["a", "b"], ["a", "b", "c"]):
        raise Breach(f"the client delivered the parts {parts} of an answer in the parts a, b, c")


@scenario(
    "request-refused", "an ERROR with the REQUEST's id as `ref` is its last word", SECTION, needs="requests"
)
async def request_refused(trial: Trial) -> None:
    """Refuse one for now, and one after its first part."""
    client = await trial.client()
    connection = await client.opens()
    frame = await _asked(connection, "r1")
    await connection.error("no_service", frame["id"], retry=True)
    await client.told("answer", NO_ANSWER, tag="r1", ok=False, code="no_service")
    frame = await _asked(connection, "r2", 8)
    await connection.send(_response(frame, "a", n=1, more=True))
    await connection.error("own_reason", frame["id"])
    await client.told("answer", NO_ANSWER, tag="r2", ok=False, code="own_reason")
    await client.do("send", tag="s1", type="CHAT", room="default", payload="goes on")
    await client.told("sent", "the client did not go on after a request was refused", tag="s1", ok=True)


@scenario("request-cancelled", "CANCEL has the REQUEST's id as `ref`, and ends it", SECTION, needs="requests")
async def request_cancelled(trial: Trial) -> None:
    """Have the application cancel, and send an answer that was on its way already."""
    client = await trial.client()
    connection = await client.opens()
    frame = await _asked(connection, "r1")
    await client.do("cancel", tag="r1")
    cancel = await connection.expect("CANCEL", "the client sent no CANCEL")
    if cancel.get("ref") != frame["id"]:
        raise Breach(f"the client cancelled {cancel.get('ref')!r}, and its request was {frame['id']!r}")
    await connection.send(_response(frame, "too late"))
    await client.told("answer", "the client did not say that its request is cancelled", tag="r1", ok=False)
    await client.do("send", tag="s1", type="CHAT", room="default", payload="goes on")
    await client.told("sent", "the client did not go on after a request was cancelled", tag="s1", ok=True)
    if len(client.all_told("answer", tag="r1")) > 1:
        raise Breach("the client gave its application two last words for one request")


@scenario(
    "request-over-reconnect", "use the same id when you send a REQUEST again", SECTION, needs="requests"
)
async def request_over_reconnect(trial: Trial) -> None:
    """Cut the connection before the answer."""
    client = await trial.client()
    connection = await client.opens()
    frame = await _asked(connection, "r1")
    connection.cut()
    again = await client.upgraded(
        await client.upgrade("the client did not come back", client.seconds("backoff_cap_ms") + 3)
    )
    again.hold("REQUEST", "CANCEL")
    await again.welcome()
    await client.quiet(1.0)
    if client.all_told("answer", tag="r1"):
        await client.told("answer", "the client says that it was answered, and was not", tag="r1", ok=False)
        trial.note("the client leaves it to its application to ask again after the connection was lost")
        return
    repeat = await again.expect(
        "REQUEST", "the client neither asked again nor said that there will be no answer"
    )
    if repeat["id"] != frame["id"]:
        raise Breach(f"the client asked again under a new id ({repeat['id']} for {frame['id']})")
    await again.send(_response(repeat, "at last"))
    await client.told("answer", NO_ANSWER, tag="r1", ok=True, payload="at last")


@scenario(
    "request-durable",
    "after ACCEPTED the answer is a numbered RESPONSE in the user's own room",
    SECTION,
    needs="durable",
)
async def request_durable(trial: Trial) -> None:
    """Accept a durable request, cut the connection, and answer in the user's own room."""
    client = await trial.client()
    connection = await client.opens()
    frame = await _asked(connection, "r1", durable=True)
    if frame.get("durable") is not True:
        raise Breach("the client did not say that its request is durable")
    await connection.send({"type": "ACCEPTED", "ref": frame["id"], "version": "1.0"})
    await client.settled()
    connection.cut()
    client.room("@ann").publish("done", type="RESPONSE", ref=frame["id"])
    again = await client.returns()
    await client.told("answer", NO_ANSWER, tag="r1", ok=True, payload="done")
    if again.of("REQUEST"):
        raise Breach("the client sent a durable request again that was ACCEPTED")
