"""Groups of pytest-xdist: gives the tests that carry ``pytest.mark.xdist_group`` the names by which
``--dist loadgroup`` keeps a group on one worker.

pytest-xdist 3.8 does so itself, by an attribute that pytest 9.2 does not read any more: without this each test
of a group goes to whichever worker is free, and nobody says so. It leans on ``_id``, which is pytest's own;
``tests/unit/support/test_xdist_groups.py`` fails where the groups are no groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from _pytest.nodeid import NodeId


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Put the group behind each test's id, in the workers of a run by groups."""
    if not config.getoption("loadgroup", False):
        return
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark is not None and not item.nodeid.endswith(suffix := f"@{mark.args[0]}"):
            item._id = NodeId.parse(item.nodeid + suffix)
