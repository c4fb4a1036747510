"""Which scenarios find a fault of the reference client: the kit against the client, in memory and in virtual
time.
"""

from __future__ import annotations

from tests.conformance_kit import virtual_time
from tests.conformance_kit.reference_adapter import judged

import warren_conformance.scenarios  # noqa: F401 (importing registers them)
from warren_conformance.runner import chosen
from warren_conformance.trial import Result


def results(*faults: str, protocol: str = "warren.v1") -> dict[str, Result]:
    """Return what the kit says of a reference client with these faults, by scenario."""
    return virtual_time.run(judged(chosen([]), frozenset(faults), protocol=protocol))


def found_by(fault: str) -> set[str]:
    """Return the names of the scenarios that fail for this fault, each with a sentence, a rule and a section."""
    failed = [each for each in results(fault).values() if each.outcome != "passed"]
    for each in failed:
        assert each.outcome == "failed", each
        assert each.sentence, each
        assert each.rule, each
        assert each.section, each
    return {each.name for each in failed}
