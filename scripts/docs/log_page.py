"""docs/log.md: how the log decides, and who speaks for a shard, with the diagram drawn from the router's own
table.

It returns the page's text and writes nothing.
"""

from __future__ import annotations

import inspect
import re
from enum import StrEnum
from pathlib import Path

from router.core import shard_role
from router.core.shard_role import TABLE, Event, State, Step

HEAD = Path(__file__).with_suffix(".md")  # what is not drawn


def log_page(note: str) -> str:
    """Return docs/log.md; ``note`` says that it is made."""
    title, rest = HEAD.read_text().split("\n", 1)
    return "\n".join([title, "", note, rest, *_diagram(), "", *_meanings(), *_table()])


def _diagram() -> list[str]:
    """Draw the table: what happens, and after the slash what is done."""
    lines = [
        "## The table",
        "",
        "Each arrow: what has happened / what is done.",
        "",
        "```mermaid",
        "stateDiagram-v2",
    ]
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
        raise ValueError(f"{shard_role.__name__}: a member of {kind.__name__} could not be read")
    return found
