"""The report of a run: the verdict, the figures, and where it failed what one needs to repeat and to
understand it.

It measures nothing itself: it puts what was recorded into lines. The checker builds one.
"""

from __future__ import annotations

import json
import time
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from tests.faults.assertions import Verdict, excerpt
from tests.faults.fault_injection import Done
from tests.faults.history import History
from tests.faults.participant import Pulse

_FAULTS_SHOWN = 12
_EXCERPTS_SHOWN = 3
_SILENCES_SHOWN = 6
_SILENT_S = 1.5  # what is shorter is not shown
_AFTER_S = 2.0  # a silence that begins so long after an action is over is not its doing


@dataclass(frozen=True, slots=True)
class Report:
    """One run. ``command`` repeats it; ``falls`` are pods that ended by themselves."""

    command: str
    history: History
    verdict: Verdict
    pulse: Pulse
    done: list[Done]
    falls: list[str]
    drained_s: float

    @property
    def good(self) -> bool:
        """Whether the promise was kept and no pod fell."""
        return self.verdict.kept and not self.falls

    def lines(self) -> list[str]:
        """Return it for people."""
        return [*self.figures(), *self._silences(), *self._longest(), *self._failures()]

    def figures(self) -> list[str]:
        """Return the numbers."""
        figures, pulse = self.verdict.figures, self.pulse
        actions = Counter(f"{done.action.verb} {done.action.target}" for done in self.done)
        latencies = sorted(pulse.latencies_s)
        sent = f"{figures.messages} messages, {figures.acks} acknowledged"
        shown = (
            f"{figures.deliveries} deliveries, {figures.repeats} repeats dropped, {pulse.resent} sent again"
        )
        resumed = f"resumed {figures.recovered} times with recovered: true, {figures.unrecovered} with false"
        told = f"{figures.needless} times told of a gap where there is none"
        lives = (
            f"{figures.renewed} new lives told unasked, {figures.excused} deliveries excused by "
            f"recovered: false"
        )
        p50, p99, longest = (_quantile(latencies, share) for share in (0.5, 0.99, 1.0))
        took = f"p50 {p50 * 1_000:.0f} ms, p99 {p99 * 1_000:.0f} ms, longest {longest:.1f} s"
        return [
            f"{figures.members} participants, {figures.rooms} rooms: {sent}, {shown}",
            f"{pulse.connects} connections; {resumed}; {lives}; {told}",
            f"{len(self.done)} actions: {_listed(actions)}",
            (
                f"closes: {_listed(pulse.closes)}; errors: {_listed(pulse.errors)}; notices: "
                f"{_listed(pulse.notices)}"
            ),
            f"send to delivery: {took}; drained in {self.drained_s:.1f} s",
        ]

    def save(self, path: Path) -> None:
        """Write the whole history, one event a line."""
        with path.open("w") as out:
            events = (
                (event.step, member, type(event).__name__, event)
                for member, events in self.history.members.items()
                for event in events
            )
            for step, member, kind, event in sorted(events, key=lambda one: one[0]):
                out.write(
                    json.dumps({"step": step, "member": member, "event": kind, **event._asdict()}) + "\n"
                )

    def _silences(self) -> Iterator[str]:
        """Say for each kind of action how long a room was silent after it at the longest."""
        found: dict[str, list[float]] = {}
        for done in self.done:
            kind = f"{done.action.verb} {done.action.target}"
            found.setdefault(kind, []).append(longest_silence_s(self.pulse.heard_at.values(), done))
        for kind, silences in sorted(found.items()):
            silences.sort()
            yield (
                f"longest silence of a room after {kind}: median {_quantile(silences, 0.5):.1f} s, "
                f"most {silences[-1]:.1f} s ({len(silences)})"
            )

    def _longest(self) -> Iterator[str]:
        """Say when the longest silences ended, by the clock of the pods' logs."""
        for silence_s, room, ended in longest_silences(self.pulse.heard_at):
            at = datetime.fromtimestamp(time.time() - time.monotonic() + ended, UTC)
            yield f"{room} was silent for {silence_s:.1f} s until {at:%H:%M:%S}.{at.microsecond // 1000:03d}"

    def _failures(self) -> Iterator[str]:
        if self.good:
            yield "the promise was kept"
            return
        faults = self.verdict.faults
        yield (
            f"FAILED: {_listed(self.verdict.kinds()) or 'no fault of the promise'}; {len(self.falls)} "
            f"pod(s) fell"
        )
        yield f"repeat it: {self.command}"
        for fall in self.falls:
            yield f"  {fall}"
        for fault in faults[:_FAULTS_SHOWN]:
            yield f"  {fault.kind}: {fault.member} in {fault.room}: {fault.text}"
        if len(faults) > _FAULTS_SHOWN:
            yield f"  … and {len(faults) - _FAULTS_SHOWN} more"
        shown = {fault.kind: fault for fault in reversed(faults)}  # the first of each kind
        for fault in list(shown.values())[:_EXCERPTS_SHOWN]:
            yield f"around {fault.kind}: {fault.text}"
            yield from (f"    {line}" for line in excerpt(self.history, fault))


def longest_silence_s(heard_at: Iterable[array[float]], done: Done) -> float:
    """Return the longest time between two signs of life of one room that has to do with an action."""
    until = done.ended + _AFTER_S
    longest = 0.0
    for times in heard_at:
        at = max(1, bisect_left(times, done.began))
        while at < len(times) and times[at - 1] < until:
            longest = max(longest, times[at] - times[at - 1])
            at += 1
    return longest


def longest_silences(heard_at: Mapping[str, array[float]]) -> list[tuple[float, str, float]]:
    """Return the longest times between two signs of life of a room, each with the room and when it ended; the
    longest first, one for each time at which many rooms were silent together.
    """
    every = sorted(
        ((now - before, room, now) for room, times in heard_at.items() for before, now in pairwise(times)),
        reverse=True,
    )
    found: list[tuple[float, str, float]] = []
    for silence in every:
        if len(found) == _SILENCES_SHOWN or silence[0] < _SILENT_S:
            break
        if all(abs(silence[2] - other[2]) > _AFTER_S for other in found):
            found.append(silence)
    return found


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
