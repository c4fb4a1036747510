"""Instruments: what they expose is what prometheus_client's own would, in both formats; labels are bounded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence

import hypothesis.strategies as st
import prometheus_client
import pytest
from hypothesis import example, given
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.registry import DuplicateTimeseries

from warren.instruments import MAX_LABEL_VALUES, OTHER, Counter, LabelledCounter, LabelledHistogram

MEANING = 'What it "means",\nin a \\ word.'
BOUNDS = (0.0005, 0.01, 1, 10.0, 2_500_000)
TRACE = "0af7651916cd43dd8448eb211c80319c"
EXPOSITIONS = (plain_text, open_metrics)
MOMENT = re.compile(r"(_created(?:\{.*\})? |# \{.*\} \S+ )[\d.e+]+$", re.MULTILINE)

labels = st.text(max_size=8) | st.sampled_from(["CHAT", OTHER, 'a"\\\n'])
counts = st.integers(0, 2**40)
# each addition of floats is rounded, so that the order counts: it is the same in both
amounts = st.floats(0, 1e9) | st.sampled_from([0, 10, float("inf"), *BOUNDS]) | st.floats(-1, 1)
traces = st.sampled_from(["", "", TRACE, "1" * 32])


def spelled(registry: CollectorRegistry, exposition: Callable[[CollectorRegistry], bytes]) -> str:
    """Return what a scrape would get; for each moment "T", because the two were not asked at once."""
    return MOMENT.sub(r"\1T", exposition(registry).decode())


def assert_same(ours: CollectorRegistry, theirs: CollectorRegistry) -> None:
    for exposition in EXPOSITIONS:
        assert spelled(ours, exposition) == spelled(theirs, exposition)


def observe_in_both(said: Sequence[tuple[str, float, str]]) -> tuple[CollectorRegistry, CollectorRegistry]:
    """Return our registry and theirs, with a histogram of the same."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram = LabelledHistogram("warren_hop", MEANING, "hop", BOUNDS, ours)
    reference = prometheus_client.Histogram("warren_hop", MEANING, ("hop",), registry=theirs, buckets=BOUNDS)
    for hop, amount, trace in said:
        histogram.observe(hop, amount, trace)
        reference.labels(hop).observe(amount, {"trace_id": trace} if trace else None)
    return ours, theirs


@given(st.lists(counts))
@example([])
@example([1, 2_000_000])
def test_a_counter_exposes_what_prometheus_clients_would(said: list[int]) -> None:
    """In both formats, from the start on."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counter = Counter("warren_things", MEANING, ours)
    reference = prometheus_client.Counter("warren_things", MEANING, registry=theirs)
    for count in said:
        counter.add(count)
        reference.inc(count)
    assert_same(ours, theirs)


@given(st.lists(st.tuples(labels, counts), max_size=MAX_LABEL_VALUES))
@example([])
@example([("CHAT", 0), ("CHAT", 1)])
def test_a_labelled_counter_exposes_what_prometheus_clients_would(said: list[tuple[str, int]]) -> None:
    """In both formats, in the order in which the values came; nothing where none has come."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counter = LabelledCounter("warren_things", MEANING, "kind", ours)
    reference = prometheus_client.Counter("warren_things", MEANING, ("kind",), registry=theirs)
    for value, count in said:
        counter.add(value, count)
        reference.labels(value).inc(count)
    assert_same(ours, theirs)


@given(st.lists(st.tuples(labels, amounts, traces), max_size=MAX_LABEL_VALUES))
@example([])
@example([("a", each, TRACE) for each in BOUNDS])
@example([("a", 0.0, TRACE), ("b", 0.1, ""), ("a", 0.0001, ""), ("a", 0.0002, "1" * 32)])
def test_a_histogram_exposes_what_prometheus_clients_would(said: list[tuple[str, float, str]]) -> None:
    """In both formats: buckets, their last exemplars, count, sum and beginning."""
    assert_same(*observe_in_both(said))


def test_the_comparison_leaves_out_nothing_but_moments() -> None:
    """What is compared above has the values of series, of exemplars and of labels."""
    ours, _ = observe_in_both([("a", 0.3, TRACE)])
    assert spelled(ours, open_metrics).splitlines()[-8:] == [
        'warren_hop_bucket{hop="a",le="1.0"} 1.0 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.3 T',
        'warren_hop_bucket{hop="a",le="10.0"} 1.0',
        'warren_hop_bucket{hop="a",le="2.5e+06"} 1.0',
        'warren_hop_bucket{hop="a",le="+Inf"} 1.0',
        'warren_hop_count{hop="a"} 1.0',
        'warren_hop_sum{hop="a"} 0.3',
        'warren_hop_created{hop="a"} T',
        "# EOF",
    ]
    assert spelled(ours, plain_text).splitlines()[-1] == 'warren_hop_created{hop="a"} T'


