"""The changelog and the list of decisions: each kind of change stands in one place, and each decision is
listed in its order.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
KINDS = ["Added", "Changed", "Fixed", "Removed", "Security"]


def test_each_version_has_each_kind_of_change_once_and_in_order() -> None:
    """Nothing stands outside of them."""
    for version in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        kinds = re.findall(r"^### (\w+)$", version, re.MULTILINE)
        assert kinds == [kind for kind in KINDS if kind in kinds]
        assert not re.search(r"^- ", version.split("\n### ")[0], re.MULTILINE)


def test_what_breaks_a_setup_comes_first_among_the_changes() -> None:
    """Whoever upgrades reads it there."""
    for section in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n### ")[1:]:
        breaking = [
            line.startswith("- **Breaking**") for line in section.splitlines() if line.startswith("- ")
        ]
        assert breaking == sorted(breaking, reverse=True)
        assert section.startswith("Changed") or not any(breaking)


def test_each_decision_is_listed_in_its_order() -> None:
    """By its file."""
    pages = sorted(page.name for page in (ROOT / "docs" / "decisions").glob("0*.md"))
    table = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((0\d+-[a-z0-9-]+\.md)\)", table) == pages
