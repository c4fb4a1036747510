"""The schedule keeps the promise's bounds whatever the seed, and comes from the seed alone."""

from __future__ import annotations

import pytest
from tests.faults.schedule import Action, Target, Verb, schedule

COUNTS = {Target.GATEWAY: 3, Target.ROUTER: 3, Target.BROKER: 3, Target.CLIENT: 8}
SEEDS = range(40)


def overlapping(actions: tuple[Action, ...], at_s: float, *targets: Target) -> list[Action]:
    return [action for action in actions if action.target in targets and action.at_s <= at_s <= action.ends_s]


def test_a_seed_gives_one_schedule() -> None:
    """The same seed gives the same actions, another one others."""
    assert schedule(7, 120.0, COUNTS) == schedule(7, 120.0, COUNTS)
    assert schedule(7, 120.0, COUNTS) != schedule(8, 120.0, COUNTS)


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_is_over_in_time_and_in_order(seed: int) -> None:
    """Actions are in the order of their beginning, and none outlasts the run."""
    actions = schedule(seed, 90.0, COUNTS)
    assert [action.at_s for action in actions] == sorted(action.at_s for action in actions)
    assert all(action.at_s > 0 and action.ends_s <= 90.0 for action in actions)
    assert all(0 <= action.victim < (COUNTS | {Target.DOOR: 3})[action.target] for action in actions)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_of_each_pod_is_always_left_alone_and_one_node_at_most_is_in_trouble(seed: int) -> None:
    """At no moment are all gateways, all routers, or two nodes of the broker in trouble."""
    actions = schedule(seed, 300.0, COUNTS, every_s=1.0)
    for action in actions:
        at_s = action.at_s
        assert len({each.victim for each in overlapping(actions, at_s, Target.GATEWAY, Target.DOOR)}) <= 2
        assert len({each.victim for each in overlapping(actions, at_s, Target.ROUTER)}) <= 2
        assert len(overlapping(actions, at_s, Target.BROKER)) <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_hurt_twice_at_once(seed: int) -> None:
    """While one is in trouble nothing else is done to it."""
    actions = schedule(seed, 300.0, COUNTS, every_s=1.0)
    for action in actions:
        same = [
            each for each in overlapping(actions, action.at_s, action.target) if each.victim == action.victim
        ]
        assert same == [action]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_short_run_has_the_main_kills(seed: int) -> None:
    """Within forty seconds a router, a gateway and a node of the broker are killed, and a client loses its
    connection.
    """
    did = {(action.verb, action.target) for action in schedule(seed, 40.0, COUNTS, every_s=2.5)}
    assert {(Verb.KILL, Target.ROUTER), (Verb.KILL, Target.GATEWAY), (Verb.KILL, Target.BROKER)} <= did
    assert (Verb.RESET, Target.CLIENT) in did


def test_a_long_run_has_every_kind() -> None:
    """Given time, everything that can be done is done."""
    kinds = {(action.verb, action.target) for action in schedule(3, 1_800.0, COUNTS)}
    pods = {(verb, target) for verb in Verb for target in (Target.GATEWAY, Target.ROUTER)}
    fronts = {(verb, Target.DOOR) for verb in (Verb.CUT, Verb.STALL, Verb.RESET)}
    broker = {(verb, Target.BROKER) for verb in (Verb.KILL, Verb.STOP, Verb.PAUSE)}
    assert kinds == pods | fronts | broker | {(Verb.RESET, Target.CLIENT)}


def test_what_is_not_there_is_left_out() -> None:
    """Without broker nodes in the counts nothing is done to any."""
    actions = schedule(1, 300.0, {Target.ROUTER: 2})
    assert {action.target for action in actions} == {Target.ROUTER}