def test_moments_are_those_of_the_first_count_and_of_the_last_exemplar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A series began when its value first came; an exemplar is of when it was observed."""
    moment = [1_000.5]
    monkeypatch.setattr("warren.instruments.time", lambda: moment[0])
    registry = CollectorRegistry()
    counter = Counter("c", "", registry)
    histogram = LabelledHistogram("h", "", "hop", (1.0,), registry)
    labelled = LabelledCounter("l", "", "kind", registry)
    moment[0] = 2_000.5
    for _ in range(2):
        counter.add()
        labelled.add("a")
        histogram.observe("a", 0.5, TRACE)
        moment[0] += 0.25
    text = open_metrics(registry).decode()
    assert "\nc_created 1000.5\n" in text
    assert '\nl_created{kind="a"} 2000.5\n' in text
    assert '\nh_created{hop="a"} 2000.5\n' in text
    assert f'\nh_bucket{{hop="a",le="1.0"}} 2.0 # {{trace_id="{TRACE}"}} 0.5 2000.75\n' in text


@given(st.lists(st.text(max_size=3), max_size=200))
@example([str(number) for number in range(MAX_LABEL_VALUES + 2)])
@example([OTHER, *(str(number) for number in range(MAX_LABEL_VALUES + 2)), OTHER, "0"])
def test_the_first_values_of_a_label_have_their_own_series_and_all_others_one(said: list[str]) -> None:
    """So it is for counters and histograms, and nothing goes uncounted."""
    registry = CollectorRegistry()
    counter = LabelledCounter("c", "", "kind", registry)
    histogram = LabelledHistogram("h", "", "hop", (1.0,), registry)
    for value in said:
        counter.add(value)
        histogram.observe(value, 0.5)
    own = list(dict.fromkeys(value for value in said if value != OTHER))[:MAX_LABEL_VALUES]
    expected: dict[str, float] = {value: said.count(value) for value in own}
    if others := len(said) - sum(expected.values()):
        expected[OTHER] = others
    samples = [sample for family in registry.collect() for sample in family.samples]
    assert {s.labels["kind"]: s.value for s in samples if s.name == "c_total"} == expected
    assert {s.labels["hop"]: s.value for s in samples if s.name == "h_count"} == expected


def test_where_values_are_named_beforehand_no_other_has_a_series() -> None:
    """However few there are."""
    registry = CollectorRegistry()
    counter = LabelledCounter("c", "", "kind", registry, frozenset({"a", "b"}))
    for value in ("x", "a", "y", OTHER):
        counter.add(value, 2)
    assert registry.get_sample_value("c_total", {"kind": "a"}) == 2
    assert registry.get_sample_value("c_total", {"kind": OTHER}) == 6
    assert registry.get_sample_value("c_total", {"kind": "x"}) is None


def test_a_registry_knows_the_names_of_all_series() -> None:
    """Two instruments of one name are refused, also where only a series of the one is called like the other."""
    registry = CollectorRegistry()
    LabelledHistogram("taken", "", "hop", (1.0,), registry)
    with pytest.raises(DuplicateTimeseries):
        Counter("taken", "", registry)
    with pytest.raises(DuplicateTimeseries):
        prometheus_client.Gauge("taken_sum", "", registry=registry)


def test_who_wants_no_created_series_of_prometheus_client_gets_none_of_ours() -> None:
    """Its environment variable is obeyed."""
    script = (
        "from prometheus_client import CollectorRegistry, generate_latest\n"
        "from warren.instruments import Counter, LabelledCounter, LabelledHistogram\n"
        "registry = CollectorRegistry()\n"
        "Counter('c', '', registry).add()\n"
        "LabelledCounter('l', '', 'kind', registry).add('a')\n"
        "LabelledHistogram('h', '', 'hop', (1.0,), registry).observe('a', 0.5)\n"
        "print(generate_latest(registry).decode())\n"
    )
    environment = os.environ | {"PROMETHEUS_DISABLE_CREATED_SERIES": "true"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert "c_total 1.0" in done.stdout
    assert "h_sum" in done.stdout
    assert "created" not in done.stdout
