"""A gateway that looks at no position a client comes back with, and tells it that nothing was missed."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.faults import mutants

from gateway.core.room_catch_up import RoomCatchUp, Step, Tell
from warren.envelope import Entered

SERVICE = "gateway"

_entered = RoomCatchUp.entered


def entered(catch_up: RoomCatchUp, item: Entered, *arguments: Any, **named: Any) -> list[Step]:
    """Take every JOIN for a first one, and say ``recovered: true``."""
    steps = _entered(catch_up, msgspec.structs.replace(item, since=None), *arguments, **named)
    return [
        Tell(msgspec.structs.replace(step.joined, recovered=True)) if isinstance(step, Tell) else step
        for step in steps
    ]


if __name__ == "__main__":
    RoomCatchUp.entered = entered  # type: ignore[method-assign]
    mutants.run(SERVICE)
