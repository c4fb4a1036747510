"""Lifecycle: the order of birth and death, signals, and the deadline."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.eventually import eventually

from warren.errors import BusUnavailable
from warren.lifecycle import SIGNALS, Part, run, serve
from warren.supervision import supervised, tell


class Recorder:
    """Parts that write down what happens to them."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def part(
        self,
        name: str,
        *,
        start: Callable[[], object] | None = None,
        stop: Callable[[], object] | None = None,
    ) -> Part:
        async def begin() -> None:
            self.seen.append(f"+{name}")
            if start is not None and asyncio.iscoroutine(found := start()):
                await found

        async def end() -> None:
            self.seen.append(f"-{name}")
            if stop is not None and asyncio.iscoroutine(found := stop()):
                await found

        return Part(name, begin, end)


def fields(line: logging.LogRecord) -> dict[str, Any]:
    return dict(vars(line)["warren_fields"])


def fail(error: Exception) -> Callable[[], object]:
    def raising() -> object:
        raise error

    return raising


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_parts_start_in_order_and_stop_backwards() -> None:
    """Parts start in order, live until they are told to stop, and stop in the opposite order."""
    recorder, stop = Recorder(), asyncio.Event()
    task = asyncio.create_task(serve([recorder.part("a"), recorder.part("b")], deadline_s=5, stop=stop))
    await eventually(lambda: recorder.seen == ["+a", "+b"])
    stop.set()
    assert await task == 0
    assert recorder.seen == ["+a", "+b", "-b", "-a"]


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_stops_in_order(number: signal.Signals) -> None:
    """SIGTERM and SIGINT stop the parts in order with exit code 0, and leave no signal handler behind."""
    recorder = Recorder()
    before = signal.getsignal(number)
    task = asyncio.create_task(serve([recorder.part("a")], deadline_s=5))
    await eventually(lambda: recorder.seen == ["+a"])
    os.kill(os.getpid(), number)
    assert await task == 0
    assert recorder.seen == ["+a", "-a"]
    assert signal.getsignal(number) in (before, signal.SIG_DFL, signal.default_int_handler)


async def test_a_part_that_has_failed_ends_the_process_in_order_with_1() -> None:
    """Whoever starts the process anew sees that it did not end as asked."""
    recorder, failed = Recorder(), asyncio.Event()
    task = asyncio.create_task(serve([recorder.part("a")], deadline_s=5, failed=failed))
    await eventually(lambda: recorder.seen == ["+a"])
    failed.set()
    assert await task == 1
    assert recorder.seen == ["+a", "-a"]


async def test_a_signal_is_no_failure() -> None:
    """What a part sets where it has failed is never set for it, so the exit code is 0."""
    recorder, failed = Recorder(), asyncio.Event()
    task = asyncio.create_task(serve([recorder.part("a")], deadline_s=5, failed=failed))
    await eventually(lambda: recorder.seen == ["+a"])
    os.kill(os.getpid(), signal.SIGTERM)
    assert await task == 0
    assert not failed.is_set()


async def test_a_second_signal_ends_at_once() -> None:
    """A second signal cuts the stopping short, with the signal in the exit code."""
    recorder = Recorder()
    parts = [recorder.part("a"), recorder.part("b", stop=for_ever)]
    task = asyncio.create_task(serve(parts, deadline_s=60))
    await eventually(lambda: "+b" in recorder.seen)
    os.kill(os.getpid(), signal.SIGTERM)
    await eventually(lambda: "-b" in recorder.seen)
    os.kill(os.getpid(), signal.SIGINT)
    assert await task == 128 + signal.SIGINT
    assert recorder.seen == ["+a", "+b", "-b"]


