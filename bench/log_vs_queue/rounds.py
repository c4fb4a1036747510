"""One round of a path, pairs of rounds in turn, and their medians compared. It starts nothing."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import psutil

P50_AIM, CPU_AIM = 0.7, 0.85
WARM_UP_S = 3.0


@dataclass(frozen=True)
class Round:
    """The result of one path in one round. CPU in µs for each message."""

    p50_ms: float
    p99_ms: float
    broker_us: float
    wrong: int
    services_us: float = 0.0


class Way(Protocol):
    """A path that messages can be sent on."""

    async def round(self, rate: float, seconds: float) -> Round:
        """Send so many messages a second, and return the result."""
        ...


@dataclass(frozen=True)
class Line:
    """The medians of one rate."""

    rate: float
    old: Round
    new: Round
    p50_ratio: float
    cpu_ratio: float

    @property
    def passed(self) -> bool:
        """Whether both ratios are within their targets, and nothing was lost or doubled."""
        return (
            self.p50_ratio <= P50_AIM
            and self.cpu_ratio <= CPU_AIM
            and not self.old.wrong
            and not self.new.wrong
        )


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def compare(old: Way, new: Way, rate: float, rounds: int, seconds: float) -> list[tuple[Round, Round]]:
    """Run both paths in turn, each first in every second round, and return the pairs."""
    pairs = []
    for way in (old, new):
        await way.round(rate, WARM_UP_S)
    for number in range(rounds):
        if number % 2:
            after = await new.round(rate, seconds)
            pairs.append((await old.round(rate, seconds), after))
        else:
            before = await old.round(rate, seconds)
            pairs.append((before, await new.round(rate, seconds)))
    return pairs


def line_of(rate: float, pairs: Sequence[tuple[Round, Round]]) -> Line:
    """Return the medians of a rate's rounds. A ratio is the median of the pairs' ratios, because other load
    affects both rounds of a pair.
    """
    return Line(
        rate,
        _middle([old for old, _ in pairs]),
        _middle([new for _, new in pairs]),
        statistics.median(new.p50_ms / old.p50_ms for old, new in pairs),
        statistics.median(new.broker_us / old.broker_us for old, new in pairs),
    )


def _middle(rounds: Sequence[Round]) -> Round:
    return Round(
        statistics.median(each.p50_ms for each in rounds),
        statistics.median(each.p99_ms for each in rounds),
        statistics.median(each.broker_us for each in rounds),
        sum(each.wrong for each in rounds),
        statistics.median(each.services_us for each in rounds),
    )


def text_of(line: Line) -> str:
    """Return a line of the table."""
    old, new = line.old, line.new
    services = f"  services {old.services_us:.0f} ▶ {new.services_us:.0f}" if old.services_us else ""
    return (
        f"  {line.rate:6,.0f}/s  p50 {old.p50_ms:6.2f} ▶ {new.p50_ms:6.2f} ({line.p50_ratio:.2f} ×)  p99 {old.p99_ms:6.1f} ▶ {new.p99_ms:6.1f}"
        f"  broker {old.broker_us:6.0f} ▶ {new.broker_us:6.0f} ({line.cpu_ratio:.2f} ×){services}  lost or doubled {old.wrong} ▶ {new.wrong}"
        f"  {'passed' if line.passed else 'MISSED'}"
    )
