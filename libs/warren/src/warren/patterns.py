"""Patterns of names: ``*`` alone is special in one, and stands for any run of characters, also none.

It knows nothing of what is named: rooms and services have the same patterns.
"""

from __future__ import annotations


def matches(pattern: str, name: str) -> bool:
    """Say whether ``pattern`` matches the whole of ``name``. Takes linear time whatever the pattern (it may
    come in a token).
    """
    head, *rest = pattern.split("*")
    if not rest:
        return head == name
    tail = rest.pop()
    if len(name) < len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
        return False
    at, end = len(head), len(name) - len(tail)
    for part in rest:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
