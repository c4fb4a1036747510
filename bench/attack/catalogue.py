"""The catalogue of attacks, by kind, and how to select from it. To add an attack, add a row to the table of
its kind (``on_….py``).

What a row sends is built on demand, because some of it is large.
"""

from __future__ import annotations

from bench.attack import on_codecs, on_edge, on_frames, on_memory, on_routers
from bench.attack.plans import Attack

ATTACKS: tuple[Attack, ...] = (
    *on_codecs.ATTACKS,
    *on_frames.ATTACKS,
    *on_memory.ATTACKS,
    *on_edge.ATTACKS,
    *on_routers.ATTACKS,
)


def find(name: str) -> Attack:
    """Return an attack by its name."""
    return next(attack for attack in ATTACKS if attack.name == name)


def chosen(only: str) -> tuple[Attack, ...]:
    """Return the attacks that ``only`` selects: comma separated, each a full name, a kind, or the beginning
    of names with ``*``. All if it is empty.
    """
    if not only:
        return ATTACKS
    found: dict[str, Attack] = {}
    for word in only.split(","):
        rows = [
            attack
            for attack in ATTACKS
            if word in (attack.name, attack.kind)
            or (word.endswith("*") and attack.name.startswith(word[:-1]))
        ]
        if not rows:
            raise ValueError(f"no attack is called {word}")
        found.update((attack.name, attack) for attack in rows)
    return tuple(found.values())
