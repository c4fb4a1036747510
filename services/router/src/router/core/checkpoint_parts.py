"""CheckpointParts: the parts of checkpoints as they stand in a log, put together; and what a reader of a log
has to find to begin.

Parts of different writers, places or contents are never mixed. What is not whole after a number of others
have begun is given up, so a writer that died in the middle costs nothing for long. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from warren.envelope import Checkpoint, Mark, Rules, decode
from warren.errors import MalformedEnvelope, UnsupportedEnvelope

# So many checkpoints are put together at once.
MOST = 4
# A batch with one envelope begins so (MessagePack: an array of the version and an array of one); a gateway's
# record has two at least.
_ALONE = b"\x92\x01\x91"


@dataclass(frozen=True, slots=True)
class Whole:
    """A checkpoint of which every part is there: the fold as of the Mark at ``offset``."""

    router: str
    offset: int
    digest: bytes
    bodies: tuple[bytes, ...]


class CheckpointParts:
    """The parts seen."""

    def __init__(self) -> None:
        """Begin with none."""
        self._sets: dict[tuple[str, int, int, bytes], dict[int, bytes]] = {}

    def take(self, part: Checkpoint) -> Whole | None:
        """Take a part; return the checkpoint that it completes."""
        if not 0 <= part.part < part.parts:
            return None
        key = (part.router, part.offset, part.parts, part.digest)
        bodies = self._sets.get(key)
        if bodies is None:
            bodies = self._sets[key] = {}
            if len(self._sets) > MOST:
                del self._sets[next(iter(self._sets))]
        bodies[part.part] = part.body
        if len(bodies) < part.parts:
            return None
        del self._sets[key]
        return Whole(
            part.router, part.offset, part.digest, tuple(bodies[number] for number in range(part.parts))
        )


def alone_in(record: bytes) -> Mark | Checkpoint | Rules | None:
    """Return what a reader that seeks a beginning has to know of a record; None for all else. It decodes no
    gateway's record.
    """
    if not record.startswith(_ALONE):
        return None
    try:
        (found,) = decode(record)
    except (MalformedEnvelope, UnsupportedEnvelope):
        return None
    return found if isinstance(found, Mark | Checkpoint | Rules) else None
