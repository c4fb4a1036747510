"""The autouse check of ``tests/conftest.py``: an async test that leaves a task behind fails, and
says which.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]


def run(pytester: pytest.Pytester, body: str) -> pytest.RunResult:
    pytester.makepyfile(body)
    return pytester.runpytest_subprocess(
        "-p",
        "tests.conftest",
        "-o",
        "asyncio_mode=auto",
        "-o",
        f"pythonpath={ROOT}",
        "-o",
        "addopts=",
        "-W",
        "ignore",
    )


def test_a_task_left_behind_fails_the_test(pytester: pytest.Pytester) -> None:
    """A task that still runs after the test is named, and the test has an error."""
    result = run(
        pytester,
        """
        import asyncio
        async def wait_for_ever(): await asyncio.Event().wait()
        async def test_leaves(): asyncio.get_running_loop().leak = asyncio.create_task(wait_for_ever())
        """,
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*1 task(s) left behind*", "*wait_for_ever*"])


def test_a_task_that_ends_is_no_matter(pytester: pytest.Pytester) -> None:
    """A task that was cancelled in the test's last line has time to end, and other tests have no
    loop at all.
    """
    result = run(
        pytester,
        """
        import asyncio
        async def test_cancels():
            task = asyncio.create_task(asyncio.Event().wait())
            await asyncio.sleep(0)
            task.cancel()
        def test_sync(): pass
        """,
    )
    result.assert_outcomes(passed=2)
