"""What something costs, so that a test can hold it on any machine: in lines of Python, or beside something
else that runs at the same time.
"""

import gc
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

TRIES = 25
STEP = 16
LINEAR = 4 * STEP
"""How many times the time of something ``STEP`` times as large may take, if that is to grow with its size:
four times as much as linear, for caches and a busy machine, and a quarter of what grows with the square.
"""


def lines(run: Callable[[], Any]) -> int:
    """Return how many lines of Python run: what C does with many bytes is one of them, a loop over them is
    not. Those of libraries are left out, and the garbage collector does not run, nor whoever listens to it.
    """
    count = 0

    def local(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return local

    before, collects = sys.gettrace(), gc.isenabled()
    gc.collect()
    gc.disable()
    sys.settrace(lambda frame, event, arg: None if "site-packages" in frame.f_code.co_filename else local)
    try:
        run()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return count


def takes_at_most(bound: float, dear: Callable[[], Any], cheap: Callable[[], Any]) -> bool:
    """Return whether ``dear`` takes no more than ``bound`` times the CPU time of ``cheap``.

    Both run in turn until that is seen, and 25 times at most; what counts is the least time of each, which
    a busy machine can only lengthen. A bound should be far from both what is right and what would be
    wrong: how fast something is, the bench says.
    """
    least_dear = least_cheap = float("inf")
    for _ in range(TRIES):
        least_cheap = min(least_cheap, _cpu_s(cheap))
        least_dear = min(least_dear, _cpu_s(dear))
        if least_dear <= bound * max(least_cheap, 1e-6):
            return True
    return False


def is_linear(run: Callable[[Any], Any], small: Any, large: Any) -> bool:
    """Return whether ``run`` takes time that grows with the size of what it gets, of which ``large`` has
    ``STEP`` times as much as ``small``.
    """
    return takes_at_most(LINEAR, lambda: run(large), lambda: run(small))


def _cpu_s(run: Callable[[], Any]) -> float:
    began = time.thread_time()
    run()
    return time.thread_time() - began
