"""docs/ownership.md: how a router comes to own a shard and lets it go, with the diagram drawn from the router's own table.

``generate_docs.py`` writes it, and says where it differs from the code.
"""

from __future__ import annotations

import inspect
import re
from enum import StrEnum

from router.core import takeover
from router.core.takeover import TABLE, Event, State, Step

HEAD = """\
# Who owns a shard

Each shard has one owner at a time: the router that numbers, logs and sends its messages. This page shows how a router comes to own a
shard and lets it go. Its diagram and tables are drawn from `services/router/src/router/core/takeover.py`, the table by which the router works.

## Who should

Routers announce themselves to each other (a heartbeat every `WARREN_ROUTER_ANNOUNCE_MS`, a lease of `WARREN_ROUTER_PEER_LEASE_MS`), and each
places the shards by the same rule: rendezvous hashing, with even shares (`core/placement.py`). The first candidate is a shard's **owner**, the
second its **standby**. Both consume the shard's queue, nobody else does; the broker gives it to one consumer at a time. So when an owner dies, the
broker gives its deliveries to the standby at once, in their order, and the standby is the one that the new placement calls for.

## Who does

The broker decides: whoever reads its own claim in the shard's queue owns what comes after it. The owner claims as soon as it consumes; the
standby when it is given anything. The owner before it reads the claim in its place in the queue, finishes what came before it, acknowledges that, and
closes its lane, so that the broker gives the claim and all behind it to the next one.

A router that has just started claims nothing (and is not ready) before it has read the logs of all shards that it was given, for two seconds at the
most: reading them is its busiest time, and the owners before serve meanwhile.

Then the new owner goes through the steps in an order that is the proof (`tests/model/takeover.py` checks every interleaving of two owners who
both believe that they own the shard, and finds a fault in every other order):

1. **Claim**: reading it back, the queue is ours.
2. **Fence and ask**: every gateway is told the new term. From then on it drops what older terms send, and answers with its members and how far
   it has got. Every gateway that lives must answer; only the end of its lease makes up for an answer. It also asks back, behind its
   messages in the queue, for the ACKs of what it has sent and not heard of: the ids in the log answer.
3. **Mark**: our marker is appended to the shard's log. What an older owner appends after it does not count.
4. **Read**: the log up to our marker tells each room's position, its history, and the ids that were seen.
5. **Live**: each gateway is sent what it lacks; then what has waited is applied, in its order.

A lane is one AMQP channel that consumes the shard's queue and writes its log, so who can't read can't write. When it is lost, or an append is not
confirmed, all state of the shard is thrown away and it is taken over again from the log: the router never guesses what stands there.

A term is the wall clock in milliseconds, or one more than the highest that was seen. A router whose clock is behind is told so by a gateway's
answer or by the log, and claims again with a higher one.
"""


def ownership_page(note: str) -> str:
    """Return docs/ownership.md; ``note`` says that it is made."""
    title, rest = HEAD.split("\n", 1)
    return "\n".join([title, "", note, rest, *_diagram(), "", *_meanings(), *_table()])


def _diagram() -> list[str]:
    """Draw the table: what happens, and after the slash what is done. LOST leads to idle from everywhere and is left out for legibility."""
    lines = ["## The table", "", "Each arrow: what has happened / what is done.", "", "```mermaid", "stateDiagram-v2"]
    lines.append(f"    [*] --> {State.IDLE}")
    joined: dict[tuple[State, State, Step], list[Event]] = {}
    for (state, event), (reached, step) in TABLE.items():
        if event is not Event.LOST:
            joined.setdefault((state, reached, step), []).append(event)
    for (state, reached, step), events in joined.items():
        lines.append(f"    {state} --> {reached} : {', '.join(events)} / {step}")
    lost = [str(state) for state, event in TABLE if event is Event.LOST]
    return [
        *lines,
        "```",
        "",
        f"From {', '.join(lost[:-1])} and {lost[-1]} a lane that is **lost** leads to idle (/ forget).",
    ]


def _meanings() -> list[str]:
    lines = []
    for title, kind in (("States", State), ("What happens", Event), ("What is done", Step)):
        lines += [f"### {title}", "", "| | |", "| --- | --- |"]
        lines += [f"| **{name}** | {meaning} |" for name, meaning in _comments(kind)]
        lines.append("")
    return lines


def _table() -> list[str]:
    """Write the table out: a row for each state, a column for each event."""
    events = list(Event)
    lines = ["### All of it", "", "| | " + " | ".join(events) + " |", "| --- |" + " --- |" * len(events)]
    for state in State:
        cells = []
        for event in events:
            found = TABLE.get((state, event))
            cells.append("" if found is None else f"{found[0]} / {found[1]}")
        lines.append(f"| **{state}** | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _comments(kind: type[StrEnum]) -> list[tuple[str, str]]:
    """Return each member's value with the comment that stands behind it in the source."""
    found = []
    for line in inspect.getsource(kind).splitlines():
        match = re.fullmatch(r'\s+([A-Z]+) = "([a-z]+)"(?:  # (.+))?', line)
        if match:
            found.append((kind[match[1]].value, (match[3] or "nothing").strip()))
    if len(found) != len(kind):
        raise ValueError(f"{takeover.__name__}: a member of {kind.__name__} could not be read")
    return found
