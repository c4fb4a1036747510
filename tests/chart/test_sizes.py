"""Pods have the memory that their settings ask for, and a log has place for all that gateways may write:
docs/operations.md, "Size".
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts.chart.helm import CHART
from tests.chart.charts import EXTERNAL, chart, container, names
from tests.chart.test_workloads import process_environment

from gateway.core.feed_positions import BODIES_BYTES
from gateway.settings import GatewaySettings
from router.settings import RouterSettings
from warren.settings import read

UNITS = {"Mi": 2**20, "Gi": 2**30}
PROCESS = 75_000_000
# in which the limits are the chart's own
MEANT = (EXTERNAL, CHART / "values-prod.yaml", CHART / "values-trial.yaml")


def limit(values: Path, component: str) -> int:
    """Return a component's memory limit in bytes."""
    found = re.fullmatch(
        r"(\d+)(Mi|Gi)", container(chart(values), component)["resources"]["limits"]["memory"]
    )
    assert found is not None
    return int(found[1]) * UNITS[found[2]]


@pytest.mark.parametrize("values", MEANT, ids=names(MEANT))
def test_a_gateways_memory_holds_all_its_bounds_at_once(values: Path, tmp_path: Path) -> None:
    """The table "Memory that holds against clients that mean harm", summed."""
    settings = read(GatewaySettings, process_environment(chart(values), "gateway", tmp_path))
    limits, shards = settings.limits, settings.bus.shards
    connections = limits.connections * 16 * 1_024
    deflate = limits.connections * 33_000 if settings.listen.deflate else 0
    buffers = int(limits.buffer_bytes * 1.1) * 3 // 2 * 0.95
    # a message that waits takes about 500 bytes more than it is counted for
    uplinks = shards * (limits.uplink_bytes + 500 * min(limits.uplink_count, limits.uplink_bytes // 260))
    assert (
        PROCESS + connections + deflate + buffers + limits.recent_bytes + uplinks + shards * BODIES_BYTES
        <= limit(values, "gateway")
    )


@pytest.mark.parametrize("values", MEANT, ids=names(MEANT))
def test_a_routers_memory_holds_all_shards_full(values: Path, tmp_path: Path) -> None:
    """After a failure one router may have to read all of them; small items take more than twice what they are
    counted for in the ring.
    """
    settings = read(RouterSettings, process_environment(chart(values), "router", tmp_path))
    memory = settings.memory
    shard = (
        memory.history_bytes
        + 2.3 * memory.ring_bytes
        + 450 * 2 * memory.dedup_count
        + 300 * memory.rooms_remembered
    )
    assert PROCESS + settings.bus.shards * shard <= limit(values, "router")
