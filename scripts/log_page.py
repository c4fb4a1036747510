"""docs/log.md: how the log decides, and who speaks for a shard, with the diagram drawn from the router's own table.

``generate_docs.py`` writes it, and says where it differs from the code.
"""

from __future__ import annotations

import inspect
import re
from enum import StrEnum

from router.core import speaker
from router.core.speaker import TABLE, Event, State, Step

HEAD = """\
# The log decides

Each shard is one RabbitMQ stream, its **log**: `warren.log.<n>`.
Gateways publish into it, routers read it, and **the order in which the broker has committed its entries is the order of the shard**.
What a router knows is made of the entries alone, by a function without clock, chance or setting; so two routers that have read up to the same entry know the same, and would say the same.
Nobody has to own a shard for its order to be right, and nobody has to be kept from writing.
The words that are used here are in the [glossary](glossary.md), each with an example; how the pieces of code meet is in [architecture](architecture.md).

```mermaid
flowchart LR
    c1(["client"]) --> g1["gateway g1"]
    g1 -- "batch 7 of life 1" --> i{{"warren.ingress"}}
    i --> l[("warren.log.3")]
    l --> f1["router a: fold"]
    l --> f2["router b: fold"]
    f1 -- "speaks: feeds" --> e{{"warren.egress"}}
    f2 -. "reads along, says nothing" .-> x[" "]
    e --> g1
    e --> g2["gateway g2"] --> c2(["client"])
    style x fill:none,stroke:none
```

## What stands in it

One AMQP message is one **entry** of the log, and has one **offset**. Its first envelope says whose it is:

| entry | written by | what it does |
| --- | --- | --- |
| `Batch`, then messages, JOINs and LEAVEs | a gateway | they happen, in this order |
| `Batch` 1, then `Hello` | a gateway | its life in this shard begins |
| `Notified`, then messages | a router | backends' notifications happen |
| `Gone` | a router | a gateway's life is over; its members leave |
| `Rules` | a router | begins the log's life, and fixes the bounds that all must share |
| `Mark` | a router | "what the fold holds here is worth a checkpoint" |
| `Checkpoint2` | a router | a part of that checkpoint |

What depends on a clock or on a setting is decided by somebody once, written as an entry, and counts from there on: that a gateway is gone, for example.
An entry that can't be decoded, or that says what can't be, is passed over, by all readers alike.

## The fold

`fold(state, offset, entry)` gives the next state and a list of **effects** (`services/router/src/router/core/fold.py`).
The state is: positions of rooms, ids that were seen, members, and the lives of gateways with the number of the last batch that counted.
The effects of an entry are numbered 1, 2, 3 …; so **(life of the log, offset, index)** names each thing that ever happened in a shard, the same for every reader.

```
offset 41   Batch(g1, life 1, number 7)      1  message "hello" in chat:a, seq 12   for g1, g2
              Publish chat:a "hello"         2  ACK seq 12                          for g1
              Join chat:b                    3  event message.CHAT                  for backends
                                             4  entered chat:b at seq 5             for g1
                                             5  event room.joined                   for backends
offset 42   Batch(g1, life 1, number 7)      none: number 7 was taken, this is its repeat
```

Messages are numbered here (seq), and a repeated id is found here: it is answered with the ACK of the first one, and not delivered again.
History is kept beside the fold: each numbered message of a room that keeps history.

## In: a gateway's batches

A gateway has one batch under way for each shard, and sends it again, byte for byte, until the broker has confirmed it (a majority has it).
A batch whose confirm was lost may stand in the log twice.
Therefore it has a number, and **counts if its number is above the last one that counted**.

```
gateway   7 ──▶ no confirm ──▶ 7 again ──▶ confirmed   8 ──▶ given up   9 ──▶ confirmed
log       … 7   7   9
counts      ✓   –   ✓            8 is never used again; what was in it and still matters is in 9
```

A gateway's **life** in a shard begins with its `Hello` and ends with `Gone`. Before and after, nothing of it counts.
A gateway that was declared gone and lives hears so, with the number of its last batch that counted: it begins the next life, has its members join again with their positions, and sends again what did not count. Clients notice nothing.

## Out: a chain of feeds

The speaker of a shard sends each gateway one chain of **feeds**: `after`, `upto`, and the items between, each at its (offset, index).
The gateway keeps one number for each shard: how far it has got.

| a feed comes, and | then |
| --- | --- |
| its `upto` is not above mine | it is a repeat: dropped |
| its `after` is not above mine, its `upto` is | its items above mine are applied; mine is `upto` |
| its `after` is above mine | something is missing: the gateway says its number, and is fed from there |

```
mine = 40.2      feed (40.2, 41.4]  applied                 mine = 41.4
                 feed (41.4, 43.1]  lost on the way
                 feed (43.1, 44.2]  43.1 > 41.4: a gap ──▶ Number(41.4) ──▶ feed (41.4, 44.2]
                 feed (40.2, 41.4]  from another router that speaks too: a repeat, dropped
```

There is no other recovery: a lost ACK, a queue that overflowed, a gateway that was frozen, a new speaker, two speakers at once are all this one rule.
Where nothing is said to a gateway for half a second, an empty feed says how far the log is; so silence is noticed too.
A message for three gateways or more, and for all there are, is sent once to all (`Bodies`), and the feeds only name it; where the body has not come, that is a gap as well.
What lies further back than a speaker remembers (`WARREN_ROUTER_RING_BYTES`) is answered with `Reset`: the gateway takes the present place, and its members join again with their positions.

## What a member missed is read

JOINED says the position of the room at that place of the log.
What lies between a client's own position and that one is read by its gateway: from the last messages that it remembers of the room itself, else from the speaker, page by page.
Until the pages have met them, the room's live messages pass that member by: it is given them from memory, or reads them too. HISTORY is read in the same way.

## Checkpoints

A log is longer than anybody wants to read, and its beginning is dropped when it reaches `WARREN_BROKER_LOG_BYTES`.
So speakers write a **checkpoint** into it every now and then (`WARREN_ROUTER_CHECKPOINT_BYTES`, `WARREN_ROUTER_CHECKPOINT_S`): a `Mark`, and then all that the fold held at that mark, in parts.
A reader begins at a checkpoint, and nowhere else; what was said before it is read besides for the histories, and changes no state.

```
offset    9,000        12,050      12,051 … 12,055          12,900
          (dropped)    Mark        Checkpoint2 × 5          the end
                       └─ the state as of here ─┘
a new reader: state from the parts, then entries from 12,051 on
```

Running readers compare their own state with the parts' digest, so a fold that went another way is found out.
Each time a reader goes on after a break it asks for the entry that it has read last, and compares: a log that was deleted, or has dropped what was not read yet, is noticed ([what the broker does not say](decisions/0025-streams-as-the-way-in.md)).
Where no checkpoint is left, or the log is another one, a new **life of the log** begins: rooms get new epochs, and clients are told `recovered: false`.

## Who speaks

One router **speaks** for a shard: it tells gateways and backends what the log brings about, and writes what a speaker must (`Gone`, checkpoints).
Two that speak at once say the same things twice, and receivers drop what they have.

Routers announce themselves to each other (a heartbeat every `WARREN_ROUTER_ANNOUNCE_MS`, a lease of `WARREN_ROUTER_PEER_LEASE_MS`), and each places the shards by the same rule: rendezvous hashing, with even shares (`core/placement.py`).
The first candidate is a shard's **owner**, which speaks for it; the second is its **standby**, which reads along.
A router that has just started listens first, and reads the logs of the shards that it will be given. Only then it announces itself, so that no shard is given to a router that would have to read for it.

* **A router joins or leaves in order.** Who spoke so far goes on until the new owner says in its heartbeat that it speaks. There is no pause.
* **A speaker dies.** Its standby tries its inbox every 50 ms; where nobody is behind it any more it is gone at once. Where the broker can't tell (its node has died with it), the lease ends. The standby has read along, and speaks in the same moment.
* **What the new speaker does.** It asks each gateway how far it has got, and feeds each from there as soon as it answers; nobody waits for all. Events for backends go on where the last speaker's heartbeat said that they were confirmed; one that comes twice has the same id.
"""


def log_page(note: str) -> str:
    """Return docs/log.md; ``note`` says that it is made."""
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
