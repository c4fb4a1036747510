"""SandboxProcess: whatever a piece of work does, it does it in another process, and exactly the one that
fails is named.
"""

import asyncio
import os
import signal
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.eventually import MS, eventually

from router.shell import sandbox_process
from router.shell.sandbox_process import AT_ONCE, SandboxProcess

SHORT_S = 300 * MS


def nothing():
    pass


def raises():
    raise ZeroDivisionError


def freezes():
    while True:
        time.sleep(60)


def spins():
    while True:
        pass


def exits():
    os._exit(3)


def leaves():
    raise SystemExit


def crashes():
    os.kill(os.getpid(), signal.SIGSEGV)


def swallows():
    bytearray(1 << 40)


POISON = {
    freezes: f"poison: it takes longer than {SHORT_S:g} s",
    spins: f"poison: it takes longer than {SHORT_S:g} s",
    exits: "poison: it ends the process",
    leaves: "poison: it ends the process",
    crashes: "poison: it ends the process by SIGSEGV",
    swallows: "poison: it takes more than 256 MiB of memory",
}


@pytest.mark.parametrize("work", POISON, ids=lambda work: work.__name__)
async def test_what_fails_is_named_with_its_reason_and_nothing_else_is(work):
    """The others pass, those that raise too: whoever does them in earnest catches that."""
    reasons = await SandboxProcess(SHORT_S).tried([nothing, raises, work, nothing, work, nothing])
    assert reasons == ["", "", POISON[work], "", POISON[work], ""]


@given(st.lists(st.sampled_from([nothing, raises, exits, crashes, leaves]), max_size=8))
@settings(max_examples=25, deadline=None)
def test_any_mixture_is_told_apart(works):
    """Each piece gets the reason that it alone would get."""
    assert asyncio.run(SandboxProcess(5.0).tried(works)) == [POISON.get(work, "") for work in works]


async def test_it_changes_nothing_here():
    """The work is done on a copy."""
    done = []
    assert await SandboxProcess().tried([lambda: done.append(1)] * 3) == [""] * 3
    assert done == []


async def test_more_than_one_process_takes_are_tried_in_turn():
    """However many there are."""
    works = [nothing] * (2 * AT_ONCE + 5)
    works[AT_ONCE] = exits
    reasons = await SandboxProcess().tried(works)
    assert [number for number, reason in enumerate(reasons) if reason] == [AT_ONCE]
    assert len(reasons) == len(works)


async def test_a_failure_that_does_not_come_again_condemns_nobody(tmp_path):
    """A process that the machine killed, or that stood still with it, is no proof."""
    mark = tmp_path / "tried"

    def once():
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    assert await SandboxProcess().tried([nothing, once, nothing]) == ["", "", ""]
    assert mark.exists()


async def test_whoever_gives_up_leaves_no_process(tmp_path):
    """A cancelled trial ends its process at once."""
    told = tmp_path / "pid"

    def tells():
        told.write_text(str(os.getpid()))
        freezes()

    trial = asyncio.create_task(SandboxProcess(60.0).tried([tells]))
    pid = int(await eventually(lambda: told.exists() and told.read_text()))
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_the_event_loop_goes_on_during_a_trial(tmp_path):
    """Whatever the work does: it is waited for, not stood still for."""
    begun = tmp_path / "begun"

    def tells():
        begun.touch()
        freezes()

    trial = asyncio.create_task(SandboxProcess(60.0).tried([tells]))
    await eventually(begun.exists)
    before = time.monotonic()
    for _ in range(100):  # turns of the loop
        await asyncio.sleep(0)
    await asyncio.sleep(10 * MS)
    took_s = time.monotonic() - before
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    assert took_s < 30.0  # half of what the trial would take


async def test_it_holds_no_connection_of_this_process_open(tmp_path):
    """What is closed here while a trial lasts is closed."""
    begun = tmp_path / "begun"

    def tells():
        begun.touch()
        freezes()

    reading, writing = os.pipe()
    trial = asyncio.create_task(SandboxProcess(60.0).tried([tells]))
    await eventually(begun.exists)
    os.close(writing)
    assert await asyncio.to_thread(os.read, reading, 1) == b""
    os.close(reading)
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)


async def test_a_process_that_can_t_be_made_condemns_nobody(monkeypatch):
    """Then what waits is handled as a first try is."""

    def refuse():
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refuse)
    assert await SandboxProcess().tried([nothing, exits]) == ["", ""]


async def test_a_process_that_ends_before_it_begins_condemns_nobody(monkeypatch):
    """Whatever kept it from beginning, no piece of work did."""
    monkeypatch.setattr(sandbox_process, "_bound_memory", lambda more: os._exit(9))
    assert await SandboxProcess().tried([nothing, exits]) == ["", ""]


async def test_a_row_of_poison_holds_nobody_else_up_for_longer_than_one_of_its_kind():
    """Who asks meanwhile has its turn between two processes."""
    shared = SandboxProcess(SHORT_S)
    row = asyncio.create_task(shared.tried([freezes] * 4))
    await asyncio.sleep(0)  # it has the first turn
    assert await shared.tried([nothing]) == [""]
    assert not row.done()
    assert await row == [POISON[freezes]] * 4
