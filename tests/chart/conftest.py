"""What the tests of the chart share: Helm, or a skip that says how to get it."""

from __future__ import annotations

import pytest
from scripts.chart.helm import HelmMissing, find_helm


@pytest.fixture(scope="session", autouse=True)
def _helm() -> None:
    """Skip where Helm is not there; ``scripts/dev/need helm`` gets it."""
    try:
        find_helm()
    except HelmMissing as missing:
        pytest.skip(str(missing))
