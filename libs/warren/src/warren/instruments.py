"""Instruments: counters and histograms that are plain numbers until a scrape, which prometheus_client spells.

To count is an addition without a lock, so an instrument belongs to one thread, the event loop's, in which the
scrape is answered too: of what another thread counted, some may be lost. Label values are bounded. What is
exposed is what prometheus_client's own Counter and Histogram would expose after the same. An instrument never
raises while it counts, and never asks whether a count goes down: that is the caller's not to do.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from time import time
from typing import Final, Generic, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

OTHER: Final = "other"
MAX_LABEL_VALUES: Final = 64


def _created_exposed() -> bool:
    """Return whether prometheus_client says since when a series is: its PROMETHEUS_DISABLE_CREATED_SERIES."""
    (family,) = prometheus_client.Counter("asked", "", registry=None).collect()
    return any(sample.name.endswith("_created") for sample in family.samples)


_CREATED_EXPOSED: Final = _created_exposed()


class _Count:
    """One series of a counter with a label."""

    __slots__ = ("created", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.created = time()


class _Buckets:
    """One series of a histogram: how many fell into each bucket alone, and the last exemplar of each."""

    __slots__ = ("counts", "created", "exemplars", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.exemplars: list[Exemplar | None] = [None] * buckets
        self.sum = 0.0
        self.created = time()


class _Instrument(Collector):
    """What is registered: a name, what it means, and the names of its labels."""

    def __init__(self, name: str, meaning: str, label_names: tuple[str, ...]) -> None:
        self.name = name
        self.meaning = meaning
        self.label_names = label_names

    def describe(self) -> list[Metric]:
        """Return the family without samples, by which a registry knows the names of the series."""
        return [self._family()]

    def _family(self) -> Metric:
        raise NotImplementedError


class Counter(_Instrument):
    """A counter without a label."""

    def __init__(self, name: str, meaning: str, registry: CollectorRegistry) -> None:
        """Begin at 0."""
        super().__init__(name, meaning, ())
        self._value = 0.0
        self._created = time()
        registry.register(self)

    def add(self, count: float = 1) -> None:
        """Count so many more."""
        self._value += count

    def collect(self) -> Iterator[Metric]:
        """Yield the family with its one series."""
        family = self._family()
        _add_count(family, (), self._value, self._created)
        yield family

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self.name, self.meaning)


_Series = TypeVar("_Series")


class _Labelled(_Instrument, Generic[_Series]):
    """An instrument with one bounded label: a series for each value, from when the value first came."""

    def __init__(
        self, name: str, meaning: str, label: str, make: Callable[[], _Series], allowed: frozenset[str] | None
    ) -> None:
        super().__init__(name, meaning, (label,))
        self._make = make
        self._allowed = allowed
        self._series: dict[str, _Series] = {}

    def _begin(self, value: str) -> _Series:
        """Return the series of a value that has none yet: a new one while the label may take it, else the
        others'.
        """
        if self._allowed is not None:
            known = value in self._allowed
        else:
            known = len(self._series) - (OTHER in self._series) < MAX_LABEL_VALUES
        if not known:
            value = OTHER
        series = self._series.get(value)
        if series is None:
            series = self._series[value] = self._make()
        return series


class LabelledCounter(_Labelled[_Count]):
    """A counter with one label, whose values are ``allowed`` or count as ``other``."""

    def __init__(
        self,
        name: str,
        meaning: str,
        label: str,
        registry: CollectorRegistry,
        allowed: frozenset[str] | None = None,
    ) -> None:
        """Without ``allowed``, the first 64 values are."""
        super().__init__(name, meaning, label, _Count, allowed)
        registry.register(self)

    def add(self, value: str, count: float = 1) -> None:
        """Count so many more of a value."""
        series = self._series.get(value)
        if series is None:
            series = self._begin(value)
        series.value += count

    def collect(self) -> Iterator[Metric]:
        """Yield the family with a series for each value that has come."""
        family = self._family()
        for value, series in list(self._series.items()):
            _add_count(family, (value,), series.value, series.created)
        yield family

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self.name, self.meaning, labels=self.label_names)


def _add_count(family: CounterMetricFamily, labels: tuple[str, ...], value: float, created: float) -> None:
    family.add_metric(labels, value, created if _CREATED_EXPOSED else None)


class LabelledHistogram(_Labelled[_Buckets]):
    """A histogram with one label, of which the first 64 values have their own series."""

    def __init__(
        self, name: str, meaning: str, label: str, bounds: tuple[float, ...], registry: CollectorRegistry
    ) -> None:
        """``bounds`` are the upper bounds of the buckets, ascending; one bucket without a bound follows."""
        super().__init__(name, meaning, label, lambda: _Buckets(len(bounds) + 1), None)
        self._bounds = bounds
        ends = (*bounds, float("inf"))
        self._spelled: list[str] = [floatToGoString(end) for end in ends]  # type: ignore[no-untyped-call]
        registry.register(self)

    def observe(self, value: str, amount: float, trace: str = "") -> None:
        """Count an amount of a value; ``trace`` is the trace id of what it was measured on, "" for none."""
        series = self._series.get(value)
        if series is None:
            series = self._begin(value)
        bucket = bisect_left(self._bounds, amount)
        series.counts[bucket] += 1
        series.sum += amount
        if trace:
            series.exemplars[bucket] = Exemplar({"trace_id": trace}, amount, time())

    def collect(self) -> Iterator[Metric]:
        """Yield the family with a series for each value that has come."""
        family = self._family()
        for value, series in list(self._series.items()):
            self._add(family, value, series)
        yield family

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self.name, self.meaning, labels=self.label_names)

    def _add(self, family: HistogramMetricFamily, value: str, series: _Buckets) -> None:
        """Add a series; what is exposed of a bucket is how many are in it or below it."""
        buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        below = 0
        for bound, count, exemplar in zip(self._spelled, series.counts, series.exemplars, strict=True):
            below += count
            buckets.append((bound, below) if exemplar is None else (bound, below, exemplar))
        family.add_metric((value,), buckets, series.sum)
        if _CREATED_EXPOSED:
            (label,) = self.label_names
            family.samples.append(Sample(f"{self.name}_created", {label: value}, series.created))
