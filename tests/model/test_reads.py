"""Members that catch up get all that their room said, once and in order, or are told; with one thing broken
they don't.
"""

import pytest
from tests.model import mutants
from tests.model.reads import Build, Scenario, World

SCENARIOS = {
    "from memory": Scenario(("g~1", 1, 2, "g~2@0", 3, 4), {"read lost": 1, "page twice": 1}),
    "page by page": Scenario((1, 2, 3, "g~1@0", 4, "g~2@1", 5), {"read lost": 1, "page twice": 1}),
    "behind a Reset": Scenario(
        ("g~1", 1, 2, 3, "g~2@1", 4, 5), {"reset": 1, "read lost": 1, "page twice": 1}
    ),
    "behind two of them": Scenario(("g~1", 1, 2, 3, 4, 5), {"reset": 2}, page=2),
    "what is not kept": Scenario((1, 2, 3, "g~1@0", 4, "g~2@1", 5), {"forgotten": 1, "reset": 1}),
}
MUTANTS = {
    "memory with a hole used for a read": ("behind a Reset", Build(recent=mutants.MemoryWithAHoleIsUsed)),
    "a JOIN that was answered before it came again dropped": (
        "what is not kept",
        Build(entered_counts=False),
    ),
    "a live message given during paging": ("page by page", Build(hub=mutants.LiveMessageGivenDuringPaging)),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_interleaving_breaks_the_promise(name, capsys):
    """Whatever is lost or doubled on the way to the router and back, and wherever the chain has a hole."""
    found = World(SCENARIOS[name]).search()
    with capsys.disabled():
        print(f"\n{name}: {found.states} states", end=" ")  # noqa: T201

    assert found.story is None


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_is_found(name, capsys):
    """The same scenario is clean without it."""
    scenario, build = MUTANTS[name]
    found = World(SCENARIOS[scenario], build).search()
    with capsys.disabled():
        print(f"\n{name}: found after {found.states} states: {found.verdict[:120]}", end=" ")  # noqa: T201

    assert found.story is not None
