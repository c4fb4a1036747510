"""Dashboards and alerts speak of what exists: metrics, labels, runbooks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts.dashboards.pages import DASHBOARDS
from scripts.dashboards.generate import render

from warren.metrics import GatewayMetrics, RouterMetrics

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/observability"
# RabbitMQ's own, by its prometheus plugin
FOREIGN = {"rabbitmq_alarms_memory_used_watermark", "rabbitmq_alarms_free_disk_space_watermark"}
METRIC = re.compile(r"\b(?:warren|process|rabbitmq)_[a-z_]+\b")


def series() -> dict[str, set[str]]:
    """Return name ▶ label names of every series that the services expose."""
    found: dict[str, set[str]] = {}
    for metrics in (GatewayMetrics(), RouterMetrics()):
        registry = metrics.registry
        for name, collector in registry._names_to_collectors.items():
            labels = set(getattr(collector, "label_names", None) or getattr(collector, "_labelnames", ()))
            found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
        for family in registry.collect():
            for sample in family.samples:
                found.setdefault(sample.name, set(sample.labels))
    return found


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> list[tuple[str, str]]:
    """Return (where, query) of every panel, every variable and every alert."""
    found = [(f"alert {rule['alert']}", rule["expr"]) for rule in alerts()]
    for path in sorted((FOLDER / "dashboards").glob("*.json")):
        page = json.loads(path.read_text())
        found += [
            (f"{path.name}: {panel['title']}", target["expr"])
            for panel in page["panels"]
            for target in panel.get("targets", ())
        ]
        found += [(f"{path.name}: variables", each["query"]) for each in page["templating"]["list"]]
    return found


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.strip().lower()).replace(" ", "-") for line in lines}


def test_every_metric_that_is_asked_for_exists() -> None:
    """Each metric of a dashboard or an alert is one that a service exposes, or RabbitMQ's."""
    known = set(series()) | FOREIGN
    asked = queries()
    assert len(asked) > 60
    missing = [f"{where}: {name}" for where, query in asked for name in METRIC.findall(query) if name not in known]
    assert missing == []


def test_every_label_that_is_asked_for_exists() -> None:
    """Each label that a query matches, or sums by, is one of the metric's own or the scraper's
    ``instance``.
    """
    known = series()
    wrong = []
    for where, query in queries():
        names = set(METRIC.findall(query)) - FOREIGN
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query))
        labels |= {label.strip() for part in re.findall(r"\b(?:by|on) \(([^)]*)\)", query) for label in part.split(",")}
        allowed = {"instance"}.union(*(known[name] for name in names))
        wrong += [f"{where}: {label}" for label in labels if label not in allowed]
    assert wrong == []


def test_the_check_would_notice_a_metric_that_is_gone() -> None:
    """A metric that was renamed is seen in the names that the queries ask for."""
    known = set(series())
    assert "warren_gateway_connections" in known
    assert "warren_gateway_hop_seconds_bucket" in known
    assert "process_open_fds" in known
    assert METRIC.findall('sum(rate(warren_gateway_renamed_total{a="b"}[5m]))') == ["warren_gateway_renamed_total"]
    assert "warren_gateway_renamed_total" not in known


def test_every_hop_has_its_panel() -> None:
    """The latency page shows each hop whose time is measured anywhere in the code."""
    counted = {
        hop
        for path in (ROOT / "services").rglob("src/**/*.py")
        for hop in re.findall(r"hop_seconds\(\"(\w+)\"", path.read_text())
    }
    page = (FOLDER / "dashboards/latency.json").read_text()
    assert counted
    assert set(re.findall(r'hop=\\"(\w+)\\"', page)) == counted


def test_every_alert_has_a_runbook() -> None:
    """Each alert names a heading of docs/operations.md that exists and is its own, and says how
    urgent it is.
    """
    found = headings(ROOT / "docs/operations.md")
    for rule in alerts():
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == "docs/operations.md"
        assert anchor == rule["alert"].lower()
        assert anchor in found, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_alert_that_can_be_wrong_for_a_moment_waits() -> None:
    """Only an alert on an increase, which lasts by itself, has no ``for``."""
    by_themselves = {"WarrenBuffersFull", "WarrenDeadLetters", "WarrenLeasesLapse"}
    assert {rule["alert"] for rule in alerts() if "for" not in rule} == by_themselves


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_dashboards_are_made_from_their_data(name: str) -> None:
    """The JSON is what scripts/dashboards/generate.py makes, so that an edit of the one is not lost to the other."""
    assert (FOLDER / f"dashboards/{name}.json").read_text() == render(DASHBOARDS[name])


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_panels_do_not_lie_on_each_other(name: str) -> None:
    """Each panel has a place of its own within the page's width, an id of its own, and says how
    it is read.
    """
    panels = json.loads(render(DASHBOARDS[name]))["panels"]
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= own
        assert panel["type"] == "row" or panel["description"].endswith(".")
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_latencies_lead_to_traces() -> None:
    """Each latency graph asks for exemplars."""
    panels = json.loads((FOLDER / "dashboards/latency.json").read_text())["panels"]
    targets = [target for panel in panels for target in panel.get("targets", ())]
    assert targets
    assert all(target["exemplar"] for target in targets)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: scripts/dev/need promtool")
def test_the_alerts_do_what_their_tests_say() -> None:
    """Prometheus's own tool takes the rules, and their unit tests pass."""
    for arguments in (("check", "rules", "alerts.yaml"), ("test", "rules", "alerts_test.yaml")):
        done = subprocess.run(
            ["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
