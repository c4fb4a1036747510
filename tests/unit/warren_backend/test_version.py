"""The package says its version."""

from __future__ import annotations

import warren_backend
from warren_backend.version import __version__


def test_it_is_told_where_people_look() -> None:
    """As a name of the package; tests/unit/test_version.py says which one it is."""
    assert warren_backend.__version__ == __version__
