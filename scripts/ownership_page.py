"""docs/ownership.md: who speaks for a shard, and how that changes hands, with the diagram drawn from the router's own table.

``generate_docs.py`` writes it, and says where it differs from the code.
"""

from __future__ import annotations

import inspect
import re
from enum import StrEnum

from router.core import speaker
from router.core.speaker import TABLE, Event, State, Step

HEAD = """\
# Who speaks for a shard

Each shard is one RabbitMQ stream, its **log**: gateways publish into it, and the order in which the broker has committed the entries is the order of
the shard. A router reads it through a fold (`services/router/src/router/core/fold.py`): whoever has read up to the same entry knows the same, and
would say the same. So nobody has to own a shard for its order to be right. One router **speaks** for it: it tells gateways and backends what the
log brings about. Two that speak at once say the same things twice, and receivers drop what they have.

## Who should

Routers announce themselves to each other (a heartbeat every `WARREN_ROUTER_ANNOUNCE_MS`, a lease of `WARREN_ROUTER_PEER_LEASE_MS`), and each
places the shards by the same rule: rendezvous hashing, with even shares (`core/placement.py`). The first candidate is a shard's **owner**, which
speaks for it; the second is its **standby**, which reads along.

A router that has just started listens first, and reads the logs of the shards that it will be given. Only then it announces itself, so that no shard
is given to a router that would have to read for it.

## How it changes hands

* **A router joins or leaves in order.** Who spoke so far goes on until the new owner says in its heartbeat that it speaks. There is no pause.
* **A speaker dies.** Its standby tries its inbox every 50 ms; where nobody is behind it any more it is gone at once. Where the broker can't tell (its
  node has died with it), the lease ends. The standby has read along, and speaks in the same moment.
* **What the new speaker does.** It asks each gateway how far it has got in the log, and feeds each from there as soon as it answers. Events for
  backends go on where the last speaker's heartbeat said that they were confirmed; one that comes twice has the same id.
* **Where the reading begins.** At a checkpoint, which speakers write into the log every now and then (`WARREN_ROUTER_CHECKPOINT_BYTES`,
  `WARREN_ROUTER_CHECKPOINT_S`), so that it does not depend on how large the log is. Each time a reader goes on after a break it asks for the entry
  that it has read last, and compares: a log that was deleted, or has dropped what was not read yet, is noticed, and read from a checkpoint again.
"""


def ownership_page(note: str) -> str:
    """Return docs/ownership.md; ``note`` says that it is made."""
    title, rest = HEAD.split("\n", 1)
    return "\n".join([title, "", note, rest, *_diagram(), "", *_meanings(), *_table()])


def _diagram() -> list[str]:
    """Draw the table: what happens, and after the slash what is done."""
    lines = ["## The table", "", "Each arrow: what has happened / what is done.", "", "```mermaid", "stateDiagram-v2"]
    lines.append(f"    [*] --> {State.IDLE}")
    joined: dict[tuple[State, State, Step], list[Event]] = {}
    for (state, event), (reached, step) in TABLE.items():
        joined.setdefault((state, reached, step), []).append(event)
    for (state, reached, step), events in joined.items():
        lines.append(f"    {state} --> {reached} : {', '.join(events)} / {step}")
    return [*lines, "```"]


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
        raise ValueError(f"{speaker.__name__}: a member of {kind.__name__} could not be read")
    return found
