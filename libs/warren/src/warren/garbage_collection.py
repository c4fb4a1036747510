"""How often Python's garbage collector looks for objects that only hold each other.

It stops the process while it looks, and what it looks through grows with what the service keeps: clients, and
the last messages of many rooms. By default a busy pod stood still for 100 to 300 ms several times in 15 s.
Nearly all that a service lets go of is freed at once, without any of this, so it looks less often. It frees
nothing itself.
"""

from __future__ import annotations

import gc

# New objects before the young ones are looked through; that many times before the next age is; that many
# times before all are.
YOUNG = 5_000
MIDDLE = 10
ALL = 40


def run_seldom() -> None:
    """Look through everything only after some two million new objects, and never through what was there
    before the service began.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, ALL)
