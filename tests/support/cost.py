"""What something costs, so that a test can hold it on any machine: in lines of Python, or beside something
else that runs at the same time.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

TRIES = 9


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


def times(dear: Callable[[], Any], cheap: Callable[[], Any]) -> float:
    """Return how many times the CPU time of ``cheap`` it is that ``dear`` takes: the median of several pairs,
    run in turn.
    """
    found = []
    for _ in range(TRIES):
        first = _cpu_s(dear)
        found.append(first / max(_cpu_s(cheap), 1e-6))
    return statistics.median(found)


def _cpu_s(run: Callable[[], Any]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began
