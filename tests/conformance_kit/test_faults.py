"""The reference client and its faults as a whole: it passes everything, and nothing is left without a proof."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.conformance_kit.faults import results

import warren_conformance.scenarios  # noqa: F401 (importing registers them)
from warren_conformance.codec import SUBPROTOCOLS
from warren_conformance.scenario import SCENARIOS

HERE = Path(__file__).parent
TESTS = HERE.parents[0] / "unit/warren_conformance/scenarios"
# Those whose names are put together from a close code.
WITH_CODES = re.compile(r"(returns|stays_away)_after_\d{4}")


def tables() -> dict[str, set[str]]:
    """Return fault ▶ the scenarios that find it, from all tests of scenarios."""
    found: dict[str, set[str]] = {}
    for path in TESTS.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FOUND_BY":
                found |= ast.literal_eval(node.value)
    return found


def switches() -> set[str]:
    """Return the names of all faults that the reference client can have."""
    texts = [path.read_text() for path in HERE.glob("*.py") if path.name != Path(__file__).name]
    asked = re.compile(r'has\(\s*"([a-z0-9_]+)"\s*\)|"([a-z0-9_]+)"\s+(?:not )?in self\._faults')
    return {first or second for text in texts for first, second in asked.findall(text)}


@pytest.mark.parametrize("protocol", SUBPROTOCOLS)
def test_the_reference_client_passes_every_scenario(protocol: str) -> None:
    """In both spellings; nothing is skipped."""
    found = results(protocol=protocol)
    assert {name: each.sentence for name, each in found.items() if each.outcome != "passed"} == {}
    assert set(found) == set(SCENARIOS)


def test_every_fault_has_scenarios_that_find_it() -> None:
    """No switch of the reference client is left unused."""
    assert switches() - set(tables()) == set()
    assert {fault for fault in set(tables()) - switches() if not WITH_CODES.fullmatch(fault)} == set()


def test_every_scenario_finds_a_fault() -> None:
    """A scenario that no fault makes fail would prove nothing."""
    assert set(SCENARIOS) - set().union(*tables().values()) == set()
