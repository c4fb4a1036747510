"""Close codes: after which the client comes back, and after which it stays away."""

from __future__ import annotations

from warren_conformance.scenario import Script, scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Close codes"
# code ▶ its reason, and the code of the ERROR before it
COMES_BACK = {
    1001: ("Going away", None),
    1011: ("Internal error", "internal"),
    1012: ("Draining", "draining"),
    1013: ("Overloaded", "overloaded"),
    4002: ("Rate limit exceeded", "rate_limited"),
    4004: ("Heartbeat missed", "heartbeat_missed"),
    4005: ("Too slow", "too_slow"),
}
STAYS_AWAY = {
    1000: ("Leaving", None),
    1002: ("Protocol error", None),
    4003: ("Message too large", "message_too_large"),
    4006: ("Disconnected by a backend", "disconnected"),
    4007: ("Replaced by a newer connection", "replaced"),
}


@scenario(
    "close-comes-back", "after 1001, 1011, 1012, 1013, 4002, 4004 and 4005 a client reconnects", SECTION
)
async def close_comes_back(trial: Trial) -> None:
    """Close with each of these codes, one after the other."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    for seq, (code, (reason, error)) in enumerate(COMES_BACK.items(), 1):
        if error:
            await connection.error(error, retry=True, close=code, reconnect="yes")
        await connection.close(code, reason)
        connection = await client.returns(f"the client did not come back after close {code} ({reason})")
        await connection.expect("JOIN", "the client did not join its room", room="chat:a")
        await connection.publish("chat:a")
        await client.delivers("chat:a", seq)


def _stays_away(code: int, reason: str, error: str | None) -> Script:
    async def script(trial: Trial) -> None:
        client = await trial.client()
        connection = await client.joins("chat:a")
        if error:
            await connection.error(error, retry=False, close=code, reconnect="no")
        await connection.close(code, reason)
        await client.stays_away(f"the client came back after close {code} ({reason})")
        await client.told(
            "state", f"the client did not tell its application that {code} was the end", state="closed"
        )

    return script


for _code, (_reason, _error) in STAYS_AWAY.items():
    scenario(f"close-{_code}-stays-away", f"after {_code} ({_reason}) a client does not reconnect", SECTION)(
        _stays_away(_code, _reason, _error)
    )


@scenario(
    "close-retry-after",
    "if an ERROR with `close` has `retry_after_ms`, connect again after that time plus a random delay",
    "What the server sends",
)
async def close_retry_after(trial: Trial) -> None:
    """Close with 1013, and ask the client to stay away for 1.5 s."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    await connection.error("overloaded", retry=True, close=1013, reconnect="yes", retry_after_ms=1_500)
    closed_at = client.now()
    await connection.close(1013, "Overloaded")
    await client.returns(within=1.5 + client.seconds("backoff_cap_ms") + 3.0)
    waited = client.attempts[-1] - closed_at
    if waited < 1.45:
        raise Breach(f"the client came back after {waited:.2f} s, and retry_after_ms was 1,500")


@scenario("closes-for-good", "1000: the client that leaves does not come back", SECTION)
async def closes_for_good(trial: Trial) -> None:
    """Have the application close the client."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    await client.do("close")
    code = await connection.is_closed("the client did not close its connection when it was told to")
    if code not in (1000, 1001, 1005):
        raise Breach(f"the client left with {code}, and not with 1000")
    await client.stays_away("the client came back although its application had closed it")
