"""The one log keeps its promise in every interleaving of each scenario; with one thing broken it does not,
and the search says how.
"""

import pytest
from tests.model import mutants
from tests.model.build import Build
from tests.model.one_log import World
from tests.model.scenarios import SCENARIOS

# What is broken ▶ the scenario in which it shows, and what the world is built of then.
MUTANTS = {
    "feeds made from present instead of past members": ("members go", Build(feeds=mutants.PresentMembers)),
    "ids not in the checkpoint": (
        "what backends said comes again",
        Build(fold=mutants.IdsNotInTheCheckpoint),
    ),
    "a number without the log's life": (
        "the log is deleted",
        Build(feeds=mutants.NumberWithoutTheLogsLife, positions=mutants.PositionWithoutTheLogsLife),
    ),
    "a jump taken for a gap in numbering": ("the log loses its beginning", Build(jumps_are_losses=False)),
    "an unknown life accepted at a number above 1": (
        "an end is forgotten",
        Build(fold=mutants.UnknownLifeAcceptedAboveOne),
    ),
    "a publish of a life that is gone counted, and sent again": (
        "ids are few",
        Build(fold=mutants.PublishOfALifeThatIsGoneCounts),
    ),
    "n = last + 1 instead of n > last": ("the way in", Build(fold=mutants.OnlyTheNextNumberIsTaken)),
    "a number used again": ("the way in", Build(numbers=mutants.NumberUsedAgain)),
    "a number without an index": ("feeds are cut", Build(positions=mutants.PositionWithoutAnIndex)),
    "an index of each gateway's own": ("feeds are cut", Build(feeds=mutants.IndexOfEachGatewaysOwn)),
    "a missing body skipped": ("for all at once", Build(positions=mutants.MissingBodySkipped)),
    "a checkpoint ahead of confirmed events": ("a checkpoint", Build(parts_wait_for_events=False)),
    "the order of forgetting lost": ("ids are forgotten", Build(fold=mutants.OrderOfForgettingLost)),
    "parts of two writers mixed": ("two write checkpoints", Build(parts=mutants.PartsOfTwoWritersMixed)),
    "change before judgement": ("poison", Build(fold=mutants.ChangesBeforeItJudges)),
    "Rules written before every router knows the version": ("two versions", Build(rules_wait_for_all=False)),
    "no Hello": ("a life begins", Build(numbers=mutants.NoHello)),
    "a checkpoint taken whose Mark is gone": (
        "the log loses its beginning",
        Build(checkpoints_need_their_mark=False),
    ),
    "what has counted and was not answered not said again": (
        "the ring is small",
        Build(numbers=mutants.NotSaidAgain),
    ),
    "the check upto <= mine off": ("the way out", Build(positions=mutants.RepeatsTakenAgain)),
    "the check after > mine off": ("the way out", Build(positions=mutants.GapsPassedOver)),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_interleaving_breaks_the_promise(name, capsys):
    """Whatever is lost, late or doubled, and whoever dies: nothing is skipped or given twice, and it always
    comes right again.
    """
    found = World(SCENARIOS[name]).search()
    with capsys.disabled():
        print(f"\n{name}: {found.states} states", end=" ")  # noqa: T201

    assert found.story is None


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_is_found(name, capsys):
    """The same scenario is clean without it, so it is the mutant that breaks the promise."""
    scenario, build = MUTANTS[name]
    found = World(SCENARIOS[scenario], build).search()
    with capsys.disabled():
        print(f"\n{name}: found after {found.states} states: {found.verdict[:120]}", end=" ")  # noqa: T201

    assert found.story is not None
