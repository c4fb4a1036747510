"""Makes deploy/observability/dashboards/*.json of ``pages``, or says (``--check``) where they differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scripts.dashboards.pages import DASHBOARDS
from scripts.dashboards.panels import WIDTH, Dashboard, Panel

FOLDER = Path(__file__).resolve().parents[2] / "deploy/observability/dashboards"
SOURCE = {"type": "prometheus", "uid": "${source}"}


def _panel(panel: Panel, number: int, x: int, y: int, height: int) -> dict[str, Any]:
    custom: dict[str, Any] = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"}
    if panel.stacked:
        custom["stacking"] = {"mode": "normal"}
    options: dict[str, Any] = (
        {"colorMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}}
        if panel.kind == "stat"
        else {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    )
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": height},
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "custom": custom if panel.kind == "timeseries" else {},
            },
            "overrides": [],
        },
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
                "exemplar": panel.exemplars,
            }
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }


def render(dashboard: Dashboard) -> str:
    """Return a dashboard as Grafana's JSON."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in dashboard.rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
                "panels": [],
            }
        )
        y, x = y + 1, 0
        height = 4 if all(panel.kind == "stat" for panel in row) else 8
        for panel in row:
            if x + panel.width > WIDTH:
                x, y = 0, y + height
            panels.append(_panel(panel, len(panels) + 1, x, y, height))
            x += panel.width
        y += height
    variables: list[dict[str, Any]] = [
        {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    ]
    if dashboard.instances_of:
        variables.append(
            {
                "name": "instance",
                "label": "Pod",
                "type": "query",
                "datasource": SOURCE,
                "refresh": 2,
                "multi": True,
                "includeAll": True,
                "query": f"label_values({dashboard.instances_of}, instance)",
                "current": {"text": ["All"], "value": ["$__all"]},
            }
        )
    links = [
        {"type": "dashboards", "title": "Warren", "tags": ["warren"], "asDropdown": True, "keepTime": True}
    ]
    page = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["warren"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "links": links,
        "templating": {"list": variables},
        "annotations": {"list": []},
        "panels": panels,
    }
    return json.dumps(page, indent=2) + "\n"


def main() -> int:
    """Write the files; with ``--check`` only say which differ."""
    wrong = 0
    for name, dashboard in DASHBOARDS.items():
        path, text = FOLDER / f"{name}.json", render(dashboard)
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            print(f"{path.name} is not what scripts/dashboards makes; run make manifests", file=sys.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
