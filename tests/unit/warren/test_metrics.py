"""Metrics: what the objects count, and that no label grows without bound."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from warren.instruments import MAX_LABEL_VALUES
from warren.metrics import GatewayMetrics, RouterMetrics


def samples(metrics: GatewayMetrics | RouterMetrics) -> dict[tuple[str, str], float]:
    """Return (name, label values) ▶ value of what a scrape would see."""
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, ",".join(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_a_gateways_messages_and_bytes_are_counted_by_type() -> None:
    """Messages are counted by type with their bytes; a fan-out counts each recipient."""
    metrics = GatewayMetrics()
    metrics.messages_in("CHAT", 100)
    metrics.messages_in("CHAT", 50)
    metrics.messages_out("CHAT", 2_000, 400_000)
    metrics.bytes_in(5)
    metrics.bytes_out(7)
    found = samples(metrics)
    assert found["warren_gateway_messages_in_total", "CHAT"] == 2
    assert found["warren_gateway_messages_out_total", "CHAT"] == 2_000
    assert found["warren_gateway_bytes_in_total", ""] == 155
    assert found["warren_gateway_bytes_out_total", ""] == 400_007
    assert (metrics.total_in, metrics.total_out) == (2, 2_000)


def test_types_that_clients_invent_share_one_label_value() -> None:
    """Whatever types clients invent, all of them count as ``other``."""
    metrics = GatewayMetrics()
    for number in range(1_000):
        metrics.messages_in(f"own.{number}", 1)
    found = samples(metrics)
    assert found["warren_gateway_messages_in_total", "other"] == 1_000
    assert [labels for name, labels in found if name == "warren_gateway_messages_in_total"] == ["other"]


def test_no_label_takes_more_values_than_its_limit() -> None:
    """A label whose values come from code is bounded too: past the limit all count as ``other``."""
    metrics = GatewayMetrics()
    for number in range(MAX_LABEL_VALUES + 10):
        metrics.drops(f"reason{number}", 2)
    metrics.drops("reason0", 1)
    found = {
        labels: value
        for (name, labels), value in samples(metrics).items()
        if name == "warren_gateway_drops_total"
    }
    assert len(found) == MAX_LABEL_VALUES + 1
    assert (found["other"], found["reason0"]) == (20, 3)


def test_no_hop_takes_more_values_than_its_limit() -> None:
    """So it is for the hops of batches and times: past the limit all count as ``other``."""
    metrics = RouterMetrics()
    for number in range(MAX_LABEL_VALUES + 10):
        metrics.batch_size(f"hop{number}", 1)
        metrics.hop_seconds(f"hop{number}", 0.5)
    found = samples(metrics)
    for name in ("warren_router_batch_size_count", "warren_router_hop_seconds_count"):
        assert len([key for key in found if key[0] == name]) == MAX_LABEL_VALUES + 1
        assert (found[name, "hop0"], found[name, "other"]) == (1, 10)


def test_a_gateways_failures_are_counted_by_their_reason() -> None:
    """Errors, closes, refusals and the like each have their counter and label."""
    metrics = GatewayMetrics()
    metrics.errors("rate_limited")
    metrics.closes(4002)
    metrics.auth_failures("expired")
    metrics.upgrades_refused("full")
    metrics.heartbeats_missed()
    metrics.slow_disconnects()
    metrics.reads("memory")
    metrics.feed_gaps()
    metrics.resets()
    metrics.lives_ended()
    found = samples(metrics)
    assert found["warren_gateway_errors_total", "rate_limited"] == 1
    assert found["warren_gateway_closes_total", "4002"] == 1
    assert found["warren_gateway_auth_failures_total", "expired"] == 1
    assert found["warren_gateway_upgrades_refused_total", "full"] == 1
    assert found["warren_gateway_heartbeats_missed_total", ""] == 1
    assert found["warren_gateway_slow_disconnects_total", ""] == 1
    assert found["warren_gateway_reads_total", "memory"] == 1
    assert [found[f"warren_gateway_{name}_total", ""] for name in ("feed_gaps", "resets", "lives_ended")] == [
        1,
        1,
        1,
    ]
    assert metrics.total_errors == 1


def test_hops_batches_and_buffers_are_measured() -> None:
    """Seconds and batch sizes go into a histogram for each hop, never below 0; buffers are set, or read at
    each scrape.
    """
    metrics = GatewayMetrics()
    metrics.hop_seconds("end_to_end", 0.003)
    metrics.hop_seconds("end_to_end", -5.0)
    metrics.hop_seconds("end_to_end", float("nan"))
    metrics.batch_size("uplink", 3)
    metrics.waiting("outbox", 9)
    level = [4]
    metrics.waiting_from("uplink", lambda: level[0])
    metrics.connections.inc()
    metrics.rooms.set(2)
    metrics.bus_up.set(1)
    level[0] = 6
    found = samples(metrics)
    assert found["warren_gateway_hop_seconds_count", "end_to_end"] == 3
    assert found["warren_gateway_hop_seconds_sum", "end_to_end"] == 0.003
    assert found["warren_gateway_hop_seconds_bucket", "end_to_end,0.005"] == 3
    assert found["warren_gateway_batch_size_sum", "uplink"] == 3
    assert (found["warren_gateway_waiting", "outbox"], found["warren_gateway_waiting", "uplink"]) == (9, 6)
    assert (found["warren_gateway_connections", ""], found["warren_gateway_rooms", ""]) == (1, 2)
    assert found["warren_gateway_bus_up", ""] == 1


def test_a_router_counts_what_it_handles() -> None:
    """A router counts envelopes, copies, repeats, refusals, notifications, dead letters, takeovers and diffs of
    presence.
    """
    metrics = RouterMetrics()
    metrics.messages("publish", 5)
    metrics.delivered("one", 3)
    metrics.delivered("all")
    metrics.duplicates(2)
    metrics.rejected("invalid_room")
    metrics.notifications()
    metrics.dead("malformed")
    metrics.takeovers()
    metrics.presence("diff", 4)
    for gauge, value in (
        (metrics.rooms, 1),
        (metrics.members, 2),
        (metrics.gateways, 3),
        (metrics.shards_active, 4),
    ):
        gauge.set(value)
    metrics.hop_seconds("queue", 0.1)
    found = samples(metrics)
    expected = {
        ("messages_total", "publish"): 5,
        ("delivered_total", "one"): 3,
        ("delivered_total", "all"): 1,
        ("presence_total", "diff"): 4,
        ("duplicates_total", ""): 2,
        ("rejected_total", "invalid_room"): 1,
        ("notifications_total", ""): 1,
        ("dead_total", "malformed"): 1,
        ("takeovers_total", ""): 1,
        ("rooms", ""): 1,
        ("members", ""): 2,
        ("gateways", ""): 3,
        ("shards_active", ""): 4,
        ("hop_seconds_count", "queue"): 1,
    }
    assert {key: found[f"warren_router_{key[0]}", key[1]] for key in expected} == expected


def test_several_live_in_one_process() -> None:
    """Two gateways and a router in one process count apart, and each tells the process's memory."""
    one, two, router = GatewayMetrics(), GatewayMetrics(), RouterMetrics()
    one.connections.set(1)
    assert samples(two)["warren_gateway_connections", ""] == 0
    for metrics in (one, two, router):
        assert samples(metrics)["process_resident_memory_bytes", ""] > 1_000_000