@pytest.mark.parametrize("error", [OSError(98, "address already in use"), BusUnavailable("no broker")])
async def test_a_part_that_cannot_start_stops_those_before_it(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A part that can't start stops itself and those before it, and is one line without a traceback."""
    recorder = Recorder()
    parts = [recorder.part("a"), recorder.part("b", start=fail(error)), recorder.part("c")]
    with caplog.at_level(logging.INFO):
        assert await serve(parts, deadline_s=5) == 1
    assert recorder.seen == ["+a", "+b", "-b", "-a"]
    (line,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.getMessage() == "start_failed"
    assert fields(line) == {"part": "b", "reason": str(error)}
    assert line.exc_info is None


async def test_a_fault_of_ours_at_start_has_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """An error that nobody foresaw keeps its traceback in the line."""
    assert await serve([Recorder().part("a", start=fail(KeyError("x")))], deadline_s=5) == 1
    (line,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.exc_info is not None
    assert line.exc_info[0] is KeyError


async def test_a_signal_while_a_part_still_starts_cuts_it_off() -> None:
    """A signal while a part waits in its start (say, for a dead broker) cancels it and stops what
    has begun.
    """
    recorder = Recorder()
    parts = [recorder.part("a"), recorder.part("b", start=for_ever), recorder.part("c")]
    task = asyncio.create_task(serve(parts, deadline_s=5))
    await eventually(lambda: recorder.seen == ["+a", "+b"])
    os.kill(os.getpid(), signal.SIGTERM)
    assert await task == 0
    assert recorder.seen == ["+a", "+b", "-b", "-a"]


async def test_one_deadline_holds_for_all(caplog: pytest.LogCaptureFixture) -> None:
    """When the deadline passes, what is left is named in one line and given up, with exit code 1."""
    recorder, stop = Recorder(), asyncio.Event()
    parts = [recorder.part("a"), recorder.part("b", stop=for_ever), recorder.part("c")]
    task = asyncio.create_task(serve(parts, deadline_s=0.05, stop=stop))
    await eventually(lambda: "+c" in recorder.seen)
    stop.set()
    assert await task == 1
    assert recorder.seen == ["+a", "+b", "+c", "-c", "-b"]
    (line,) = [record for record in caplog.records if record.getMessage() == "stop_deadline_passed"]
    assert fields(line)["unfinished"] == ["b", "a"]


async def test_a_part_that_fails_to_stop_does_not_keep_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """A part whose stop raises is a line in the log; the rest stop all the same."""
    recorder, stop = Recorder(), asyncio.Event()
    stop.set()
    parts = [recorder.part("a"), recorder.part("b", stop=fail(RuntimeError("no")))]
    stop.clear()
    task = asyncio.create_task(serve(parts, deadline_s=5, stop=stop))
    await eventually(lambda: "+b" in recorder.seen)
    stop.set()
    assert await task == 0
    assert recorder.seen[-2:] == ["-b", "-a"]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "stop_failed"
    ]


async def test_a_fault_ends_the_process_in_order_with_code_1(caplog: pytest.LogCaptureFixture) -> None:
    """A watched task that raises stops all parts as a signal does, and one line has its name and
    traceback.
    """
    recorder, go = Recorder(), asyncio.Event()

    async def broken() -> None:
        await go.wait()
        raise ZeroDivisionError

    def begin() -> None:
        supervised(asyncio.get_running_loop().create_task(broken(), name="ticker"))

    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    task = asyncio.create_task(serve([recorder.part("a"), recorder.part("b", start=begin)], deadline_s=5))
    await eventually(lambda: recorder.seen == ["+a", "+b"])
    go.set()
    assert await task == 1
    assert recorder.seen == ["+a", "+b", "-b", "-a"]
    (line,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (line.getMessage(), fields(line)) == ("fault", {"task": "ticker"})
    assert line.exc_info is not None
    assert line.exc_info[0] is ZeroDivisionError
    assert loop.get_exception_handler() is before


async def test_a_fault_while_stopping_is_told_by_the_exit_code() -> None:
    """The parts stop all the same, and the code is 1, since something may be lost."""

    async def fail_at_once() -> None:
        tell("batcher", ZeroDivisionError())

    recorder, stop = Recorder(), asyncio.Event()
    task = asyncio.create_task(serve([recorder.part("a", stop=fail_at_once)], deadline_s=5, stop=stop))
    await eventually(lambda: recorder.seen == ["+a"])
    stop.set()
    assert await task == 1
    assert recorder.seen == ["+a", "-a"]


async def test_what_asyncio_has_to_tell_else_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An exception in some callback is logged as ever, and the process lives on until it is told to stop."""
    recorder, stop = Recorder(), asyncio.Event()
    task = asyncio.create_task(serve([recorder.part("a")], deadline_s=5, stop=stop))
    await eventually(lambda: recorder.seen == ["+a"])
    asyncio.get_running_loop().call_soon(fail(ZeroDivisionError()))
    await eventually(lambda: any(record.name == "asyncio" for record in caplog.records))
    assert not task.done()
    stop.set()
    assert await task == 0


async def test_a_thing_with_start_and_stop_is_a_part() -> None:
    """Whatever has ``start`` and ``stop`` can be made a part by a name."""

    class Thing:
        began = ended = False

        async def start(self) -> None:
            self.began = True

        async def stop(self) -> None:
            self.ended = True

    thing, stop = Thing(), asyncio.Event()
    task = asyncio.create_task(serve([Part.of("thing", thing)], deadline_s=5, stop=stop))
    await eventually(lambda: thing.began)
    stop.set()
    assert await task == 0
    assert thing.ended


def test_run_uses_uvloop() -> None:
    """``run`` runs on uvloop and gives the exit code back."""
    seen: list[str] = []

    async def main() -> int:
        seen.append(type(asyncio.get_running_loop()).__module__)
        return 7

    assert run(main) == 7
    assert seen == ["uvloop"]
