"""The scenarios as they are declared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import warren_conformance.scenarios  # noqa: F401 (importing registers them)
from warren_conformance.scenario import CAPABILITIES, SCENARIOS, scenario

ROOT = Path(__file__).parents[3]
HEADINGS = set(re.findall(r"^## (.+)$", (ROOT / "docs/protocol.md").read_text(), re.MULTILINE))


def test_each_scenario_names_a_section_that_is_there_and_a_rule() -> None:
    """Whoever reads the report finds the rule; the script says what it does."""
    for each in SCENARIOS.values():
        assert each.section in HEADINGS, each.name
        assert len(each.rule) > 15, each.name
        assert each.needs <= set(CAPABILITIES), each.name
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", each.name)


def test_each_capability_has_a_scenario_and_stands_in_the_documentation() -> None:
    """What an adapter may declare is what the page lists."""
    page = (ROOT / "docs/conformance.md").read_text()
    used = {need for each in SCENARIOS.values() for need in each.needs}
    assert used == set(CAPABILITIES)
    assert set(re.findall(r"^\| `([a-z]+)` \| [a-z]", page.split("**Commands**")[0], re.MULTILINE)) == used


def test_a_name_is_given_once() -> None:
    """Two scenarios of one name would be one."""

    async def script(_trial: object) -> None: ...

    with pytest.raises(AssertionError, match="two scenarios"):
        scenario("repeats-are-dropped", "a rule", "Messages")(script)