def test_a_sampled_message_leaves_its_trace_with_the_time_that_it_took() -> None:
    """A scraper that takes OpenMetrics gets the trace id of a sampled message beside its bucket; others get
    plain text without.
    """
    metrics = GatewayMetrics()
    metrics.hop_seconds("end_to_end", 0.003, "0af7651916cd43dd8448eb211c80319c")
    metrics.hop_seconds("end_to_end", 0.7)
    body, content_type = metrics.render(
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    )
    assert content_type.startswith("application/openmetrics-text")
    found = {
        sample.labels["le"]: (sample.exemplar.labels, sample.exemplar.value)
        for family in open_metrics(body.decode())
        for sample in family.samples
        if sample.exemplar
    }
    assert found == {"0.005": ({"trace_id": "0af7651916cd43dd8448eb211c80319c"}, 0.003)}
    assert b"trace_id" not in metrics.render()[0]


def test_a_scraper_that_asks_for_nonsense_gets_plain_text() -> None:
    """An Accept header with a version that is none is answered like none."""
    body, content_type = RouterMetrics().render(
        "application/openmetrics-text;version=new, text/plain;version=;q=x"
    )
    assert content_type.startswith(("text/plain", "application/openmetrics-text"))
    assert b"warren_router_rooms 0.0" in body


def test_a_gateway_says_how_many_places_it_has() -> None:
    """The number of places is a metric, so that an alert can tell when a pod is nearly full."""
    metrics = GatewayMetrics()
    metrics.connection_limit.set(10_000)
    assert samples(metrics)["warren_gateway_connection_limit", ""] == 10_000
