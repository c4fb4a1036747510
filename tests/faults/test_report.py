"""The report: its figures are of what was recorded, and a failure says how to repeat it."""

from __future__ import annotations

import json
from array import array
from pathlib import Path

import pytest
from tests.faults.assertions import judge
from tests.faults.checker import Options, options_of
from tests.faults.deployment import Measures
from tests.faults.fault_injection import Done
from tests.faults.history import History, Joined, Sent
from tests.faults.participant import Pulse
from tests.faults.report import Report, longest_silence_s
from tests.faults.schedule import Action, Target, Verb


def done(began: float, ended: float) -> Done:
    return Done(Action(0.0, ended - began, Verb.KILL, Target.ROUTER, 0), began, ended)


def report(history: History, *actions: Done, falls: list[str] | None = None) -> Report:
    return Report("repeat-me", history, judge(history), Pulse(), list(actions), falls or [], 0.5)


def unanswered() -> History:
    history = History()
    history.add(
        "a", Joined(history.next(), "room:1", "e1", 0, False), Sent(history.next(), "room:1", "a-1", 1)
    )
    return history


@pytest.mark.parametrize(
    ("times", "longest_s"),
    [
        ([1.0, 9.0, 13.0, 14.0], 4.0),  # the gap that the action falls into
        ([1.0, 11.0, 13.5, 30.0], 10.0),  # one that began before it; what begins much later is not its doing
        ([9.5, 10.0, 14.5, 15.0], 4.5),  # the gap begins with it
        ([20.0], 0.0),  # nothing before it to measure from
        ([], 0.0),
    ],
)
def test_the_silence_is_the_gap_around_the_action(times: list[float], longest_s: float) -> None:
    """A kill at 10 s that is undone at 11 s: the longest gap between two deliveries that begins before 13 s
    and ends after 10 s.
    """
    assert longest_silence_s([array("d", times)], done(10.0, 11.0)) == longest_s


def test_the_longest_of_all_rooms_counts() -> None:
    """One silent room is enough."""
    rooms = [array("d", [9.0, 10.5, 11.5]), array("d", [9.0, 15.0])]
    assert longest_silence_s(rooms, done(10.0, 11.0)) == 6.0


def test_a_failure_says_how_to_repeat_it() -> None:
    """The lines of a failed run have the command, each kind of fault with its number, and the excerpt."""
    lines = "\n".join(report(unanswered(), done(1.0, 2.0)).lines())
    assert "repeat it: repeat-me" in lines
    assert "unanswered 1" in lines
    assert "Sent" in lines
    assert "1 actions: kill router 1" in lines


def test_a_pod_that_fell_is_a_failure() -> None:
    """Though the promise was kept, a service that ended by itself fails the run and is named."""
    failed = report(History(), falls=["router-1 ended by itself with 1"])
    assert not failed.good
    assert any("router-1 ended by itself" in line for line in failed.lines())
    assert report(History()).good


def test_the_history_can_be_kept(tmp_path: Path) -> None:
    """Every event is a line of JSON, in the order of the steps."""
    report(unanswered()).save(tmp_path / "history.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [(line["step"], line["event"]) for line in lines] == [(1, "Joined"), (2, "Sent")]


def test_the_command_gives_the_options_back() -> None:
    """What is printed to repeat a run is read as the same run."""
    options = Options(
        seconds=12.5,
        seed=9,
        measures=Measures(gateways=2, routers=4, brokers=1, mutant="no_dedup"),
        participants=5,
        rooms=3,
        every_s=0.5,
        trouble_every_s=0.0,
        targets=frozenset({Target.CLIENT, Target.ROUTER}),
        breaks_allowed=True,
    )
    words = options.command().split()
    assert words[:3] == ["python", "-m", "tests.faults.checker"]
    assert options_of(words[3:])[0] == options
