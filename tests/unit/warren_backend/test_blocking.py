"""Code without a loop does the same, from any thread and in forked processes."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from warren_backend import Backend, BlockingBackend, Notification, Stopped
from warren_backend.testing import Recording


def made() -> tuple[BlockingBackend, Recording]:
    backend = Backend("amqp://nobody.example/%2F")
    recording = Recording(backend)
    backend.use(recording)
    return BlockingBackend(backend), recording


def test_the_first_call_begins_and_stop_ends() -> None:
    """The next one begins again."""
    blocking, recording = made()
    before = threading.active_count()
    assert blocking.notify("all", 1, id="a").id == "a"
    assert blocking.notify("all", 2, receipt="accepted").receipt().complete
    assert blocking.notify_many([Notification(address="all", payload=3, id="c")]) == ["c"]
    recording.results["count"] = {"users": 1, "connections": 2}
    assert blocking.call(blocking.backend.control.count, "room.a") == {"users": 1, "connections": 2}
    blocking.stop()
    assert threading.active_count() == before
    blocking.stop()
    with blocking:
        blocking.notify("all", 4)
    assert [each.payload for each in recording.notifications] == [1, 2, 3, 4]


def test_errors_are_those_of_the_asynchronous_one() -> None:
    """Raised where it was called."""
    blocking, recording = made()
    recording.failure = Stopped("x")
    with blocking, pytest.raises(Stopped, match="x"):
        blocking.notify("all", 1)
    never = BlockingBackend("amqp://127.0.0.1:1/%2F", start_timeout_s=0.05)
    with pytest.raises(Exception, match="no broker listens"):
        never.notify("all", 1)


def test_many_threads_share_one() -> None:
    """Each gets its own answer."""
    blocking, recording = made()
    found: list[str] = []

    def work(number: int) -> None:
        found.append(blocking.notify("all", number, id=f"n{number}").id)

    with blocking:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == sorted(f"n{number}" for number in range(20))
    assert len(recording.notifications) == 20


def test_in_its_own_thread_it_says_what_to_do() -> None:
    """Else it would wait for itself."""
    blocking, _ = made()

    async def within() -> Any:
        return blocking.notify("all", 1)

    with blocking, pytest.raises(RuntimeError, match="await the methods of `backend`"):
        blocking.call(within)


def test_a_forked_process_begins_anew() -> None:
    """The connection is its parent's, which goes on using it."""
    blocking, _ = made()
    blocking.notify("all", 1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            blocking.notify("all", 2)
            os.write(write, b"sent")
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"sent"
    os.waitpid(child, 0)
    blocking.notify("all", 3)
    blocking.stop()
