"""What is left over by one test, and raises when it is collected, harms no other."""

from __future__ import annotations

import ast
import gc

CODE = "def f(a, b=(1, 2)):\n  return [x for x in (a, b, {1: [2, (3, [4])]})]\n" * 20


class LeftOver:
    """It is collected with the garbage, and raises."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        raise ValueError(f"left over: {self!r}")


def test_source_code_can_be_parsed_meanwhile():
    """Several tests do, and Hypothesis does."""
    before = gc.get_threshold()
    gc.set_threshold(100)
    try:
        for _ in range(30):
            LeftOver()
            assert len(ast.parse(CODE).body) == 20
    finally:
        gc.set_threshold(*before)
