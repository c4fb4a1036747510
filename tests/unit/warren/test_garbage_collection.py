"""How often Python looks for objects that only hold each other."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc
from warren.garbage_collection import ALL, MIDDLE, YOUNG, run_seldom

collected = []
gc.callbacks.append(lambda phase, info: collected.append(info["generation"]) if phase == "start" else None)
before = gc.get_freeze_count()
run_seldom()
print(gc.get_freeze_count() > before, gc.get_threshold() == (YOUNG, MIDDLE, ALL))
collected.clear()
kept = [[] for _ in range(20 * YOUNG)]
print(collected.count(2), 0 < len(collected) <= 25)

class Knot:
    def __init__(self):
        self.self = self
        gone.append(1)

    def __del__(self):
        gone.pop()

gone = []
for _ in range(4 * YOUNG):
    Knot()
print(len(gone) < 2 * YOUNG)
"""


def test_everything_is_looked_through_seldom_and_knots_are_still_freed():
    """In a process of its own, since it concerns the whole process: objects that are kept cost few passes and
    no full one.
    """
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True True", "0 True", "True"]
